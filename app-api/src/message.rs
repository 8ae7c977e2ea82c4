//! What clients are told of their mistakes.
//!
//! What must stay true: nothing that a client has sent is repeated at length or with control
//! characters.

use std::fmt::{self, Write};

/// Characters of a message; a name that is not known may be as long as the body.
const LONGEST: usize = 300;

/// A text of a bounded length, and without control characters.
#[cfg(feature = "forms")]
pub(crate) fn shortened(text: &str) -> String {
    let mut message = Message::default();
    let _full = message.write_str(text);
    message.text
}

/// What std says of a text that is no number, in words for people who have never seen Rust.
pub(crate) fn plain(message: &str) -> String {
    let plain = match message {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "must be a whole number"
        }
        "number too large to fit in target type" => "is too large a number",
        "number too small to fit in target type" => "is too small a number",
        "number would be zero for non-zero type" => "must not be 0",
        "invalid float literal" | "cannot parse float from empty string" => "must be a number",
        "provided string was not `true` or `false`" => "must be true or false",
        "too many characters in string" | "cannot parse char from empty string" => {
            "must be one character"
        }
        "unsupported value" => "was sent more than once",
        #[cfg(feature = "forms")]
        _ => return plain_of_serde(message).unwrap_or_else(|| message.to_owned()),
        #[cfg(not(feature = "forms"))]
        _ => message,
    };
    plain.to_owned()
}

/// What serde says of a value: what it is, and what is expected.
#[cfg(feature = "forms")]
fn plain_of_serde(message: &str) -> Option<String> {
    let starts = ["unknown variant ", "invalid value: ", "invalid type: "];
    if !starts.iter().any(|start| message.starts_with(start)) {
        return None;
    }
    // What was sent may have these words in it, too.
    let (_, expected) = message.rsplit_once(", expected ")?;
    let number = expected.strip_prefix("a nonzero ").unwrap_or(expected);
    let is_number = |kinds: &str| {
        let bits = number.strip_prefix(|kind| kinds.contains(kind));
        bits.is_some_and(|bits| bits == "size" || bits.parse::<u8>().is_ok())
    };
    Some(match expected {
        _ if is_number("iu") && number.len() < expected.len() => "must not be 0".to_owned(),
        _ if is_number("iu") => "must be a whole number".to_owned(),
        _ if is_number("f") => "must be a number".to_owned(),
        _ => format!("must be {}", expected.replace('`', "\"")),
    })
}

/// A message in the making. To write beyond its length fails.
#[derive(Default)]
pub(crate) struct Message {
    pub(crate) text: String,
    length: usize,
}

impl Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.length == LONGEST {
                self.text.push('…');
                self.length += 1;
            }
            if self.length > LONGEST {
                return Err(fmt::Error);
            }
            self.length += 1;
            self.text.push(if c.is_control() { ' ' } else { c });
        }
        Ok(())
    }
}
