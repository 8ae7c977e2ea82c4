//! The two ends of a body in flight: the server's [`Sink`] and the producer's
//! [`Out`].
//!
//! `Out` keeps the promises that a sink may rely on: no empty chunks, and no
//! call after a failure.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};

use bytes::Bytes;

use super::chunk::IntoChunk;
use super::error::{BodyError, Gone};

/// Where a server receives the chunks of a body.
pub trait Sink {
    /// Sends one chunk. A server transmits it now, or sees to it that it is
    /// transmitted while the body goes on (PEP 3333): at the latest when the
    /// body waits or ends, and soon if it does neither. Never called with an
    /// empty chunk, nor after an error.
    ///
    /// # Errors
    ///
    /// [`BodyError::gone`] when the client has left; anything else that makes
    /// further chunks pointless.
    fn send(&mut self, chunk: Bytes) -> Result<(), BodyError>;

    /// The body has given an empty chunk: it has nothing yet, and may give
    /// another at once. What a server does between two attempts of a producer
    /// that waits in this way (others have their turn, a client that has left
    /// ends it) is done here; a server without such cares leaves this as it is.
    ///
    /// # Errors
    ///
    /// As [`send`](Sink::send).
    fn nothing_yet(&mut self) -> Result<(), BodyError> {
        Ok(())
    }

    /// Puts the head on the wire now, if it is not there: a client may wait for
    /// it long before there is a first chunk (server-sent events).
    ///
    /// # Errors
    ///
    /// As [`send`](Sink::send).
    fn start(&mut self) -> Result<(), BodyError>;

    /// Puts what was sent on the wire now, for a body that insists. A server
    /// that holds nothing back leaves this as it is.
    ///
    /// # Errors
    ///
    /// As [`send`](Sink::send).
    fn flush(&mut self) -> Result<(), BodyError> {
        Ok(())
    }

    /// Puts bytes of a file on the wire, from its position on, which is moved
    /// behind them: as many of `length` as need no waiting. Gives how many that
    /// were; whatever is in the way of more is for the next [`send`](Sink::send)
    /// to find. A server that cannot do it leaves this as it is: 0.
    ///
    /// # Errors
    ///
    /// As [`send`](Sink::send).
    fn send_file(&mut self, file: &File, length: u64) -> Result<u64, BodyError> {
        let _no_use_for_it = (file, length);
        Ok(0)
    }

    /// Reads from a file as [`Read`](io::Read) does, for a chunk that is sent next. A server whose
    /// threads are not to wait for a disk reads elsewhere; any other leaves this as it is.
    ///
    /// # Errors
    ///
    /// As [`File`]'s.
    fn read_file(&mut self, file: &File, buf: &mut [u8]) -> io::Result<usize> {
        let mut file = file;
        file.read(buf)
    }

    /// See [`Out::end_at_stop`]. A server that cannot do it leaves this as it
    /// is, and ends the body as any other.
    fn end_at_stop(&mut self, farewell: Bytes) {
        let _no_use_for_it = farewell;
    }
}

/// Where the closure of [`Body::stream`](super::Body::stream) sends its chunks.
///
/// It is an [`io::Write`] too, for encoders and `write!`; every write is a chunk
/// of its own, so wrap it in a [`BufWriter`](io::BufWriter) when writes are
/// small.
///
/// ```
/// use greenway_app::{Body, Request, testing::Client};
/// use std::io::Write;
///
/// let app = |_: Request| {
///     Body::stream(|out| {
///         let mut page = std::io::BufWriter::new(out);
///         writeln!(page, "one")?;
///         writeln!(page, "two")?;
///         Ok(page.flush()?)
///     })
/// };
/// assert_eq!(Client::new(app).get("/").send().chunks(), ["one\ntwo\n"]);
/// ```
pub struct Out<'a> {
    sink: &'a mut dyn Sink,
    /// Set by the first failure of the sink: whether the client had gone.
    failed: Option<bool>,
}

impl<'a> Out<'a> {
    pub(super) fn new(sink: &'a mut dyn Sink) -> Self {
        Self { sink, failed: None }
    }

    /// Sends a chunk. An empty one means "nothing yet" (PEP 3333 lets
    /// applications yield those): nothing is sent, and others of the worker have
    /// their turn.
    ///
    /// The first chunk after a pause is on the wire when this returns. Chunks
    /// that follow it without a pause gather, and leave together: when the body
    /// waits for anything, when there is enough of them, when the body ends, and
    /// in any case after about a millisecond, also while the body computes.
    ///
    /// # Errors
    ///
    /// When the chunk is an `Err`, or the client has left
    /// ([`BodyError::is_gone`]): stop, and pass the error on with `?`. Every
    /// later call fails too.
    pub fn send(&mut self, chunk: impl IntoChunk) -> Result<(), BodyError> {
        let chunk = chunk.into_chunk()?;
        self.verdict()?;
        let result = if chunk.is_empty() {
            self.sink.nothing_yet()
        } else {
            self.sink.send(chunk)
        };
        self.note(result)
    }

