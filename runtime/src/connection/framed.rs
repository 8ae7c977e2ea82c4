//! A stream whose protocol marks where messages end: a stream of HTTP/2.
//!
//! A connection of HTTP/1 writes heads and marks ends into one stream of bytes. Here each exchange
//! has a stream of its own, whose bytes are those of the bodies alone; heads, ends and the client's
//! departure are told apart from them. All else of an exchange is the same, and is the same code:
//! the application's call, clocks, error pages, logs, counters.

use bytes::Bytes;
use greenway_proto::http1::{Date, Plan};
use http::{HeaderMap, HeaderValue, StatusCode};
use std::io;
use std::time::Instant;

/// A response's head.
#[cfg_attr(
    not(feature = "http2"),
    expect(dead_code, reason = "no other stream is framed")
)]
pub(crate) struct FramedHead<'a> {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<&'a HeaderValue>,
    pub(crate) headers: Option<&'a HeaderMap>,
    pub(crate) plan: &'a Plan,
    pub(crate) date: &'a Date,
}

/// What a framed stream can do beyond bytes.
pub(crate) trait Framed {
    /// Sends the head of the response. If nothing follows it, that is the end.
    ///
    /// # Errors
    /// When the client has left; here and below.
    fn send_head(&self, head: &FramedHead<'_>) -> io::Result<()>;
    /// Sends an interim response.
    fn send_interim(&self, status: StatusCode, headers: Option<&HeaderMap>) -> io::Result<()>;
    /// Gives the stream to another protocol, whose bytes may go both ways from here on.
    fn send_switch(&self, headers: &HeaderMap) -> io::Result<()>;
    /// Sends some of the body's `bytes` without waiting, and keeps them instead of copying them.
    /// `WouldBlock` if there is no room.
    fn give_now(&self, bytes: &Bytes) -> io::Result<usize>;
    /// The same, waiting for room; `TimedOut` at the deadline.
    fn give(&self, bytes: &Bytes, deadline: Option<Instant>) -> io::Result<usize>;
    /// Ends the response, unless what was sent has ended it.
    fn end_message(&self) -> io::Result<()>;
    /// Whether the client has left. If not, the calling thread is woken when it does.
    fn has_left(&self) -> bool;
}
