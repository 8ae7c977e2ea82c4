//! The green engine: a green thread for every connection.
//!
//! # Implementation
//!
//! Each worker has an acceptor for each address. All acceptors of an address share its queue
//! in the kernel, so a worker that is held up does not hold up connections: another takes them.
//! The acceptor chooses the worker that a connection is to live on: the one whose epoll its
//! descriptor belongs to by its number (see `green::worker`), unless that one has noticeably
//! more green threads than another; then the descriptor is copied to a fitting number.
//!
//! Connections over a unix socket are accepted by an OS thread of the socket's own and placed in
//! the same way: what workers wait with, std's `accept`, knows internet addresses only.

use super::Engine;
use super::accept::{Reserve, Trouble, accept_now, facts, refuse};
use crate::connection::{Connection, Incoming, Place, Seat, Wire};
use crate::green::net::{Listener, Stream};
use crate::green::spawn::spawn_on;
use crate::green::thread::{Interest, Interrupt, Io, TimedOut, deadline_in, wait_for};
use crate::green::worker::{self, Worker};
use crate::green::{Greenlet, Queue, sleep, yield_now};
use crate::server::{Admission, Refused, Service, Task, proxy_protocol};
use greenway_app::Connection as Facts;
use socket2::{Domain, SockRef};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct GreenEngine {
    acceptors: Vec<Greenlet<()>>,
    /// Those of unix sockets.
    tasks: Mutex<Vec<Task>>,
}

impl GreenEngine {
    pub(super) fn start(service: &Arc<Service>, listeners: Vec<TcpListener>) -> io::Result<Self> {
        let mut engine = Self {
            acceptors: Vec::new(),
            tasks: Mutex::default(),
        };
        let reserve = Reserve::new();
        for listener in listeners {
            let started = if SockRef::from(&listener).domain()? == Domain::UNIX {
                engine.start_unix(service, listener, reserve.clone())
            } else {
                engine.start_tcp(service, listener, &reserve)
            };
            if let Err(error) = started {
                engine.stop_accepting();
                return Err(error);
            }
        }
        Ok(engine)
    }

