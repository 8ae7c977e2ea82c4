//! Another protocol in the place of HTTP, on the connection that a request came on (RFC 9110
//! section 7.8). The protocol is somebody else's: here are its two seams.
//!
//! A handler gets a [`Link`] through its request and switches it to a [`Protocol`]. The handler
//! goes on, and what it returns is ignored; then the protocol is told to finish, on the same
//! thread, and the connection is closed.
//!
//! What must stay true:
//! - What the client has sent behind its request's head belongs to the new protocol.
//! - HTTP's clocks (`--timeout` among them) end with the 101. The server's stop, a kill, the
//!   client's departure and the application's own time limits hold as before.
//! - While the protocol waits for input it will see the client's end itself, so nobody interrupts
//!   it for that. A handler that waits for something else is ended as any other.

use super::Connection;
use super::departure::Watch;
use super::exchange::Outcome;
use super::output::ResponseWriter;
use super::transport::Transport;
use super::wire::Wire;
use crate::green::embed::{Handle, Interrupt, LimitGuard, Thread, Unwind, current, with_current};
use crate::service::{RequestLine, Service};
use bytes::BytesMut;
use greenway_app::{BodyError, HttpError, Response};
use greenway_proto::http1::{self, RequestFacts};
use http::{HeaderMap, StatusCode, Version};
use log::Level;
use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// What `Request::upgrade` gives on the engines that share the connection loop.
pub(crate) struct Upgradable(pub(crate) Rc<dyn Switch>);

/// A connection that HTTP can give away.
pub(crate) trait Switch: Link {
    fn service(&self) -> &Arc<Service>;
    /// The socket, for all threads.
    fn handle(&self) -> Option<Arc<Handle>>;
    /// Answers the request with 101 and `headers`. Gives what has come behind the request.
    ///
    /// # Errors
    /// When the request asks for no upgrade, is answered already, has a body, or cannot be
    /// written to.
    fn switch(&self, headers: &HeaderMap, protocol: Arc<dyn Protocol>) -> io::Result<BytesMut>;
}

/// A connection that another protocol has, whatever it began with.
pub(crate) trait Link {
    /// Reads once, waiting for something to come; 0 at the end, `TimedOut` at the deadline.
    fn read(&self, deadline: Option<Instant>, take: &mut dyn FnMut(&[u8])) -> io::Result<usize>;
    /// The calling thread is about to wait for input. True if its end is to be told by
    /// [`received`](Self::received).
    fn receiving(&self) -> bool;
    /// It has done so.
    fn received(&self);
}

/// What has taken the place of HTTP on a connection.
pub(crate) trait Protocol {
    /// The handler is over: ends the protocol in good order, as far as `end` allows. Called on
    /// the handler's thread, where it may wait.
    fn finish(&self, link: &dyn Link, end: End);
    /// The client has ended its sending direction, and nobody waits for input. False if it has
    /// left; else it is asked, and if it has left, its kernel answers with a reset.
    fn ask_peer(&self) -> bool;
}

/// How a handler ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Returned,
    /// It panicked or aborted.
    Failed,
    /// The server stops, or somebody has killed it.
    Stopped,
    /// The client has left.
    Departed,
}

/// A connection that has another protocol.
pub(super) struct Upgraded {
    protocol: Arc<dyn Protocol>,
    /// Who serves it.
    thread: Arc<Thread>,
}

impl<T: Transport> Switch for Wire<T> {
    fn service(&self) -> &Arc<Service> {
        &self.service
    }

    fn switch(&self, headers: &HeaderMap, protocol: Arc<dyn Protocol>) -> io::Result<BytesMut> {
        let unfit = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        if self.with_incoming(|incoming| incoming.body.is_some()) {
            return unfit("a request with a body cannot be upgraded"); // its bytes come first
        }
        if !self.take_upgrade() {
            return unfit("the request asks for no upgrade, or is answered already");
        }
        let facts = RequestFacts {
            head: false,
            version: Version::HTTP_11,
            keep_alive: true,
        };
        let status = StatusCode::SWITCHING_PROTOCOLS;
        let headers = Some(headers);
        let plan = http1::plan(&facts, status, headers, None);
        let now = Instant::now();
        self.queue(|out| {
            http1::write_head(out, facts.version, status, None, headers, &plan, now);
        });
        self.flush()?;
        if let Some(clock) = self.handlers_limit.take() {
            LimitGuard::lift(clock);
        }
        let thread = current().handle();
        let _was_empty = self.upgraded.set(Upgraded { protocol, thread });
        Ok(self.with_incoming(|incoming| std::mem::take(&mut incoming.buf)))
    }

