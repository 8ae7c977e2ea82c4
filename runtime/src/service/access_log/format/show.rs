//! A format as text, from which it could be read again.

use super::{Format, LETTERS, Piece};
use std::fmt;

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Letters(pieces) = self else {
            return f.write_str("json");
        };
        for (index, piece) in pieces.iter().enumerate() {
            match piece {
                Piece::Text(text) => {
                    let is_last = index + 1 == pieces.len();
                    let text = match text.strip_suffix('\n') {
                        Some(text) if is_last => text,
                        _ => text,
                    };
                    f.write_str(&text.replace('%', "%%"))?;
                }
                Piece::Letter(letter) => {
                    let known = LETTERS.iter().find(|(_, known)| known == letter);
                    write!(f, "%({})s", known.map_or("", |(name, _)| name))?;
                }
                Piece::RequestField(name) => write!(f, "%({{{name}}}i)s")?,
                Piece::ResponseField(name) => write!(f, "%({{{name}}}o)s")?,
                Piece::Variable(name) => write!(f, "%({{{name}}}e)s")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::access_log::format::COMBINED;

    #[test]
    fn what_is_shown_is_what_was_read() {
        for text in [
            COMBINED,
            "json",
            "",
            "100%% of %(h)s",
            "%({host}i)s %({etag}o)s %({REQUEST_METHOD}e)s",
        ] {
            let format: Format = text.parse().unwrap();
            assert_eq!(format.to_string(), text);
        }
    }
}
