//! The threads engine: a fixed pool of OS threads, as gunicorn's `gthread`.
//!
//! A thread is held by a *request*, never by a connection: while a connection waits for its
//! next request, sends its head or a short body slowly, or takes the end of a response slowly, it
//! costs the poller an entry and nobody a thread. With that, what is left is the honest limit of
//! a pool: as many handlers at once as it has threads.
//!
//! # Implementation
//!
//! One poller thread accepts, watches idle connections with edge-triggered epoll, reads heads
//! and short bodies, sends what is left of responses, and keeps the clocks of all that. A request
//! that is complete so far goes to the pool over a channel; the thread that takes it calls the
//! application, sends the response as far as the kernel takes it, and gives the connection back. Both
//! channels hold connections only, so they are bounded by the cap on connections.

mod parked;
mod poller;
mod pool;

use super::Engine;
use crate::service::Service;
use crossbeam_channel::{Sender, unbounded};
use greenway_proto::http1::RequestHead;
use parked::Parked;
use poller::Poller;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

/// A request for the pool.
struct Job {
    connection: Parked,
    request: RequestHead,
    since: Instant,
}

impl Job {
    fn new(connection: Parked, request: RequestHead) -> Self {
        Self {
            connection,
            request,
            since: Instant::now(),
        }
    }
}

/// What the poller is told by others.
#[derive(Debug)]
enum Command {
    /// A response is sent, or can be sent without a thread.
    Back(Box<Parked>),
    /// A connection that the pool had is closed.
    Gone(mio::Token),
    StopAccepting(Sender<()>),
    EndAll,
}

/// How to tell it.
#[derive(Debug, Clone)]
struct Commands {
    sender: Sender<Command>,
    waker: Arc<mio::Waker>,
}

impl Commands {
    fn send(&self, command: Command) {
        // The poller is gone only when all connections are; then nobody needs to be told.
        if self.sender.send(command).is_ok()
            && let Err(error) = self.waker.wake()
        {
            log::error!("the poller cannot be woken: {error}");
        }
    }
}

pub(super) struct ThreadsEngine {
    commands: Commands,
    threads: Vec<JoinHandle<()>>,
}

impl ThreadsEngine {
    pub(super) fn start(service: &Arc<Service>, listeners: Vec<TcpListener>) -> io::Result<Self> {
        let (sender, receiver) = unbounded();
        let (jobs, work) = unbounded();
        let poller = Poller::new(service.clone(), listeners, receiver, jobs)?;
        let commands = Commands {
            sender,
            waker: poller.waker(),
        };
        let mut threads = Vec::new();
        for number in 1..=service.config.threads.max(1) {
            let (service, work, commands) = (service.clone(), work.clone(), commands.clone());
            let builder = std::thread::Builder::new().name(format!("greenway-pool-{number}"));
            threads.push(builder.spawn(move || pool::work(&service, &work, &commands))?);
        }
        let builder = std::thread::Builder::new().name("greenway-poller".into());
        threads.push(builder.spawn(move || poller.run())?);
        Ok(Self { commands, threads })
    }
}

impl Engine for ThreadsEngine {
    fn stop_accepting(&self) {
        let (done, wait) = unbounded();
        self.commands.send(Command::StopAccepting(done));
        let _done_or_poller_gone = wait.recv();
    }

    fn end_all(&self) {
        self.commands.send(Command::EndAll);
    }

    fn join(self: Box<Self>) {
        // A thread whose handler does not end cannot be waited for; the poller tells when all
        // connections are gone, and the pool ends with it.
        for thread in self.threads {
            if thread.is_finished() {
                let _its_panic_was_printed = thread.join();
            }
        }
    }
}
