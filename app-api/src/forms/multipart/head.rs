//! The headers of one part: what it is called, and whether it is a file.
//!
//! What must stay true: two readers of the same header cannot disagree about it. What RFC 7578
//! leaves open and browsers do not send (two names, two dispositions, control characters) is
//! refused.

use super::Refusal;

/// What the headers of a part say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartHead {
    pub(super) name: String,
    /// As the client has sent it. A part is a file if it has one, even if it is empty.
    pub(super) filename: Option<String>,
    headers: Vec<(String, String)>,
}

impl PartHead {
    /// Parses the header lines, which are separated by CRLF.
    pub(super) fn parse(block: &[u8]) -> Result<Self, Refusal> {
        let headers = headers(block)?;
        let mut dispositions = headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("content-disposition"));
        let (Some((_, disposition)), None) = (dispositions.next(), dispositions.next()) else {
            return Err(Refusal::malformed(
                "a part of the form needs one Content-Disposition",
            ));
        };
        let (name, filename) = disposition_of(disposition)?;
        let head = Self {
            name,
            filename,
            headers,
        };
        // RFC 7578, 4.7: it is deprecated, and browsers do not send it.
        match head.header("content-transfer-encoding") {
            Some(coding)
                if !["7bit", "8bit", "binary"]
                    .iter()
                    .any(|known| coding.eq_ignore_ascii_case(known)) =>
            {
                Err(Refusal::new(
                    415,
                    "a part of the form has a Content-Transfer-Encoding",
                ))
            }
            _ => Ok(head),
        }
    }

    /// The first header of this name, in any case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

fn headers(block: &[u8]) -> Result<Vec<(String, String)>, Refusal> {
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut rest = block;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\r', rest).unwrap_or(rest.len());
        let (line, more) = rest.split_at(end);
        rest = match more {
            [] => more,
            [b'\r', b'\n', more @ ..] => more,
            _ => return Err(Refusal::malformed("a header of a part has a bare CR")),
        };
        if line.iter().any(|&b| b == b'\n' || b == 0) {
            return Err(Refusal::malformed(
                "a header of a part has a bare LF or a NUL",
            ));
        }
        // What is not UTF-8 is the name of a file from an old system, and nothing depends on it.
        let line = String::from_utf8_lossy(line);
        if line.starts_with([' ', '\t']) {
            // A folded line (RFC 5322, 2.2.3) goes on with the header before.
            let Some((_, value)) = headers.last_mut() else {
                return Err(Refusal::malformed("the headers of a part are malformed"));
            };
            value.push(' ');
            value.push_str(line.trim_matches([' ', '\t']));
            continue;
        }
        let Some((name, value)) = line.split_once(':') else {
            return Err(Refusal::malformed("the headers of a part are malformed"));
        };
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(Refusal::malformed("the headers of a part are malformed"));
        }
        let value = value.trim_matches([' ', '\t']);
        headers.push((name.to_owned(), value.to_owned()));
    }
    Ok(headers)
}

/// Name and file name of `form-data; name="a"; filename="b"`.
fn disposition_of(value: &str) -> Result<(String, Option<String>), Refusal> {
    let malformed = || Refusal::malformed("the Content-Disposition of a part is malformed");
    let (kind, mut rest) = value.split_at(value.find(';').unwrap_or(value.len()));
    if !kind
        .trim_matches([' ', '\t'])
        .eq_ignore_ascii_case("form-data")
    {
        return Err(malformed());
    }
    let (mut name, mut filename, mut extended) = (None, None, None);
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            break;
        }
        rest = rest.strip_prefix(';').ok_or_else(malformed)?;
        rest = rest.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            break; // a semicolon at the end
        }
        let (key, after) = rest.split_once('=').ok_or_else(malformed)?;
        let key = key.trim_end_matches([' ', '\t']);
        let (value, after) = parameter(after.trim_start_matches([' ', '\t']));
        rest = after;
        let slot = match key.to_ascii_lowercase().as_str() {
            "name" => &mut name,
            "filename" => &mut filename,
            "filename*" => &mut extended,
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return Err(malformed());
        }
    }
    // RFC 7578, 4.2, forbids `filename*`; clients that send it send nothing else.
    let filename = match (filename, extended) {
        (Some(plain), _) => Some(unescape(&plain)),
        (None, Some(extended)) => Some(decode_extended(&extended).ok_or_else(malformed)?),
        (None, None) => None,
    };
    let name = name.ok_or_else(malformed)?;
    Ok((unescape(&name), filename))
}

/// Takes a value off the front, without its quotes.
fn parameter(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find(';').unwrap_or(text.len()));
        return (value.trim_end_matches([' ', '\t']).to_owned(), rest);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            // Old clients escape quotes and backslashes. Browsers do not: theirs is a path of
            // Windows, whose backslashes stand for themselves.
            '\\' if matches!(chars.peek(), Some((_, '"' | '\\'))) => {
                let (at, escaped) = chars.next().unwrap_or((at, '\\'));
                if escaped == '"' && quoted[at + 1..].trim_matches([' ', '\t']).is_empty() {
                    // It was the quote that ends the header: the value ends with a backslash.
                    value.push('\\');
                    return (value, "");
                }
                value.push(escaped);
            }
            _ => value.push(c),
        }
    }
    // Without its second quote, this fails where a semicolon is looked for.
    (value, "\"")
}

/// Browsers write three characters as escapes, and a percent sign as itself (WHATWG HTML, 4.10.22.8).
fn unescape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let escaped = match after.as_bytes() {
            [b'2', b'2', ..] => '"',
            [b'0', b'd' | b'D', ..] => '\r',
            [b'0', b'a' | b'A', ..] => '\n',
            _ => '%',
        };
        out.push(escaped);
        rest = if escaped == '%' { after } else { &after[2..] };
    }
    out.push_str(rest);
    out
}

/// `UTF-8'en'%e2%82%ac` (RFC 8187, 3.2).
fn decode_extended(value: &str) -> Option<String> {
    let mut pieces = value.splitn(3, '\'');
    let (charset, _, encoded) = (pieces.next()?, pieces.next()?, pieces.next()?);
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let decoded = percent_encoding::percent_decode_str(encoded);
    decoded.decode_utf8().ok().map(|text| text.into_owned())
}

/// RFC 9110, 5.6.2.
fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}
