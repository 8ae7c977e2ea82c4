//! Connections on the workers: a green thread for every connection that has something to do.
//!
//! # Implementation
//!
//! Each worker has an acceptor for each address. All acceptors of an address share its queue
//! in the kernel, so a worker that is held up does not hold up connections: another takes them.
//! The acceptor chooses the worker that a connection is to live on: the one whose epoll its
//! descriptor belongs to by its number, unless that one has noticeably more green threads than
//! another; then the descriptor is copied to a fitting number.

use super::accept::{
    AcceptBackoff, OurEnd, Reserve, connection_info, is_out_of_descriptors, refuse,
};
use super::host::Host;
use super::{AcceptQueue, Engine, HandlerThreads};
use crate::green::embed::{Interrupt, Listener, spawn_on, workers};
use crate::green::{Event, Greenlet, Queue, sleep, yield_now};
use crate::service::{Refused, Service, run_again};
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a start that fails waits for the acceptors that it has started.
const TAKE_BACK: Duration = Duration::from_secs(1);

/// How long a process that is full leaves clients to the others before it looks again.
const WHILE_FULL: Duration = Duration::from_millis(20);

pub(super) struct WorkersEngine<H: HandlerThreads> {
    host: Arc<Host<H>>,
    acceptors: Vec<Greenlet<()>>,
    /// Acceptors end although somebody has come.
    leaves_queue: Arc<AtomicBool>,
}

impl<H: HandlerThreads> WorkersEngine<H> {
    /// Begins to accept connections, whose handlers run on `handlers`.
    pub(super) fn start(
        service: &Arc<Service>,
        listeners: Vec<TcpListener>,
        handlers: H,
    ) -> io::Result<Self> {
        let mut engine = Self {
            host: Host::start(service.clone(), handlers)?,
            acceptors: Vec::new(),
            leaves_queue: Arc::default(),
        };
        let reserve = Reserve::new();
        let begin = Event::new();
        for listener in listeners {
            if let Err(error) = engine.start_acceptors(listener, &reserve, &begin) {
                engine.stop_accepting(AcceptQueue::Leave, Instant::now() + TAKE_BACK);
                return Err(error);
            }
        }
        begin.set();
        Ok(engine)
    }

    /// Starts an acceptor on each worker, one after the other: each looks for a descriptor whose
    /// number fits its worker, and several that look at once take them from one another. None accepts
    /// before `begin` is set: the first handlers could hold a worker whose acceptor is waited for.
    fn start_acceptors(
        &mut self,
        listener: TcpListener,
        reserve: &Arc<Reserve>,
        begin: &Event,
    ) -> io::Result<()> {
        let our_end = OurEnd::of(&listener);
        let listener = Arc::new(listener);
        for worker in workers() {
            let ready = Queue::new(1);
            let (host, listener, reserve) = (self.host.clone(), listener.clone(), reserve.clone());
            let (report, begin) = (ready.clone(), begin.clone());
            let leaves = self.leaves_queue.clone();
            self.acceptors.push(spawn_on(worker, move || {
                match Listener::new(&listener) {
                    Ok(here) => {
                        let _ = report.put(Ok(())); // there is a place for it
                        begin.wait();
                        // A server that has lost its acceptors would look healthy.
                        run_again("acceptor", sleep, || {
                            accept(&host, &listener, our_end, &here, reserve.clone(), &leaves);
                        });
                    }
                    Err(error) => {
                        let _ = report.put(Err(error)); // as above
                    }
                }
            }));
            if let Some(Err(error)) = ready.get() {
                return Err(error);
            }
        }
        Ok(())
    }
}

impl<H: HandlerThreads> Engine for WorkersEngine<H> {
    fn stop_accepting(&self, queue: AcceptQueue, deadline: Instant) {
        self.leaves_queue
            .store(queue == AcceptQueue::Leave, Ordering::SeqCst);
        for acceptor in &self.acceptors {
            // Ends the acceptor when it waits, that is, when the kernel's queue is empty.
            acceptor.interrupt(Interrupt::Stop);
        }
        for acceptor in &self.acceptors {
            // Its worker may be held up by a handler that does not wait.
            let left = deadline.saturating_duration_since(Instant::now());
            let _killed_or_ended = acceptor.join_timeout(left);
        }
    }

    fn close_idle(&self, deadline: Instant) {
        self.host.close_idle(deadline);
    }

    fn join(self: Box<Self>) {
        self.host.handlers.stop();
    }
}

/// Accepts until the thread is interrupted and nobody has come, or `leaves` is set. `here` is where
/// this worker waits for connections of `listener`.
fn accept<H: HandlerThreads>(
    host: &Arc<Host<H>>,
    listener: &TcpListener,
    our_end: OurEnd,
    here: &Listener,
    reserve: Arc<Reserve>,
    leaves: &AtomicBool,
) {
    let service = &host.service;
    let mut backoff = AcceptBackoff::new(reserve);
    let neighbours = service.config.neighbours.as_deref();
    while !leaves.load(Ordering::Relaxed) {
        if let Some(neighbours) = neighbours
            && neighbours.leaves_the_next(service.lifecycle.is_full())
        {
            sleep(WHILE_FULL);
            continue;
        }
        match here.accept() {
            Ok(accepted) => {
                let Some(accepted) = backoff.accepted(service, accepted) else {
                    yield_now();
                    continue;
                };
                match service.lifecycle.admit(|| host.make_room()) {
                    Some(admission) => {
                        let info = connection_info(service, &accepted, our_end);
                        host.admit(accepted.stream, info, admission);
                    }
                    None => {
                        refuse(service, accepted.stream, Refused::Connections, true);
                        yield_now(); // a flood of them must not hold up those who were let in
                    }
                }
            }
            Err(error) => {
                if is_out_of_descriptors(&error) {
                    host.make_room(); // for the next one: this one is told that there is none
                }
                let pause = backoff.failed(&error, service, listener);
                if pause.is_zero() {
                    yield_now();
                } else {
                    sleep(pause);
                }
            }
        }
    }
}
