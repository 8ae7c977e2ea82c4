//! The fields that a server itself must understand.
//!
//! A few fields decide where a message ends and whether another may follow:
//! `Content-Length`, `Transfer-Encoding`, `Connection`, `Host`, `Expect` and
//! `Upgrade`. [`KnownFields`] notes them one by one as the head is walked and
//! says at its end what they mean, when the version is known too. All
//! other fields are the application's business.
//!
//! The rules are those of RFC 9112 sections 3.2, 6 and 9, taken by the strict
//! side wherever a repair is merely allowed.

use http::{StatusCode, Version};

use super::line::is_token;
use super::reject::Reject;
use super::target::{decimal, is_authority};

/// How much body follows a request head (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// No body: neither field, or `Content-Length: 0`.
    None,
    /// So many bytes, at least 1.
    Length(u64),
    /// Chunks until the last one (RFC 9112 section 7.1).
    Chunked,
    /// All that comes until the stream ends, which marks the end itself: HTTP/2 without a
    /// `Content-Length` (RFC 9113 section 8.1). Never so in HTTP/1.
    UntilEnd,
}

/// What `Expect` asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expectation {
    Nothing,
    Continue,
    Unknown,
}

/// What the fields of one head said so far.
#[derive(Debug)]
pub(crate) struct KnownFields<'b> {
    host: Option<&'b [u8]>,
    length: Option<u64>,
    coding: Option<&'b [u8]>,
    close: bool,
    keep_alive: bool,
    upgrade_option: bool,
    upgrade_field: bool,
    expectation: Expectation,
}

/// What the fields of a whole head mean.
#[derive(Debug)]
pub(crate) struct Meaning {
    pub(crate) body: BodyLength,
    pub(crate) keep_alive: bool,
    pub(crate) expect_continue: bool,
    pub(crate) upgrade: bool,
}

impl<'b> KnownFields<'b> {
    pub(crate) const fn new() -> Self {
        Self {
            host: None,
            length: None,
            coding: None,
            close: false,
            keep_alive: false,
            upgrade_option: false,
            upgrade_field: false,
            expectation: Expectation::Nothing,
        }
    }

