//! The two directions of a connection: bytes that came and are not used yet, and bytes that
//! are to go. Shared, on one thread, by the connection, a request's `Input` and a response.

use super::departure::Watch;
use super::pace::{Patience, WritePace};
use super::transport::Transport;
use super::upgrade::Upgraded;
use crate::green::embed::{LimitNumber, current, deadline_in, take_turn};
use crate::service::config::HalfClose;
use crate::service::{ConnContext, Service};
use bytes::BytesMut;
use greenway_proto::http1::{self, Decoder, HeadLimits, HeadReader, Reject, RequestHead};
use http::Version;
use std::cell::{Cell, OnceCell, RefCell};
use std::fs::File;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Interim responses that an application may send in one exchange.
const INTERIMS: u8 = 8;

/// More than this is not held back for company.
const FLUSH_AT: usize = 64 * 1024;

pub(crate) struct Wire<T> {
    pub(crate) stream: T,
    incoming: RefCell<Incoming>,
    outgoing: RefCell<Vec<u8>>,
    pub(super) write_pace: Cell<WritePace>,
    /// The clock of the handler that is served.
    pub(super) handlers_limit: Cell<Option<LimitNumber>>,
    /// The request has waited for a thread, long enough for its client to leave.
    pub(super) queued: Cell<bool>,
    /// Nothing more can be said to this client: writing has failed, or it is to see a reset.
    broken: Cell<bool>,
    /// A write is under way; or it has ended by unwinding, and nobody knows how far it came.
    writing: Cell<bool>,
    pub(super) half_close: HalfClose,
    exchange: Cell<Exchange>,
    pub(super) service: Arc<Service>,
    /// What has taken the place of HTTP; for good.
    pub(super) upgraded: OnceCell<Upgraded>,
    /// Of the thread that serves; none before one does.
    seat: OnceCell<Arc<ConnContext>>,
}

/// Whether all was sent that was to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    Whole,
    InPart,
}

/// What is left to do for a connection that no thread serves any more.
#[derive(Debug)]
pub(crate) struct Rest {
    pub(crate) unsent: Vec<u8>,
    pub(crate) pace: WritePace,
    /// What the client still sends must be read before the connection is closed.
    pub(crate) linger: bool,
}

/// Where in an exchange the connection is.
#[derive(Debug, Clone, Copy, Default)]
struct Exchange {
    /// A request is being served.
    serving: bool,
    /// Its response has begun.
    answering: bool,
    /// The client may still be sent a `100 Continue` to find out whether it is there.
    may_probe: bool,
    /// Interim responses that the application may still send.
    interims: u8,
    /// The request asks for another protocol.
    upgrade: bool,
    /// The protocol that has taken over waits for input itself, and will see the client's end.
    receiving: bool,
    /// The watch may have been told whom to tell of the client's end.
    watched: bool,
}

/// What has come.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    pub(crate) buf: BytesMut,
    heads: HeadReader,
    pub(super) body: Option<Body>,
    /// The next request's body was waited for already: the patience left, and the bytes that came.
    pub(crate) begun: Option<(Patience, u64)>,
    /// Tells whether the client leaves; there is none before a handler has waited.
    pub(super) watch: Option<Watch>,
    /// Counts requests, so that an `Input` that outlives its request reads nothing.
    pub(super) request: u64,
}

/// The body of the present request, as far as it is read.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) decoder: Decoder,
    /// The client waits for `100 Continue` before it sends the body.
    pub(super) continue_expected: bool,
    /// It cannot be read to its end: the connection ends with this request.
    pub(super) failed: bool,
    /// How long it may still be waited for.
    patience: Patience,
    /// Bytes of it that have been counted for that.
    counted: u64,
}

impl<T: Transport> Wire<T> {
    pub(crate) fn new(stream: T, incoming: Incoming, service: &Arc<Service>) -> Self {
        let config = &service.config;
        Self {
            stream,
            incoming: RefCell::new(incoming),
            outgoing: RefCell::new(Vec::new()),
            write_pace: Cell::new(WritePace::new(config.clocks.write)),
            handlers_limit: Cell::new(None),
            queued: Cell::new(false),
            broken: Cell::new(false),
            writing: Cell::new(false),
            half_close: config.half_close,
            exchange: Cell::default(),
            service: service.clone(),
            upgraded: OnceCell::new(),
            seat: OnceCell::new(),
        }
    }

    /// Somebody serves this connection from now on.
    pub(super) fn sit_down(&self, seat: Arc<ConnContext>) {
        // A wire has one connection.
        let _ = self.seat.set(seat);
    }

