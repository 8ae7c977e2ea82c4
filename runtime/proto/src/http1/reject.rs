//! The one error of this module: a message that cannot be served.
//!
//! Every refusal closes the connection. Once a message was malformed nobody
//! knows where the next one starts, and guessing is how requests are smuggled
//! (RFC 9112 section 11.2).

use std::fmt;

use http::StatusCode;

/// Why a message cannot be served: the status to answer with, and the reason.
///
/// The fault is the client's when the status is 4xx; 5xx means that the
/// request is fine but asks for a part of HTTP that this server does not
/// speak. In both cases the answer ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject {
    /// The status of the answer.
    pub status: StatusCode,
    /// What is wrong, in a few lower-case words that are safe to send back:
    /// they never quote the request.
    pub reason: &'static str,
}

impl Reject {
    /// A refusal with a status of its own.
    pub(crate) const fn new(status: StatusCode, reason: &'static str) -> Self {
        Self { status, reason }
    }

    /// 400: the bytes are not HTTP, or not unambiguously so.
    pub const fn bad(reason: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// 408: what was begun did not come in time (RFC 9110 section 15.5.9).
    pub const fn timeout(reason: &'static str) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, reason)
    }

    /// 431: the head is larger than the limits allow (RFC 6585 section 5).
    pub(crate) const fn too_large(reason: &'static str) -> Self {
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, reason)
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status.as_str(), self.reason)
    }
}

impl std::error::Error for Reject {}
