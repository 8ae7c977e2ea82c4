//! The poller's side: accepting, waiting for heads, and the clocks of waiting connections.

use super::super::accept::{Reserve, Trouble, facts, refuse};
use super::{Command, Job, Parked};
use crate::connection::Incoming;
use crate::green::net::accept_now;
use crate::http1::{self, Reject, RequestHead};
use crate::server::{Refused, Service, proxy_protocol};
use crossbeam_channel::{Receiver, Sender};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

const WAKER: Token = Token(usize::MAX);
/// What is read of a connection at once.
const READ_LEN: usize = 16 * 1024;

pub(super) struct Poller {
    service: Arc<Service>,
    poll: Poll,
    waker: Arc<Waker>,
    /// Their tokens are their places, counted from 0; those of connections come after.
    listeners: Vec<TcpListener>,
    accept_again: Option<Instant>,
    trouble: Trouble,
    commands: Receiver<Command>,
    jobs: Sender<Job>,
    waiting: HashMap<Token, Waiting>,
    clocks: BTreeSet<(Instant, Token)>,
    /// How many of those that wait have begun.
    reading: usize,
    /// Connections that are with the pool.
    away: usize,
    next_token: usize,
    buffer: Box<[u8]>,
}

struct Waiting {
    connection: Parked,
    /// When its present clock runs out.
    until: Instant,
    /// Part of a head has come: the clock is that of the head.
    begun: bool,
}

/// What reading a connection has led to.
enum Progress {
    Waits,
    Request(Box<RequestHead>),
    Ended,
    Bad(Reject),
}

impl Poller {
    pub(super) fn new(
        service: Arc<Service>,
        listeners: Vec<TcpListener>,
        commands: Receiver<Command>,
        jobs: Sender<Job>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        for (number, listener) in listeners.iter().enumerate() {
            listener.set_nonblocking(true)?;
            let source = listener.as_raw_fd();
            poll.registry()
                .register(&mut SourceFd(&source), Token(number), Interest::READABLE)?;
        }
        Ok(Self {
            next_token: listeners.len(),
            service,
            poll,
            waker,
            listeners,
            accept_again: None,
            trouble: Trouble::new(Reserve::new()),
            commands,
            jobs,
            waiting: HashMap::new(),
            clocks: BTreeSet::new(),
            reading: 0,
            away: 0,
            buffer: vec![0; READ_LEN].into(),
        })
    }

