//! Percent-decoding of paths, strictly.
//!
//! The decoder of forms and query strings lets `%zz` stand; in a path that would
//! make two spellings of one resource, and a NUL would cut names short in C
//! libraries. So both are refused before a handler sees them.

use std::borrow::Cow;

/// Stands for an encoded slash while a path is matched: a NUL cannot occur in a
/// path that [`decode`] accepted.
pub(crate) const ENCODED_SLASH: char = '\0';

/// Decodes a path; `None` if an escape is malformed, or the result is not UTF-8
/// or holds a NUL. Borrows when there is nothing to decode.
pub(crate) fn decode(raw: &[u8]) -> Option<Cow<'_, str>> {
    // `contains` is quicker than `memchr` for the few bytes that most paths are.
    if raw.contains(&0) {
        return None;
    }
    if !raw.contains(&b'%') {
        return std::str::from_utf8(raw).ok().map(Cow::Borrowed);
    }
    let bytes = unescape(raw, b'/')?;
    if bytes.contains(&0) {
        return None;
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// Decodes for the router: `%2F` becomes [`ENCODED_SLASH`], so that it is no
/// boundary between segments. `None` only for what [`decode`] refuses.
pub(crate) fn decode_for_match(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.as_bytes().contains(&b'%') {
        return Some(Cow::Borrowed(raw));
    }
    String::from_utf8(unescape(raw.as_bytes(), 0)?)
        .ok()
        .map(Cow::Owned)
}

/// Replaces escapes by their bytes, and an escaped slash by `slash`.
fn unescape(raw: &[u8], slash: u8) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'%', rest) {
        out.extend_from_slice(&rest[..at]);
        let byte = hex(*rest.get(at + 1)?)? << 4 | hex(*rest.get(at + 2)?)?;
        out.push(if byte == b'/' { slash } else { byte });
        rest = &rest[at + 3..];
    }
    out.extend_from_slice(rest);
    Some(out)
}

fn hex(digit: u8) -> Option<u8> {
    // The radix is 16, so the value fits a byte.
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding() {
        for (raw, expected) in [
            ("/plain", Some("/plain")),
            ("", Some("")),
            ("/a%20b", Some("/a b")),
            ("/%41%6a%6A", Some("/Ajj")),
            ("/%C3%A9", Some("/é")),
            ("/é", Some("/é")),
            ("/a%2Fb%2fc", Some("/a/b/c")),
            ("/%25", Some("/%")),
            ("/%2525", Some("/%25")),
            ("/a+b", Some("/a+b")),
            ("/%", None),
            ("/%4", None),
            ("/%zz", None),
            ("/%+1", None),
            ("/%é", None),
            ("/%ff", None),
            ("/%C3", None),
            ("/%c0%af", None),
            ("/%00", None),
            ("/a\0", None),
        ] {
            assert_eq!(decode(raw.as_bytes()).as_deref(), expected, "{raw:?}");
        }
        assert_eq!(decode(b"/\xff"), None);
    }

    #[test]
    fn only_what_is_escaped_is_copied() {
        assert!(matches!(decode(b"/plain"), Some(Cow::Borrowed(_))));
        assert!(matches!(decode_for_match("/plain"), Some(Cow::Borrowed(_))));
    }

    #[test]
    fn an_encoded_slash_is_told_apart_for_matching() {
        assert_eq!(
            decode_for_match("/a%2Fb/c%20d").as_deref(),
            Some("/a\0b/c d")
        );
    }
}
