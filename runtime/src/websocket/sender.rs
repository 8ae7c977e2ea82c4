//! Sending, from anywhere.

use super::core::SocketCore;
use super::error::SocketError;
use super::frame_buffer;
use super::{CloseCode, CloseFrame, Encoded, Message};
use crate::green::LockGuard;
use crate::green::embed::{TimedOut, deadline_in};
use bytes::Bytes;
use greenway_proto::websocket::MessageKind;
use greenway_proto::websocket::{Encoder, Role};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Sends over a WebSocket: clones of it may be used by any thread, green or not, all at once.
///
/// Frames of several senders never mix. A sender outlives neither the handler nor the connection:
/// once these are over, it gives [`ErrorKind::Closed`](super::ErrorKind::Closed).
///
/// ```
/// use greenway::green::{sleep, spawn};
/// use greenway::websocket::Upgrade;
/// use greenway::{App, Request, abort};
/// use std::time::Duration;
///
/// let mut app = App::new();
/// app.get("/ticks", |request: Request| {
///     let Some(ws) = request.websocket() else {
///         abort(400, "Expected a WebSocket request.");
///     };
///     let sender = ws.sender();
///     spawn(move || while sender.send("tick").is_ok() {
///         sleep(Duration::from_secs(1));
///     });
///     for message in &ws {
///         println!("{message:?}");
///     }
/// });
/// ```
#[derive(Clone)]
pub struct Sender {
    shared: Arc<SocketCore>,
}

impl Sender {
    pub(super) fn new(shared: Arc<SocketCore>) -> Self {
        Self { shared }
    }

    /// Sends a message. Waits until what others have sent before has left for the kernel, which
    /// then takes this one in its turn: so a peer that reads slowly slows the sender down.
    ///
    /// # Errors
    /// When the WebSocket is closed or lost. That it was sent does not mean that it has come.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SocketError> {
        self.send_until(&message.into(), None)
    }

    /// As [`send`](Self::send), waiting at most `timeout`.
    ///
    /// # Errors
    /// As [`send`](Self::send); [`ErrorKind::TimedOut`](super::ErrorKind::TimedOut) when it has
    /// not been sent, nor any part of it.
    pub fn send_timeout(
        &self,
        message: impl Into<Message>,
        timeout: Duration,
    ) -> Result<(), SocketError> {
        self.send_until(&message.into(), deadline_in(timeout))
    }

    fn send_until(&self, message: &Message, deadline: Option<Instant>) -> Result<(), SocketError> {
        let mut encoder = self.turn(deadline)?;
        with_buffer(|buffer| {
            encoder.message(message, buffer);
            self.shared.outbox.send(buffer)
        })?;
        self.count();
        Ok(())
    }

    /// Waits for the turn to send data.
    fn turn(&self, deadline: Option<Instant>) -> Result<LockGuard<'_, Encoder>, SocketError> {
        let timed_out = |TimedOut| SocketError::timed_out();
        let encoder = self.shared.turn.lock_until(deadline).map_err(timed_out)?;
        self.shared.outbox.wait_turn(deadline)?;
        Ok(encoder)
    }

    /// Sends a message without waiting: what the kernel does not take at once is queued.
    ///
    /// An [`Encoded`] message is encoded once for all that it is sent to.
    ///
    /// # Errors
    /// [`ErrorKind::Full`](super::ErrorKind::Full) when more is queued than
    /// [`Options::queue`](super::Options::queue) allows: the peer is too slow; as
    /// [`send`](Self::send) otherwise.
    pub fn try_send<'a>(&self, message: impl Into<ToSend<'a>>) -> Result<(), SocketError> {
        let shared = &self.shared;
        match message.into().0 {
            Inner::Encoded(message) if shared.role == Role::Server => {
                let frame = message.frame(shared.deflate.as_ref());
                shared.outbox.post(frame.clone())?;
            }
            // A client's frames are masked, each by itself.
            Inner::Encoded(message) => self.post_alone(message.message())?,
            Inner::Own(message) => self.post_alone(&message)?,
        }
        self.count();
        Ok(())
    }

    fn post_alone(&self, message: &Message) -> Result<(), SocketError> {
        let mut frame = Vec::new();
        // Not with the encoder of those who wait for their turn: it is theirs. Compressed alone,
        // a message would not fit a context that goes from one to the next.
        Encoder::new(self.shared.role, None).message(message, &mut frame);
        self.shared.outbox.post(frame.into())
    }

    /// Begins a message that is sent in pieces, when its turn comes. Others wait for its end.
    ///
    /// ```no_run
    /// # fn f(sender: greenway::websocket::Sender) -> Result<(), greenway::websocket::SocketError> {
    /// let mut text = sender.begin_text()?;
    /// for line in 0..1000 {
    ///     text.send(format!("{line}\n"))?;
    /// }
    /// text.finish()
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn begin_text(&self) -> Result<Pieces<'_>, SocketError> {
        self.begin(MessageKind::Text)
    }

    /// As [`begin_text`](Self::begin_text), for a binary message.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn begin_binary(&self) -> Result<Pieces<'_>, SocketError> {
        self.begin(MessageKind::Binary)
    }

    fn begin(&self, kind: MessageKind) -> Result<Pieces<'_>, SocketError> {
        let mut encoder = self.turn(None)?;
        self.shared.outbox.in_pieces(true);
        encoder.begin(kind);
        Ok(Pieces {
            sender: self,
            encoder,
            finished: false,
        })
    }

    /// Sends a ping with at most 125 bytes of payload, without waiting. The answer is not reported;
    /// the heartbeat is what looks for it.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send).
    ///
    /// # Panics
    /// When `payload` is longer.
    pub fn ping(&self, payload: &[u8]) -> Result<(), SocketError> {
        self.shared.outbox.ping(payload)
    }

    /// Begins to close, without waiting: sends a close frame behind what is queued. Nothing can be
    /// sent after it. The peer answers, and `receive` then gives `None`; if it has not after
    /// [`Options::close_timeout`](super::Options::close_timeout), the connection is cut.
    ///
    /// What the peer has sent before can still be received. A second call does nothing.
    ///
    /// # Panics
    /// When `code` [must not be sent](CloseCode::is_sendable).
    pub fn close(&self, code: CloseCode, reason: &str) {
        assert!(code.is_sendable(), "close code {code} must not be sent");
        self.shared.close(CloseFrame::new(code, reason));
    }

    /// Resets the connection, without a close frame: for a peer that is too slow to be told.
    pub fn abort(&self) {
        let outbox = &self.shared.outbox;
        outbox.lost(super::ErrorKind::TooSlow, "given up");
    }

    /// Whether nothing can be sent any more: a side has closed, or the connection is lost.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.outbox.lock().check_open().is_err()
    }

    /// Messages and bytes that wait for the peer.
    #[must_use]
    pub fn queued(&self) -> (usize, usize) {
        self.shared.outbox.queued()
    }

    fn count(&self) {
        if let Some(sockets) = &self.shared.sockets {
            sockets.sent();
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.shared.outbox).finish()
    }
}

