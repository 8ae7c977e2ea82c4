//! The request body, read when the handler asks for it: `wsgi.input`.
//!
//! A server hands over an [`InputSource`] that speaks its framing; [`Input`]
//! wraps it so that handlers see an ordinary [`BufRead`] that ends where the
//! body ends.
//!
//! What must stay true: reading past the end gives 0 bytes for ever (PEP 3333
//! asks servers to simulate end-of-file), the source is never asked again after
//! it said "end", and a request without a body costs no allocation.

use std::fmt;
use std::io::{self, BufRead, Read};

use bytes::{Buf, Bytes};

use crate::HttpError;

/// The server's end of a request body.
///
/// The methods are those of [`BufRead`], so that a body can be read without
/// copying it out of the connection's buffer.
pub trait InputSource {
    /// Bytes that are here now; waits when there are none. Empty means that the
    /// body is complete; it is not called again after that.
    ///
    /// # Errors
    ///
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) when the client stopped
    /// before the declared end. An [`HttpError`] wrapped by [`io::Error::other`]
    /// (a 408, a 413, a 400 for broken chunks) is what the client will be
    /// answered with if the handler passes the error on.
    fn fill_buf(&mut self) -> io::Result<&[u8]>;

    /// Marks `n` bytes of the last [`fill_buf`](InputSource::fill_buf) as read.
    fn consume(&mut self, n: usize);

    /// The exact length of the whole body in bytes, if it was declared.
    fn length(&self) -> Option<u64>;
}

/// The body of a request as a bounded, blocking reader.
///
/// ```
/// use std::io::{BufRead, Read};
/// use greenway_app::Input;
///
/// let mut input = Input::full("first\nsecond");
/// let mut line = String::new();
/// input.read_line(&mut line)?;
/// assert_eq!(line, "first\n");
/// line.clear();
/// input.read_to_string(&mut line)?;
/// assert_eq!(line, "second");
/// assert_eq!(input.read(&mut [0; 8])?, 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Default)]
pub struct Input {
    kind: Kind,
    length: Option<u64>,
    ended: bool,
}

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    Source(Box<dyn InputSource>),
}

impl Input {
    /// A body of no bytes. Does not allocate.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            kind: Kind::Empty,
            length: Some(0),
            ended: true,
        }
    }

    /// A body that is in memory already.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let length = bytes.len();
        Self {
            kind: Kind::Full(bytes),
            length: Some(length as u64),
            ended: length == 0,
        }
    }

    /// What is left of it, if that is in memory.
    pub(crate) fn full_copy(&self) -> Option<Bytes> {
        match &self.kind {
            Kind::Empty => Some(Bytes::new()),
            Kind::Full(bytes) => Some(bytes.clone()),
            Kind::Source(_) => None,
        }
    }

    /// A body that arrives while it is read.
    #[must_use]
    pub fn new(source: Box<dyn InputSource>) -> Self {
        let length = source.length();
        Self {
            kind: Kind::Source(source),
            length,
            ended: length == Some(0),
        }
    }

    /// From here on it fails with a 413 once it would give more than `bytes`. One that is known to
    /// have more left gives none of it.
    pub(crate) fn limit(&mut self, bytes: u64) {
        let known = match &self.kind {
            Kind::Empty => return,
            Kind::Full(full) => Some(full.len() as u64),
            Kind::Source(_) => self.length,
        };
        let source = match std::mem::take(&mut self.kind) {
            Kind::Source(source) => source,
            Kind::Empty => Box::new(Memory(Bytes::new())),
            Kind::Full(full) => Box::new(Memory(full)),
        };
        self.kind = Kind::Source(Box::new(Limited {
            source,
            most: bytes,
            left: if known.is_some_and(|known| known > bytes) {
                0
            } else {
                bytes
            },
        }));
    }

    /// Length of the whole body in bytes, however much of it has been read;
    /// `None` when the client did not say (chunked transfer coding).
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether it is known that no byte is left. `false` also means "nobody
    /// knows before reading".
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ended
    }

    /// Reads what is left, at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// 413 when there are more than `limit` bytes, 400 when the client stopped
    /// early or left, 408 when it took too long, and the [`HttpError`] inside an
    /// [`io::Error`] as it is. What was read so far is lost.
    pub fn read_all(&mut self, limit: usize) -> Result<Bytes, HttpError> {
        let too_large = || HttpError::new(413, format!("the body exceeds {limit} bytes"));
        if let Kind::Full(bytes) = &mut self.kind {
            if bytes.len() > limit {
                return Err(too_large());
            }
            self.ended = true;
            return Ok(std::mem::take(bytes));
        }
        if !self.ended && self.length.is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let mut all = Vec::new();
        loop {
            let chunk = match self.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(input_error(error)),
            };
            if chunk.is_empty() {
                return Ok(all.into());
            }
            if chunk.len() > limit - all.len() {
                return Err(too_large());
            }
            // Grows with what has arrived, not with what was promised: a declared
            // length of gigabytes reserves nothing.
            all.extend_from_slice(chunk);
            let taken = chunk.len();
            self.consume(taken);
        }
    }
}

