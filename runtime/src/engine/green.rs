//! The green engine: a green thread for every connection.
//!
//! # Implementation
//!
//! Each worker has an acceptor for each address. All acceptors of an address share its queue
//! in the kernel, so a worker that is held up does not hold up connections: another takes them.
//! The acceptor chooses the worker that a connection is to live on: the one whose epoll its
//! descriptor belongs to by its number (see `green::worker`), unless that one has noticeably
//! more green threads than another; then the descriptor is copied to a fitting number.

use super::{BackOff, Engine, facts, refuse};
use crate::connection::{Connection, Incoming, Place, Seat, Wire};
use crate::green::net::{Listener, Stream};
use crate::green::spawn::spawn_on;
use crate::green::thread::Interrupt;
use crate::green::worker::{self, Worker};
use crate::green::{Greenlet, Queue, sleep};
use crate::server::{Admission, Service};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct GreenEngine {
    acceptors: Vec<Greenlet<()>>,
}

impl GreenEngine {
    pub(super) fn start(service: &Arc<Service>, listeners: &[TcpListener]) -> io::Result<Self> {
        let workers = worker::workers();
        let ready = Queue::new(workers.len() * listeners.len());
        let mut acceptors = Vec::new();
        for listener in listeners {
            for worker in workers {
                let (service, listener, ready) =
                    (service.clone(), listener.try_clone()?, ready.clone());
                acceptors.push(spawn_on(worker, move || {
                    let result = Listener::new(&listener);
                    drop(listener);
                    match result {
                        Ok(listener) => {
                            // There is a place for each acceptor's report.
                            let _ = ready.put(Ok(()));
                            accept(&service, &listener);
                        }
                        Err(error) => {
                            let _ = ready.put(Err(error));
                        }
                    }
                }));
            }
        }
        let engine = Self { acceptors };
        for _ in &engine.acceptors {
            if let Some(Err(error)) = ready.get() {
                engine.stop_accepting();
                return Err(error);
            }
        }
        Ok(engine)
    }
}

impl Engine for GreenEngine {
    fn stop_accepting(&self) {
        for acceptor in &self.acceptors {
            // Ends the acceptor when it waits, that is, when the kernel's queue is empty.
            acceptor.interrupt(Interrupt::Stop);
        }
        for acceptor in &self.acceptors {
            let _killed_or_ended = acceptor.join_timeout(Duration::MAX);
        }
    }

    fn end_all(&self) {}

    fn join(self: Box<Self>) {}
}

fn accept(service: &Arc<Service>, listener: &Listener) {
    let mut back_off = BackOff::new();
    loop {
        match listener.accept() {
            Ok(stream) => {
                back_off.reset();
                match service.lifecycle.admit() {
                    Some(admission) => place(service, stream, admission),
                    None => refuse(&stream),
                }
            }
            Err(error) => sleep(back_off.after(&error)),
        }
    }
}

/// Starts a connection's green thread on a worker of our choice.
fn place(service: &Arc<Service>, stream: TcpStream, mut admission: Admission) {
    let service = service.clone();
    spawn_on(choose_worker(stream.as_raw_fd()), move || {
        let seat = Seat::new(Place::Busy);
        admission.take_seat(seat.clone());
        let facts = facts(&service, &stream);
        match Stream::new(stream) {
            Ok(stream) => {
                let wire = Wire::new(stream, Incoming::default(), &service.config);
                Connection::new(service, seat, facts, wire).serve();
            }
            Err(error) => log::error!("a connection cannot be served: {error}"),
        }
        drop(admission);
    });
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