/// What [`Sender::try_send`] takes: a message, or a reference to an [`Encoded`] one.
#[derive(Debug)]
pub struct ToSend<'a>(Inner<'a>);

#[derive(Debug)]
enum Inner<'a> {
    Own(Message),
    Encoded(&'a Encoded),
}

/// Whatever is a message, one by one: a blanket implementation would overlap with the two below.
macro_rules! from_messages {
    ($($message:ty),*) => {$(
        impl From<$message> for ToSend<'_> {
            fn from(message: $message) -> Self {
                Self(Inner::Own(message.into()))
            }
        }
    )*};
}

from_messages!(Message, String, &str, Bytes, Vec<u8>, &[u8]);

impl<'a> From<&'a Encoded> for ToSend<'a> {
    fn from(message: &'a Encoded) -> Self {
        Self(Inner::Encoded(message))
    }
}

impl<'a> From<&'a Arc<Encoded>> for ToSend<'a> {
    fn from(message: &'a Arc<Encoded>) -> Self {
        Self(Inner::Encoded(message))
    }
}

/// A message that is being sent in pieces, each on its way at once; made by
/// [`Sender::begin_text`] and [`Sender::begin_binary`].
///
/// Dropped without [`finish`](Self::finish), what was sent is not a whole message, which cannot be
/// taken back: the WebSocket is closed with 1011.
pub struct Pieces<'a> {
    sender: &'a Sender,
    encoder: LockGuard<'a, Encoder>,
    finished: bool,
}

impl Pieces<'_> {
    /// Sends the next piece. Pieces of a text may be cut anywhere; together they are to be UTF-8.
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub fn send(&mut self, piece: impl AsRef<[u8]>) -> Result<(), SocketError> {
        self.piece(piece.as_ref(), false)
    }

    /// Ends the message.
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub fn finish(mut self) -> Result<(), SocketError> {
        self.piece(b"", true)?;
        self.finished = true;
        self.sender.count();
        Ok(())
    }

    fn piece(&mut self, piece: &[u8], last: bool) -> Result<(), SocketError> {
        let outbox = &self.sender.shared.outbox;
        outbox.wait_turn(None)?;
        with_buffer(|buffer| {
            self.encoder.piece(piece, last, buffer);
            outbox.send(buffer)
        })
    }
}

impl Drop for Pieces<'_> {
    fn drop(&mut self) {
        if !self.finished {
            let frame = CloseFrame::new(CloseCode::INTERNAL_ERROR, "a message was not finished");
            self.sender.shared.close(frame);
        }
        self.sender.shared.outbox.in_pieces(false);
    }
}

impl fmt::Debug for Pieces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pieces").field(self.sender).finish()
    }
}

/// Lends `f` a buffer of this OS thread. `f` must not wait.
fn with_buffer<R>(f: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut buffer = frame_buffer::take();
    let result = f(&mut buffer);
    frame_buffer::put_back(buffer);
    result
}
