//! The life of one connection: read a request, call the application, write what it gives, go on.
//!
//! [`Connection::serve`] is that life, on a green thread and for every engine, and is meant to be
//! read aloud. Which thread calls the application is the engine's business ([`Handlers`]). Where
//! in an exchange the connection is, and whether it can be used again, is one table of the
//! protocol's ([`exchange`](greenway_proto::http1::exchange)).
//!
//! What must stay true:
//! - The application is called once per request, when its head is complete and before its body
//!   is read. Whatever it does (return, abort, panic, wait too long) ends as one response or as
//!   a closed connection, never as anything that others notice.
//! - A body is dropped before the next request of the connection is looked at.
//! - A finished response that is held back for company leaves before anything waits; chunks that
//!   are held back leave then, too, and after about a millisecond in any case ([`gathering`]).
//! - After its last response a connection is closed so that the client gets all of it.
//!
//! # Stack
//!
//! A page of stack that was ever touched stays with its green thread, and ten thousand of them
//! are 40 MB. What lies between the first function of a connection and a handler, and what is
//! called there before it, fits in one page: what is needed only now and then is kept out of
//! line. `benches/subject/tests/stack.rs` holds it, in the optimised build.

mod buffers;
mod call;
mod client;
mod departure;
mod error_page;
mod flusher;
mod framed;
mod gathering;
mod handler_end;
mod io;
mod linger;
mod pace;
pub(crate) mod protocol;
mod request_body;
mod response;
mod sending;
pub(crate) mod shared_socket;
mod socket;
#[cfg(test)]
mod tests;
mod transport;
mod upgrade;
mod users;

#[cfg(feature = "minihttp")]
pub(crate) use error_page::read_again;
#[cfg(feature = "http2")]
pub(crate) use framed::{Framed, FramedHead};
pub(crate) use io::{Incoming, IoParts};
pub(crate) use linger::linger;
pub(crate) use pace::{Patience, WritePace};
pub(crate) use socket::Socket;
pub(crate) use transport::Transport;

use crate::green::embed::{BeforeBlock, Thread, deadline_in};
use crate::service::{ConnContext, ConnState, Service, date};
use client::ClientHandle;
use departure::Client;
use greenway_app::ConnectionInfo;
use greenway_proto::http1::exchange::State;
use greenway_proto::http1::{BodyLength, Reject, RequestHead};
use http::StatusCode;
use io::BufferedIo;
use response::Progress;
use std::cell::Cell;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Which thread runs an engine's handlers.
pub(crate) trait Handlers<T: Transport> {
    /// A connection that waits for a thread, and needs none of its own for that.
    type Queued;

    /// Calls the application for a request and sends its response, in
    /// [`Connection::exchange`].
    fn exchange(
        &self,
        connection: Connection<T>,
        request: RequestHead,
    ) -> Exchanged<T, Self::Queued>;
}

/// What has become of a connection that was given to [`Handlers::exchange`].
pub(crate) enum Exchanged<T: Transport, Q> {
    /// It comes back, with or without a use for another request.
    Back(Connection<T>),
    /// It has ended.
    Closed,
    /// It will come back later.
    Queued(Q),
}

/// How [`Connection::serve`] has ended.
pub(crate) enum Served<T: Transport, Q> {
    /// The connection is closed.
    Closed,
    /// It is idle: the next request may come until then, and no thread is needed for that.
    Idle(Connection<T>, Option<Instant>),
    /// Its request waits for a thread to run on.
    Queued(Q),
    /// The client speaks HTTP/2.
    #[cfg(feature = "http2")]
    Http2(Connection<T>),
}

/// What has come of waiting for a request.
enum Next {
    Request(RequestHead),
    /// No request will come: the client is done, was idle for too long, or the server stops.
    Done,
    /// What has come is no request that can be served.
    Reject(Reject),
    /// What has come is the beginning of HTTP/2.
    #[cfg(feature = "http2")]
    Http2,
    /// Nothing has come for so long that the thread is given up.
    Idle(Option<Instant>),
}

