//! The buffered I/O of a connection: bytes that came and are not used yet, and bytes that are to
//! go. Used, on one thread, by the connection itself, by a request's `Input` and by a response.
//!
//! What must stay true: of those, only the connection owns it. Whoever else wants to use it has a
//! `Lease` (in `client`), which the end of the request takes back.

use super::departure::Client;
use super::gathering::Gatherer;
use super::linger::linger;
use super::pace::{Patience, WritePace};
use super::protocol::Upgraded;
use super::transport::Transport;
use super::users::Users;
use crate::green::embed::{LimitGuard, LimitNumber, Standstill, take_turn};
use crate::service::{ConnContext, ConnState, Service};
use bytes::BytesMut;
use greenway_proto::http1::exchange::{Exchange, Input};
use greenway_proto::http1::{BodyLength, CONTINUE, Decoder, HeadReader, Reject, RequestHead};
use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Finished responses of pipelined requests leave together, until there are so many bytes.
pub(super) const FLUSH_AT: usize = 64 * 1024;

/// What a handler leaves unread of a request's body is read and thrown away up to so many bytes,
/// so that the connection can be used again; beyond it, closing is cheaper, and the client can be
/// told so with the response's head. Where the length is not known, the client is told that the
/// connection goes on, and that has to be kept: such a body is read to its end, as long as it is
/// one that a handler could have read.
const DRAIN_BYTES: usize = 64 * 1024;

/// See the module's documentation.
pub(crate) struct BufferedIo<T> {
    /// Before the stream: nobody writes to a stream that is being closed.
    pub(super) gatherer: Gatherer,
    pub(super) stream: T,
    pub(super) service: Arc<Service>,
    pub(super) context: Arc<ConnContext>,
    pub(super) exchange: Cell<Exchange>,
    incoming: RefCell<Incoming>,
    pub(super) outgoing: RefCell<Vec<u8>>,
    pub(super) output: Cell<Output>,
    pub(super) write_pace: Cell<WritePace>,
    /// The clock of the handler that is served.
    pub(super) handlers_limit: Cell<Option<LimitNumber>>,
    /// How long that handler may take, from its beginning and from each chunk on.
    handlers_time: Cell<Duration>,
    pub(super) client: Client,
    pub(super) users: Users,
    /// What has taken the place of HTTP; for good.
    pub(super) upgraded: OnceCell<Upgraded>,
}

/// Whether the client can be told anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    Open,
    /// A write is under way; or it has ended by unwinding, and nobody knows how far it came.
    Writing,
    /// Writing has failed, or the client is to see a reset.
    Broken,
}

/// A connection between two threads that serve it.
#[derive(Debug)]
pub(crate) struct IoParts<T> {
    pub(crate) stream: T,
    pub(crate) incoming: Incoming,
    outgoing: Vec<u8>,
    /// Nothing more can be said to the client.
    broken: bool,
    write_pace: Option<WritePace>,
    exchange: Exchange,
}

/// What has come.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    pub(crate) buf: BytesMut,
    heads: HeadReader,
    /// A head that was read before its turn had come.
    next: Option<Box<RequestHead>>,
    pub(super) body: Option<Body>,
    /// The body of the next request was waited for already: the patience left, and the bytes that
    /// came.
    pub(crate) begun: Option<(Patience, u64)>,
    /// Counts requests, so that an `Input` that outlives its request reads nothing.
    pub(super) request: u64,
    /// The client has ended its sending direction, and all of it was read.
    finished: bool,
}

/// The body of the present request, as far as it is read.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) decoder: Decoder,
    /// The client waits for `100 Continue` before it sends the body.
    pub(super) continue_expected: bool,
    /// It cannot be read to its end: the connection ends with this request.
    pub(super) failed: bool,
    /// How many `Input`s there are that may still read it.
    pub(super) readers: u32,
    /// How long it may still be waited for.
    patience: Patience,
    /// Bytes of it that have been counted for that.
    counted: u64,
}

