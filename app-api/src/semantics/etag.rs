//! Entity tags: RFC 9110, 8.8.3.

/// Whether one of `fields`, the values of an If-Match or If-None-Match, is `*`, which stands for
/// any representation there is.
pub(crate) fn is_any(fields: &[&[u8]]) -> bool {
    fields.iter().any(|value| value.trim_ascii() == b"*")
}

/// The entity tags of a list, as they were sent. What follows a mistake is not read: a comma may
/// be part of a tag, so there is no telling where the next one begins.
pub(crate) fn list(mut value: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        while let [b' ' | b'\t' | b',', rest @ ..] = value {
            value = rest;
        }
        let tag = &value[..length(value)?];
        value = &value[tag.len()..];
        Some(tag)
    })
}

/// How many bytes the entity tag has that `value` starts with.
fn length(value: &[u8]) -> Option<usize> {
    let quote = if value.starts_with(b"W/") { 2 } else { 0 };
    let opaque = value.get(quote..)?.strip_prefix(b"\"")?;
    let end = opaque.iter().position(|&byte| byte == b'"')?;
    opaque[..end]
        .iter()
        .all(|&byte| byte > b' ' && byte != 0x7f)
        .then_some(quote + end + 2)
}

/// Whether `value` is one entity tag and nothing else.
pub(crate) fn is_tag(value: &[u8]) -> bool {
    length(value) == Some(value.len())
}

/// Whether it is a weak one.
pub(crate) fn is_weak(tag: &[u8]) -> bool {
    tag.starts_with(b"W/")
}

/// The comparison for ranges and If-Match: two weak tags are never the same.
pub(crate) fn is_same_strongly(a: &[u8], b: &[u8]) -> bool {
    a == b && !is_weak(a)
}

/// The comparison for If-None-Match.
pub(crate) fn is_same_weakly(a: &[u8], b: &[u8]) -> bool {
    opaque(a) == opaque(b)
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_are_those_of_the_table_in_8_8_3_2() {
        for (a, b, strong, weak) in [
            (r#"W/"1""#, r#"W/"1""#, false, true),
            (r#"W/"1""#, r#"W/"2""#, false, false),
            (r#"W/"1""#, r#""1""#, false, true),
            (r#""1""#, r#""1""#, true, true),
        ] {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            assert_eq!(is_same_strongly(a, b), strong, "{a:?} {b:?}");
            assert_eq!(is_same_weakly(a, b), weak, "{a:?} {b:?}");
            assert_eq!(is_same_strongly(b, a), strong, "{b:?} {a:?}");
            assert_eq!(is_same_weakly(b, a), weak, "{b:?} {a:?}");
        }
    }

    #[test]
    fn lists_are_read_to_their_first_mistake() {
        for (value, expected) in [
            (r#""a""#, &[r#""a""#][..]),
            (r#""a", W/"b" ,"c""#, &[r#""a""#, r#"W/"b""#, r#""c""#]),
            (r#""a","b""#, &[r#""a""#, r#""b""#]),
            (r#", ,"a",,"#, &[r#""a""#]),
            (r#""a,b", "c""#, &[r#""a,b""#, r#""c""#]),
            (r#""""#, &[r#""""#]),
            (r#""a", b, "c""#, &[r#""a""#]),
            (r#""a", w/"b""#, &[r#""a""#]),
            (r#""a", "b"#, &[r#""a""#]),
            ("\"a b\"", &[]),
            ("\"a\u{7f}\"", &[]),
            ("\"é\"", &["\"é\""]),
            ("a", &[]),
            ("W/", &[]),
            ("*", &[]),
            ("", &[]),
        ] {
            let found: Vec<_> = list(value.as_bytes()).collect();
            let expected: Vec<_> = expected.iter().map(|tag| tag.as_bytes()).collect();
            assert_eq!(found, expected, "{value}");
        }
    }

    #[test]
    fn one_tag_alone() {
        assert!(is_tag(b"\"a\"") && is_tag(b"W/\"a\""));
        for no in [&b"\"a\" "[..], b"\"a\", \"b\"", b"a", b"", b"\"", b"W/"] {
            assert!(!is_tag(no), "{no:?}");
        }
    }
}