/// Said to who speaks HTTP/1 where that is switched off.
const HTTP2_ONLY: Reject = Reject {
    status: StatusCode::HTTP_VERSION_NOT_SUPPORTED,
    reason: "this server speaks HTTP/2 only",
};

/// One connection, on the thread that serves it.
pub(crate) struct Connection<T: Transport> {
    io: Rc<BufferedIo<T>>,
    info: Arc<ConnectionInfo>,
    /// The client, for the requests' sake.
    client: Rc<ClientHandle<T>>,
    /// What is done whenever the thread of a handler is about to block.
    before_block: Rc<dyn Fn()>,
    /// When the present request had come; between two, when the last one ended or the connection
    /// began.
    since: Cell<Instant>,
    /// What a response needs to remember, for the next one.
    progress: Cell<Option<Box<Progress>>>,
}

/// A connection on its way from one thread to another. On the heap, as it passes through functions
/// that lie on the stack of a green thread: see "Stack".
#[derive(Debug)]
pub(crate) struct Detached<T> {
    pub(crate) io: IoParts<T>,
    client: Client,
    info: Arc<ConnectionInfo>,
    since: Instant,
}

impl<T> Detached<T> {
    /// A connection that was accepted.
    pub(crate) fn new(io: IoParts<T>, info: Arc<ConnectionInfo>) -> Box<Self> {
        Box::new(Self {
            io,
            client: Client::default(),
            info,
            since: Instant::now(),
        })
    }
}

#[cfg(feature = "http2")]
impl<T> Detached<T> {
    /// Whether something is left to be sent.
    pub(crate) fn has_output(&self) -> bool {
        self.io.has_output()
    }

    /// The transport, what has come on it, and what is known of it, for another protocol.
    #[expect(clippy::boxed_local, reason = "as in `attach`")]
    pub(crate) fn into_transport(
        self: Box<Self>,
        write: Duration,
    ) -> (T, bytes::BytesMut, Arc<ConnectionInfo>, Instant, WritePace) {
        let (info, since) = (self.info, self.since);
        let (stream, buf, pace) = self.io.into_transport(write);
        (stream, buf, info, since, pace)
    }
}

