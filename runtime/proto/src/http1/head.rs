//! A request head off the front of a buffer.
//!
//! # Implementation
//!
//! There are two ways through [`HeadReader::read`]. The common one: the whole
//! head is there at the first look, `httparse` walks it once, and the offsets
//! it found are enough to check limits and line ends. Everything else, be it
//! incomplete or in any way wrong, goes line by line through a scanner that
//! remembers how far it has come, so that a head which trickles in is searched
//! once and parsed once. Only the scanner decides about limits and line ends: the
//! fast way accepts a head or leaves it to the scanner, so that each fault has one name.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use greenway_app::{Field, Fields, Head};
use http::{Method, StatusCode, Version};

use super::fields::{BodyLength, KnownFields};
use super::line::{LineError, find_line, is_token_byte};
use super::reject::Reject;
use super::target::{self, span};

/// As many fields as most heads have: browsers send about fifteen.
const FEW_FIELDS: usize = 20;

/// Up to so many fields are parsed into an array on the stack, more on the heap.
const MANY_FIELDS: usize = 128;

/// The most bytes a head can have, its empty line included, unless one of the limits was raised.
const USUAL_HEAD: usize = 64 * 1024;

/// The most bytes a head can have, whatever the limits are: offsets into it are 32 bits wide.
const LARGEST_HEAD: usize = 1 << 30;

/// Empty lines that may stand before a request line.
const MAX_EMPTY_LINES: u8 = 2;

/// How large a request head may become.
///
/// With these defaults, or less, a head as a whole may have 64 KiB. Where one of them is raised,
/// it may have as much as all of them add up to, and never more than 1 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the request line without its CRLF; beyond it 414. Default 8000, as RFC 9112
    /// section 3 recommends.
    pub line: usize,
    /// Number of fields; beyond it 431. Default 100.
    pub fields: usize,
    /// Bytes of one field line without its CRLF; beyond it 431. Default 8190.
    pub field_size: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            line: 8000,
            fields: 100,
            field_size: 8190,
        }
    }
}

impl HeadLimits {
    /// Bytes of a whole head, its empty line included.
    pub(crate) fn head(&self) -> usize {
        let usual = Self::default();
        let raised = self.line > usual.line
            || self.fields > usual.fields
            || self.field_size > usual.field_size;
        if !raised {
            return USUAL_HEAD;
        }
        let fields = self
            .field_size
            .saturating_add(2)
            .saturating_mul(self.fields);
        let sum = self.line.saturating_add(4).saturating_add(fields);
        sum.clamp(USUAL_HEAD, LARGEST_HEAD)
    }
}

/// A request head, and what it says about the connection.
#[derive(Debug)]
pub struct RequestHead {
    /// The head for the application. HTTP/1.2 to 1.9 are served as 1.1
    /// (RFC 9110 section 2.5).
    pub head: Box<Head>,
    /// How much body follows.
    pub body: BodyLength,
    /// Whether the client would send another request on this connection.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    /// Whether the client asks for another protocol: an `Upgrade` field which
    /// `Connection` names.
    pub upgrade: bool,
}

/// Reads one head after the other from the front of a buffer.
///
/// All bytes of a head stay in the buffer until it is complete.
#[derive(Debug, Default)]
pub struct HeadReader {
    /// Where the line starts that is being looked at.
    line: usize,
    /// How many bytes of it were searched for its end.
    scanned: usize,
    /// Complete lines before it.
    lines: usize,
    /// Empty lines thrown away before the request line.
    empty_lines: u8,
    /// Why the stream was refused. Nothing that follows can be read any more.
    failed: Option<Reject>,
}

impl HeadReader {
    /// Whether a part of a head has been seen, but not its end.
    ///
    /// Tells an idle connection from a request that is under way. Empty lines
    /// before a request line do not count.
    pub fn started(&self) -> bool {
        self.line > 0 || self.scanned > 0
    }

