//! A line as a JSON object (RFC 8259), for log collectors.

use super::Entry;
use crate::service::{RequestLine, timestamp};
use std::fmt::{Display, Write as _};
use std::time::SystemTime;

/// `{"time":...,"remote_addr":...}` and a line end. What is unknown is `null`, so that every
/// line has every key.
pub(super) fn line(entry: &Entry<'_>, now: SystemTime) -> String {
    let mut out = Object(String::with_capacity(384));
    let mut time = String::with_capacity(24);
    timestamp::push_rfc3339_millis(&mut time, now);
    out.text("time", Some(time.as_bytes()));
    let peer = entry.info.peer.map(|peer| peer.ip().to_string());
    out.text("remote_addr", peer.as_deref().map(str::as_bytes));
    let mut words = entry.line.map_or("", RequestLine::text).splitn(3, ' ');
    let mut word = || {
        words
            .next()
            .map(str::as_bytes)
            .filter(|word| !word.is_empty())
    };
    let (method, target, protocol) = (word(), word(), word());
    out.text("method", method);
    out.text("target", target);
    out.text("protocol", protocol);
    out.text("scheme", Some(entry.info.scheme.as_bytes()));
    let field = |name| entry.line.and_then(|line| line.field(name));
    out.text("host", field("host"));
    out.number("status", Some(entry.status.as_u16()));
    out.number("request_bytes", Some(entry.received));
    out.number("response_body_bytes", Some(entry.sent));
    out.number(
        "duration_us",
        entry.duration.map(|duration| duration.as_micros()),
    );
    out.text("referer", field("referer"));
    out.text("user_agent", field("user-agent"));
    out.0.push_str("}\n");
    out.0
}

struct Object(String);

impl Object {
    fn key(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        // Writing to a String cannot fail.
        let _ = write!(self.0, "\"{name}\":");
    }

    fn number(&mut self, name: &str, value: Option<impl Display>) {
        self.key(name);
        let _ = match value {
            Some(value) => write!(self.0, "{value}"),
            None => write!(self.0, "null"),
        };
    }

    fn text(&mut self, name: &str, value: Option<&[u8]>) {
        self.key(name);
        match value {
            Some(value) => string(&mut self.0, &String::from_utf8_lossy(value)),
            None => self.0.push_str("null"),
        }
    }
}

/// RFC 8259 section 7.
fn string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            // Beyond what has to be escaped: terminals act on C1 controls, and some readers end
            // lines at U+2028 and U+2029.
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped() {
        let mut out = String::new();
        string(&mut out, "a\"b\\c\n\u{85}é\u{2028}");
        assert_eq!(out, "\"a\\\"b\\\\c\\u000a\\u0085é\\u2028\"");
    }
}