    fn handle(&self) -> Option<Arc<Handle>> {
        self.stream.handle()
    }
}

impl<T: Transport> Link for Wire<T> {
    fn read(&self, deadline: Option<Instant>, take: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
        self.stream.read(deadline, take)
    }

    fn receiving(&self) -> bool {
        with_current(|me| {
            let upgraded = self.upgraded.get();
            if upgraded.is_none_or(|upgraded| !Arc::ptr_eq(&upgraded.thread, me)) {
                return false; // whoever does waits for something else
            }
            self.set_receiving(true);
            if self.take_watched() {
                self.with_incoming(|incoming| incoming.watch.as_ref().map(Watch::detach));
                me.clear_departure();
            }
            true
        })
    }

    fn received(&self) {
        self.set_receiving(false);
    }
}

impl<T: Transport> Wire<T> {
    /// As far as the protocol can tell.
    pub(super) fn upgraded_peer_has_left(&self) -> bool {
        let first = self.take_probe();
        self.upgraded
            .get()
            .is_some_and(|upgraded| first && !upgraded.protocol.ask_peer())
    }
}

impl<T: Transport> Connection<T> {
    /// Drops the response of a handler whose connection has another protocol: nobody reads it. If
    /// it is an error, that is what it was for.
    #[cold]
    #[inline(never)] // as below
    pub(super) fn unsent(&self, response: Response) -> Result<(), BodyError> {
        self.report_failure(&response);
        let status = response.status();
        drop(response);
        if status.is_client_error() || status.is_server_error() {
            return Err(io::Error::other("the handler has failed").into());
        }
        Ok(())
    }

    /// Ends a connection that has another protocol, after its handler.
    #[cold]
    #[inline(never)] // not to be part of the frame of those that have not
    pub(super) fn finish_upgraded(
        &self,
        upgraded: &Upgraded,
        result: std::thread::Result<Result<(), BodyError>>,
        writer: &mut ResponseWriter<'_, T>,
        line: &RequestLine,
    ) -> Outcome {
        writer.note_upgrade();
        let end = match result {
            Ok(Ok(())) => End::Returned,
            Ok(Err(_)) => End::Failed,
            Err(payload) => self.end_of_handler(payload, line),
        };
        // Unwind safety: of what the protocol shares only its own code sees the state.
        let finished = catch_unwind(AssertUnwindSafe(|| {
            upgraded.protocol.finish(&*self.wire, end);
        }));
        self.wire.set_receiving(false);
        if let Err(payload) = finished {
            self.end_of_handler(payload, line);
        }
        Outcome::Cut
    }

    /// What has ended a handler, for the log and for the protocol. The thread is ours again.
    fn end_of_handler(&self, payload: Box<dyn Any + Send>, line: &RequestLine) -> End {
        match (Unwind::of(&*payload), payload.downcast::<HttpError>()) {
            (Some(Unwind::Interrupted(Interrupt::Departed)), _) => {
                current().clear_departure();
                End::Departed
            }
            (Some(Unwind::Interrupted(_)), _) => {
                current().clear_interrupt();
                log::info!("{line}: cut by the server's stop");
                self.service.lifecycle.note_cut();
                End::Stopped
            }
            (Some(Unwind::LimitPassed(_)), _) => End::Failed,
            (None, Ok(error)) => {
                let kind = format!("aborts of {}", self.kind());
                let what =
                    format_args!("{line}: the handler of an upgraded connection aborted: {error}");
                self.service.error_log.say(Level::Warn, &kind, what);
                End::Failed
            }
            (None, Err(payload)) => {
                self.report_panic(line, payload);
                End::Failed
            }
        }
    }
}

impl fmt::Debug for Upgradable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgradable")
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgraded")
    }
}
