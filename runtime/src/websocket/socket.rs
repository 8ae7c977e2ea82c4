//! [`WebSocket`]: what a handler has in its hands.

use super::core::SocketCore;
use super::error::SocketError;
use super::options::Options;
use super::sender::Sender;
use super::{CloseCode, Message, Pieces, ToSend};
use crate::connection::protocol::Link;
use crate::green::embed::deadline_in;
use bytes::BytesMut;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One end of a WebSocket: [`receive`](Self::receive) and [`send`](Self::send).
///
/// It belongs to the thread that has made it. Green threads of the same worker may share it (by an
/// `Rc`); all others send through a [`sender`](Self::sender). Neither direction waits for the
/// other: one thread may be in `receive` while others send.
///
/// # How it ends
///
/// `receive` gives `None` once, when a side has closed and the other has answered; after that, and
/// when the connection is lost, an error with the close code. So this is the right loop:
///
/// ```no_run
/// # use greenway::websocket::{WebSocket, SocketError};
/// # fn f(ws: WebSocket) -> Result<(), SocketError> {
/// while let Some(message) = ws.receive()? {
///     ws.send(message)?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// Pings are answered, and close frames too, whether or not the handler is in `receive`; if it is
/// not, that may take until the next heartbeat. A handler that waits for something else is ended at
/// its wait when its client leaves without a word, as any other.
///
/// # Clocks
///
/// `--timeout` and the clocks of heads and bodies do not count. There are the heartbeat, the times
/// for writing and for the answer to a close frame, and, if asked for, one for idleness: see
/// [`Options`]. The server's stop closes with 1001 (`--websocket-stop-code`).
pub struct WebSocket {
    sender: Sender,
    shared: Arc<SocketCore>,
    link: Rc<dyn Link>,
}

impl WebSocket {
    /// `first` has come behind the handshake.
    pub(super) fn new(shared: Arc<SocketCore>, link: Rc<dyn Link>, first: BytesMut) -> Self {
        if !first.is_empty() {
            let mut inbound = shared.inbound.try_lock().expect("nobody else has it yet");
            inbound.buf = first;
        }
        Self {
            sender: Sender::new(shared.clone()),
            shared,
            link,
        }
    }

    /// How WebSockets are to be accepted: as [`Options::new`].
    pub fn builder() -> Options {
        Options::new()
    }

    /// The next message; waits for it. `None` once, when the WebSocket was closed in good order.
    ///
    /// # Errors
    /// When it has ended: see [`SocketError::kind`].
    pub fn receive(&self) -> Result<Option<Message>, SocketError> {
        self.receive_until(None)
    }

    /// As [`receive`](Self::receive), waiting at most `timeout`.
    ///
    /// # Errors
    /// As [`receive`](Self::receive); [`ErrorKind::TimedOut`](super::ErrorKind::TimedOut) when no
    /// message has come. A part of one is kept.
    pub fn receive_timeout(&self, timeout: Duration) -> Result<Option<Message>, SocketError> {
        self.receive_until(deadline_in(timeout))
    }

    fn receive_until(&self, deadline: Option<Instant>) -> Result<Option<Message>, SocketError> {
        self.shared.receive(&*self.link, deadline)
    }

    /// The messages to come, until the WebSocket ends, in whatever way.
    pub fn iter(&self) -> Messages<'_> {
        Messages(self)
    }

    /// Sends a message: see [`Sender::send`].
    ///
    /// # Errors
    /// As there.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SocketError> {
        self.sender.send(message)
    }

    /// As [`send`](Self::send), waiting at most `timeout`.
    ///
    /// # Errors
    /// As [`Sender::send_timeout`].
    pub fn send_timeout(
        &self,
        message: impl Into<Message>,
        timeout: Duration,
    ) -> Result<(), SocketError> {
        self.sender.send_timeout(message, timeout)
    }

    /// Sends a message without waiting: see [`Sender::try_send`].
    ///
    /// # Errors
    /// As there.
    pub fn try_send<'a>(&self, message: impl Into<ToSend<'a>>) -> Result<(), SocketError> {
        self.sender.try_send(message)
    }

    /// Begins a text that is sent in pieces: see [`Sender::begin_text`].
    ///
    /// # Errors
    /// As there.
    pub fn begin_text(&self) -> Result<Pieces<'_>, SocketError> {
        self.sender.begin_text()
    }

    /// Begins a binary message that is sent in pieces: see [`Sender::begin_binary`].
    ///
    /// # Errors
    /// As there.
    pub fn begin_binary(&self) -> Result<Pieces<'_>, SocketError> {
        self.sender.begin_binary()
    }

    /// Sends a ping: see [`Sender::ping`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub fn ping(&self, payload: &[u8]) -> Result<(), SocketError> {
        self.sender.ping(payload)
    }

    /// Begins to close: see [`Sender::close`].
    ///
    /// # Panics
    /// As there.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.sender.close(code, reason);
    }

    /// Sends over this WebSocket, from wherever it is wanted.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// The two directions, each by itself.
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender(), Receiver(self))
    }

    /// The subprotocol that was agreed on.
    pub fn protocol(&self) -> Option<&str> {
        self.shared.protocol.as_deref()
    }

    /// The close code, once the WebSocket has ended: that of the peer's close frame; 1005 if there
    /// was none in it, 1006 if there was no close frame.
    pub fn close_code(&self) -> Option<CloseCode> {
        self.shared.close_code()
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("protocol", &self.protocol())
            .field("outbox", &self.shared.outbox)
            .finish_non_exhaustive()
    }
}

impl<'a> IntoIterator for &'a WebSocket {
    type Item = Message;
    type IntoIter = Messages<'a>;

    fn into_iter(self) -> Messages<'a> {
        self.iter()
    }
}

/// The messages of a WebSocket, made by [`WebSocket::iter`].
#[derive(Debug)]
pub struct Messages<'a>(&'a WebSocket);

impl Iterator for Messages<'_> {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        self.0.receive().ok().flatten()
    }
}

/// The receiving half of a WebSocket, made by [`WebSocket::split`]. It stays on its thread.
#[derive(Debug)]
pub struct Receiver(WebSocket);

impl Receiver {
    /// As [`WebSocket::receive`].
    ///
    /// # Errors
    /// As there.
    pub fn receive(&self) -> Result<Option<Message>, SocketError> {
        self.0.receive()
    }

    /// As [`WebSocket::receive_timeout`].
    ///
    /// # Errors
    /// As there.
    pub fn receive_timeout(&self, timeout: Duration) -> Result<Option<Message>, SocketError> {
        self.0.receive_timeout(timeout)
    }

    /// As [`WebSocket::iter`].
    pub fn iter(&self) -> Messages<'_> {
        self.0.iter()
    }

    /// As [`WebSocket::close_code`].
    pub fn close_code(&self) -> Option<CloseCode> {
        self.0.close_code()
    }
}

impl<'a> IntoIterator for &'a Receiver {
    type Item = Message;
    type IntoIter = Messages<'a>;

    fn into_iter(self) -> Messages<'a> {
        self.iter()
    }
}