    /// Returns when all that was sent is on the wire, instead of leaving that to
    /// the server: for a body that is about to do what must not come first.
    ///
    /// # Errors
    ///
    /// As [`send`](Out::send).
    pub fn flush(&mut self) -> Result<(), BodyError> {
        self.verdict()?;
        let result = self.sink.flush();
        self.note(result)
    }

    /// Sends the head now, before the first chunk.
    ///
    /// # Errors
    ///
    /// As [`send`](Out::send).
    pub fn start(&mut self) -> Result<(), BodyError> {
        self.verdict()?;
        let result = self.sink.start();
        self.note(result)
    }

    /// From now on the body may be ended at once when the server stops: it is
    /// not given the grace period but unwound at its next wait, between two
    /// chunks. Its destructors run, then `farewell` (which may be empty) is
    /// sent as its last chunk, and for the client the response is whole.
    ///
    /// For streams that would go on for ever, whose clients come again by
    /// themselves: server-sent events, long polls. A later call replaces the
    /// farewell. It passes through an [`encode`](super::Body::encode)r that knows how, and not through
    /// [`map_chunks`](super::Body::map_chunks), since what maps the chunks has
    /// been unwound by then: such a body ends without it.
    ///
    /// ```
    /// use greenway_app::Body;
    ///
    /// let ticks = Body::stream(|out| {
    ///     out.end_at_stop("retry: 3000\n\n")?;
    ///     out.start()?;
    ///     loop {
    ///         // wait for an event
    ///         out.send("data: tick\n\n")?;
    /// #       return Ok(());
    ///     }
    /// });
    /// # drop(ticks);
    /// ```
    ///
    /// # Errors
    ///
    /// When the farewell is an `Err`, or a chunk could not be sent before.
    pub fn end_at_stop(&mut self, farewell: impl IntoChunk) -> Result<(), BodyError> {
        let farewell = farewell.into_chunk()?;
        self.verdict()?;
        self.sink.end_at_stop(farewell);
        Ok(())
    }

    /// As [`Sink::send_file`].
    pub(crate) fn send_file(&mut self, file: &File, length: u64) -> Result<u64, BodyError> {
        self.verdict()?;
        let result = self.sink.send_file(file, length);
        self.note(result)
    }

    /// As [`Sink::read_file`].
    pub(crate) fn read_file(&mut self, file: &File, buf: &mut [u8]) -> io::Result<usize> {
        self.sink.read_file(file, buf)
    }

    fn note<T>(&mut self, result: Result<T, BodyError>) -> Result<T, BodyError> {
        if let Err(error) = &result {
            self.failed = Some(error.is_gone());
        }
        result
    }

    /// An error if the sink has failed before.
    pub(super) fn verdict(&self) -> Result<(), BodyError> {
        match self.failed {
            None => Ok(()),
            Some(true) => Err(Gone.into()),
            Some(false) => Err(SinkFailed.into()),
        }
    }
}

/// `write` sends a copy as one chunk, `flush` is [`Out::flush`].
impl io::Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(Bytes::copy_from_slice(bytes))
            .map_err(BodyError::into_io)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Out::flush(self).map_err(BodyError::into_io)
    }
}

impl fmt::Debug for Out<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Out")
            .field("failed", &self.failed.is_some())
            .finish_non_exhaustive()
    }
}

/// What a producer gets that sends on after the sink failed; the first error
/// carried the reason.
#[derive(Debug)]
struct SinkFailed;

impl fmt::Display for SinkFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an earlier chunk could not be sent")
    }
}

impl std::error::Error for SinkFailed {}

/// The sink between a mapped body and the real one.
pub(super) struct Mapped<'o, 'a, F> {
    pub(super) out: &'o mut Out<'a>,
    pub(super) f: F,
}

impl<F: FnMut(Bytes) -> Bytes> Sink for Mapped<'_, '_, F> {
    fn send(&mut self, chunk: Bytes) -> Result<(), BodyError> {
        self.out.send((self.f)(chunk))
    }

    fn nothing_yet(&mut self) -> Result<(), BodyError> {
        self.out.send(Bytes::new())
    }

    fn start(&mut self) -> Result<(), BodyError> {
        self.out.start()
    }

    fn flush(&mut self) -> Result<(), BodyError> {
        self.out.flush()
    }

    fn read_file(&mut self, file: &File, buf: &mut [u8]) -> io::Result<usize> {
        self.out.read_file(file, buf)
    }

    fn end_at_stop(&mut self, _: Bytes) {
        self.out.sink.end_at_stop(Bytes::new());
    }
}