    pub(super) fn seat(&self) -> Option<&Arc<ConnContext>> {
        self.seat.get()
    }

    /// What is left to do for the connection.
    pub(super) fn into_rest(self) -> (T, Incoming, Rest) {
        let incoming = self.incoming.into_inner();
        let rest = Rest {
            unsent: self.outgoing.into_inner(),
            pace: self.write_pace.get(),
            linger: incoming.has_unread(),
        };
        (self.stream, incoming, rest)
    }

    pub(crate) fn into_parts(self) -> (T, Incoming) {
        (self.stream, self.incoming.into_inner())
    }

    /// The next head, if it is complete.
    pub(super) fn take_head(&self, limits: &HeadLimits) -> Result<Option<RequestHead>, Reject> {
        self.incoming.borrow_mut().take_head(limits)
    }

    /// Nothing of a next request has come.
    pub(super) fn is_idle(&self) -> bool {
        self.incoming.borrow().buf.is_empty()
    }

    pub(super) fn with_incoming<R>(&self, f: impl FnOnce(&mut Incoming) -> R) -> R {
        f(&mut self.incoming.borrow_mut())
    }

    /// A request begins: nothing of its response was sent.
    pub(super) fn begin(&self, request: &RequestHead) {
        // RFC 9110 section 15.2: an HTTP/1.0 client knows no interim responses.
        let may_probe = request.head.version == Version::HTTP_11;
        self.exchange.set(Exchange {
            serving: true,
            answering: false,
            may_probe,
            interims: if may_probe { INTERIMS } else { 0 },
            upgrade: request.upgrade,
            receiving: false,
            watched: true,
        });
        let mut incoming = self.incoming.borrow_mut();
        incoming.begin(request, self.service.config.clocks.body);
        if let Some(watch) = &incoming.watch {
            watch.attach(current().handle());
        }
    }

    /// Another protocol begins. False if the request did not ask for one, or its response has
    /// begun.
    pub(super) fn take_upgrade(&self) -> bool {
        let exchange = self.exchange.get();
        let allowed = exchange.upgrade && !exchange.answering;
        if allowed {
            self.exchange.set(Exchange {
                answering: true,
                ..exchange
            });
        }
        allowed
    }

    pub(super) fn is_receiving(&self) -> bool {
        self.exchange.get().receiving
    }

    pub(super) fn set_receiving(&self, receiving: bool) {
        self.exchange.set(Exchange {
            receiving,
            ..self.exchange.get()
        });
    }

    pub(super) fn set_watched(&self) {
        self.exchange.set(Exchange {
            watched: true,
            ..self.exchange.get()
        });
    }

    /// Whether news of the client may go to the thread that serves it, until now.
    pub(super) fn take_watched(&self) -> bool {
        let exchange = self.exchange.get();
        self.exchange.set(Exchange {
            watched: false,
            ..exchange
        });
        exchange.watched
    }

    /// Bytes of the present request's body that were read.
    pub(super) fn body_total(&self) -> u64 {
        let incoming = self.incoming.borrow();
        incoming
            .body
            .as_ref()
            .map_or(0, |body| body.decoder.total())
    }

    /// Whether the request's body can be read to its end, so that another request may follow.
    pub(super) fn may_be_reused(&self) -> bool {
        let incoming = self.incoming.borrow();
        incoming
            .body
            .as_ref()
            .is_none_or(|body| !body.failed && !body.continue_expected)
    }

    /// Reads once, waiting for more of the body for as long as there is patience.
    pub(super) fn fill_body(&self) -> io::Result<usize> {
        let patience = self.with_incoming(|incoming| {
            let body = incoming.body.as_mut().expect("its source has asked for it");
            let moved = body.decoder.total().saturating_sub(body.counted);
            body.counted += moved;
            body.patience = body.patience.moved(moved);
            body.patience.left()
        });
        let _handlers_clock = self.stop_handlers_clock();
        let begun = Instant::now();
        let result = self.fill(begun.checked_add(patience));
        self.with_incoming(|incoming| {
            if let Some(body) = &mut incoming.body {
                body.patience = body.patience.waited(begun.elapsed());
            }
        });
        result
    }

    /// The body of the present request is not wanted.
    pub(super) fn refuse_body(&self) {
        if let Some(body) = &mut self.incoming.borrow_mut().body {
            body.failed = true;
        }
    }

    /// The application has done its part of the request.
    pub(super) fn end(&self) {
        self.exchange.set(Exchange::default());
        if let Some(watch) = &self.incoming.borrow().watch {
            watch.detach();
            current().clear_departure();
        }
    }

