//! What travels over a WebSocket: messages, and the reason for an end.
//!
//! `tungstenite` has such types as well. These are Greenway's own, because applications name them
//! and what stands below them may change; because a message is whole here, never a ping or a frame;
//! and because a close code is a number that may be unknown. What may be sent is asked of
//! `tungstenite`'s table.

use bytes::Bytes;
use std::fmt;
use tungstenite::protocol::frame::coding;

/// A whole message: what `receive` gives and `send` takes.
///
/// Pings, pongs and the close frame are no messages; the connection deals with them itself.
///
/// ```
/// use greenway_proto::websocket::Message;
///
/// let message = Message::from("hello");
/// assert_eq!(message.as_text(), Some("hello"));
/// assert_eq!(message.len(), 5);
/// assert_eq!(Message::from(vec![1, 2]).as_bytes(), [1, 2]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Message {
    /// UTF-8, a string in a browser.
    Text(String),
    /// Any bytes, a `Blob` or `ArrayBuffer` in a browser. Clones share the memory.
    Binary(Bytes),
}

impl Message {
    /// The text, if it is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// The content of either kind as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The content of either kind as bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The length of the content in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the content is empty. Empty messages are messages: they are sent and received.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which of the two it is.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Self::Binary(Bytes::copy_from_slice(bytes))
    }
}

/// Which of the two kinds of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// Why a WebSocket ended, as a number (RFC 6455 section 7.4).
///
/// 1000 to 2999 belong to the protocol, 3000 to 3999 to libraries and frameworks, 4000 to 4999 to
/// applications.
///
/// ```
/// use greenway_proto::websocket::CloseCode;
///
/// assert_eq!(CloseCode::GOING_AWAY, CloseCode::from(1001));
/// assert!(CloseCode::from(4001).is_sendable());
/// assert!(!CloseCode::ABNORMAL.is_sendable());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: what the connection was for is done.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server goes down, or the browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a kind of data that this end does not take, such as binary.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1005: the close frame had no code. Never sent.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: the connection ended without a close frame. Never sent.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: data that is not what it claims to be, such as text that is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// 1008: against the rules of this end, when no other code says it better.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message that is too big.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: the client needs an extension that the server did not take.
    pub const EXTENSION_MISSING: Self = Self(1010);
    /// 1011: the server failed.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the server restarts; clients come back after a random delay.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the server is overloaded.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got a bad answer from the server behind it.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// 1015: the TLS handshake failed. Never sent.
    pub const TLS_HANDSHAKE: Self = Self(1015);

    /// The number.
    #[must_use]
    pub const fn as_u16(self) -> u16 {
        self.0
    }

    /// Whether the code may stand in a close frame: the registered codes that are meant for it,
    /// and 3000 to 4999. 1005, 1006 and 1015 describe an end without a close frame.
    #[must_use]
    pub fn is_sendable(self) -> bool {
        // tungstenite's table is older than the registration of 1014.
        self == Self::BAD_GATEWAY || coding::CloseCode::from(self.0).is_allowed()
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

/// The content of a close frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// Why.
    pub code: CloseCode,
    /// The same for people, at most 123 bytes on the wire; often empty.
    pub reason: String,
}

impl CloseFrame {
    /// The most bytes that a reason may have: a control frame holds 125, and the code takes two.
    pub const MAX_REASON: usize = 123;

    /// A code and a reason. A reason over [`MAX_REASON`](CloseFrame::MAX_REASON) bytes is cut
    /// behind the last whole character that fits.
    ///
    /// ```
    /// use greenway_proto::websocket::{CloseCode, CloseFrame};
    ///
    /// let frame = CloseFrame::new(CloseCode::NORMAL, "ö".repeat(100));
    /// assert_eq!(frame.reason.len(), 122);
    /// ```
    #[must_use]
    pub fn new(code: CloseCode, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        reason.truncate(reason.floor_char_boundary(Self::MAX_REASON));
        Self { code, reason }
    }
}

impl fmt::Display for CloseFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if !self.reason.is_empty() {
            write!(f, " ({})", self.reason)?;
        }
        Ok(())
    }
}
