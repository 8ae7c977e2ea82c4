//! Why a connection is failed.

use super::message::CloseCode;
use std::fmt;

/// The peer broke a rule: what RFC 6455 section 7.1.7 calls *to fail the WebSocket connection*.
///
/// The connection ends, and a close frame with `code` and `reason` says so to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// For the close frame: 1002, 1007 or 1009.
    pub code: CloseCode,
    /// What is wrong, in a few lower-case words that are safe to send back.
    pub reason: &'static str,
}

impl Failure {
    pub(super) fn protocol(reason: &'static str) -> Self {
        let code = CloseCode::PROTOCOL_ERROR;
        Self { code, reason }
    }

    pub(super) fn data(reason: &'static str) -> Self {
        let code = CloseCode::INVALID_DATA;
        Self { code, reason }
    }

    pub(super) fn too_big(reason: &'static str) -> Self {
        let code = CloseCode::TOO_BIG;
        Self { code, reason }
    }

    pub(super) fn text() -> Self {
        Self::data("text is not UTF-8")
    }

    pub(super) fn message() -> Self {
        Self::too_big("message too big")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.reason)
    }
}

impl std::error::Error for Failure {}
