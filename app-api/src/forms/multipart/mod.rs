//! Multipart forms as a stream (RFC 7578): one part after another, each a reader.
//!
//! What must stay true: memory is bounded by one read and the headers of one part, however large
//! the form is; and a part that was not read to its end is passed over, never taken for the next.

mod head;
mod parser;
#[cfg(test)]
mod tests;

use self::head::PartHead;
use self::parser::{Parser, Step};
use super::save::{self, safe_filename};
use crate::input::input_error;
use crate::media_type::MediaType;
use crate::message::shortened;
use crate::unblocker::{self, Unblocker};
use crate::{HttpError, Limits};
use std::fmt;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

/// Why a form is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Refusal {
    status: u16,
    reason: &'static str,
}

impl Refusal {
    fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason }
    }

    fn malformed(reason: &'static str) -> Self {
        Self::new(400, reason)
    }
}

impl From<Refusal> for HttpError {
    fn from(refusal: Refusal) -> Self {
        HttpError::new(refusal.status, refusal.reason)
    }
}

/// The parts of a multipart form, in their order, as they arrive.
///
/// [`Request::multipart`](crate::Request::multipart) makes one for the body of a request.
///
/// ```
/// use std::io::Read;
/// use greenway_app::{Limits, forms::Multipart};
///
/// let body = "--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhi\r\n--b--\r\n";
/// let content_type = "multipart/form-data; boundary=b";
/// let mut form = Multipart::new(body.as_bytes(), content_type, &Limits::default())?;
/// while let Some(mut part) = form.next_part()? {
///     let mut text = String::new();
///     part.read_to_string(&mut text)?;
///     assert_eq!((part.name(), text.as_str()), ("note", "hi"));
/// }
/// # Ok::<(), greenway_app::HttpError>(())
/// ```
pub struct Multipart<R> {
    reader: R,
    parser: Parser,
    /// For what [`Part::save`] does to a disk.
    unblock: Unblocker,
}

impl<R: Read> Multipart<R> {
    /// A form that `reader` brings, which needs no buffer of its own.
    ///
    /// # Errors
    ///
    /// 415 if `content_type` is not `multipart/form-data`, 400 if it has no boundary or one that
    /// RFC 2046 does not allow.
    pub fn new(reader: R, content_type: &str, limits: &Limits) -> Result<Self, HttpError> {
        let media_type = MediaType::parse(content_type);
        if !media_type.is("multipart/form-data") {
            return Err(HttpError::new(415, "a multipart form is expected"));
        }
        let boundary = media_type.parameter("boundary").unwrap_or("");
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&b);
        if boundary.is_empty()
            || boundary.len() > 70
            || boundary.ends_with(' ')
            || !boundary.bytes().all(allowed)
        {
            return Err(HttpError::new(
                400,
                "the form's boundary is missing or malformed",
            ));
        }
        Ok(Self {
            reader,
            parser: Parser::new(boundary, limits),
            unblock: unblocker::here,
        })
    }

    /// From now on parts are saved by the server's way to do what blocks.
    pub(super) fn with_unblocker(mut self, unblock: Unblocker) -> Self {
        self.unblock = unblock;
        self
    }

    /// The next part; what is left of the one before is passed over. `None` after the last.
    ///
    /// # Errors
    ///
    /// 400 if the form is malformed or ends early, 413 beyond a limit, 415 for a part in base64 or
    /// the like, 431 for headers beyond their limit; and whatever reading the body ends with.
    /// There are no more parts after an error.
    pub fn next_part(&mut self) -> Result<Option<Part<'_, R>>, HttpError> {
        loop {
            match self.step().map_err(input_error)? {
                Step::Head(head) => {
                    return Ok(Some(Part {
                        head,
                        form: self,
                        ended: false,
                    }));
                }
                Step::Data(n) => self.parser.consume(n),
                Step::PartEnd => {}
                Step::End => {
                    // What follows has no meaning, but the request is not over before it is read.
                    if self.fill().map_err(input_error)? == 0 {
                        return Ok(None);
                    }
                }
                Step::NeedMore => unreachable!("`step` has asked for more"),
            }
        }
    }

    /// What comes next, when the bytes for it are there.
    fn step(&mut self) -> io::Result<Step> {
        loop {
            match self.parser.next() {
                Ok(Step::NeedMore) => self.fill()?,
                Ok(step) => return Ok(step),
                Err(refusal) => return Err(HttpError::from(refusal).into()),
            };
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let n = loop {
            match self.reader.read(self.parser.space()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        if n == 0 {
            self.parser.end_of_input();
        }
        self.parser.filled(n);
        Ok(n)
    }
}

impl<R> fmt::Debug for Multipart<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multipart").finish_non_exhaustive()
    }
}