    /// Starts an acceptor on each worker, one after the other: each looks for a descriptor whose
    /// number fits its worker, and several that look at once take them from one another.
    fn start_tcp(
        &mut self,
        service: &Arc<Service>,
        listener: TcpListener,
        reserve: &Arc<Reserve>,
    ) -> io::Result<()> {
        let listener = Arc::new(listener);
        for worker in worker::workers() {
            let ready = Queue::new(1);
            let (service, listener, reserve) = (service.clone(), listener.clone(), reserve.clone());
            let report = ready.clone();
            self.acceptors.push(spawn_on(worker, move || {
                match Listener::new(&listener) {
                    Ok(here) => {
                        let _ = report.put(Ok(())); // there is a place for it
                        accept(&service, &listener, reserve, || here.accept());
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

    fn start_unix(
        &mut self,
        service: &Arc<Service>,
        listener: TcpListener,
        reserve: Arc<Reserve>,
    ) -> io::Result<()> {
        let service = service.clone();
        let task = Task::start("greenway-accept", move || {
            accept(&service, &listener, reserve, || {
                let io = Io::Poll(listener.as_fd(), Interest::Readable);
                let result = wait_for(None, io, |_, _| match accept_now(&listener) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
                    done => Some(done),
                });
                result.unwrap_or_else(|TimedOut| Err(io::ErrorKind::TimedOut.into()))
            });
        })?;
        self.lock_tasks().push(task);
        Ok(())
    }

    fn lock_tasks(&self) -> std::sync::MutexGuard<'_, Vec<Task>> {
        // Nothing under the lock can panic half-way through a change.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for GreenEngine {
    fn stop_accepting(&self) {
        for acceptor in &self.acceptors {
            // Ends the acceptor when it waits, that is, when the kernel's queue is empty.
            acceptor.interrupt(Interrupt::Stop);
        }
        for acceptor in &self.acceptors {
            // Not for ever: its worker may be held up by a handler that does not wait.
            let _killed_or_ended = acceptor.join_timeout(Duration::from_secs(1));
        }
        let tasks = std::mem::take(&mut *self.lock_tasks());
        for task in tasks {
            task.end(); // at its wait, as above
        }
    }

    fn end_all(&self) {}

    fn join(self: Box<Self>) {}
}

/// Accepts until the thread is interrupted. `wait` gives the next connection of `listener`.
fn accept(
    service: &Arc<Service>,
    listener: &TcpListener,
    reserve: Arc<Reserve>,
    mut wait: impl FnMut() -> io::Result<TcpStream>,
) {
    let mut trouble = Trouble::new(reserve);
    loop {
        match wait() {
            Ok(stream) => {
                let Some(stream) = trouble.over(service, stream) else {
                    yield_now();
                    continue;
                };
                match service.lifecycle.admit() {
                    Some(admission) => place(service, stream, admission),
                    None => {
                        refuse(service, &stream, Refused::Connections);
                        yield_now(); // a flood of them must not hold up those who were let in
                    }
                }
            }
            Err(error) => {
                let pause = trouble.after(&error, service, listener);
                if pause.is_zero() {
                    yield_now();
                } else {
                    sleep(pause);
                }
            }
        }
    }
}

/// Starts a connection's green thread on a worker of our choice.
fn place(service: &Arc<Service>, stream: TcpStream, admission: Admission) {
    service.metrics.accepted();
    let service = service.clone();
    spawn_on(choose_worker(stream.as_raw_fd()), move || {
        // Bound in this order, so that the socket is closed before its place is free again.
        if let Some((_admission, connection)) = open(service, stream, admission) {
            connection.serve();
        }
    });
}

/// Makes a connection of a socket, on the green thread that will serve it. `None`: it cannot be
/// served. Not inlined, so that what is needed here only does not lie on the stack below every
/// handler: see "Stack" in [`crate::connection`].
#[inline(never)]
fn open(
    service: Arc<Service>,
    stream: TcpStream,
    mut admission: Admission,
) -> Option<(Admission, Connection<Stream>)> {
    let seat = Seat::new(Place::Busy);
    admission.take_seat(seat.clone());
    let mut facts = facts(&service, &stream);
    let stream = Stream::new(stream)
        .inspect_err(|error| log::error!("a connection cannot be served: {error}"))
        .ok()?;
    let mut incoming = Incoming::default();
    if service.expects_proxy(&facts) {
        facts = read_proxy_header(&service, &seat, &facts, &stream, &mut incoming)?;
    }
    let wire = Wire::new(stream, incoming, &service.config);
    Some((admission, Connection::new(service, seat, facts, wire)))
}

/// Reads the PROXY header, under the clock for heads. `None`: there is none, close.
fn read_proxy_header(
    service: &Service,
    seat: &Seat,
    facts: &Facts,
    stream: &Stream,
    incoming: &mut Incoming,
) -> Option<Arc<Facts>> {
    let deadline = deadline_in(service.config.clocks.head);
    let told = loop {
        match proxy_protocol::take(&mut incoming.buf, facts, &service.config.forwarded_allow) {
            Ok(Some(told)) => break told,
            Ok(None) => {}
            Err(why) => {
                proxy_protocol::report(facts, why);
                return None;
            }
        }
        // Who has sent nothing need not be waited for when the server stops. Looked at after the
        // place is set: whoever stops the server does it the other way round.
        let idle = incoming.buf.is_empty();
        seat.set(if idle { Place::Idle } else { Place::Reading });
        let take = |bytes: &[u8]| incoming.buf.extend_from_slice(bytes);
        let read = if idle {
            stream.read_unless(service.lifecycle.stop_flag(), deadline, take)
        } else {
            stream.read(deadline, take)
        };
        if !matches!(read, Ok(1..)) {
            return None;
        }
    };
    seat.set(Place::Busy);
    Some(told)
}

fn choose_worker(fd: i32) -> &'static Worker {
    let workers = worker::workers();
    let by_number = workers[fd as usize % workers.len()];
    let least = worker::least_loaded();
    // A little unevenness costs less than copying a descriptor.
    if by_number.population() <= least.population() + 4 + least.population() / 16 {
        by_number
    } else {
        least
    }
}
