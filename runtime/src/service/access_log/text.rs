//! Pieces of lines: text of a client's, and the user of a `Basic` authorization.

use data_encoding::{BASE64_NOPAD, Encoding};
use std::fmt::Write as _;
use std::sync::LazyLock;

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

/// RFC 4648 section 4. Clients leave the padding out, and bits that fill up the last letter may be
/// anything.
static CREDENTIALS: LazyLock<Encoding> = LazyLock::new(|| {
    let mut base64 = BASE64_NOPAD.specification();
    base64.check_trailing_bits = false;
    base64
        .encoding()
        .expect("a known encoding, read less strictly")
});

fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().rposition(|byte| *byte != b'=');
    CREDENTIALS.decode(&text[..end.map_or(0, |at| at + 1)]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_cannot_forge_a_line() {
        let mut out = String::new();
        quote(&mut out, b"a\"b\\c\n\xff");
        assert_eq!(out, "a\\\"b\\\\c\\x0a\\xff");
    }

    #[test]
    fn users() {
        for (field, expected) in [
            (
                &b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="[..],
                Some(&b"Aladdin"[..]),
            ),
            (b"basic QWxhZGRpbjpvcGVuIHNlc2FtZQ", Some(b"Aladdin")),
            (b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZR==", Some(b"Aladdin")),
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
