//! A WebSocket of a test.

use super::PATIENCE;
use crate::websocket::{CloseCode, ErrorKind, Message, WebSocket};
use std::fmt;

/// The client's end of a WebSocket, made by [`Live::connect`](super::Live::connect). What goes
/// wrong fails the test.
///
/// Who drops it has left: the handler is told (1001), and is ended where it waits for something
/// else.
pub struct TestWebSocket {
    socket: WebSocket,
    what: String,
}

impl TestWebSocket {
    pub(super) fn new(socket: WebSocket, what: String) -> Self {
        Self { socket, what }
    }

    /// Sends a message.
    ///
    /// # Panics
    /// When the WebSocket has ended, or the server takes nothing for [`PATIENCE`](super::PATIENCE).
    #[track_caller]
    pub fn send(&self, message: impl Into<Message>) {
        if let Err(error) = self.socket.send_timeout(message, PATIENCE) {
            panic!("{}: sending: {error}", self.what);
        }
    }

    /// The next message, once it has come; `None` when the WebSocket has ended, in whatever way:
    /// see [`close_code`](Self::close_code).
    ///
    /// # Panics
    /// When nothing comes for [`PATIENCE`](super::PATIENCE).
    #[track_caller]
    #[must_use]
    pub fn receive(&self) -> Option<Message> {
        match self.socket.receive_timeout(PATIENCE) {
            Ok(message) => message,
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                panic!("{}: nothing has come for {PATIENCE:?}", self.what)
            }
            Err(_) => None,
        }
    }

    /// The next message, which is a text.
    ///
    /// # Panics
    /// When it is none, or the WebSocket has ended, and as [`receive`](Self::receive).
    #[track_caller]
    #[must_use]
    pub fn receive_text(&self) -> String {
        let message = self.receive();
        match message.as_ref().and_then(Message::as_text) {
            Some(text) => text.to_owned(),
            None => panic!(
                "{}: expected a text, got {message:?} (close code {:?})",
                self.what,
                self.close_code()
            ),
        }
    }

    /// Begins to close; [`receive`](Self::receive) gives what is still under way, and then `None`.
    ///
    /// # Panics
    /// As [`WebSocket::close`].
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.socket.close(code, reason);
    }

    /// How it has ended, if it has: see [`WebSocket::close_code`].
    #[must_use]
    pub fn close_code(&self) -> Option<CloseCode> {
        self.socket.close_code()
    }

    /// The WebSocket, for its other methods.
    #[must_use]
    pub fn websocket(&self) -> &WebSocket {
        &self.socket
    }
}

impl fmt::Debug for TestWebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TestWebSocket").field(&self.what).finish()
    }
}
