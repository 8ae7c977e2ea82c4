//! What all who use a WebSocket share: its outbox, what has come, and its clocks.

use super::error::{ErrorKind, SocketError};
use super::frame_buffer;
use super::heartbeat::{self, Heartbeat};
use super::options::Options;
use super::outbox::{Bounds, Outbox};
use super::pool;
use super::{CloseCode, CloseFrame, Message};
use crate::connection::protocol::{End, Link, Protocol};
use crate::connection::shared_socket::SharedSocket;
use crate::green::embed::{Locked, TimedOut, lock, trim};
use crate::green::{Lock, LockGuard, take_turn};
use crate::service::websockets::{Closed, OpenWebSocket, WebSocketPermit, WebSockets};
use bytes::BytesMut;
use greenway_proto::websocket::{DeflateParameters, Encoder, Event, Failure, Receiver, Role};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What the heart reads for one who does not, at a time.
const PULL_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct SocketCore {
    pub(super) role: Role,
    pub(super) protocol: Option<String>,
    pub(super) deflate: Option<DeflateParameters>,
    pub(super) outbox: Arc<Outbox>,
    /// Whoever has the lock may send data; it is held while a message is sent in pieces.
    pub(super) turn: Lock<Encoder>,
    pub(super) inbound: Lock<Inbound>,
    close_timeout: Duration,
    /// The server's; `None` for a client's.
    pub(super) sockets: Option<Arc<WebSockets>>,
    heartbeat: Mutex<Heartbeat>,
    /// Something has come since the heart last looked.
    heard: AtomicBool,
    /// A message has come since the heart last looked.
    used: AtomicBool,
    /// Given back when the connection is over, however long senders live.
    permit: Mutex<Option<WebSocketPermit>>,
}

/// What has come.
#[derive(Debug)]
pub(super) struct Inbound {
    receiver: Receiver,
    pub(super) buf: BytesMut,
    /// What the heart has read on behalf of one who does not.
    ready: Option<Message>,
    /// The application has been given the end.
    reported: bool,
    /// It has waited for a message.
    waited: bool,
}

/// What is next in the bytes that have come.
enum Next {
    Message(Message),
    More,
    Over,
}

/// An event of the protocol, or the peer's breach of it.
type Found = Option<Result<Event, Failure>>;

impl Inbound {
    /// The first thing in what has `come`. Only what is behind it is kept.
    fn take_in(&mut self, come: Vec<u8>) -> Found {
        if come.is_empty() {
            return None;
        }
        let mut rest = &come[..];
        let found = if self.buf.is_empty() {
            self.receiver.next(&mut rest).transpose()
        } else {
            None
        };
        self.buf.extend_from_slice(rest);
        frame_buffer::put_back(come);
        found
    }

    /// The next thing in what was kept.
    fn find(&mut self) -> Found {
        if self.buf.is_empty() {
            return None;
        }
        self.receiver.next(&mut self.buf).transpose()
    }
}

impl OpenWebSocket for SocketCore {
    fn close(self: Arc<Self>, frame: CloseFrame) {
        Self::close(&self, frame);
    }
}

impl SocketCore {
    pub(super) fn new(
        socket: Arc<dyn SharedSocket>,
        role: Role,
        options: &Options,
        write_timeout: Duration,
        accepted: (Option<String>, Option<DeflateParameters>),
        sockets: Option<(Arc<WebSockets>, WebSocketPermit)>,
    ) -> Arc<Self> {
        let (protocol, deflate) = accepted;
        let bounds = Bounds {
            messages: options.queue_messages,
            bytes: options.queue_bytes,
        };
        let write_timeout = options.write_timeout.unwrap_or(write_timeout);
        let encoder = Encoder::new(role, deflate.as_ref())
            .with_pool(pool::lend)
            .with_fragments(options.fragment);
        let (sockets, permit) = sockets.unzip();
        Arc::new(Self {
            role,
            outbox: Arc::new(Outbox::new(socket, role, bounds, write_timeout)),
            turn: Lock::new(encoder),
            inbound: Lock::new(Inbound {
                receiver: Receiver::new(role, options.limits, deflate.as_ref())
                    .with_pool(pool::lend),
                buf: BytesMut::new(),
                ready: None,
                reported: false,
                waited: false,
            }),
            close_timeout: options.close_timeout,
            sockets,
            heartbeat: Mutex::new(Heartbeat::new(options.heartbeat, options.idle_timeout)),
            heard: AtomicBool::new(false),
            used: AtomicBool::new(false),
            permit: Mutex::new(permit),
            protocol,
            deflate,
        })
    }

