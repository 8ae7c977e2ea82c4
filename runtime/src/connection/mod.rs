//! The life of one connection: read a head, call the application, send what it gives, go on.
//!
//! [`Connection::serve`] is that life on the green engine, and is meant to be read aloud. The
//! threads engine lets its poller wait for heads and calls [`Connection::exchange`] only.
//!
//! What must stay true:
//! - The application is called once per request, when its head is complete and before its body
//!   is read. Whatever it does (return, abort, panic, wait too long) ends as one response or as
//!   a closed connection, never as anything that others notice.
//! - A body is dropped before the next request of the connection is looked at.
//! - A finished response that is held back for company leaves before anything waits.
//!
//! # Stack
//!
//! A page of stack that was ever touched stays with its green thread, and ten thousand of them
//! are 40 MB. What lies between the first function of a connection and a handler, and what is
//! called there before it, fits in one page: what is needed only now and then is kept out of
//! line. `benches/subject/tests/stack.rs` holds it, in the optimised build.

mod departure;
mod exchange;
mod input;
mod output;
mod pace;
mod presence;
#[cfg(test)]
mod tests;
mod transport;
pub(crate) mod upgrade;
mod wire;

pub(crate) use exchange::call_catching;
pub(crate) use pace::{Patience, WritePace};
pub(crate) use transport::Transport;
pub(crate) use wire::{Flushed, Incoming, Rest, Wire};

use crate::green::embed::{BeforeBlock, deadline_in};
use crate::service::{ConnContext, ConnState, Service};
use greenway_app::ConnectionInfo;
use greenway_proto::http1::{self, Reject, RequestHead};
use output::Progress;
use std::cell::Cell;
use std::io;
use std::net::Shutdown;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Whether a connection can be used for another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Reuse,
    Close,
}

/// How [`Connection::serve`] has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Served {
    /// It is closed.
    Closed,
    /// It is idle: the next request may come until then, and no thread is needed for that.
    Idle(Option<Instant>),
}

/// What has come of waiting for a request.
enum Next {
    Request(RequestHead),
    /// The client is done, or has been idle for too long.
    Done,
    /// Nothing has come for so long that the thread is given up.
    Idle(Option<Instant>),
}

/// Who holds the wire while nothing is served: the connection, and its hook.
const WIRES: usize = 2;

/// One connection, on the thread that serves it.
pub(crate) struct Connection<T: Transport> {
    service: Arc<Service>,
    seat: Arc<ConnContext>,
    facts: Arc<ConnectionInfo>,
    wire: Rc<Wire<T>>,
    /// When the present request had come; between two, when the last one ended or the connection
    /// began.
    since: Cell<Instant>,
    /// What a response needs to remember, for the next one.
    spare: Cell<Option<Box<Progress>>>,
}

impl<T: Transport> Connection<T> {
    pub(crate) fn new(
        service: Arc<Service>,
        seat: Arc<ConnContext>,
        facts: Arc<ConnectionInfo>,
        wire: Wire<T>,
    ) -> Self {
        seat.set_client(Some(facts.clone()));
        wire.sit_down(seat.clone());
        Self {
            service,
            seat,
            facts,
            wire: Rc::new(wire),
            since: Cell::new(Instant::now()),
            spare: Cell::new(None),
        }
    }

    /// Serves the connection until it is closed, or has been idle for `patience`, on a green
    /// thread of its own.
    pub(crate) fn serve(&self, patience: Duration) -> Served {
        let _hook = self.before_block();
        loop {
            match self.next_head(patience) {
                Ok(Next::Request(request)) => {
                    if self.exchange(request) == After::Close {
                        break self.close();
                    }
                }
                Ok(Next::Idle(until)) => return Served::Idle(until),
                Ok(Next::Done) => break self.close(),
                Err(reject) => break self.reject(&reject),
            }
        }
        Served::Closed
    }

    /// Lets the connection do its part whenever this thread is about to block.
    pub(crate) fn before_block(&self) -> BeforeBlock {
        let wire = self.wire.clone();
        BeforeBlock::new(Rc::new(move || wire.before_block()))
    }

