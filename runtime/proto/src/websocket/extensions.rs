//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455 section 9.1): a list of extensions, each a
//! name with parameters, whose values are tokens, quoted or not.

use crate::http1::is_token;

/// One element of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// As it stands there; names are compared without regard to case.
    pub name: String,
    /// In their order, with duplicates.
    pub parameters: Vec<(String, Option<String>)>,
}

/// Reads one header value; values of several headers are one list. `None` if it is malformed.
pub fn parse_extensions(value: &str) -> Option<Vec<Extension>> {
    let mut extensions = Vec::new();
    for element in split(value, ',')? {
        // RFC 9110 section 5.6.1: empty elements are ignored.
        if element.is_empty() {
            continue;
        }
        let mut parts = split(element, ';')?.into_iter();
        let name = token(parts.next()?)?;
        let parameters = parts.map(parameter).collect::<Option<_>>()?;
        extensions.push(Extension { name, parameters });
    }
    Some(extensions)
}

fn parameter(text: &str) -> Option<(String, Option<String>)> {
    let Some((name, value)) = text.split_once('=') else {
        return Some((token(text)?, None));
    };
    let (name, value) = (name.trim_matches(BLANK), value.trim_matches(BLANK));
    let value = match value.strip_prefix('"') {
        Some(quoted) => token(&unquote(quoted.strip_suffix('"')?)?)?,
        None => token(value)?,
    };
    Some((token(name)?, Some(value)))
}

const BLANK: [char; 2] = [' ', '\t'];

/// Splits outside of quoted strings.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if c == separator && !quoted => {
                parts.push(text[start..at].trim_matches(BLANK));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim_matches(BLANK));
    (!quoted).then_some(parts)
}

fn unquote(text: &str) -> Option<String> {
    let (mut plain, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.push(chars.next()?),
            '"' => return None,
            _ => plain.push(c),
        }
    }
    Some(plain)
}

fn token(text: &str) -> Option<String> {
    is_token(text.as_bytes()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> Option<String> {
        let extensions = parse_extensions(value)?.into_iter().map(|extension| {
            let parameters = extension.parameters.into_iter().map(|(name, value)| {
                let value = value.map(|value| format!("={value}")).unwrap_or_default();
                format!("({name}{value})")
            });
            extension.name + &parameters.collect::<String>()
        });
        Some(extensions.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn lists_are_read() {
        for (value, expected) in [
            ("", ""),
            ("a", "a"),
            (" a , b ", "a b"),
            ("a,,b,", "a b"),
            ("a;x;y=1;z=\"2\", a", "a(x)(y=1)(z=2) a"),
            ("a ; x = 1\t; y", "a(x=1)(y)"),
            ("a; x=\"\\1\\0\"", "a(x=10)"),
        ] {
            assert_eq!(shown(value).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn malformed_lists_are_not() {
        for value in [
            "a;",
            ";x",
            "a; =1",
            "a; x=",
            "a b",
            "a; x=\"1",
            "a; x=\"\"",
            "a; x=\"1,2\"",
            "a; x=1\"",
            "a; x=\"1\"2\"",
            "a; x=\"1\\\"",
            "a; x=(1)",
            "ä",
        ] {
            assert_eq!(shown(value), None, "{value}");
        }
    }
}
