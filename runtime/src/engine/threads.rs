//! The threads engine: a fixed pool of OS threads, as gunicorn's `gthread`.
//!
//! A thread is held by a *request*, never by a connection: while a connection waits for its
//! next request, or sends its head slowly, it costs the poller an entry and nobody a thread.
//! With that, what is left is the honest limit of a pool: as many handlers at once as it has
//! threads.
//!
//! # Implementation
//!
//! One poller thread accepts, watches idle connections with edge-triggered epoll, reads heads
//! and keeps their clocks. A connection whose head is complete goes to the pool over a channel;
//! the thread that takes it calls the application, sends the response and gives it back. Both
//! channels hold connections only, so they are bounded by the cap on connections.

mod poller;
mod pool;

use super::Engine;
use crate::connection::Incoming;
use crate::http1::RequestHead;
use crate::server::{Admission, Service};
use crossbeam_channel::{Sender, unbounded};
use greenway_app::Connection as Facts;
use poller::Poller;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

/// A connection that no thread is busy with.
#[derive(Debug)]
struct Parked {
    /// The poller's number for it.
    token: mio::Token,
    stream: TcpStream,
    incoming: Incoming,
    facts: Arc<Facts>,
    admission: Admission,
    /// A PROXY header comes before anything else.
    expects_proxy: bool,
}

impl Parked {
    /// Something has begun that has to come to its end under the clock for heads.
    fn has_begun(&self) -> bool {
        self.expects_proxy || !self.incoming.buf.is_empty()
    }

    /// Nothing has come that has to be answered.
    fn is_idle(&self) -> bool {
        self.incoming.buf.is_empty()
    }
}

/// A request for the pool.
struct Job {
    connection: Parked,
    request: RequestHead,
}

/// What the poller is told by others.
#[derive(Debug)]
enum Command {
    /// A response is sent; the connection may be used again.
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