    pub(super) fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    /// Runs until the server has stopped and no connection is left.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        let mut ready = Vec::new();
        while !(self.listeners.is_empty() && self.waiting.is_empty() && self.away == 0) {
            if let Err(error) = self.poll.poll(&mut events, self.next_clock())
                && error.kind() != io::ErrorKind::Interrupted
            {
                log::error!("the poller cannot wait: {error}");
                return;
            }
            ready.extend(events.iter().map(mio::event::Event::token));
            for token in ready.drain(..) {
                if token.0 < self.listeners.len() {
                    self.accept(token.0);
                } else if token != WAKER {
                    self.look_at(token);
                }
            }
            // Without end if the pool is quick enough, but then there is nothing better to do.
            while let Ok(command) = self.commands.try_recv() {
                self.obey(command);
            }
            self.look_at_clocks();
            let parked = &self.service.metrics.parked;
            parked.reading.store(self.reading, Relaxed);
            parked
                .idle
                .store(self.waiting.len() - self.reading, Relaxed);
        }
    }

    fn next_clock(&self) -> Option<Duration> {
        let clock = self.clocks.first().map(|(at, _)| *at);
        let at = clock.into_iter().chain(self.accept_again).min()?;
        // Rounded up to whole milliseconds, epoll's unit, so as not to spin before it.
        Some(at.saturating_duration_since(Instant::now()) + Duration::from_millis(1))
    }

    fn accept(&mut self, number: usize) {
        loop {
            match accept_now(&self.listeners[number]) {
                Ok(stream) => {
                    if let Some(stream) = self.trouble.over(&self.service, stream)
                        && let Err(error) = self.admit(stream)
                    {
                        log::error!("a connection cannot be served: {error}");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    let listener = &self.listeners[number];
                    let pause = self.trouble.after(&error, &self.service, listener);
                    if !pause.is_zero() {
                        self.accept_again = Some(Instant::now() + pause);
                        return;
                    }
                }
            }
        }
    }

    fn admit(&mut self, stream: TcpStream) -> io::Result<()> {
        let Some(admission) = self.service.lifecycle.admit() else {
            refuse(&self.service, &stream, Refused::Connections);
            return Ok(());
        };
        self.service.metrics.accepted();
        stream.set_nonblocking(true)?;
        let token = Token(self.next_token);
        self.next_token += 1;
        let source = stream.as_raw_fd();
        // Reports at once what has come already.
        self.poll
            .registry()
            .register(&mut SourceFd(&source), token, Interest::READABLE)?;
        let facts = facts(&self.service, &stream);
        self.wait_for(Parked {
            token,
            stream,
            incoming: Incoming::default(),
            expects_proxy: self.service.expects_proxy(&facts),
            facts,
            admission,
        });
        Ok(())
    }

    /// Lets a connection wait for its next request.
    fn wait_for(&mut self, connection: Parked) {
        let begun = connection.has_begun();
        self.reading += usize::from(begun);
        let clocks = &self.service.config.clocks;
        let until = Instant::now()
            + if begun {
                clocks.head
            } else {
                clocks.keep_alive
            };
        self.clocks.insert((until, connection.token));
        self.waiting.insert(
            connection.token,
            Waiting {
                connection,
                until,
                begun,
            },
        );
    }

    /// Takes a connection out of those that wait.
    fn take(&mut self, token: Token) -> Option<Parked> {
        let waiting = self.waiting.remove(&token)?;
        self.clocks.remove(&(waiting.until, token));
        self.reading -= usize::from(waiting.begun);
        Some(waiting.connection)
    }

    /// Reads what a connection has sent. Events of one that is with the pool are of no interest:
    /// when it comes back, it is registered anew and its state is reported again.
    fn look_at(&mut self, token: Token) {
        let Some(waiting) = self.waiting.get_mut(&token) else {
            return;
        };
        let progress = read_head(&mut waiting.connection, &self.service, &mut self.buffer);
        match progress {
            Progress::Waits => {
                if waiting.begun != waiting.connection.has_begun()
                    && let Some(connection) = self.take(token)
                {
                    self.wait_for(connection); // under its new clock
                }
            }
            Progress::Request(request) => {
                let Some(connection) = self.take(token) else {
                    return;
                };
                self.away += 1;
                // Fails only if the whole pool is gone, which it never is before the poller.
                if self
                    .jobs
                    .send(Job {
                        connection,
                        request: *request,
                    })
                    .is_err()
                {
                    self.away -= 1;
                }
            }
            Progress::Ended => drop(self.take(token)),
            Progress::Bad(reject) => self.reject(token, &reject),
        }
    }

    /// Answers what cannot be served, without waiting for the client, and closes.
    fn reject(&mut self, token: Token, reject: &Reject) {
        let Some(mut connection) = self.take(token) else {
            return;
        };
        let mut response = Vec::new();
        http1::error_response(&mut response, reject.status, reject.reason, None);
        // Best effort: nothing was sent on this connection lately, so its buffer has room.
        let _ = connection.stream.write(&response);
        let _ = connection.stream.shutdown(Shutdown::Write);
        let _ = connection.stream.read(&mut self.buffer);
        self.service.access_bad(&connection.facts, reject.status);
    }

    fn look_at_clocks(&mut self) {
        let now = Instant::now();
        if self.accept_again.is_some_and(|at| at <= now) {
            self.accept_again = None;
            for number in 0..self.listeners.len() {
                self.accept(number);
            }
        }
        while let Some(&(at, token)) = self.clocks.first()
            && at <= now
        {
            if self
                .waiting
                .get(&token)
                .is_some_and(|waiting| waiting.begun && !waiting.connection.expects_proxy)
            {
                self.reject(token, &Reject::timeout("the request head took too long"));
            } else {
                drop(self.take(token));
            }
        }
    }

    /// Ends a connection from which nothing has come: when the server stops.
    fn end_if_idle(&mut self, token: Token) {
        self.look_at(token); // a request may have come already
        let is_idle = |waiting: &Waiting| waiting.connection.is_idle();
        if self.waiting.get(&token).is_some_and(is_idle) {
            drop(self.take(token));
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Back(connection) => {
                self.away -= 1;
                let source = connection.stream.as_raw_fd();
                let registry = self.poll.registry();
                let token = connection.token;
                match registry.reregister(&mut SourceFd(&source), token, Interest::READABLE) {
                    Ok(()) => self.wait_for(*connection),
                    Err(error) => log::error!("a connection cannot be watched: {error}"),
                }
                if self.service.lifecycle.is_stopping() {
                    self.end_if_idle(token);
                }
            }
            Command::Gone(_token) => self.away -= 1,
            Command::StopAccepting(done) => {
                for number in 0..self.listeners.len() {
                    self.accept(number); // whoever has connected is served
                }
                for listener in self.listeners.drain(..) {
                    let source = listener.as_raw_fd();
                    let _closed_next = self.poll.registry().deregister(&mut SourceFd(&source));
                }
                let idle: Vec<_> = self
                    .waiting
                    .iter()
                    .filter(|(_, waiting)| waiting.connection.is_idle())
                    .map(|(token, _)| *token)
                    .collect();
                for token in idle {
                    self.end_if_idle(token);
                }
                let _nobody_waits = done.send(());
            }
            Command::EndAll => {
                self.waiting.clear();
                self.clocks.clear();
                self.reading = 0;
            }
        }
    }
}

/// Reads until a head is complete or nothing more is there.
fn read_head(connection: &mut Parked, service: &Service, buffer: &mut [u8]) -> Progress {
    loop {
        if connection.expects_proxy {
            let trust = &service.config.forwarded_allow;
            match proxy_protocol::take(&mut connection.incoming.buf, &connection.facts, trust) {
                Ok(Some(told)) => {
                    connection.facts = told;
                    connection.expects_proxy = false;
                    continue;
                }
                Ok(None) => {}
                Err(why) => {
                    proxy_protocol::report(&connection.facts, why);
                    return Progress::Ended;
                }
            }
        } else {
            match connection.incoming.take_head(&service.config.head_limits) {
                Ok(Some(request)) => return Progress::Request(Box::new(request)),
                Ok(None) => {}
                Err(reject) => return Progress::Bad(reject),
            }
        }
        match connection.stream.read(buffer) {
            Ok(0) if connection.expects_proxy || connection.is_idle() => return Progress::Ended,
            Ok(0) => return Progress::Bad(Reject::bad("the request head is incomplete")),
            Ok(n) => connection.incoming.buf.extend_from_slice(&buffer[..n]),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => return Progress::Waits,
                io::ErrorKind::Interrupted => {}
                _ => return Progress::Ended,
            },
        }
    }
}