/// One part of a multipart form: a text field or a file, to be read as it arrives.
///
/// Reading ends where the part does. It fails as [`Multipart::next_part`] does, with the
/// [`HttpError`] inside the [`io::Error`]; `?` in a handler brings it out again.
pub struct Part<'a, R> {
    head: PartHead,
    form: &'a mut Multipart<R>,
    ended: bool,
}

impl<R: Read> Part<'_, R> {
    /// The name of the field in the form.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.head.name
    }

    /// Whether it is a file, which is what has a file name; also one that the user has not chosen,
    /// whose name is empty.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.head.filename.is_some()
    }

    /// A name for the file that is safe to use; see
    /// [`FileUpload::filename`](super::FileUpload::filename). Empty if it is none.
    #[must_use]
    pub fn filename(&self) -> String {
        self.raw_filename().map(safe_filename).unwrap_or_default()
    }

    /// The name of the file as the client has sent it: anything at all, a path for example.
    #[must_use]
    pub fn raw_filename(&self) -> Option<&str> {
        self.head.filename.as_deref()
    }

    /// The Content-Type that the client claims.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.header("content-type")
    }

    /// The first header of the part of this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// What is left of the part, which must be at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// 413 beyond `limit`, and as [`Multipart::next_part`].
    pub fn read_all(&mut self, limit: usize) -> Result<Vec<u8>, HttpError> {
        let mut all = Vec::new();
        loop {
            let chunk = self.fill_buf().map_err(input_error)?;
            if chunk.is_empty() {
                return Ok(all);
            }
            if chunk.len() > limit - all.len() {
                let name = shortened(self.name());
                let message = format!("the part `{name}` of the form exceeds {limit} bytes");
                return Err(HttpError::new(413, message));
            }
            all.extend_from_slice(chunk);
            let taken = chunk.len();
            self.consume(taken);
        }
    }

    /// What is left of the part as text, in at most `limit` bytes; what is not UTF-8 becomes
    /// U+FFFD.
    ///
    /// # Errors
    ///
    /// As [`read_all`](Part::read_all).
    pub fn text(&mut self, limit: usize) -> Result<String, HttpError> {
        let bytes = self.read_all(limit)?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// Writes what is left of the part into a new file of the folder `dir`, named
    /// [`filename`](Part::filename), and gives its path. The file is there once it is complete.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) if there is a file of this name; otherwise
    /// as reading the part, or as writing the file.
    pub fn save(&mut self, dir: impl AsRef<Path>) -> io::Result<PathBuf> {
        let name = safe_filename(self.raw_filename().unwrap_or(""));
        let unblock = self.form.unblock;
        save::save(self, dir.as_ref(), &name, save::Existing::Refuse, unblock)
    }
}

impl<R: Read> BufRead for Part<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if !self.ended {
            match self.form.step()? {
                Step::Data(_) => {}
                // Only the end of a part comes between its data and another part.
                _ => self.ended = true,
            }
        }
        if self.ended {
            return Ok(&[]);
        }
        Ok(self.form.parser.data())
    }

    fn consume(&mut self, n: usize) {
        if !self.ended {
            self.form.parser.consume(n);
        }
    }
}

impl<R: Read> Read for Part<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let chunk = self.fill_buf()?;
        let taken = chunk.len().min(out.len());
        out[..taken].copy_from_slice(&chunk[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}

impl<R> fmt::Debug for Part<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("name", &self.head.name)
            .field("filename", &self.head.filename)
            .finish_non_exhaustive()
    }
}