    fn heartbeat(&self) -> Locked<'_, Heartbeat> {
        lock(&self.heartbeat)
    }

    /// Lets the heart look after this socket, and the server's stop find it.
    pub(super) fn register(self: &Arc<Self>) {
        if let Some(sockets) = &self.sockets {
            sockets.enter(self);
        }
        if let Some(first) = self.heartbeat().first(Instant::now()) {
            heartbeat::watch(self, first);
        }
    }

    /// The connection is over.
    pub(super) fn end(self: &Arc<Self>) {
        self.outbox.gone();
        heartbeat::forget(self);
        let permit = lock(&self.permit).take();
        if let Some(sockets) = permit.is_some().then_some(self.sockets.as_ref()).flatten() {
            let code = self.close_code().unwrap_or(CloseCode::ABNORMAL);
            sockets.leave(self, Closed::by(code));
        }
    }

    /// Once it has ended.
    pub(super) fn close_code(&self) -> Option<CloseCode> {
        let state = self.outbox.lock();
        match (state.fault(), state.theirs()) {
            (Some(fault), _) => Some(fault.code()),
            (None, Some(frame)) => Some(frame.code),
            (None, None) => None,
        }
    }

    /// Begins to close, and sees to it that the peer does so in time. The heart has the clock,
    /// which runs from when the peer has our close frame.
    pub(super) fn close(self: &Arc<Self>, frame: CloseFrame) {
        if !self.outbox.close(frame) {
            return;
        }
        let pace = self.outbox.pace();
        let first = self
            .heartbeat()
            .begin_close(Instant::now(), self.close_timeout, pace);
        if let Some(first) = first {
            heartbeat::watch(self, first);
        }
    }

    /// Takes the next message, waiting for it until `deadline`. `None` once, at a clean end.
    pub(super) fn receive(
        self: &Arc<Self>,
        link: &dyn Link,
        deadline: Option<Instant>,
    ) -> Result<Option<Message>, SocketError> {
        let mut receiving = Receiving::begin(link);
        take_turn(); // a peer that sends as fast as we can is not to keep a worker to itself
        let timed_out = |TimedOut| SocketError::timed_out();
        let mut inbound = self.inbound.lock_until(deadline).map_err(timed_out)?;
        let mut come = Vec::new();
        loop {
            match self.next(&mut inbound, come) {
                Next::Message(message) => {
                    if let Some(sockets) = &self.sockets {
                        sockets.received();
                    }
                    return Ok(Some(message));
                }
                Next::More => {
                    come = self.read(link, &mut inbound, deadline).map_err(timed_out)?;
                }
                Next::Over => {
                    receiving.for_good(); // it knows now: no need to interrupt it
                    return self.report_end(&mut inbound);
                }
            }
        }
    }

    /// Reads once, into a spare buffer.
    fn read(
        &self,
        link: &dyn Link,
        inbound: &mut Inbound,
        deadline: Option<Instant>,
    ) -> Result<Vec<u8>, TimedOut> {
        if inbound.buf.is_empty() {
            inbound.buf = BytesMut::new(); // who waits for a message keeps no buffer
        }
        if !std::mem::replace(&mut inbound.waited, true) {
            trim(); // nothing to come is as deep as the handshake was
        }
        let mut come = Vec::new();
        let result = link.read(deadline, &mut |bytes| {
            if come.capacity() == 0 {
                come = frame_buffer::take();
            }
            come.extend_from_slice(bytes);
        });
        self.note_read(result)?;
        Ok(come)
    }

    fn note_read(&self, result: io::Result<usize>) -> Result<(), TimedOut> {
        match result {
            Ok(0) => self.outbox.lost(ErrorKind::Lost, "the peer has left"),
            Ok(_) => self.heard.store(true, Relaxed),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(TimedOut),
            Err(_) => self.outbox.lost(ErrorKind::Lost, "the peer has left"),
        }
        Ok(())
    }

    /// What is next in what was kept and what has `come`. Control frames are dealt with.
    #[inline(never)] // its frame is not to lie below a wait
    fn next(self: &Arc<Self>, inbound: &mut Inbound, come: Vec<u8>) -> Next {
        let mut found = inbound.take_in(come);
        if let Some(message) = inbound.ready.take() {
            return Next::Message(message);
        }
        loop {
            {
                if self.outbox.lock().has_ended() {
                    return Next::Over;
                }
            }
            match found.take().or_else(|| inbound.find()) {
                Some(Ok(Event::Message(message))) => {
                    self.used.store(true, Relaxed);
                    return Next::Message(message);
                }
                Some(other) => self.deal_with(inbound, other),
                None => return Next::More,
            }
        }
    }

    #[cold]
    #[inline(never)] // its frame is not to lie below a message
    fn deal_with(self: &Arc<Self>, inbound: &mut Inbound, found: Result<Event, Failure>) {
        match found {
            Ok(Event::Ping(payload)) => self.outbox.pong(&payload),
            // Whatever comes says that the peer is there.
            Ok(Event::Pong(_) | Event::Message(_)) => {}
            Ok(Event::Close(frame)) => {
                self.outbox.peer_closed(frame);
                inbound.buf = BytesMut::new(); // nothing counts behind it
            }
            Err(failure) => {
                self.outbox.peer_failed(failure.code, failure.reason);
                inbound.buf = BytesMut::new();
            }
        }
    }

    /// The end, as `receive` gives it.
    fn report_end(&self, inbound: &mut Inbound) -> Result<Option<Message>, SocketError> {
        let state = self.outbox.lock();
        if let Some(fault) = state.fault() {
            return Err(fault.clone());
        }
        if state.theirs().is_some() && !std::mem::replace(&mut inbound.reported, true) {
            return Ok(None);
        }
        Err(state.check_open().expect_err("it has ended"))
    }

    /// Reads on behalf of one who does not, without waiting: pings are to be answered and pongs
    /// to be seen. One message is kept for it at most.
    pub(super) fn pull(self: &Arc<Self>) -> Pulled {
        let Some(mut inbound) = self.inbound.try_lock() else {
            return Pulled::Awake; // it is in `receive`
        };
        let mut left = PULL_BYTES;
        loop {
            match self.next(&mut inbound, Vec::new()) {
                Next::Message(message) => {
                    inbound.ready = Some(message);
                    return Pulled::Unread;
                }
                Next::Over => return Pulled::Over,
                Next::More if left == 0 => return Pulled::Unread,
                Next::More => {}
            }
            match self.read_now(&mut inbound) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Pulled::Awake,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    left = left.saturating_sub(*result.as_ref().unwrap_or(&0));
                    let _in_time = self.note_read(result);
                }
            }
        }
    }

    fn read_now(&self, inbound: &mut Inbound) -> io::Result<usize> {
        let buf = &mut inbound.buf;
        let socket = self.outbox.socket();
        socket.read_now(&mut |bytes| buf.extend_from_slice(bytes))
    }

    /// The heart looks after this socket. Gives when to come again; `None` if never.
    pub(super) fn beat(self: &Arc<Self>, now: Instant) -> Option<Instant> {
        let pulled = self.pull();
        if pulled == Pulled::Over {
            return None;
        }
        let heard = self.heard.swap(false, Relaxed) || pulled == Pulled::Unread;
        let used = self.used.swap(false, Relaxed);
        let closing = self.outbox.lock().ours().is_some();
        let beat = if closing {
            let undelivered = self.outbox.undelivered();
            self.heartbeat().beat_closing(now, undelivered)
        } else {
            self.heartbeat().beat(now, heard, used)
        };
        match beat {
            heartbeat::Due::Nothing(next) => next,
            heartbeat::Due::Ping(next) => {
                // One that has something else to take is asked by that.
                if self.outbox.is_empty() {
                    let _over_by_now = self.outbox.ping(b"");
                }
                next
            }
            heartbeat::Due::Silent => {
                self.outbox.lost(ErrorKind::Silent, "no answer to pings");
                None
            }
            heartbeat::Due::Unclosed => {
                self.outbox
                    .lost(ErrorKind::Lost, "no answer to the close frame");
                None
            }
            heartbeat::Due::Idle => {
                self.close(CloseFrame::new(CloseCode::NORMAL, "idle"));
                self.heartbeat().next()
            }
        }
    }

    /// Ends the WebSocket after its handler, or its client.
    fn finish_now(self: &Arc<Self>, link: &dyn Link, end: End) {
        match end {
            End::Departed => self.outbox.lost(ErrorKind::Lost, "the peer has left"),
            End::Returned => self.close(CloseFrame::new(CloseCode::NORMAL, "")),
            End::Failed => self.close(CloseFrame::new(CloseCode::INTERNAL_ERROR, "")),
            End::Stopped => {
                let code = self
                    .sockets
                    .as_ref()
                    .map_or(CloseCode::GOING_AWAY, |all| all.stop_code());
                self.close(CloseFrame::new(code, ""));
                return; // the grace period is over
            }
        }
        // The heart ends these waits if the peer does not close in time, and the drainer if it does
        // not take what it is sent.
        if let Ok(mut inbound) = self.inbound.lock() {
            self.await_close(link, &mut inbound);
        }
        self.outbox.wait_empty();
    }

    /// Reads and throws away until the peer's close frame comes.
    fn await_close(self: &Arc<Self>, link: &dyn Link, inbound: &mut LockGuard<'_, Inbound>) {
        let mut come = Vec::new();
        loop {
            match self.next(inbound, std::mem::take(&mut come)) {
                Next::Message(_) => {}
                Next::Over => return,
                Next::More => match self.read(link, inbound, None) {
                    Ok(bytes) => come = bytes,
                    Err(TimedOut) => return, // the thread is unwinding
                },
            }
            take_turn();
        }
    }
}