    /// Notes one field. The length of the name tells nearly all of them apart
    /// before a byte is compared.
    ///
    /// A name such as `Content_Length` is not an alias for a framing field
    /// here; names with underscores never reach the environ, where they would
    /// become one.
    #[inline]
    pub(crate) fn note(&mut self, name: &str, value: &'b [u8]) -> Result<(), Reject> {
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => self.note_host(value),
            6 if name.eq_ignore_ascii_case("expect") => {
                self.note_expect(value);
                Ok(())
            }
            7 if name.eq_ignore_ascii_case("upgrade") => {
                self.upgrade_field = true;
                Ok(())
            }
            10 if name.eq_ignore_ascii_case("connection") => {
                self.note_connection(value);
                Ok(())
            }
            14 if name.eq_ignore_ascii_case("content-length") => self.note_length(value),
            17 if name.eq_ignore_ascii_case("transfer-encoding") => self.note_coding(value),
            _ => Ok(()),
        }
    }

    /// RFC 9112 section 3.2: 400 to "more than one Host header field line or a
    /// Host header field with an invalid field value". An empty value is valid:
    /// it is what a client sends whose target has no authority.
    fn note_host(&mut self, value: &'b [u8]) -> Result<(), Reject> {
        if self.host.replace(value).is_some() {
            return Err(Reject::bad("more than one Host field"));
        }
        if !value.is_empty() && !is_authority(value) {
            return Err(Reject::bad("invalid Host field"));
        }
        Ok(())
    }

    /// RFC 9112 section 6.3, item 5, allows "5, 5" to be read as 5. Refused
    /// here even when all are equal: it takes two parties that disagree about
    /// the first and the last to make a smuggled request.
    fn note_length(&mut self, value: &[u8]) -> Result<(), Reject> {
        let length = decimal(value).ok_or(Reject::bad("invalid Content-Length"))?;
        match self.length.replace(length) {
            Some(_) => Err(Reject::bad("more than one Content-Length field")),
            None => Ok(()),
        }
    }

    fn note_coding(&mut self, value: &'b [u8]) -> Result<(), Reject> {
        match self.coding.replace(value) {
            Some(_) => Err(Reject::bad("more than one Transfer-Encoding field")),
            None => Ok(()),
        }
    }

    /// RFC 9110 section 7.6.1: a list of case-insensitive options, which may
    /// be spread over several fields.
    fn note_connection(&mut self, value: &[u8]) {
        for option in list(value) {
            match option.len() {
                5 if option.eq_ignore_ascii_case(b"close") => self.close = true,
                10 if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                7 if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade_option = true,
                _ => {}
            }
        }
    }

    /// RFC 9110 section 10.1.1. An unknown expectation outweighs a known one.
    fn note_expect(&mut self, value: &[u8]) {
        for expectation in list(value) {
            if !expectation.eq_ignore_ascii_case(b"100-continue") {
                self.expectation = Expectation::Unknown;
            } else if self.expectation == Expectation::Nothing {
                self.expectation = Expectation::Continue;
            }
        }
    }

    /// What it all means, now that every field was seen.
    pub(crate) fn meaning(self, version: Version) -> Result<Meaning, Reject> {
        let modern = version != Version::HTTP_10;
        // RFC 9112 section 3.2; HTTP/1.0 had no Host.
        if modern && self.host.is_none() {
            return Err(Reject::bad("no Host field"));
        }
        let body = match (self.coding, self.length) {
            // RFC 9112 section 6.1: both together "ought to be handled as an
            // error"; it "might indicate an attempt to perform request smuggling".
            (Some(_), Some(_)) => {
                return Err(Reject::bad("both Transfer-Encoding and Content-Length"));
            }
            // Same section: in HTTP/1.0 the framing is to be treated "as if
            // faulty", for an old relay may have passed the field on unread.
            (Some(_), None) if !modern => {
                return Err(Reject::bad("Transfer-Encoding in HTTP/1.0"));
            }
            (Some(coding), None) => {
                check_coding(coding)?;
                BodyLength::Chunked
            }
            // RFC 9112 section 6.3, item 7: neither field, no body.
            (None, None | Some(0)) => BodyLength::None,
            (None, Some(length)) => BodyLength::Length(length),
        };
        // HTTP/1.0 knows no expectations: "MUST ignore" (RFC 9110 section 10.1.1).
        if modern && self.expectation == Expectation::Unknown {
            return Err(Reject::new(
                StatusCode::EXPECTATION_FAILED,
                "unknown expectation",
            ));
        }
        Ok(Meaning {
            body,
            // RFC 9112 section 9.3: close wins, 1.1 persists, 1.0 has to ask.
            keep_alive: !self.close && (modern || self.keep_alive),
            // RFC 9110 section 10.1.1: pointless without a body to wait for.
            expect_continue: modern
                && body != BodyLength::None
                && self.expectation == Expectation::Continue,
            // RFC 9110 section 7.8: "MUST ignore" Upgrade in HTTP/1.0, and it
            // counts only when Connection names it too.
            upgrade: modern && self.upgrade_field && self.upgrade_option,
        })
    }
}

/// RFC 9112 sections 6.1 and 6.3: exactly `chunked` is understood.
///
/// Another coding below a final `chunked` is an honest request for something we
/// do not do, hence 501. Without a final `chunked` nobody can tell where the
/// body ends, and section 6.3, item 4, demands 400. The same for whatever looks
/// like `chunked` without being it once and last (`chunked, chunked`,
/// `xchunked, chunked`, `chunked;q=1`): it was made to be read in two ways.
fn check_coding(value: &[u8]) -> Result<(), Reject> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    const MALFORMED: Reject = Reject::bad("malformed Transfer-Encoding");
    let mut codings = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    let last = codings.next_back().ok_or(MALFORMED)?;
    let honest = |coding: &[u8]| {
        let resembles = |part: &[u8]| part.eq_ignore_ascii_case(b"chunked");
        is_token(coding) && !coding.windows(7).any(resembles)
    };
    if !last.eq_ignore_ascii_case(b"chunked") || !codings.all(honest) {
        return Err(MALFORMED);
    }
    Err(Reject::new(
        StatusCode::NOT_IMPLEMENTED,
        "transfer coding is not supported",
    ))
}

/// The elements of a comma-separated list; empty ones are skipped
/// (RFC 9110 section 5.6.1.2).
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|item| !item.is_empty())
}