/// A body that is in memory, for [`Limited`].
struct Memory(Bytes);

impl InputSource for Memory {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(&self.0)
    }

    fn consume(&mut self, n: usize) {
        self.0.advance(n.min(self.0.len()));
    }

    fn length(&self) -> Option<u64> {
        None
    }
}

/// A source that gives so many bytes and no more.
struct Limited {
    source: Box<dyn InputSource>,
    most: u64,
    left: u64,
}

impl InputSource for Limited {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let chunk = self.source.fill_buf()?;
        if chunk.is_empty() {
            return Ok(chunk);
        }
        if self.left == 0 {
            let message = format!("the body exceeds {} bytes", self.most);
            return Err(HttpError::new(413, message).into());
        }
        let given = usize::try_from(self.left).map_or(chunk.len(), |left| chunk.len().min(left));
        Ok(&chunk[..given])
    }

    fn consume(&mut self, n: usize) {
        self.left = self.left.saturating_sub(n as u64);
        self.source.consume(n);
    }

    fn length(&self) -> Option<u64> {
        self.source.length()
    }
}

/// A body that cannot be read is the client's doing, unless the error says more.
pub(crate) fn input_error(error: io::Error) -> HttpError {
    use io::ErrorKind as Kind;
    let (status, message) = match error.kind() {
        Kind::UnexpectedEof => (400, "the body ended early"),
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => {
            (400, "the client left within the body")
        }
        Kind::TimedOut | Kind::WouldBlock => (408, "the body took too long"),
        _ => return HttpError::from(error),
    };
    if error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<crate::StatusError>)
    {
        return HttpError::from(error);
    }
    HttpError::new(status, message).with_source(error)
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.ended {
            return Ok(&[]);
        }
        match &mut self.kind {
            Kind::Empty => Ok(&[]),
            Kind::Full(bytes) => Ok(bytes),
            Kind::Source(source) => {
                let chunk = source.fill_buf()?;
                self.ended = chunk.is_empty();
                Ok(chunk)
            }
        }
    }

    fn consume(&mut self, n: usize) {
        match &mut self.kind {
            Kind::Empty => {}
            Kind::Full(bytes) => {
                bytes.advance(n.min(bytes.len()));
                self.ended = bytes.is_empty();
            }
            Kind::Source(source) => {
                if !self.ended {
                    source.consume(n);
                }
            }
        }
    }
}