/// What the heart has found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pulled {
    /// Whatever has come is seen.
    Awake,
    /// A message waits that nobody takes, so what is behind it is not looked at.
    Unread,
    Over,
}

/// The protocol that a server's connection is told to finish.
#[derive(Debug)]
pub(super) struct Ending(pub(super) Arc<SocketCore>);

impl Protocol for Ending {
    fn finish(&self, link: &dyn Link, end: End) {
        struct Over<'a>(&'a Arc<SocketCore>);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.end();
            }
        }
        let _over = Over(&self.0);
        self.0.finish_now(link, end);
    }

    fn ask_peer(&self) -> bool {
        let open = self.0.outbox.lock().check_open().is_ok();
        if open {
            let _is_asked_by_what_waits = self.0.outbox.ping(b"");
        }
        open
    }
}

/// Tells the connection that its thread waits for input, and will see the client's end itself.
struct Receiving<'a> {
    link: &'a dyn Link,
    /// Its end is to be told: it was taken note of, and the client has not ended.
    noted: bool,
}

impl<'a> Receiving<'a> {
    fn begin(link: &'a dyn Link) -> Self {
        let noted = link.receiving();
        Self { link, noted }
    }

    /// The client's end was seen.
    fn for_good(&mut self) {
        self.noted = false;
    }
}

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        if self.noted {
            self.link.received();
        }
    }
}
