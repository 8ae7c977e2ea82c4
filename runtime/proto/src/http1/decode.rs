//! Where the body is.
//!
//! A [`Decoder`] stands between the buffer of a connection and whoever reads a
//! request's body. It takes the framing off the front of the buffer and says
//! how many of the bytes that follow are body; it never copies any, and it
//! never looks past the end of the body, where the next head starts.
//!
//! ```text
//!   Length(n):  Data ... Data -> End
//!
//!   UntilEnd:   Data ... Data -> (the stream ends) -> End
//!
//!   Chunked:    +-> Size --n>0--> Data -> DataEnd -+
//!               |    |                             |
//!               |    +--0--> Trailers -> End       |
//!               +----------------------------------+
//! ```
//!
//! An end of input before `End` is the caller's to notice: this module cannot
//! see it. It must never be taken for the end of the body
//! (RFC 9112 section 8).

use bytes::{Buf, Bytes, BytesMut};

use super::fields::BodyLength;
use super::line::{LineError, find_line, is_token, is_value_byte};
use super::reject::Reject;

/// The most bytes of a chunk's size line, its extensions included.
const MAX_CHUNK_LINE: usize = 256;

/// The most bytes of chunk extensions in one body. RFC 9112 section 7.1.1: a
/// server ought to limit their total, for they are read and thrown away.
const MAX_EXTENSIONS: usize = 16 * 1024;

/// The most bytes of the trailer section, and the most fields in it.
const MAX_TRAILERS: usize = 8 * 1024;
const MAX_TRAILER_FIELDS: usize = 100;

/// What stands at the front of the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The first so many bytes are body; at least 1.
    Data(usize),
    /// More bytes have to arrive before anything can be said.
    NeedMore,
    /// The body is over. What follows belongs to the next request.
    End,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// A body of known length; `left` bytes are missing.
    Length,
    /// A body that ends where the stream does; `left` is as much as can be counted.
    UntilEnd,
    /// The line that says how large the next chunk is.
    Size,
    /// Inside a chunk; `left` bytes are missing.
    Data,
    /// The CRLF behind a chunk's data.
    DataEnd,
    /// The trailer section behind the last chunk.
    Trailers,
    Done,
    Failed(Reject),
}

/// Takes the framing off one request body.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    left: u64,
    total: u64,
    /// How many bytes of the current line were searched for its end.
    scanned: usize,
    extensions: usize,
    trailers: usize,
    trailer_fields: usize,
}

impl Decoder {
    /// A decoder for the body that follows a head.
    pub fn new(length: BodyLength) -> Self {
        let (state, left) = match length {
            BodyLength::None | BodyLength::Length(0) => (State::Done, 0),
            BodyLength::Length(left) => (State::Length, left),
            BodyLength::Chunked => (State::Size, 0),
            BodyLength::UntilEnd => (State::UntilEnd, u64::MAX),
        };
        Self {
            state,
            left,
            total: 0,
            scanned: 0,
            extensions: 0,
            trailers: 0,
            trailer_fields: 0,
        }
    }

    /// Removes framing bytes from the front of `buf` and says what follows.
    ///
    /// Data stays where it is until [`take`](Self::take) is called;
    /// without that, the answer stays the same. After `NeedMore`, bytes may
    /// only be added at the end of `buf`.
    ///
    /// # Errors
    ///
    /// 400 for malformed framing, 431 for a trailer section beyond its bounds.
    /// The connection has to be closed; further calls repeat the error, so
    /// that a reader that goes on regardless gets no bytes of unknown meaning.
    pub fn next(&mut self, buf: &mut BytesMut) -> Result<Step, Reject> {
        self.advance(buf)
            .inspect_err(|reject| self.state = State::Failed(*reject))
    }

    fn advance(&mut self, buf: &mut BytesMut) -> Result<Step, Reject> {
        loop {
            match self.state {
                State::Length | State::UntilEnd | State::Data => {
                    // Cannot truncate: it is at most the length of `buf`.
                    let here = self.left.min(buf.len() as u64) as usize;
                    return Ok(if here > 0 {
                        Step::Data(here)
                    } else {
                        Step::NeedMore
                    });
                }
                State::Size => {
                    let found = find_line(buf, &mut self.scanned, MAX_CHUNK_LINE);
                    let Some(length) = found.map_err(chunk_line)? else {
                        return Ok(Step::NeedMore);
                    };
                    let (size, extensions) = parse_size(&buf[..length])?;
                    // Cannot overflow: each is at most MAX_CHUNK_LINE, and the
                    // sum is checked each time.
                    self.extensions += extensions;
                    if self.extensions > MAX_EXTENSIONS {
                        return Err(Reject::bad("chunk extensions too long"));
                    }
                    buf.advance(length + 2);
                    self.left = size;
                    self.state = if size > 0 {
                        State::Data
                    } else {
                        State::Trailers
                    };
                }
                State::DataEnd => match **buf {
                    [b'\r', b'\n', ..] => {
                        buf.advance(2);
                        self.state = State::Size;
                    }
                    [] | [b'\r'] => return Ok(Step::NeedMore),
                    _ => return Err(Reject::bad("chunk data does not end in CRLF")),
                },
                State::Trailers => {
                    let max = MAX_TRAILERS - self.trailers;
                    let found = find_line(buf, &mut self.scanned, max);
                    let Some(length) = found.map_err(trailer_line)? else {
                        return Ok(Step::NeedMore);
                    };
                    self.check_trailer(&buf[..length])?;
                    buf.advance(length + 2);
                    if length == 0 {
                        self.state = State::Done;
                    }
                }
                State::Done => return Ok(Step::End),
                State::Failed(reject) => return Err(reject),
            }
        }
    }