    /// Splits a head off the front of `buf` and makes ready for the next one.
    /// `None` means that more bytes are needed.
    ///
    /// Between two calls that belong to one head, bytes may only be added at
    /// the end of `buf`.
    ///
    /// # Errors
    ///
    /// Whatever makes the head unfit to be served. The connection has to be
    /// closed after the answer; further calls repeat the error.
    pub fn read(
        &mut self,
        buf: &mut BytesMut,
        limits: &HeadLimits,
    ) -> Result<Option<RequestHead>, Reject> {
        if let Some(reject) = self.failed {
            return Err(reject);
        }
        match self.advance(buf, limits) {
            Ok(Some(head)) => {
                *self = Self::default();
                Ok(Some(head))
            }
            Ok(None) => Ok(None),
            Err(reject) => {
                self.failed = Some(reject);
                Err(reject)
            }
        }
    }

    fn advance(
        &mut self,
        buf: &mut BytesMut,
        limits: &HeadLimits,
    ) -> Result<Option<RequestHead>, Reject> {
        if !self.started() {
            if !self.skip_empty_lines(buf)? {
                return Ok(None);
            }
            if let Ok((head, length)) = parse(buf, limits) {
                return Ok(Some(split_off(buf, head, length)));
            }
        }
        let Some(length) = self.scan(buf, limits)? else {
            return Ok(None);
        };
        let parsed = match parse(&buf[..length], limits) {
            Err(Failure::Version) => {
                let minor = minor_version(buf)?;
                // Nobody reads the version from the bytes, `Head::version` says
                // it; so the head can be parsed as what it is treated as.
                buf[minor] = b'1';
                parse(&buf[..length], limits)
            }
            other => other,
        };
        match parsed {
            Ok((head, length)) => Ok(Some(split_off(buf, head, length))),
            Err(Failure::Reject(reject)) => Err(reject),
            Err(Failure::Partial | Failure::Version | Failure::TooManyFields) => {
                Err(Reject::bad("malformed head"))
            }
        }
    }

    /// RFC 9112 section 2.2: a server "SHOULD ignore at least one empty line
    /// (CRLF) received prior to the request-line". Returns whether a request
    /// line has begun.
    fn skip_empty_lines(&mut self, buf: &mut BytesMut) -> Result<bool, Reject> {
        loop {
            match **buf {
                [] | [b'\r'] => return Ok(false),
                [b'\r', b'\n', ..] if self.empty_lines < MAX_EMPTY_LINES => {
                    self.empty_lines += 1;
                    buf.advance(2);
                }
                [b'\r', b'\n', ..] => return Err(Reject::bad("too many empty lines")),
                [first, ..] if is_token_byte(first) => return Ok(true),
                // Above all TLS on a plain port, which would never send a line
                // end and otherwise sit here until its time is up.
                _ => return Err(Reject::bad("not an HTTP request")),
            }
        }
    }

    /// Looks at the lines that have arrived; gives the length of the head once
    /// its empty line is there.
    fn scan(&mut self, buf: &[u8], limits: &HeadLimits) -> Result<Option<usize>, Reject> {
        loop {
            // Every line but the empty one leaves room for two line ends.
            let room = (limits.head() - 4).saturating_sub(self.line);
            let (max, too_long) = if self.lines == 0 {
                // RFC 9112 section 3: 414 for a target that is too long.
                let reject = Reject::new(StatusCode::URI_TOO_LONG, "request line too long");
                (limits.line.min(room), reject)
            } else if limits.field_size <= room {
                (limits.field_size, Reject::too_large("field too long"))
            } else {
                (room, Reject::too_large("head too large"))
            };
            let length = match find_line(&buf[self.line..], &mut self.scanned, max) {
                Ok(Some(length)) => length,
                Ok(None) => return Ok(None),
                Err(LineError::TooLong) => return Err(too_long),
                Err(LineError::BareLf) => return Err(Reject::bad("line does not end in CRLF")),
            };
            self.line += length + 2;
            if length == 0 {
                return Ok(Some(self.line));
            }
            if self.lines > limits.fields {
                return Err(Reject::too_large("too many fields"));
            }
            self.lines += 1;
        }
    }
}