impl<T> IoParts<T> {
    /// A connection that was accepted.
    pub(crate) fn new(stream: T, incoming: Incoming) -> Self {
        Self {
            stream,
            incoming,
            outgoing: Vec::new(),
            broken: false,
            write_pace: None,
            exchange: Exchange::default(),
        }
    }
}

#[cfg(feature = "http2")]
impl<T> IoParts<T> {
    pub(super) fn has_output(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// The transport, what has come on it, and the pace of its client.
    pub(super) fn into_transport(self, write: Duration) -> (T, BytesMut, WritePace) {
        // Without one, nothing was written yet.
        let pace = self.write_pace.unwrap_or(WritePace::new(write));
        (self.stream, self.incoming.buf, pace)
    }
}

impl<T: Transport> BufferedIo<T> {
    /// For the thread whose context this is.
    pub(super) fn new(
        parts: IoParts<T>,
        client: Client,
        service: Arc<Service>,
        context: Arc<ConnContext>,
    ) -> Self {
        let write = service.config.clocks.write;
        Self {
            gatherer: Gatherer::default(),
            stream: parts.stream,
            service,
            context,
            exchange: Cell::new(parts.exchange),
            incoming: RefCell::new(parts.incoming),
            outgoing: RefCell::new(parts.outgoing),
            output: Cell::new(if parts.broken {
                Output::Broken
            } else {
                Output::Open
            }),
            write_pace: Cell::new(parts.write_pace.unwrap_or_else(|| WritePace::new(write))),
            handlers_limit: Cell::new(None),
            handlers_time: Cell::new(Duration::ZERO),
            client,
            users: Users::default(),
            upgraded: OnceCell::new(),
        }
    }

    /// For another thread that goes on with the connection.
    #[inline]
    pub(super) fn into_parts(self) -> (IoParts<T>, Client) {
        let outgoing = self.take_outgoing();
        let parts = IoParts {
            stream: self.stream,
            incoming: self.incoming.into_inner(),
            // A write that has not come to its end cannot be gone on with.
            broken: self.output.get() != Output::Open || outgoing.is_err(),
            outgoing: outgoing.unwrap_or_default(),
            write_pace: Some(self.write_pace.get()),
            exchange: self.exchange.get(),
        };
        (parts, self.client)
    }

    /// Changes the exchange, and gives what `change` gives.
    pub(super) fn exchange<R>(&self, change: impl FnOnce(&mut Exchange) -> R) -> R {
        let mut exchange = self.exchange.get();
        let result = change(&mut exchange);
        self.exchange.set(exchange);
        result
    }

    pub(super) fn with_incoming<R>(&self, f: impl FnOnce(&mut Incoming) -> R) -> R {
        f(&mut self.incoming.borrow_mut())
    }

    /// The next head, if it is complete.
    pub(super) fn take_head(&self) -> Result<Option<RequestHead>, Reject> {
        let mut incoming = self.incoming.borrow_mut();
        if let Some(next) = incoming.next.take() {
            return Ok(Some(*next));
        }
        if incoming.buf.is_empty() {
            return Ok(None);
        }
        let incoming = &mut *incoming;
        let limits = &self.service.config.head_limits;
        incoming.heads.read(&mut incoming.buf, limits)
    }

    /// Whether what has come first is the beginning of HTTP/2, which may be spoken here.
    #[cfg(feature = "http2")]
    #[cold]
    pub(super) fn is_http2(&self) -> bool {
        const HEAD: usize = b"PRI * HTTP/2.0\r\n\r\n".len();
        let incoming = self.incoming.borrow();
        self.service.config.http_protocols.h2
            && incoming.request == 0
            && incoming
                .buf
                .starts_with(&greenway_proto::http2::PREFACE[..HEAD])
    }

    /// Gives a head back, which will be the next that is taken.
    pub(super) fn put_back(&self, request: RequestHead) {
        self.incoming.borrow_mut().next = Some(Box::new(request));
    }

    /// Nothing of a next request has come.
    pub(super) fn is_idle(&self) -> bool {
        let incoming = self.incoming.borrow();
        incoming.buf.is_empty() && incoming.next.is_none()
    }