    /// Waits for a request.
    fn next_head(&self, patience: Duration) -> Result<Next, Reject> {
        let clocks = &self.service.config.clocks;
        let mut deadline = None;
        let mut has_come = true;
        loop {
            if let Some(request) = self.wire.take_head(&self.service.config.head_limits)? {
                if !has_come {
                    self.since.set(Instant::now());
                }
                return Ok(Next::Request(request));
            }
            has_come = false;
            if self.wire.flush().is_err() {
                return Ok(Next::Done);
            }
            if self.wire.is_idle() {
                match self.read_first(patience) {
                    Ok(0) => return Ok(Next::Done),
                    Ok(_) => deadline = deadline_in(clocks.head), // a head has begun
                    Err(next) => return Ok(next),
                }
                continue;
            }
            if deadline.is_none() {
                deadline = deadline_in(clocks.head);
            }
            self.seat.set(ConnState::Reading);
            let result = self.wire.fill(deadline);
            self.seat.set(ConnState::Busy);
            match result {
                Ok(0) => return Err(Reject::bad("the request head is incomplete")),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Err(Reject::timeout("the request head took too long"));
                }
                Err(_) => return Ok(Next::Done),
            }
        }
    }

    /// Waits for the first bytes of a request.
    fn read_first(&self, patience: Duration) -> Result<usize, Next> {
        self.wire.release_buffers();
        self.seat.set(ConnState::Idle);
        let now = self.since.get();
        let until = now.checked_add(self.service.config.clocks.keep_alive);
        let pause = now.checked_add(patience);
        // Whoever holds the wire (an `Input` that was put elsewhere) keeps the thread, too.
        let parks = Rc::strong_count(&self.wire) <= WIRES
            && pause.is_some_and(|pause| until.is_none_or(|until| pause < until));
        // A stop is looked at after the place is set: whoever stops the server does it the other
        // way round. What has come before it is served.
        let stop = self.service.lifecycle.stop_flag();
        let result = self
            .wire
            .fill_unless(stop, if parks { pause } else { until });
        self.seat.set(ConnState::Busy);
        result.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut if parks => Next::Idle(until),
            _ => Next::Done,
        })
    }

    /// Answers what cannot be served, and closes.
    pub(crate) fn reject(&self, reject: &Reject) {
        self.answer_reject(reject);
        self.close();
    }

    /// As [`reject`](Self::reject), without sending it or closing.
    pub(crate) fn answer_reject(&self, reject: &Reject) {
        let now = Instant::now();
        self.wire
            .queue(|out| http1::error_response(out, reject.status, reject.reason, None, now));
        self.service.access_bad(&self.facts, reject.status);
    }

    /// Closes in good order: the response is not to be lost to a reset because the client has
    /// sent more than was read.
    pub(crate) fn close(&self) {
        let shared = Rc::strong_count(&self.wire) > WIRES;
        self.wire.close(self.service.config.clocks.write, shared);
    }

    /// The next request, if it has come already.
    pub(crate) fn buffered_head(&self) -> Result<Option<RequestHead>, Reject> {
        self.wire.take_head(&self.service.config.head_limits)
    }

    /// Sends what the kernel takes at once of what is to go.
    pub(crate) fn flush_now(&self) -> io::Result<Flushed> {
        self.wire.flush_now()
    }

    /// The request has waited for long, and its client may have left meanwhile.
    pub(crate) fn has_been_queued(&self) {
        self.wire.queued.set(true);
    }

    /// Gives away what is left to do for this connection, if anything is. Does not wait, unless
    /// somebody (a leaked `Input`) still holds the wire.
    pub(crate) fn leave(self, after: After) -> Option<(T, Incoming, Rest)> {
        self.wire.flush_now().ok()?;
        if after == After::Close && Rc::strong_count(&self.wire) > 1 {
            self.wire.close(self.service.config.clocks.write, true);
            return None;
        }
        let copied = self.wire.upgraded.get().is_some();
        let (stream, incoming, rest) = self.into_wire()?.into_rest();
        if after == After::Close && rest.unsent.is_empty() && !rest.linger {
            if copied {
                stream.shutdown(Shutdown::Write);
            }
            return None; // otherwise the descriptor's close is the end
        }
        Some((stream, incoming, rest))
    }

    /// The present stream may be ended at once when the server stops.
    fn willing(&self) {
        self.seat.willing(&self.service.lifecycle);
    }

    /// It must not be, any more.
    fn unwilling(&self) {
        self.seat.unwilling(&self.service.lifecycle);
    }

    pub(crate) fn facts(&self) -> &Arc<ConnectionInfo> {
        &self.facts
    }

    /// The wire, if nobody else (a leaked `Input`) holds it.
    pub(crate) fn into_wire(self) -> Option<Wire<T>> {
        // One who holds it must not keep the client waiting for ever.
        Rc::try_unwrap(self.wire)
            .inspect_err(|held| held.stream.shutdown(Shutdown::Both))
            .ok()
    }
}

impl<T: Transport> std::fmt::Debug for Connection<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}