    /// Takes the first `n` bytes of body off `buf`, without copying them.
    ///
    /// # Panics
    ///
    /// If `n` is more than the last [`Step::Data`] said.
    pub fn take(&mut self, buf: &mut BytesMut, n: usize) -> Bytes {
        if n == 0 {
            return Bytes::new();
        }
        let in_body = matches!(self.state, State::Length | State::UntilEnd | State::Data)
            && n as u64 <= self.left;
        assert!(in_body, "took more than the body holds");
        self.left -= n as u64;
        self.total += n as u64;
        if self.left == 0 {
            self.state = match self.state {
                State::Data => State::DataEnd,
                _ => State::Done,
            };
        }
        buf.split_to(n).freeze()
    }

    /// Whether the whole body was consumed, the last chunk and the trailer
    /// section included. For a chunked body only [`next`](Self::next) finds
    /// that out.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Whether what was taken so far ends where a chunk does. Always so for a body with a length,
    /// which has none.
    pub fn is_between_chunks(&self) -> bool {
        !matches!(self.state, State::Data)
    }

    /// Bytes of body that are still to come, if that is known: always for a
    /// body with a length, for a chunked one only at its end.
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length => Some(self.left),
            State::Done => Some(0),
            State::Size
            | State::UntilEnd
            | State::Data
            | State::DataEnd
            | State::Trailers
            | State::Failed(_) => None,
        }
    }

    /// The stream has ended, and nothing is left in the buffer. Whether the body may end there.
    pub fn end_of_stream(&mut self) -> bool {
        if matches!(self.state, State::UntilEnd) {
            self.state = State::Done;
        }
        self.is_done()
    }

    /// Bytes of body consumed so far, framing not counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// One line of the trailer section (RFC 9112 section 7.1.2), held to the
    /// rules of section 5 and then thrown away: nothing here merges trailers
    /// into the head, which section 7.1.2 forbids without knowing the field.
    fn check_trailer(&mut self, line: &[u8]) -> Result<(), Reject> {
        if line.is_empty() {
            return Ok(());
        }
        self.trailers = (self.trailers + line.len() + 2).min(MAX_TRAILERS);
        self.trailer_fields += 1;
        if self.trailer_fields > MAX_TRAILER_FIELDS {
            return Err(Reject::too_large("too many trailer fields"));
        }
        let colon = memchr::memchr(b':', line).ok_or(Reject::bad("malformed trailer field"))?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        // No token contains white space: a folded line, or white space before
        // the colon, is refused here.
        if !is_token(name) || !value.iter().all(|&byte| is_value_byte(byte)) {
            return Err(Reject::bad("malformed trailer field"));
        }
        Ok(())
    }
}

fn chunk_line(error: LineError) -> Reject {
    Reject::bad(match error {
        LineError::TooLong => "chunk size line too long",
        LineError::BareLf => "chunk size line does not end in CRLF",
    })
}

fn trailer_line(error: LineError) -> Reject {
    match error {
        LineError::TooLong => Reject::too_large("trailer section too long"),
        LineError::BareLf => Reject::bad("trailer field does not end in CRLF"),
    }
}

/// `chunk-size [ chunk-ext ]` (RFC 9112 section 7.1): the size, and how many
/// bytes of extension follow it.
fn parse_size(line: &[u8]) -> Result<(u64, usize), Reject> {
    let digits = line
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    // More than sixteen digits may overflow 64 bits; the RFC asks to
    // "anticipate potentially large hexadecimal numerals". Leading zeros count.
    if !(1..=16).contains(&digits) {
        return Err(Reject::bad("invalid chunk size"));
    }
    let size = line[..digits].iter().fold(0u64, |size, &byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            // A hexadecimal digit that is no decimal one is a letter.
            _ => (byte | 0x20) - b'a' + 10,
        };
        size << 4 | u64::from(digit)
    });
    let extension = &line[digits..];
    // Section 7.1.1: BWS may stand before the ";" of an extension. White space
    // with nothing behind it is no extension.
    let ok = extension.is_empty()
        || (extension.trim_ascii_start().first() == Some(&b';')
            && extension.iter().all(|&byte| is_value_byte(byte)));
    if !ok {
        return Err(Reject::bad("malformed chunk extension"));
    }
    Ok((size, extension.len()))
}