/// Why [`parse`] gave nothing.
enum Failure {
    /// The head is not complete.
    Partial,
    /// The version is neither HTTP/1.0 nor HTTP/1.1.
    Version,
    /// There are more fields than were made room for.
    TooManyFields,
    Reject(Reject),
}

impl From<Reject> for Failure {
    fn from(reject: Reject) -> Self {
        Self::Reject(reject)
    }
}

/// Parses the head at the front of `bytes` and gives its length. The head's
/// own bytes are still missing: they are only split off when all is well.
///
/// The pages of a green thread's stack that were touched once stay resident, so room for all
/// fields that there may be is made only for a head that has many.
fn parse(bytes: &[u8], limits: &HeadLimits) -> Result<(RequestHead, usize), Failure> {
    match parse_few::<FEW_FIELDS>(bytes, limits) {
        Err(Failure::TooManyFields) => match parse_few::<MANY_FIELDS>(bytes, limits) {
            Err(Failure::TooManyFields) => parse_more(bytes, limits),
            other => other,
        },
        other => other,
    }
}

#[inline(never)] // so that its stack frame is gone before the application is called
fn parse_few<const FIELDS: usize>(
    bytes: &[u8],
    limits: &HeadLimits,
) -> Result<(RequestHead, usize), Failure> {
    let mut slots = [const { MaybeUninit::uninit() }; FIELDS];
    parse_into(&mut slots[..limits.fields.min(FIELDS)], bytes, limits)
}

/// As [`parse_few`], for as many fields as there are lines, or may be.
#[cold]
fn parse_more(bytes: &[u8], limits: &HeadLimits) -> Result<(RequestHead, usize), Failure> {
    let lines = memchr::memchr_iter(b'\n', bytes).count();
    let mut slots = Box::new_uninit_slice(lines.min(limits.fields));
    match parse_into(&mut slots, bytes, limits) {
        Err(Failure::TooManyFields) => Err(Reject::too_large("too many fields").into()),
        other => other,
    }
}

fn parse_into<'b>(
    slots: &mut [MaybeUninit<httparse::Header<'b>>],
    bytes: &'b [u8],
    limits: &HeadLimits,
) -> Result<(RequestHead, usize), Failure> {
    let mut request = httparse::Request::new(&mut []);
    let length = match request
        .parse_with_uninit_headers(bytes, slots)
        .map_err(failure)?
    {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Err(Failure::Partial),
    };
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Err(Failure::Partial);
    };

    // Single spaces and a version of eight bytes are all that `httparse`
    // accepts, so the lengths say where the request line ends.
    let target_start = method.len() + 1;
    let line = target_start + target.len() + 1 + "HTTP/1.1".len();
    if line > limits.line || length > limits.head() || !ends_in_crlf(bytes, line) {
        return Err(Failure::Reject(UNCLEAN));
    }

    // Only fails for a method that is not a token (RFC 9110 section 9.1).
    let method =
        Method::from_bytes(method.as_bytes()).map_err(|_| Reject::bad("invalid method"))?;
    let version = if minor == 0 {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    };
    let mut known = KnownFields::new();
    let mut fields = Fields::with_capacity(request.headers.len());
    let base = bytes.as_ptr().addr();
    let mut start = line + 2;
    for (index, header) in request.headers.iter().enumerate() {
        let value_start = header.value.as_ptr().addr() - base;
        let value = span(value_start, value_start + header.value.len());
        fields.push(Field {
            name: span(start, start + header.name.len()),
            value,
        });
        known.note(header.name, header.value)?;
        // The next line starts with the next name, or with the final CRLF.
        let next = match request.headers.get(index + 1) {
            Some(next) => next.name.as_ptr().addr() - base,
            None => length - 2,
        };
        if next - 2 - start > limits.field_size || !ends_in_crlf(bytes, next - 2) {
            return Err(Failure::Reject(UNCLEAN));
        }
        start = next;
    }
    if !ends_in_crlf(bytes, start) {
        return Err(Failure::Reject(UNCLEAN));
    }

    let parts = target::parse(&method, target.as_bytes(), target_start)?;
    let meaning = known.meaning(version)?;
    let head = Box::new(Head {
        bytes: Bytes::new(),
        method,
        version,
        target: span(target_start, target_start + target.len()),
        path: parts.path,
        query: parts.query,
        authority: parts.authority,
        fields,
    });
    let head = RequestHead {
        head,
        body: meaning.body,
        keep_alive: meaning.keep_alive,
        expect_continue: meaning.expect_continue,
        upgrade: meaning.upgrade,
    };
    Ok((head, length))
}

