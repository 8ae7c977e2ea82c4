//! Clients of servers: the same requests, sent somewhere else than to an application on the test's
//! own thread.

use std::any::Any;
use std::io;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};

use crate::{BodyError, Input};

/// A request as a client sends it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outgoing {
    /// Its method.
    pub method: Method,
    /// Its target, as it stands in the request line.
    pub target: String,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// All headers, Host and those that frame the body among them.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Input,
}

/// A response that comes from a server, beyond its head. Dropping it is leaving.
pub trait Incoming {
    /// The status.
    fn status(&self) -> StatusCode;

    /// The headers.
    fn headers(&self) -> &HeaderMap;

    /// The next chunk; `None` at the end.
    ///
    /// # Errors
    ///
    /// When the response was cut off.
    fn next_chunk(&mut self) -> Result<Option<Bytes>, BodyError>;
}

/// Where the requests of a [`Client`](super::Client) go that calls no application itself. A
/// server's own crate brings one: `testing::client_to` and `testing::TestServer` of `greenway`.
pub trait Remote: Any + Send + Sync {
    /// Scheme and authority of the server: `http://127.0.0.1:8000`.
    fn origin(&self) -> &str;

    /// Sends a request and waits for the head of its response.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, or does not answer. The test fails with it.
    fn open(&self, request: Outgoing) -> io::Result<Box<dyn Incoming>>;
}