impl<T: Transport> Connection<T> {
    /// Goes on with a connection on the thread whose context this is.
    #[expect(
        clippy::boxed_local,
        reason = "it is large, and comes from other threads' heaps"
    )]
    #[inline(never)]
    pub(crate) fn attach(
        detached: Box<Detached<T>>,
        service: Arc<Service>,
        context: Arc<ConnContext>,
    ) -> Self {
        let Detached {
            io,
            client,
            info,
            since,
        } = *detached;
        context.set_client(Some(info.clone()));
        let io = Rc::new(BufferedIo::new(io, client, service, context));
        let weak = Rc::downgrade(&io);
        let before_block = {
            let weak = weak.clone();
            move || {
                if let Some(io) = weak.upgrade() {
                    io.before_block();
                }
            }
        };
        Self {
            io,
            info,
            client: Rc::new(ClientHandle(weak)),
            before_block: Rc::new(before_block),
            since: Cell::new(since),
            progress: Cell::new(None),
        }
    }

    /// What it reads from and writes to.
    #[cfg(feature = "http2")]
    pub(crate) fn stream(&self) -> &T {
        &self.io.stream
    }

    /// For another thread to go on with. `None` if another protocol has the connection, which
    /// cannot be taken from it: it is closed.
    #[inline(never)]
    pub(crate) fn detach(self) -> Option<Box<Detached<T>>> {
        let io = Rc::try_unwrap(self.io).map_err(|io| io.close()).ok()?;
        let (io, client) = io.into_parts();
        Some(Box::new(Detached {
            io,
            client,
            info: self.info,
            since: self.since.get(),
        }))
    }

    /// Serves the connection until it is closed, has been idle for `patience`, or has to wait for
    /// the thread of a handler.
    pub(crate) fn serve<H: Handlers<T>>(
        mut self,
        handlers: &H,
        patience: Duration,
    ) -> Served<T, H::Queued> {
        loop {
            // Read: the head of the next request.
            let request = match self.next_request(patience) {
                Next::Request(request) => request,
                Next::Idle(until) => return Served::Idle(self, until),
                Next::Reject(reject) => {
                    self.reject(&reject);
                    break self.io.close();
                }
                Next::Done => break self.io.close(),
                #[cfg(feature = "http2")]
                Next::Http2 => return Served::Http2(self),
            };
            // Call the application, and write its response.
            match handlers.exchange(self, request) {
                Exchanged::Back(connection) => self = connection,
                Exchanged::Closed => return Served::Closed,
                Exchanged::Queued(queued) => return Served::Queued(queued),
            }
            // Use the connection again, or close it.
            if !self.finish_exchange() {
                break;
            }
        }
        Served::Closed
    }

    /// Does what is left to do after an exchange. Whether the connection can be used again; if
    /// not, it is closed.
    pub(crate) fn finish_exchange(&self) -> bool {
        self.drain_rest();
        let again = self.io.exchange.get().state() == State::Idle;
        if !again {
            self.io.close();
        }
        again
    }

    /// Waits for a request.
    fn next_request(&self, patience: Duration) -> Next {
        let mut deadline = None;
        let mut has_come = true;
        loop {
            match self.io.take_head() {
                Ok(Some(_)) if !self.io.service.config.http_protocols.h1 => {
                    return Next::Reject(HTTP2_ONLY);
                }
                Ok(Some(request)) => {
                    if !has_come {
                        self.since.set(Instant::now());
                    }
                    return Next::Request(request);
                }
                Ok(None) => has_come = false,
                #[cfg(feature = "http2")]
                Err(_) if self.io.is_http2() => return Next::Http2,
                Err(reject) => return Next::Reject(reject),
            }
            if self.io.flush().is_err() {
                return Next::Done;
            }
            if self.io.is_idle() {
                match self.read_first(patience) {
                    Ok(0) => return Next::Done,
                    Ok(_) => deadline = deadline_in(self.io.service.config.clocks.head),
                    Err(next) => return next,
                }
                continue;
            }
            self.io.exchange(|exchange| exchange.received());
            if deadline.is_none() {
                deadline = deadline_in(self.io.service.config.clocks.head);
            }
            match self.read_in(ConnState::Reading, || self.io.fill(deadline)) {
                Ok(0) => return Next::Reject(Reject::bad("the request head is incomplete")),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    return Next::Reject(Reject::timeout("the request head took too long"));
                }
                Err(_) => return Next::Done,
            }
        }
    }

    /// Waits for the first bytes of a request.
    fn read_first(&self, patience: Duration) -> Result<usize, Next> {
        self.io.release_buffers();
        let since = self.since.get();
        let clocks = &self.io.service.config.clocks;
        // Without keep-alive, what is waited for is the one request of the connection.
        let time = if clocks.keep_alive.is_zero() {
            clocks.head
        } else {
            clocks.keep_alive
        };
        let until = since.checked_add(time);
        let mut pause = since.checked_add(patience);
        let stop = self.io.service.lifecycle.stop_flag();
        loop {
            let parks = pause.is_some_and(|pause| until.is_none_or(|until| pause < until));
            let deadline = if parks { pause } else { until };
            let result = self.read_in(ConnState::Idle, || self.io.fill_unless(stop, deadline));
            match result {
                Err(error) if error.kind() == ErrorKind::TimedOut && parks => {
                    // A client that has not got its response yet needs a thread at its end, which
                    // sees to it that it gets the rest.
                    if self.io.stream.unsent().unwrap_or(0) == 0 {
                        return Err(Next::Idle(until));
                    }
                    pause = Instant::now().checked_add(patience);
                }
                Ok(0) if self.io.service.lifecycle.is_stopping() => {
                    return self.read_last(deadline);
                }
                other => return other.map_err(|_late_or_lost| Next::Done),
            }
        }
    }

    /// Waits for a request that crosses a stop on its way. One who asks often would send it to a
    /// connection that is being closed; it gets an answer that says that this was the last one. A
    /// connection that was not used for longer than it takes to be parked is closed at once.
    #[cold]
    #[inline(never)]
    fn read_last(&self, deadline: Option<Instant>) -> Result<usize, Next> {
        let ending = self.io.service.lifecycle.ending_flag();
        let result = self.read_in(ConnState::Idle, || self.io.fill_unless(ending, deadline));
        result.map_err(|_late_or_lost| Next::Done)
    }

    /// Reads, and says meanwhile that the connection is in `state`. The state is set before the
    /// stop is looked at: see "Stopping" in [`lifecycle`](crate::service::Lifecycle).
    fn read_in<R>(&self, state: ConnState, read: impl FnOnce() -> R) -> R {
        self.io.context.set(state);
        let result = read();
        self.io.context.set(ConnState::Busy);
        result
    }

    /// Reads once, for the body of a request that waits for its thread: 0 at the end, or when
    /// `stop` is set. Whoever sets it wakes the thread.
    pub(crate) fn read_ahead(
        &self,
        stop: &AtomicBool,
        deadline: Option<Instant>,
    ) -> std::io::Result<usize> {
        self.read_in(ConnState::Reading, || self.io.fill_unless(stop, deadline))
    }

    pub(crate) fn context(&self) -> &Arc<ConnContext> {
        &self.io.context
    }

    /// Bytes that have come and that nobody has read.
    pub(crate) fn buffered(&self) -> usize {
        self.io.with_incoming(|incoming| incoming.buf.len())
    }

    /// The body of the next request was waited for already, with this patience left.
    pub(crate) fn has_waited_for_body(&self, patience: Patience) {
        self.io.with_incoming(|incoming| {
            incoming.begun = Some((patience, incoming.buf.len() as u64));
        });
    }

    /// Answers what cannot be served.
    pub(crate) fn reject(&self, reject: &Reject) {
        if let Some(framed) = self.io.stream.framed() {
            let _seen_by_nobody_else = self.refuse_framed(framed, reject);
        } else {
            let date = date(Instant::now());
            let response = self.refusal(reject, &date);
            self.io.queue(|out| out.extend_from_slice(&response));
        }
        self.io.exchange(|exchange| exchange.close());
        self.io.service.access_bad(&self.info, reject.status);
    }

    /// The next request, if it has come already.
    pub(crate) fn buffered_request(&self) -> Result<Option<RequestHead>, Reject> {
        self.io.take_head()
    }

    /// Whether the body of a request is longer than it may be.
    pub(crate) fn refuses_body(&self, request: &RequestHead) -> bool {
        let limit = self.io.service.config.body_limit;
        matches!(request.body, BodyLength::Length(length) if length > limit)
    }

    /// Leaves a request that has come already for later.
    pub(crate) fn put_back(&self, request: RequestHead) {
        self.io.put_back(request);
    }

    /// Sends all that is to go.
    #[cfg(feature = "http2")]
    pub(crate) fn flush(&self) -> std::io::Result<()> {
        self.io.flush()
    }

    /// Sends what the kernel takes at once of what is to go. Whether that was all.
    pub(crate) fn flush_now(&self) -> std::io::Result<bool> {
        self.io.flush_now()
    }

    /// Whether another request may follow the last one.
    pub(crate) fn may_be_reused(&self) -> bool {
        self.io.exchange.get().state() == State::Idle
    }

    /// The present stream may be ended at once when the server stops.
    fn willing(&self) {
        self.io.context.allow_stop(&self.io.service.lifecycle);
    }

    /// It must not be from here on.
    fn unwilling(&self) {
        self.io.context.forbid_stop(&self.io.service.lifecycle);
    }

    /// Lets the connection do its part whenever this thread is about to block.
    fn hook(&self) -> BeforeBlock<&Thread> {
        BeforeBlock::on(&self.io.context.thread, self.before_block.clone())
    }
}

impl<T: Transport> std::fmt::Debug for Connection<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// Handlers run on the green thread of their connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Here;

impl<T: Transport> Handlers<T> for Here {
    type Queued = Infallible;

    fn exchange(
        &self,
        connection: Connection<T>,
        request: RequestHead,
    ) -> Exchanged<T, Infallible> {
        connection.exchange(request, false);
        Exchanged::Back(connection)
    }
}