impl Read for Input {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let chunk = self.fill_buf()?;
        let taken = chunk.len().min(out.len());
        out[..taken].copy_from_slice(&chunk[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("length", &self.length)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    type Steps = Vec<io::Result<&'static [u8]>>;
    type Case = (Steps, Option<u64>, Result<&'static [u8], u16>);

    /// Plays back reads; panics when asked again after its end.
    struct Script {
        steps: VecDeque<io::Result<&'static [u8]>>,
        length: Option<u64>,
        over: bool,
    }

    impl InputSource for Script {
        fn fill_buf(&mut self) -> io::Result<&[u8]> {
            assert!(!self.over, "asked again after the end");
            match self.steps.front() {
                None => {
                    self.over = true;
                    Ok(&[])
                }
                Some(Ok(chunk)) => Ok(chunk),
                Some(Err(_)) => self.steps.pop_front().unwrap_or(Ok(&[])),
            }
        }

        fn consume(&mut self, n: usize) {
            if let Some(Ok(chunk)) = self.steps.front_mut() {
                *chunk = &chunk[n..];
                if chunk.is_empty() {
                    self.steps.pop_front();
                }
            }
        }

        fn length(&self) -> Option<u64> {
            self.length
        }
    }

    fn script(steps: Steps, length: Option<u64>) -> Input {
        Input::new(Box::new(Script {
            steps: steps.into(),
            length,
            over: false,
        }))
    }

    #[test]
    fn reading_past_the_end_gives_nothing_for_ever() {
        for mut input in [
            Input::empty(),
            Input::full("abc"),
            script(vec![Ok(b"a"), Ok(b"bc")], Some(3)),
            script(vec![], None),
            Input::default(),
        ] {
            let mut all = Vec::new();
            input.read_to_end(&mut all).unwrap();
            assert!(all == b"abc" || all.is_empty());
            for _ in 0..3 {
                assert_eq!(input.read(&mut [0; 4]).unwrap(), 0);
                assert!(input.fill_buf().unwrap().is_empty());
                input.consume(0);
            }
        }
    }

    #[test]
    fn length_is_that_of_the_whole_body() {
        let mut input = Input::full("abc");
        assert!(!input.is_empty());
        input.read_exact(&mut [0; 3]).unwrap();
        assert_eq!(input.length(), Some(3));
        assert!(input.is_empty());
        assert_eq!(script(vec![], None).length(), None);
        assert!(script(vec![], Some(0)).is_empty());
    }

    #[test]
    fn read_all_counts_to_the_limit() {
        let cases: [Case; 9] = [
            (vec![Ok(b"ab"), Ok(b"cd")], None, Ok(b"abcd")),
            (vec![Ok(b"ab"), Ok(b"cde")], None, Err(413)),
            (vec![Ok(b"never read")], Some(5), Err(413)),
            (
                vec![Ok(b"ab"), Err(io::ErrorKind::Interrupted.into()), Ok(b"cd")],
                None,
                Ok(b"abcd"),
            ),
            (
                vec![Ok(b"ab"), Err(io::ErrorKind::UnexpectedEof.into())],
                Some(4),
                Err(400),
            ),
            (
                vec![Err(io::ErrorKind::ConnectionReset.into())],
                Some(4),
                Err(400),
            ),
            (vec![Err(io::ErrorKind::TimedOut.into())], Some(4), Err(408)),
            (
                vec![Err(HttpError::new(422, "odd").into())],
                Some(4),
                Err(422),
            ),
            (
                vec![Err(io::Error::other("disk on fire"))],
                Some(4),
                Err(500),
            ),
        ];
        for (steps, length, expected) in cases {
            let shown = format!("{steps:?}");
            let got = script(steps, length).read_all(4);
            match expected {
                Ok(bytes) => assert_eq!(got.unwrap(), bytes, "{shown}"),
                Err(status) => assert_eq!(got.unwrap_err().status(), status, "{shown}"),
            }
        }
        assert_eq!(Input::full("abcde").read_all(4).unwrap_err().status(), 413);
        assert_eq!(Input::full("abcd").read_all(4).unwrap(), "abcd");
    }

    #[test]
    fn a_timeout_that_carries_its_answer_keeps_it() {
        let inner = io::Error::new(
            io::ErrorKind::TimedOut,
            crate::StatusError::from(HttpError::new(503, "draining")),
        );
        assert_eq!(
            script(vec![Err(inner)], None)
                .read_all(9)
                .unwrap_err()
                .status(),
            503
        );
    }
}