    /// A request begins: nothing of its response was sent.
    pub(super) fn begin(&self, request: &RequestHead) {
        let wanted = !self.service.config.clocks.keep_alive.is_zero();
        let keep_alive = wanted && !self.service.lifecycle.is_leaving();
        self.exchange(|exchange| exchange.begin(request, keep_alive));
        let pause = self.service.config.clocks.body;
        self.incoming.borrow_mut().begin(request, pause);
        self.client.begin();
        self.gatherer.pause();
    }

    /// The application has done its part of the request: whoever still has an `Input` of it is sent
    /// away.
    pub(super) fn end(&self) {
        self.incoming.borrow_mut().request += 1;
        self.client.end();
        self.users.send_away();
    }

    /// Bytes of the present request's body that were read.
    pub(super) fn body_total(&self) -> u64 {
        let incoming = self.incoming.borrow();
        let body = incoming.body.as_ref();
        body.map_or(0, |body| body.decoder.total())
    }

    /// What is left of the present request's body.
    pub(super) fn unread_input(&self) -> Input {
        match &self.incoming.borrow().body {
            None => Input::Consumed,
            Some(body) if body.failed || body.continue_expected => Input::Abandoned,
            Some(body) if body.decoder.is_done() => Input::Consumed,
            // Nobody will read it, and it is more than will be thrown away: the client is told with
            // the response's head that this is the end.
            Some(body) if body.readers == 0 && body.is_known_to_exceed(DRAIN_BYTES) => {
                Input::Abandoned
            }
            Some(_) => Input::Unread,
        }
    }

    /// The body of the present request is not wanted.
    pub(super) fn refuse_body(&self) {
        if let Some(body) = &mut self.incoming.borrow_mut().body {
            body.failed = true;
        }
    }

    /// Reads once, waiting for something to come.
    pub(super) fn fill(&self, deadline: Option<Instant>) -> io::Result<usize> {
        static NEVER: AtomicBool = AtomicBool::new(false);
        self.fill_unless(&NEVER, deadline)
    }

    /// As [`fill`](Self::fill); 0 also when nothing has come by the time that `stop` is set.
    /// Whoever sets it wakes the thread.
    pub(super) fn fill_unless(
        &self,
        stop: &AtomicBool,
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        take_turn();
        let result = self.stream.read_unless(stop, deadline, &mut |data| {
            self.incoming.borrow_mut().buf.extend_from_slice(data);
        });
        if matches!(result, Ok(0)) && !stop.load(Ordering::SeqCst) {
            self.incoming.borrow_mut().finished = true;
        }
        result
    }

    /// Reads once, waiting for more of the body for as long as there is patience. The request may
    /// be over when this returns, for one who is not its handler.
    pub(super) fn fill_body(&self) -> io::Result<usize> {
        let patience = self.with_incoming(|incoming| {
            let body = incoming.body.as_mut()?;
            let moved = body.decoder.total().saturating_sub(body.counted);
            body.counted += moved;
            body.patience = body.patience.moved(moved);
            Some(body.patience.left())
        });
        let _handlers_clock = self.stop_handlers_clock();
        let begun = Instant::now();
        let deadline = patience.and_then(|patience| begun.checked_add(patience));
        let result = self.users.waiting(|gone| self.fill_unless(gone, deadline));
        self.with_incoming(|incoming| {
            if let Some(body) = &mut incoming.body {
                body.patience = body.patience.waited(begun.elapsed());
            }
        });
        result
    }

    /// An idle connection keeps no buffers.
    pub(super) fn release_buffers(&self) {
        self.incoming.borrow_mut().buf = BytesMut::new();
    }

    /// The client has ended its sending direction. Whether the present request's body may end so.
    pub(super) fn end_of_body(&self) -> bool {
        self.with_incoming(|incoming| {
            let body = incoming.body.as_mut();
            body.is_some_and(|body| body.decoder.end_of_stream())
        })
    }

