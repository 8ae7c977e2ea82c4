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
use super::call::Outcome;
use super::client::ClientHandle;
use super::handler_end::HandlerEnd;
use super::io::BufferedIo;
use super::protocol::{End, Link, Protocol, Switch, Upgraded};
use super::response::ResponseWriter;
use super::shared_socket::SharedSocket;
use super::transport::Transport;
use crate::green::embed::{LimitGuard, current, with_current};
use crate::service::{RequestLine, Service, date};
use bytes::BytesMut;
use greenway_app::{BodyError, Response};
use greenway_proto::http1::exchange::Exchange;
use greenway_proto::http1::{self, RequestInfo};
use http::{HeaderMap, StatusCode, Version};
use log::Level;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

impl<T: Transport> Switch for ClientHandle<T> {
    fn service(&self) -> Option<Arc<Service>> {
        Some(self.0.upgrade()?.service.clone())
    }

    fn shared(&self) -> Option<Arc<dyn SharedSocket>> {
        self.0.upgrade()?.stream.shared()
    }

    fn switch(
        &self,
        headers: &HeaderMap,
        protocol: Arc<dyn Protocol>,
    ) -> io::Result<(Rc<dyn Link>, BytesMut)> {
        let unfit = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        let Some(io) = self.0.upgrade() else {
            return unfit("the request is over");
        };
        if !Arc::ptr_eq(&io.context.thread, &current().handle()) {
            return unfit("a request can be upgraded on the thread of its handler only");
        }
        if io.with_incoming(|incoming| incoming.body.is_some()) {
            return unfit("a request with a body cannot be upgraded"); // its bytes come first
        }
        if !io.exchange(Exchange::switch) {
            return unfit("the request asks for no upgrade, or is answered already");
        }
        match io.stream.framed() {
            Some(framed) => framed.send_switch(headers)?,
            None => io.write_switch(headers)?,
        }
        if let Some(clock) = io.handlers_limit.take() {
            LimitGuard::lift(clock);
        }
        let _was_empty = io.upgraded.set(Upgraded { protocol });
        let come = io.with_incoming(|incoming| std::mem::take(&mut incoming.buf));
        Ok((io, come))
    }
}

impl<T: Transport> Link for BufferedIo<T> {
    fn read(&self, deadline: Option<Instant>, take: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
        self.stream.read(deadline, take)
    }

    fn receiving(&self) -> bool {
        with_current(|me| {
            if !Arc::ptr_eq(&self.context.thread, me) {
                return false; // whoever does waits for something else
            }
            self.client.set_receiving(true);
            self.client.leave_alone(me);
            true
        })
    }

    fn received(&self) {
        self.client.set_receiving(false);
    }
}

impl<T: Transport> BufferedIo<T> {
    /// Sends the response with which another protocol takes over.
    fn write_switch(&self, headers: &HeaderMap) -> io::Result<()> {
        let asked = RequestInfo {
            head: false,
            version: Version::HTTP_11,
            keep_alive: true,
        };
        let status = StatusCode::SWITCHING_PROTOCOLS;
        let headers = Some(headers);
        let plan = http1::plan(&asked, status, headers, None);
        let date = date(Instant::now());
        self.queue(|out| {
            http1::write_head(out, asked.version, status, None, headers, &plan, &date);
        });
        self.flush()
    }

    /// As far as the protocol can tell.
    pub(super) fn upgraded_peer_has_left(&self) -> bool {
        let upgraded = self.upgraded.get();
        upgraded.is_some_and(|upgraded| !upgraded.protocol.ask_peer())
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
        end: HandlerEnd,
        writer: &mut ResponseWriter<'_, T>,
        line: &RequestLine,
    ) -> Outcome {
        writer.note_upgrade();
        let end = self.end_for_protocol(end, line);
        // Unwind safety: of what the protocol shares only its own code sees the state.
        let finished = catch_unwind(AssertUnwindSafe(|| {
            upgraded.protocol.finish(&*self.io, end);
            Ok(())
        }));
        self.io.client.set_receiving(false);
        self.end_for_protocol(HandlerEnd::of(finished), line);
        Outcome::Cut
    }

    /// What the end of a handler is for the protocol and for the log. The thread is ours again.
    fn end_for_protocol(&self, end: HandlerEnd, line: &RequestLine) -> End {
        match end {
            HandlerEnd::Returned => End::Returned,
            HandlerEnd::Departed => {
                current().clear_departure();
                End::Departed
            }
            HandlerEnd::Stopped => {
                self.note_stopped(line);
                End::Stopped
            }
            HandlerEnd::ClientGone | HandlerEnd::BodyFailed(_) | HandlerEnd::TimedOut(_) => {
                End::Failed
            }
            HandlerEnd::Aborted(error) => {
                let kind = format!("aborts of {}", self.kind());
                let what =
                    format_args!("{line}: the handler of an upgraded connection aborted: {error}");
                self.io.service.error_log.log(Level::Warn, &kind, what);
                End::Failed
            }
            HandlerEnd::Panicked(payload) => {
                let _in_the_log = self.report_panic(line, payload);
                End::Failed
            }
        }
    }
}
