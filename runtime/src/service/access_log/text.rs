//! Pieces of lines: what is dangerous in a log, and dates.

use std::fmt::Write as _;
use std::time::SystemTime;

/// What a client sends must not forge a log line or end a quotation.
pub(super) fn quote(out: &mut String, value: &[u8]) {
    for &byte in value {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(byte.into());
            }
            0x20..=0x7e => out.push(byte.into()),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
}

/// `[06/Nov/1994:08:49:37 +0000]`.
pub(super) fn date(out: &mut String, now: SystemTime) {
    let date = httpdate::fmt_http_date(now); // Sun, 06 Nov 1994 08:49:37 GMT
    let (day, month, year, time) = (&date[5..7], &date[8..11], &date[12..16], &date[17..25]);
    let _ = write!(out, "[{day}/{month}/{year}:{time} +0000]");
}

/// `1994-11-06T08:49:37.123Z` (RFC 3339).
pub(super) fn timestamp(out: &mut String, now: SystemTime) {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let date = httpdate::fmt_http_date(now);
    let (day, month, year, time) = (&date[5..7], &date[8..11], &date[12..16], &date[17..25]);
    let month = 1 + MONTHS.iter().position(|name| *name == month).unwrap_or(0);
    let ms = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.subsec_millis());
    let _ = write!(out, "{year}-{month:02}-{day}T{time}.{ms:03}Z");
}

/// The user of a `Basic` authorization (RFC 7617), who may be anybody: nothing was checked.
pub(super) fn user(authorization: &[u8]) -> Option<Vec<u8>> {
    let (scheme, credentials) = authorization.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let mut decoded = base64(credentials.trim_ascii())?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    decoded.truncate(colon);
    (!decoded.is_empty()).then_some(decoded)
}

/// RFC 4648 section 4, with or without padding.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let end = text
        .iter()
        .rposition(|byte| *byte != b'=')
        .map_or(0, |at| at + 1);
    let mut out = Vec::with_capacity(end * 3 / 4);
    let (mut bits, mut count) = (0u32, 0);
    for &byte in &text[..end] {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_client_cannot_forge_a_line() {
        let mut out = String::new();
        quote(&mut out, b"a\"b\\c\n\xff");
        assert_eq!(out, "a\\\"b\\\\c\\x0a\\xff");
    }

    #[test]
    fn dates() {
        let then = SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_042);
        let mut out = String::new();
        date(&mut out, then);
        timestamp(&mut out, then);
        assert_eq!(out, "[06/Nov/1994:08:49:37 +0000]1994-11-06T08:49:37.042Z");
    }

    #[test]
    fn users() {
        for (field, expected) in [
            (
                &b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="[..],
                Some(&b"Aladdin"[..]),
            ),
            (b"basic QWxhZGRpbjpvcGVuIHNlc2FtZQ", Some(b"Aladdin")),
            (b"Basic OnNlY3JldA==", None),
            (b"Basic QWxhZGRpbg==", None),
            (b"Basic !!!", None),
            (b"Bearer abc", None),
            (b"", None),
        ] {
            assert_eq!(user(field).as_deref(), expected, "{}", field.escape_ascii());
        }
    }
}