    /// Tells a client that waits for it to send the body.
    pub(super) fn say_continue(&self) {
        match self.stream.framed() {
            Some(framed) => {
                let status = http::StatusCode::CONTINUE;
                let _seen_when_reading = framed.send_interim(status, None);
            }
            None => self.queue(|out| out.extend_from_slice(CONTINUE)),
        }
    }

    /// Whether this client can be told nothing more.
    pub(super) fn is_broken(&self) -> bool {
        self.output.get() == Output::Broken
    }

    /// Whether something is being written, by whoever waits now.
    pub(super) fn is_writing(&self) -> bool {
        self.output.get() == Output::Writing
    }

    /// Whether so much is to go that it should not wait for more.
    pub(super) fn is_full(&self) -> bool {
        self.outgoing.borrow().len() >= FLUSH_AT
    }

    /// Ends the connection by a reset when it is dropped, so that the client sees that something
    /// is missing where the end of the connection would mean the end of the response.
    pub(super) fn cut(&self) {
        if self.gatherer.holds() {
            let _known_by_broken = self.flush_now(); // as if it had left at once
        }
        self.stream.reset();
        self.output.set(Output::Broken);
    }

    /// Sends what is to go and ends the connection, so that the client gets all of it: see
    /// [`linger`](super::linger).
    pub(super) fn close(&self) {
        if self.flush().is_err() {
            return; // the descriptor's close does what is left to do
        }
        let (unread, finished) =
            self.with_incoming(|incoming| (incoming.has_unread(), incoming.finished));
        let pace = self.write_pace.get();
        if !finished && (pace.has_given() || unread) {
            // The state is set before the flag is looked at: see "Stopping" in `lifecycle`.
            self.context.set(ConnState::Closing);
            linger(&self.stream, &self.service, pace, unread);
            self.context.set(ConnState::Busy);
        }
        if self.upgraded.get().is_some() {
            self.stream.shutdown(); // somebody may have leaked what holds the socket
        }
    }
}

impl<T: Transport> BufferedIo<T> {
    /// Lets the clock of the handler that is served stand still, until the value is dropped.
    pub(super) fn stop_handlers_clock(&self) -> Option<Standstill> {
        self.handlers_limit.get().and_then(Standstill::new)
    }

    /// The handler that is served may take so long from now on, and from each of its chunks on.
    pub(super) fn move_handlers_clock(&self, timeout: Duration) {
        self.handlers_time.set(timeout);
        let end = Instant::now().checked_add(timeout);
        if let (Some(number), Some(end)) = (self.handlers_limit.get(), end) {
            LimitGuard::move_to(number, end);
        }
    }

    /// From here on the handler's clock is this one, which gives it the server's time.
    pub(super) fn set_handlers_clock(&self, limit: Option<LimitNumber>) {
        self.handlers_limit.set(limit);
        self.handlers_time.set(self.service.config.clocks.handler);
    }

    /// The time that the handler has, unless it ends or something comes of it.
    pub(super) fn handlers_time(&self) -> Duration {
        self.handlers_time.get()
    }
}

impl Incoming {
    /// The client has sent, or is sending, what nobody will read.
    fn has_unread(&self) -> bool {
        let body = self.body.as_ref();
        !self.buf.is_empty()
            || self.next.is_some()
            || body.is_some_and(|body| !body.decoder.is_done())
    }

    /// Begins the body of a request.
    fn begin(&mut self, request: &RequestHead, pause: Duration) {
        let begun = self.begun.take();
        self.body = (request.body != BodyLength::None).then(|| Body {
            decoder: Decoder::new(request.body),
            continue_expected: request.expect_continue,
            failed: false,
            readers: 0,
            patience: begun.map_or(Patience::new(pause), |(patience, _)| patience),
            counted: begun.map_or(0, |(_, counted)| counted),
        });
    }
}

impl Body {
    /// Whether more than `most` bytes of it are left to be read, as far as its head tells.
    fn is_known_to_exceed(&self, most: usize) -> bool {
        let left = self.decoder.remaining();
        left.is_some_and(|left| left > most as u64)
    }
}
