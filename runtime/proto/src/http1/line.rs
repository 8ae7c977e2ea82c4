//! Lines that end in CRLF, and the character classes of RFC 9110.
//!
//! RFC 9112 section 2.2 lets a recipient take a single LF for a line end. We
//! do not: an LF that one party takes for a line end and another for a byte of
//! a value is the oldest way to smuggle a request.

/// Why a line cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineError {
    /// Longer than the limit, whether or not its end has arrived.
    TooLong,
    /// Ended by LF without CR (RFC 9112 section 2.2).
    BareLf,
}

/// The length of the first line of `buf` without its CRLF, or `None` if its
/// end has not arrived; the line and its CRLF take `length + 2` bytes.
///
/// `scanned` remembers how many bytes of this line were searched in vain, and
/// is 0 again once the line is found. A limit is noticed at the same byte of
/// the stream however it was cut into reads: a CR at the very end may still be
/// half of a line end and does not count yet.
///
/// A CR inside the line is left to the caller, whose character class for the
/// content refuses it.
pub(super) fn find_line(
    buf: &[u8],
    scanned: &mut usize,
    max: usize,
) -> Result<Option<usize>, LineError> {
    let found = memchr::memchr(b'\n', &buf[*scanned..]).map(|at| *scanned + at);
    let end = found.unwrap_or(buf.len());
    let has_cr = end > 0 && buf[end - 1] == b'\r';
    let length = end - usize::from(has_cr);
    if length > max {
        return Err(LineError::TooLong);
    }
    if found.is_none() {
        *scanned = end;
        return Ok(None);
    }
    if !has_cr {
        return Err(LineError::BareLf);
    }
    *scanned = 0;
    Ok(Some(length))
}

/// Where `byte` stands first.
#[inline]
pub(super) fn find(byte: u8, bytes: &[u8]) -> Option<usize> {
    /// Up to so many bytes, most targets among them, a loop is over before `memchr` has begun.
    const FEW: usize = 24;
    if bytes.len() <= FEW {
        bytes.iter().position(|other| *other == byte)
    } else {
        memchr::memchr(byte, bytes)
    }
}

/// `tchar`, what a method or a field name consists of (RFC 9110 section 5.6.2).
pub(super) const fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9'
        | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+'
        | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// One or more `tchar`.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// What may stand in a field value: HTAB, SP, visible ASCII and obs-text, but
/// no other control character (RFC 9110 section 5.5).
pub(super) const fn is_value_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..=0xff)
}