    /// The response to the present request begins.
    pub(super) fn answering(&self) {
        self.exchange.set(Exchange {
            answering: true,
            ..self.exchange.get()
        });
    }

    pub(super) fn is_answering(&self) -> bool {
        self.exchange.get().answering
    }

    pub(super) fn is_serving(&self) -> bool {
        self.exchange.get().serving
    }

    /// Whether the client may be probed; true at most once for each request.
    pub(super) fn take_probe(&self) -> bool {
        let exchange = self.exchange.get();
        if self.writing.get() {
            return false; // not between the two halves of something else
        }
        self.exchange.set(Exchange {
            may_probe: false,
            ..exchange
        });
        let may_answer = !exchange.answering || self.upgraded.get().is_some();
        exchange.may_probe && exchange.serving && may_answer
    }

    /// Whether the application may send an interim response now; counts it.
    pub(super) fn take_interim(&self) -> bool {
        let exchange = self.exchange.get();
        if exchange.interims == 0 || !exchange.serving || exchange.answering {
            return false;
        }
        self.exchange.set(Exchange {
            interims: exchange.interims - 1,
            ..exchange
        });
        true
    }

    /// Reads once, waiting for something to come.
    pub(super) fn fill(&self, deadline: Option<Instant>) -> io::Result<usize> {
        take_turn();
        self.stream.read(deadline, &mut |data| {
            self.incoming.borrow_mut().buf.extend_from_slice(data);
        })
    }

    /// As [`fill`](Self::fill); 0 also when nothing has come by the time that `stop` is set.
    pub(super) fn fill_unless(
        &self,
        stop: &AtomicBool,
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        take_turn();
        self.stream.read_unless(stop, deadline, &mut |data| {
            self.incoming.borrow_mut().buf.extend_from_slice(data);
        })
    }

    /// An idle connection keeps no buffers.
    pub(super) fn release_buffers(&self) {
        self.incoming.borrow_mut().buf = BytesMut::new();
    }

    /// Adds to what is to go, without sending it.
    pub(super) fn queue<R>(&self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let mut outgoing = self.outgoing.borrow_mut();
        if outgoing.capacity() == 0 {
            *outgoing = spare::take();
        }
        write(&mut outgoing)
    }

    /// Whether this client can be told nothing more.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// Whether something is being written, by whoever waits now.
    pub(super) fn is_writing(&self) -> bool {
        self.writing.get()
    }

    /// Whether so much is to go that it should not wait for more.
    pub(super) fn is_full(&self) -> bool {
        self.outgoing.borrow().len() >= FLUSH_AT
    }

