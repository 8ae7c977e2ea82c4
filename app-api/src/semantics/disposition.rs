//! Content-Disposition: RFC 6266, and the encoding of its file name, RFC 8187.

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a parameter with an encoding escapes: all but RFC 8187's `attr-char`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// `attachment` with the last part of `name`, which may be any text. Where the name cannot stand
/// in the header as it is, it is there twice: readable by all, and, as those who know RFC 8187
/// read it, whole.
pub(crate) fn attachment(name: &str) -> HeaderValue {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    // A percent sign is plain in a quoted string, but some browsers decode what follows it.
    let plain = |c: char| matches!(c, ' '..='~') && !matches!(c, '"' | '%');
    let readable: String = name
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect();
    let mut value = format!("attachment; filename=\"{readable}\"");
    if readable != name {
        value.push_str("; filename*=UTF-8''");
        value.extend(utf8_percent_encode(name, ESCAPED));
    }
    HeaderValue::try_from(value).expect("all of it is visible ASCII or a blank")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, expected) in [
            ("a.pdf", r#"attachment; filename="a.pdf""#),
            ("a b.pdf", r#"attachment; filename="a b.pdf""#),
            ("", r#"attachment; filename="""#),
            ("/etc/passwd", r#"attachment; filename="passwd""#),
            ("..\\..\\a", r#"attachment; filename="a""#),
            (
                "€ rates",
                r#"attachment; filename="_ rates"; filename*=UTF-8''%E2%82%AC%20rates"#,
            ),
            (
                "a\"; x=\"y",
                r#"attachment; filename="a_; x=_y"; filename*=UTF-8''a%22%3B%20x%3D%22y"#,
            ),
            (
                "50%41",
                r#"attachment; filename="50_41"; filename*=UTF-8''50%2541"#,
            ),
            (
                "a\r\nb",
                r#"attachment; filename="a__b"; filename*=UTF-8''a%0D%0Ab"#,
            ),
            ("it's(1)", r#"attachment; filename="it's(1)""#),
        ] {
            assert_eq!(attachment(name), expected, "{name}");
        }
    }
}
