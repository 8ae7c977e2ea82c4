//! The response body: PEP 3333's iterable, and how it is handled.
//!
//! A server takes each chunk, sees to it that it is on the wire before the body
//! waits (and soon, if it does not), and closes the iterable when it is
//! exhausted, when it fails, when the client leaves, or when the server stops. Iteration is *internal* here: the server hands the body a
//! [`Sink`] and the body pushes into it. So a generator-style closure needs no
//! second stack: it runs on the thread of the connection, green or not, and may
//! block between its chunks. (Python needs a generator object for that; a Rust
//! `Iterator` would need a coroutine.)
//!
//! What must stay true:
//!
//! - whatever feeds a body is dropped exactly once: at its end, on an error, on a
//!   panic, when the sink fails, and when the body is never driven at all;
//! - [`Body::send_to`] has dropped it by the time it returns;
//! - a sink never sees an empty chunk, nor any chunk after it has failed;
//! - bodies need not be `Send`: they live and die on the thread that serves the
//!   connection.

mod chunk;
mod encode;
mod error;
mod into;
pub(crate) mod reader;
mod sink;
#[cfg(test)]
mod tests;
mod whole;

use std::fmt;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;

pub use self::chunk::IntoChunk;
pub use self::encode::BodyEncoder;
pub use self::error::{BodyError, Gone};
pub use self::into::IntoBody;
pub use self::sink::{Out, Sink};
pub use self::whole::WholeBody;
use crate::HttpError;

/// What feeds a stream. `FnOnce`, so that calling it consumes and drops it.
type Producer = Box<dyn FnOnce(&mut Out<'_>) -> Result<(), BodyError>>;

/// The body of a response.
///
/// | made by | the server sends |
/// |---|---|
/// | [`empty`](Body::empty), [`full`](Body::full) | one write with a Content-Length |
/// | [`iter`](Body::iter) | each item as soon as the iterator yields it |
/// | [`stream`](Body::stream) | each chunk as soon as the closure sends it |
/// | [`from_reader`](Body::from_reader) | what each read gives, 64 KiB at most |
///
/// ```
/// use greenway_app::{Body, Request, testing::Client};
///
/// fn count(_: Request) -> Body {
///     Body::stream(|out| {
///         out.send("START")?;
///         // sleep here: the client has START already
///         out.send("END")
///     })
/// }
///
/// let reply = Client::new(count).get("/").send();
/// assert_eq!(reply.chunks(), ["START", "END"]);
/// ```
#[derive(Default)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    /// Never empty: that is `Empty`.
    Full(Bytes),
    /// The text of an error, in whose place a page may be sent. Never empty.
    Error(Box<ErrorText>),
    Stream {
        producer: Producer,
        length: Option<u64>,
    },
}

/// What an error is where nobody makes a page for it.
struct ErrorText {
    text: Bytes,
    error: Arc<HttpError>,
}