    /// Sends all that is to go.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.send(&[])
    }

    /// As [`flush`](Self::flush), where nobody can be told of an error; it stays known.
    pub(super) fn flush_before_block(&self) {
        if !self.writing.get() && !self.outgoing.borrow().is_empty() {
            let _known_by_broken = self.flush();
        }
    }

    /// Sends what the kernel takes at once of what is to go.
    pub(super) fn flush_now(&self) -> io::Result<Flushed> {
        self.send_keeping(&[], usize::MAX)?;
        Ok(if self.outgoing.borrow().is_empty() {
            Flushed::Whole
        } else {
            Flushed::InPart
        })
    }

    /// Sends all that is to go, and then `more`.
    pub(super) fn send(&self, more: &[&[u8]]) -> io::Result<()> {
        self.send_keeping(more, 0)
    }

    /// As [`send`](Self::send), for the end of a response: where a thread is too good for waiting
    /// for the client, the last bytes are only kept.
    pub(super) fn send_end(&self, more: &[&[u8]]) -> io::Result<()> {
        let keep = if self.stream.may_hold_back() {
            0
        } else {
            FLUSH_AT
        };
        self.send_keeping(more, keep)
    }

    /// Sends until at most `keep` bytes are left, and more if that needs no waiting.
    fn send_keeping(&self, more: &[&[u8]], keep: usize) -> io::Result<()> {
        if self.broken.get() || self.writing.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let queued = std::mem::take(&mut *self.outgoing.borrow_mut());
        let mut parts = [&[] as &[u8]; 4];
        let count = 1 + more.len();
        parts[0] = &queued;
        parts[1..count].copy_from_slice(more); // at most three: a chunk's size, data and end
        self.writing.set(true);
        let result = self.write_all(&mut parts[..count], keep);
        self.writing.set(false);
        spare::give(queued);
        if let Err(error) = &result {
            self.broken.set(true);
            if error.kind() == io::ErrorKind::TimedOut {
                // What the kernel still has for it is not to be kept for one who does not read.
                self.stream.reset();
            }
        }
        result
    }

    /// Sends all that is to go, and then what the kernel takes at once of `n` bytes of a file,
    /// from its position on. Whatever is in the way of more, the next write will find.
    pub(super) fn send_file(&self, file: &File, n: usize) -> io::Result<usize> {
        self.flush()?;
        let sent = self.stream.send_file(file, n).unwrap_or(0);
        self.write_pace.set(self.write_pace.get().gave(sent));
        Ok(sent)
    }

    fn write_all(&self, parts: &mut [&[u8]], keep: usize) -> io::Result<()> {
        loop {
            let mut slices = [IoSlice::new(&[]); 4];
            let mut count = 0;
            for part in parts.iter().filter(|part| !part.is_empty()) {
                slices[count] = IoSlice::new(part);
                count += 1;
            }
            if count == 0 {
                return Ok(());
            }
            let mut written = match self.write_some(&slices[..count]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if parts.iter().map(|part| part.len()).sum::<usize>() <= keep {
                        *self.outgoing.borrow_mut() = parts.concat();
                        return Ok(());
                    }
                    self.wait_to_write(&slices[..count])?
                }
                done => done?,
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            for part in parts.iter_mut() {
                let n = written.min(part.len());
                *part = &part[n..];
                written -= n;
            }
        }
    }

    /// Ends the connection by a reset when it is dropped, so that the client sees that something
    /// is missing where the end of the connection would mean the end of the response.
    pub(super) fn cut(&self) {
        self.stream.reset();
        self.broken.set(true);
    }

    /// Sends what is to go and ends the connection. If the client is still sending, what it
    /// sends is read and thrown away for a moment: closing at once would make the kernel send a
    /// reset, which can overtake the response on its way to the client (RFC 9112 section 9.6).
    ///
    /// The caller drops the wire next, and the descriptor's close is the end for the client,
    /// unless somebody else has it: the wire is `shared`, or the other protocol has copies of the
    /// descriptor. Then this is the end, by one system call more.
    pub(super) fn close(&self, patience: Duration, shared: bool) {
        const LINGER_BYTES: usize = 256 * 1024;
        if self.flush().is_err() {
            return; // the descriptor's close does what is left to do
        }
        let unread = self.with_incoming(|incoming| incoming.has_unread());
        if unread || shared || self.upgraded.get().is_some() {
            self.stream.shutdown(Shutdown::Write);
        }
        if unread {
            let deadline = deadline_in(patience.min(Duration::from_secs(2)));
            let mut left = LINGER_BYTES;
            while let Ok(n @ 1..) = self.stream.read(deadline, &mut |_| {})
                && left > n
            {
                left -= n;
            }
        }
    }
}

impl Incoming {
    /// The next head, if it is complete.
    pub(crate) fn take_head(&mut self, limits: &HeadLimits) -> Result<Option<RequestHead>, Reject> {
        if self.buf.is_empty() {
            return Ok(None);
        }
        self.heads.read(&mut self.buf, limits)
    }

    /// The client has sent, or is sending, what nobody will read.
    fn has_unread(&self) -> bool {
        let body = self.body.as_ref();
        !self.buf.is_empty() || body.is_some_and(|body| !body.decoder.is_done())
    }

    /// Begins the body of a request.
    fn begin(&mut self, request: &RequestHead, pause: Duration) {
        self.request += 1;
        let begun = self.begun.take();
        self.body = (request.body != http1::BodyLength::None).then(|| Body {
            decoder: Decoder::new(request.body),
            continue_expected: request.expect_continue,
            failed: false,
            patience: begun.map_or(Patience::new(pause), |(patience, _)| patience),
            counted: begun.map_or(0, |(_, counted)| counted),
        });
    }
}

/// Buffers for what is to go, kept by each OS thread for the next response. Taken and given
/// back within a call each, so that no thread-local lives across a wait.
mod spare {
    use std::cell::RefCell;

    const KEEP: usize = 8;
    const KEEP_CAPACITY: usize = 128 * 1024;

    thread_local!(static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) });

    pub(super) fn take() -> Vec<u8> {
        SPARE
            .with_borrow_mut(Vec::pop)
            .unwrap_or_else(|| Vec::with_capacity(4096))
    }

    pub(super) fn give(mut buffer: Vec<u8>) {
        if (1..=KEEP_CAPACITY).contains(&buffer.capacity()) {
            buffer.clear();
            SPARE.with_borrow_mut(|spare| {
                if spare.len() < KEEP {
                    spare.push(buffer);
                }
            });
        }
    }
}
