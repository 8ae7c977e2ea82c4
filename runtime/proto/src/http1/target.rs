//! Request targets (RFC 9112 section 3.2) and authorities (RFC 3986 section 3.2).

use std::net::Ipv6Addr;

use greenway_app::Span;
use http::{Method, StatusCode};

use super::line::find;
use super::reject::Reject;

/// The parts of a request target, as spans of the head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) path: Span,
    pub(crate) query: Option<Span>,
    /// Present in absolute-form only; it then stands above `Host`.
    pub(crate) authority: Option<Span>,
}

/// A span of the head.
///
/// `head::LARGEST_HEAD` keeps every offset far below `u32::MAX`.
pub(crate) const fn span(start: usize, end: usize) -> Span {
    Span {
        start: start as u32,
        end: end as u32,
    }
}

/// Takes `target`, which stands at offset `base` of the head, apart.
///
/// # Errors
///
/// 400 for a target that is none of the four forms, or whose form does not
/// belong to the method; 501 for `CONNECT`, which asks for a tunnel.
pub(crate) fn parse(method: &Method, target: &[u8], base: usize) -> Result<Target, Reject> {
    if !target.iter().all(|&byte| TARGET_BYTES[usize::from(byte)]) {
        return Err(Reject::bad("invalid character in request target"));
    }
    if *method == Method::CONNECT {
        // RFC 9112 section 3.2.3: authority-form belongs to CONNECT, and
        // RFC 9110 section 9.3.6: an origin server need not implement it.
        return Err(Reject::new(
            StatusCode::NOT_IMPLEMENTED,
            "CONNECT is not supported",
        ));
    }
    match target {
        // Origin-form, section 3.2.1.
        [b'/', ..] => Ok(path_and_query(target, base, 0, None)),
        // Asterisk-form, section 3.2.4: "only used for a server-wide OPTIONS".
        b"*" if *method == Method::OPTIONS => Ok(Target {
            path: span(base, base + 1),
            query: None,
            authority: None,
        }),
        _ => absolute(target, base),
    }
}

/// Absolute-form, section 3.2.2: a server MUST accept it from any client.
fn absolute(target: &[u8], base: usize) -> Result<Target, Reject> {
    // RFC 3986 section 3.1: schemes are case-insensitive.
    let start = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|prefix| {
            target
                .get(..prefix.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
        })
        .map(<[u8]>::len)
        .ok_or(Reject::bad("malformed request target"))?;
    let rest = &target[start..];
    let end = start + memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    // RFC 9110 sections 4.2.1 and 4.2.4: an http URI with an empty host is
    // invalid, and one with userinfo is to be treated as an error.
    if !is_authority(&target[start..end]) {
        return Err(Reject::bad("invalid authority in request target"));
    }
    let authority = Some(span(base + start, base + end));
    if target.get(end) == Some(&b'/') {
        return Ok(path_and_query(target, base, end, authority));
    }
    // RFC 9110 section 4.2.3: an empty path is "/". The slash that ends the
    // scheme stands in for it, so that a path is always a span of the head.
    let slash = base + start - 1;
    let query = (end < target.len()).then(|| span(base + end + 1, base + target.len()));
    Ok(Target {
        path: span(slash, slash + 1),
        query,
        authority,
    })
}

fn path_and_query(target: &[u8], base: usize, start: usize, authority: Option<Span>) -> Target {
    let end = base + target.len();
    match find(b'?', &target[start..]) {
        Some(at) => Target {
            path: span(base + start, base + start + at),
            query: Some(span(base + start + at + 1, end)),
            authority,
        },
        None => Target {
            path: span(base + start, end),
            query: None,
            authority,
        },
    }
}

/// What may stand in a target: visible ASCII without `#`, `"`, `<` and `>`.
///
/// RFC 9112 section 3.2 has no fragment in a target, and RFC 3986 neither the
/// other three nor ``{}|\^` ``. Those six are let through because browsers
/// (the WHATWG URL rules) send them raw in queries, and no intermediary reads
/// a boundary into them.
static TARGET_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        table[byte as usize] = !matches!(byte, b'#' | b'"' | b'<' | b'>');
        byte += 1;
    }
    table
};

/// Whether `value` is `uri-host [ ":" port ]` with a host that is not empty.
///
/// A port may be empty (RFC 3986 section 3.2.3). Stricter than that RFC in two points that no
/// client needs: the port must be at most 65535, and an IP literal must be an IPv6 address (there
/// is no "IPvFuture", and zones are local).
pub(crate) fn is_authority(value: &[u8]) -> bool {
    let special = |byte: &u8| !REG_NAME_BYTES[usize::from(*byte)];
    let end = value.iter().position(special).unwrap_or(value.len());
    match &value[end..] {
        [] | [b':', ..] => end > 0 && is_port(&value[end..]),
        _ => is_unusual_authority(value),
    }
}

/// What most hosts do without: an IP literal, or escapes in a name.
#[cold]
fn is_unusual_authority(value: &[u8]) -> bool {
    let (host_ok, port) = if let [b'[', rest @ ..] = value {
        let Some(close) = memchr::memchr(b']', rest) else {
            return false;
        };
        let literal = str::from_utf8(&rest[..close]);
        (
            literal.is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok()),
            &rest[close + 1..],
        )
    } else {
        let end = memchr::memchr(b':', value).unwrap_or(value.len());
        (is_reg_name(&value[..end]), &value[end..])
    };
    host_ok && is_port(port)
}

/// `[ ":" port ]`.
fn is_port(port: &[u8]) -> bool {
    match port {
        [] | [b':'] => true,
        [b':', digits @ ..] => decimal(digits).is_some_and(|port| port <= u64::from(u16::MAX)),
        _ => false,
    }
}

/// A `reg-name` of RFC 3986 section 3.2.2 that is not empty; IPv4 addresses
/// are among them.
fn is_reg_name(name: &[u8]) -> bool {
    if name.is_empty() {
        return false;
    }
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        let mut hex = || bytes.next().is_some_and(u8::is_ascii_hexdigit);
        if !(REG_NAME_BYTES[usize::from(byte)] || byte == b'%' && hex() && hex()) {
            return false;
        }
    }
    true
}

/// `unreserved` and `sub-delims` of RFC 3986.
static REG_NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < 128 {
        let byte = at as u8;
        table[at] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~')
            || matches!(
                byte,
                b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
            );
        at += 1;
    }
    table
};

/// `1*DIGIT` that fits 64 bits: no sign, no space, no list.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}
