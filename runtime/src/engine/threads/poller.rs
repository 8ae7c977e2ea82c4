//! The poller's side: accepting, waiting for heads, and the clocks of waiting connections.

use super::super::accept::{OurEnd, Reserve, Trouble, facts, lost, refuse};
use super::parked::{Parked, Progress, Stage};
use super::{Command, Job};
use crate::connection::Incoming;
use crate::green::embed::{Accepted, accept_now};
use crate::service::{Refused, Service};
use crossbeam_channel::{Receiver, Sender};
use greenway_proto::http1::{self, Reject, RequestHead};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::io;
use std::net::TcpListener;
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
    listeners: Vec<(TcpListener, OurEnd)>,
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
    /// Those of them whose request got its thread before its body was there.
    early: HashSet<Token>,
    /// Who wants the same, oldest first; some have gone on since.
    line: VecDeque<Token>,
    next_token: usize,
    buffer: Box<[u8]>,
}

struct Waiting {
    connection: Parked,
    since: Instant,
    /// When its present clock runs out.
    until: Instant,
    /// It has more to do than to wait for a next request.
    begun: bool,
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
            listeners: listeners
                .into_iter()
                .map(|listener| {
                    let our_end = OurEnd::of(&listener);
                    (listener, our_end)
                })
                .collect(),
            accept_again: None,
            trouble: Trouble::new(Reserve::new()),
            commands,
            jobs,
            waiting: HashMap::new(),
            clocks: BTreeSet::new(),
            reading: 0,
            away: 0,
            early: HashSet::new(),
            line: VecDeque::new(),
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
            let (listener, our_end) = &self.listeners[number];
            let our_end = *our_end;
            match accept_now(listener) {
                Ok(accepted) => {
                    if let Some(accepted) = self.trouble.over(&self.service, accepted)
                        && let Err(error) = self.admit(accepted, our_end)
                    {
                        lost(&self.service, &error);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    let pause = self.trouble.after(&error, &self.service, listener);
                    if !pause.is_zero() {
                        self.accept_again = Some(Instant::now() + pause);
                        return;
                    }
                }
            }
        }
    }

    fn admit(&mut self, accepted: Accepted, our_end: OurEnd) -> io::Result<()> {
        let Some(admission) = self.service.lifecycle.admit() else {
            refuse(&self.service, &accepted.stream, Refused::Connections);
            return Ok(());
        };
        self.service.metrics.accepted();
        let token = Token(self.next_token);
        self.next_token += 1;
        let source = accepted.stream.as_raw_fd();
        // Reports at once what has come already.
        self.poll
            .registry()
            .register(&mut SourceFd(&source), token, Interest::READABLE)?;
        let facts = facts(&self.service, &accepted, our_end);
        self.wait_for(Parked {
            token,
            stream: accepted.stream,
            incoming: Incoming::default(),
            stage: if self.service.expects_proxy(&facts) {
                Stage::Proxy
            } else {
                Stage::Head
            },
            facts,
            admission,
        });
        Ok(())
    }

    /// Lets a connection wait.
    fn wait_for(&mut self, connection: Parked) {
        let begun = connection.has_begun();
        self.reading += usize::from(begun);
        let since = Instant::now();
        let until = since + connection.clock(&self.service);
        self.clocks.insert((until, connection.token));
        self.waiting.insert(
            connection.token,
            Waiting {
                connection,
                since,
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
        let mut connection = waiting.connection;
        connection.waited(waiting.since.elapsed());
        Some(connection)
    }

    /// Lets a connection go on. Events of one that is with the pool are of no interest: when it
    /// comes back, it is registered anew and its state is reported again.
    fn look_at(&mut self, token: Token) {
        let Some(waiting) = self.waiting.get_mut(&token) else {
            return;
        };
        let connection = &mut waiting.connection;
        let had_patience = connection.has_patience();
        let progress = connection.go_on(&self.service, &mut self.buffer);
        let same_clock = waiting.begun == waiting.connection.has_begun()
            && !had_patience
            && !waiting.connection.has_patience();
        if matches!(progress, Progress::Waits) && same_clock {
            return;
        }
        self.follow(token, progress);
    }

    /// Does what a look at a connection has led to.
    fn follow(&mut self, token: Token, progress: Progress) {
        let Some(connection) = self.take(token) else {
            return;
        };
        match progress {
            Progress::Waits if self.service.lifecycle.is_stopping() && connection.is_idle() => {}
            Progress::Waits if matches!(connection.stage, Stage::Body { .. }) => {
                self.let_in_early(connection);
            }
            Progress::Waits => self.wait_for(connection), // under its new clock
            Progress::Request(request) => self.give_to_pool(connection, *request),
            Progress::Ended => {}
            Progress::Bad(reject) => self.reject(&connection, &reject),
        }
    }

    fn give_to_pool(&mut self, connection: Parked, request: RequestHead) {
        self.away += 1;
        // Fails only if the whole pool is gone, which it never is before the poller.
        if self.jobs.send(Job::new(connection, request)).is_err() {
            self.away -= 1;
        }
    }

    /// Gives a request a thread whose body is not there yet, unless half of the pool has such
    /// requests: then it stands in line until one of them is over, or its body is there.
    fn let_in_early(&mut self, mut connection: Parked) {
        let most = (self.service.config.threads / 2).max(1);
        let token = connection.token;
        if self.early.len() < most
            && let Progress::Request(request) = connection.take_request()
        {
            self.early.insert(token);
            return self.give_to_pool(connection, *request);
        }
        if connection.wants_place_in_line() {
            // Most who leave the line do so by themselves, because their body has come.
            if self.line.len() > 2 * self.waiting.len() + 64 {
                let waiting = &self.waiting;
                self.line.retain(|token| waiting.contains_key(token));
            }
            self.line.push_back(token);
        }
        self.wait_for(connection);
    }

    /// A connection has come back from the pool, or is gone.
    fn is_back(&mut self, token: Token) {
        self.away -= 1;
        if !self.early.remove(&token) {
            return;
        }
        while let Some(next) = self.line.pop_front() {
            let waits = |waiting: &Waiting| waiting.connection.has_place_in_line();
            if self.waiting.get(&next).is_some_and(waits)
                && let Some(connection) = self.take(next)
            {
                return self.let_in_early(connection);
            }
        }
    }

    /// Answers what cannot be served, without waiting for the client, and closes.
    fn reject(&mut self, connection: &Parked, reject: &Reject) {
        let mut response = Vec::new();
        let (status, reason) = (reject.status, reject.reason);
        http1::error_response(&mut response, status, reason, None, Instant::now());
        // Best effort: nothing was sent on this connection lately, so its buffer has room.
        let _ = connection.tell(&response, &mut self.buffer);
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
            // What one had to wait for is over, whatever the fine print of its patience.
            let Some(mut connection) = self.take(token) else {
                return;
            };
            let progress = connection.out_of_time();
            self.wait_for(connection);
            self.follow(token, progress);
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

    /// Gives a connection up: the grace period of a stop is over.
    fn end(&mut self, token: Token) {
        let Some(mut connection) = self.take(token) else {
            return;
        };
        if matches!(connection.stage, Stage::Sending { .. }) {
            self.service.lifecycle.note_cut();
        }
        let progress = connection.take_request(); // it is told that the server stops
        if matches!(progress, Progress::Request(_)) {
            self.wait_for(connection);
            self.follow(token, progress);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Back(connection) => {
                self.is_back(connection.token);
                let source = connection.stream.as_raw_fd();
                let registry = self.poll.registry();
                let token = connection.token;
                let interest = match connection.stage {
                    Stage::Sending { .. } => Interest::READABLE | Interest::WRITABLE,
                    _ => Interest::READABLE,
                };
                match registry.reregister(&mut SourceFd(&source), token, interest) {
                    Ok(()) => self.wait_for(*connection),
                    Err(error) => lost(&self.service, &error),
                }
                if self.service.lifecycle.is_ending() {
                    self.end(token);
                } else if self.service.lifecycle.is_stopping() {
                    self.end_if_idle(token);
                }
            }
            Command::Gone(token) => self.is_back(token),
            Command::StopAccepting(done) => {
                for number in 0..self.listeners.len() {
                    self.accept(number); // whoever has connected is served
                }
                for (listener, _) in self.listeners.drain(..) {
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
                let all: Vec<_> = self.waiting.keys().copied().collect();
                for token in all {
                    self.end(token);
                }
            }
        }
    }
}
