//! What can end a WebSocket, or keep a call from doing what it should.

use super::{CloseCode, CloseFrame};
use greenway_app::{HttpError, StatusError};
use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

/// Why nothing was received or sent.
///
/// As an answer of a handler it is of no consequence: after an upgrade nobody reads a response.
/// So a handler may use `?` on it.
#[derive(Clone, PartialEq, Eq)]
pub struct WebSocketError {
    kind: ErrorKind,
    code: CloseCode,
    reason: Cow<'static, str>,
}

/// What kind of trouble a [`WebSocketError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The WebSocket is closed, or about to be: one of the sides has sent its close frame.
    Closed,
    /// The connection has ended without a close frame. Code 1006.
    Lost,
    /// The peer has broken the protocol or a limit; it was told why. Code 1002, 1007 or 1009.
    Protocol,
    /// The peer has not taken what was sent within the time for writing. Code 1006.
    TooSlow,
    /// The peer has answered no ping. Code 1006.
    Silent,
    /// The time that the caller gave is over. Nothing was sent or received, and the WebSocket
    /// can be used as before.
    TimedOut,
    /// The queue of what is to be sent is full. Nothing was sent, and the WebSocket can be used
    /// as before.
    Full,
}

impl WebSocketError {
    pub(super) fn new(
        kind: ErrorKind,
        code: CloseCode,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        let reason = reason.into();
        Self { kind, code, reason }
    }

    pub(super) fn closed(frame: &CloseFrame) -> Self {
        Self::new(ErrorKind::Closed, frame.code, frame.reason.clone())
    }

    pub(super) fn timed_out() -> Self {
        Self::new(
            ErrorKind::TimedOut,
            CloseCode::NO_STATUS,
            "the time is over",
        )
    }

    pub(super) fn full() -> Self {
        let reason = "too much waits to be sent";
        Self::new(ErrorKind::Full, CloseCode::NO_STATUS, reason)
    }

    /// What kind of trouble it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The close code: the peer's, if it has sent one; 1006 where the connection has ended
    /// without any, 1005 where it has not ended.
    #[must_use]
    pub fn code(&self) -> CloseCode {
        self.code
    }

    /// The same for people; the peer's own words, if it has closed. May be empty.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether the WebSocket can still be used: only a time is over, or a queue is full.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.kind, ErrorKind::TimedOut | ErrorKind::Full)
    }
}

impl fmt::Display for WebSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            ErrorKind::Closed => "the WebSocket is closed",
            ErrorKind::Lost => "the WebSocket's connection is lost",
            ErrorKind::Protocol => "the WebSocket's peer has broken the protocol",
            ErrorKind::TooSlow => "the WebSocket's peer is too slow",
            ErrorKind::Silent => "the WebSocket's peer has answered no ping",
            ErrorKind::TimedOut => return f.write_str("nothing came over the WebSocket in time"),
            ErrorKind::Full => return f.write_str("too much waits to be sent on the WebSocket"),
        };
        write!(f, "{what}: {}", self.code)?;
        if !self.reason.is_empty() {
            write!(f, " ({})", self.reason)?;
        }
        Ok(())
    }
}

impl fmt::Debug for WebSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebSocketError({self})")
    }
}

/// As an answer of a handler it is for the log only: a WebSocket that has ended is no fault of the
/// handler's (400), so it is not noted as one; a time that is over or a full queue is (500).
impl std::error::Error for WebSocketError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        static OVER: LazyLock<StatusError> =
            LazyLock::new(|| HttpError::new(400, "the WebSocket is over").into());
        if self.is_open() { None } else { Some(&*OVER) }
    }
}