impl Body {
    /// No bytes at all.
    #[must_use]
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// Bytes that are there already.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(if bytes.is_empty() {
            Kind::Empty
        } else {
            Kind::Full(bytes)
        })
    }

    /// What an error is by itself: a line of text.
    pub(crate) fn of_error(error: Arc<HttpError>) -> Self {
        Self(Kind::Error(Box::new(ErrorText {
            text: format!("{error}\n").into(),
            error,
        })))
    }

    /// The error whose text this is.
    pub(crate) fn error(&self) -> Option<&HttpError> {
        match &self.0 {
            Kind::Error(text) => Some(&text.error),
            Kind::Empty | Kind::Full(_) | Kind::Stream { .. } => None,
        }
    }

    /// The same, to be kept.
    pub(crate) fn shared_error(&self) -> Option<Arc<HttpError>> {
        match &self.0 {
            Kind::Error(text) => Some(Arc::clone(&text.error)),
            Kind::Empty | Kind::Full(_) | Kind::Stream { .. } => None,
        }
    }

    /// One chunk per item, each sent before the next is asked for. Items may be
    /// results; the first error ends the body.
    ///
    /// The iterator is made when the body is sent, and dropped before
    /// [`send_to`](Body::send_to) returns.
    ///
    /// ```
    /// use greenway_app::{Body, Request, testing::Client};
    ///
    /// let app = |_: Request| Body::iter((1..=3).map(|n| format!("{n}\n")));
    /// assert_eq!(Client::new(app).get("/").send().text(), "1\n2\n3\n");
    /// ```
    #[must_use]
    pub fn iter<I>(chunks: I) -> Self
    where
        I: IntoIterator<Item: IntoChunk> + 'static,
    {
        Self::stream(move |out| {
            for chunk in chunks {
                out.send(chunk)?;
            }
            Ok(())
        })
    }

    /// A body written by a closure that may block between its chunks: the
    /// primer's generator.
    ///
    /// The closure runs after the handler has returned, on the same thread. It
    /// may own the request's [`Input`](crate::Input) and read while it writes.
    /// Its error, like a panic, makes a clean error response as long as nothing
    /// has been sent, and cuts the connection afterwards.
    #[must_use]
    pub fn stream<F>(producer: F) -> Self
    where
        F: FnOnce(&mut Out<'_>) -> Result<(), BodyError> + 'static,
    {
        Self(Kind::Stream {
            producer: Box::new(producer),
            length: None,
        })
    }

    /// What a reader gives, in chunks of 64 KiB at most: a file, a pipe, another
    /// response.
    ///
    /// With a `length` in bytes the body has that Content-Length: what the
    /// reader has beyond it is not read, and a reader that ends earlier is an
    /// error ([`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof)), so that the
    /// client notices. A [`File`](std::fs::File) with a length of more than
    /// 64 KiB is sent by the kernel (`sendfile`) where the server can do that.
    ///
    /// ```
    /// use greenway_app::{Body, HttpError, Request, testing::Client};
    /// use std::fs::File;
    ///
    /// fn manifest(_: Request) -> Result<Body, HttpError> {
    ///     let file = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))?;
    ///     let length = file.metadata()?.len();
    ///     Ok(Body::from_reader(file, Some(length)))
    /// }
    ///
    /// assert!(Client::new(manifest).get("/").send().text().starts_with("[package]"));
    /// ```
    #[must_use]
    pub fn from_reader(reader: impl Read + 'static, length: Option<u64>) -> Self {
        let producer = Box::new(move |out: &mut Out<'_>| reader::copy(reader, length, out));
        Self(Kind::Stream { producer, length })
    }

    /// This body, which is known to have `length` bytes: a stream then has that
    /// Content-Length, and the server makes an error of any other number of
    /// bytes. No effect on one whose bytes are there already.
    ///
    /// ```
    /// use greenway_app::{Body, Request, testing::Client};
    ///
    /// let app = |_: Request| Body::iter(["ab", "c"]).with_length(3);
    /// assert_eq!(Client::new(app).get("/").send().text(), "abc");
    /// assert_eq!(Body::iter(["ab", "c"]).with_length(3).length(), Some(3));
    /// ```
    #[must_use]
    pub fn with_length(mut self, bytes: u64) -> Self {
        if let Kind::Stream { length, .. } = &mut self.0 {
            *length = Some(bytes);
        }
        self
    }

    /// The length in bytes, if it is known before the body is sent.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match &self.0 {
            Kind::Empty => Some(0),
            Kind::Full(bytes) => Some(bytes.len() as u64),
            Kind::Error(text) => Some(text.text.len() as u64),
            Kind::Stream { length, .. } => *length,
        }
    }

    /// Whether all bytes are there already (also when there are none).
    #[must_use]
    pub fn is_full(&self) -> bool {
        !matches!(self.0, Kind::Stream { .. })
    }

    /// Whether it is known that no bytes will come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length() == Some(0)
    }

    /// A body whose chunks pass through `f` on their way: for middleware that
    /// counts or replaces. Its length is unknown, and chunks that `f` empties
    /// are not sent. What has something to add at the end is an [`encode`](Body::encode)r.
    ///
    /// ```
    /// use greenway_app::{Body, Bytes, Request, testing::Client};
    ///
    /// let app = |_: Request| {
    ///     Body::iter(["a", "b"]).map_chunks(|chunk| Bytes::from(chunk.to_ascii_uppercase()))
    /// };
    /// assert_eq!(Client::new(app).get("/").send().chunks(), ["A", "B"]);
    /// ```
    #[must_use]
    pub fn map_chunks(self, f: impl FnMut(Bytes) -> Bytes + 'static) -> Self {
        Self::stream(move |out| self.send_to(&mut sink::Mapped { out, f }))
    }

    /// This body, with the head sent before the first chunk is asked for: for a
    /// client that is to know at once that it was accepted, while the first
    /// chunk may take its time. From then on an error cuts the connection, since
    /// no other answer can be given. The length becomes unknown.
    #[must_use]
    pub fn head_first(self) -> Self {
        self.after(|out| out.start())
    }

    /// This body, after something else was done with the way out.
    pub(crate) fn after<F>(self, first: F) -> Self
    where
        F: FnOnce(&mut Out<'_>) -> Result<(), BodyError> + 'static,
    {
        Self::stream(move |out| {
            first(out)?;
            match self.0 {
                Kind::Empty => Ok(()),
                Kind::Full(bytes) => out.send(bytes),
                Kind::Error(text) => out.send(text.text),
                Kind::Stream { producer, .. } => producer(out),
            }
        })
    }

    /// Sends the whole body into `sink` and drops what fed it. For servers.
    ///
    /// # Errors
    ///
    /// The producer's error, or the sink's. A producer that ignores a failure of
    /// the sink cannot turn it into a success.
    ///
    /// # Panics
    ///
    /// When the producer panics; it has been dropped then.
    pub fn send_to(self, sink: &mut dyn Sink) -> Result<(), BodyError> {
        match self.0 {
            Kind::Empty => Ok(()),
            Kind::Full(bytes) => sink.send(bytes),
            Kind::Error(text) => sink.send(text.text),
            Kind::Stream { producer, .. } => {
                let mut out = Out::new(sink);
                let result = producer(&mut out);
                result.and_then(|()| out.verdict())
            }
        }
    }

    /// The bytes, if they are all there: lets a server write head and body at
    /// once.
    ///
    /// # Errors
    ///
    /// Gives the body back if it is a stream.
    pub fn into_full(self) -> Result<Bytes, Body> {
        match self.0 {
            Kind::Empty => Ok(Bytes::new()),
            Kind::Full(bytes) => Ok(bytes),
            Kind::Error(text) => Ok(text.text),
            Kind::Stream { .. } => Err(self),
        }
    }

    /// As [`into_full`](Body::into_full), for one who carries a response to another thread and
    /// makes it a [`Body`] again there: what is the text of an error stays that, so that it is
    /// answered with the application's page.
    ///
    /// # Errors
    ///
    /// Gives the body back if it is a stream.
    pub fn into_whole(self) -> Result<WholeBody, Body> {
        let (bytes, error) = match self.0 {
            Kind::Empty => (Bytes::new(), None),
            Kind::Full(bytes) => (bytes, None),
            Kind::Error(text) => (text.text, Some(text.error)),
            Kind::Stream { .. } => return Err(self),
        };
        Ok(WholeBody { bytes, error })
    }

    /// As [`into_full`](Body::into_full), leaving an empty body behind; `None`
    /// (and no change) if it is a stream.
    pub fn take_full(&mut self) -> Option<Bytes> {
        match &mut self.0 {
            Kind::Empty => Some(Bytes::new()),
            Kind::Full(_) | Kind::Error(_) => std::mem::take(self).into_full().ok(),
            Kind::Stream { .. } => None,
        }
    }
}

impl From<WholeBody> for Body {
    fn from(whole: WholeBody) -> Self {
        match whole.error {
            Some(error) => Self(Kind::Error(Box::new(ErrorText {
                text: whole.bytes,
                error,
            }))),
            None => Self::full(whole.bytes),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Empty => f.write_str("Body::Empty"),
            Kind::Full(bytes) => write!(f, "Body::Full({} bytes)", bytes.len()),
            Kind::Error(text) => write!(f, "Body::Full({} bytes)", text.text.len()),
            Kind::Stream {
                length: Some(length),
                ..
            } => write!(f, "Body::Stream({length} bytes)"),
            Kind::Stream { length: None, .. } => f.write_str("Body::Stream"),
        }
    }
}