/// Some limit was exceeded or some line end is wrong; the scanner then finds out which.
const UNCLEAN: Reject = Reject::bad("malformed head");

fn ends_in_crlf(bytes: &[u8], at: usize) -> bool {
    bytes.get(at..at + 2) == Some(b"\r\n")
}

fn split_off(buf: &mut BytesMut, mut head: RequestHead, length: usize) -> RequestHead {
    head.head.bytes = buf.split_to(length).freeze();
    head
}

/// Says what `httparse` found wrong. It also refuses what only some servers
/// refuse, and we want refused: white space before a colon (RFC 9112 section
/// 5.1), folded lines (5.2), and control characters in values (RFC 9110
/// section 5.5).
fn failure(error: httparse::Error) -> Failure {
    Failure::Reject(Reject::bad(match error {
        httparse::Error::Version => return Failure::Version,
        httparse::Error::TooManyHeaders => return Failure::TooManyFields,
        httparse::Error::HeaderName => "invalid field name",
        httparse::Error::HeaderValue => "invalid field value",
        httparse::Error::NewLine => "malformed line end",
        httparse::Error::Token | httparse::Error::Status => "malformed request line",
    }))
}

/// Where the minor version of a request line stands whose version is not 1.0
/// or 1.1, if it is one that can be served as 1.1.
///
/// # Errors
///
/// 505 for another major version (RFC 9110 section 15.6.6), 400 if it is no
/// version at all. `HTTP/2` without a minor version is no version: RFC 9112
/// section 2.3.
fn minor_version(bytes: &[u8]) -> Result<usize, Reject> {
    const MALFORMED: Reject = Reject::bad("malformed request line");
    let line = memchr::memchr(b'\n', bytes).ok_or(MALFORMED)?;
    let end = line.checked_sub(1).ok_or(MALFORMED)?;
    let mut words = bytes[..end].splitn(3, |&byte| byte == b' ');
    match words.nth(2) {
        Some([b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9']) => Ok(end - 1),
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
            if *major != b'1' && major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Reject::new(
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                "HTTP version not supported",
            ))
        }
        _ => Err(MALFORMED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linear cost: whatever was searched is remembered, after every byte.
    #[test]
    fn nothing_is_searched_twice() {
        let mut head = b"GET / HTTP/1.1\r\nHost: h\r\n".to_vec();
        for index in 0..50 {
            head.extend_from_slice(format!("x-{index}: {}\r\n", "v".repeat(index * 7)).as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        let mut reader = HeadReader::default();
        let mut buf = BytesMut::new();
        for (index, &byte) in head.iter().enumerate() {
            buf.extend_from_slice(&[byte]);
            let complete = reader
                .read(&mut buf, &HeadLimits::default())
                .unwrap()
                .is_some();
            assert_eq!(complete, index + 1 == head.len());
            if !complete {
                assert_eq!(reader.line + reader.scanned, buf.len());
                assert!(reader.started());
            }
        }
        assert!(!reader.started());
        assert!(buf.is_empty());
    }
}
