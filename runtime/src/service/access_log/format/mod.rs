//! Formats with gunicorn's letters, compiled once.
//!
//! What must stay true: text of a client's is escaped wherever it appears, so that no request
//! can look like two lines or end a quotation.

mod show;

use super::{Entry, json, text};
use crate::service::{RequestLine, timestamp};
use greenway_app::{Input, Request};
use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How a line looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text with values in it.
    Letters(Vec<Piece>),
    /// One JSON object.
    Json,
}

/// gunicorn's default, which is Apache's *combined*, and the duration in microseconds.
const COMBINED: &str = r#"%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(D)s"#;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Letter(Letter),
    /// `{name}i`: a field of the request.
    RequestField(String),
    /// `{name}o`: a field of the response.
    ResponseField(String),
    /// `{NAME}e`: a variable of the environ.
    Variable(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Letter {
    RemoteAddress,
    Dash,
    User,
    Date,
    RequestLine,
    Method,
    Path,
    Query,
    Protocol,
    Status,
    Bytes,
    BytesOrDash,
    Referer,
    Agent,
    Seconds,
    Milliseconds,
    Microseconds,
    DecimalSeconds,
    Process,
}

const LETTERS: [(&str, Letter); 19] = [
    ("h", Letter::RemoteAddress),
    ("l", Letter::Dash),
    ("u", Letter::User),
    ("t", Letter::Date),
    ("r", Letter::RequestLine),
    ("m", Letter::Method),
    ("U", Letter::Path),
    ("q", Letter::Query),
    ("H", Letter::Protocol),
    ("s", Letter::Status),
    ("B", Letter::Bytes),
    ("b", Letter::BytesOrDash),
    ("f", Letter::Referer),
    ("a", Letter::Agent),
    ("T", Letter::Seconds),
    ("M", Letter::Milliseconds),
    ("D", Letter::Microseconds),
    ("L", Letter::DecimalSeconds),
    ("p", Letter::Process),
];

impl Default for Format {
    fn default() -> Self {
        COMBINED.parse().expect("a test compiles it")
    }
}

impl FromStr for Format {
    type Err = String;

    /// `json`, or text with letters: `%(h)s`, `%({user-agent}i)s`, `%%`.
    fn from_str(format: &str) -> Result<Self, String> {
        if format == "json" {
            return Ok(Self::Json);
        }
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = format;
        while let Some((before, after)) = rest.split_once('%') {
            plain.push_str(before);
            if let Some(after) = after.strip_prefix('%') {
                plain.push('%');
                rest = after;
                continue;
            }
            let (name, after) = after
                .strip_prefix('(')
                .and_then(|after| after.split_once(')'))
                .ok_or_else(|| format!("%{after}: not the form %(letter)s"))?;
            // `d` is as good as `s` for numbers in Python, where the form comes from.
            rest = after
                .strip_prefix(['s', 'd'])
                .ok_or_else(|| format!("%({name}): an s is missing after it"))?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(piece(name)?);
        }
        plain.push_str(rest);
        plain.push('\n');
        pieces.push(Piece::Text(plain));
        Ok(Self::Letters(pieces))
    }
}

fn piece(name: &str) -> Result<Piece, String> {
    if let Some((_, letter)) = LETTERS.iter().find(|(known, _)| *known == name) {
        return Ok(Piece::Letter(*letter));
    }
    let unknown = || format!("%({name})s is unknown");
    let (inner, kind) = name
        .strip_prefix('{')
        .and_then(|inner| inner.split_once('}'))
        .ok_or_else(unknown)?;
    match kind {
        "i" => Ok(Piece::RequestField(inner.to_ascii_lowercase())),
        "o" => Ok(Piece::ResponseField(inner.to_ascii_lowercase())),
        // As in gunicorn, in large letters or small ones. Ours are small where they have a dot.
        "e" if inner.contains('.') => Ok(Piece::Variable(inner.to_ascii_lowercase())),
        "e" => Ok(Piece::Variable(inner.to_ascii_uppercase())),
        _ => Err(unknown()),
    }
}

impl Format {
    fn has(&self, wanted: impl Fn(&Piece) -> bool) -> bool {
        match self {
            Self::Letters(pieces) => pieces.iter().any(wanted),
            Self::Json => false,
        }
    }

    /// Whether an entry needs the request's head.
    pub(crate) fn wants_variables(&self) -> bool {
        self.has(|piece| matches!(piece, Piece::Variable(_)))
    }

    /// Whether an entry needs the response's head.
    pub(crate) fn wants_response(&self) -> bool {
        self.has(|piece| matches!(piece, Piece::ResponseField(_)))
    }

    /// An entry as a line, with its end.
    pub(crate) fn line(&self, entry: &Entry<'_>, now: SystemTime) -> String {
        let pieces = match self {
            Self::Json => return json::line(entry, now),
            Self::Letters(pieces) => pieces,
        };
        let mut out = String::with_capacity(192);
        // The environ is made for the first variable that needs it.
        let mut request = None;
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Letter(letter) => letter.write(&mut out, entry, now),
                Piece::RequestField(name) => {
                    or_dash(&mut out, entry.line.and_then(|line| line.field(name)));
                }
                Piece::ResponseField(name) => {
                    or_dash(&mut out, entry.response.and_then(|head| field(head, name)));
                }
                Piece::Variable(name) => {
                    let request = request.get_or_insert_with(|| request_of(entry));
                    let value = request
                        .as_ref()
                        .and_then(|request| request.environ().get(name));
                    or_dash(&mut out, value.map(str::as_bytes));
                }
            }
        }
        out
    }
}

/// The request anew, without its body.
fn request_of(entry: &Entry<'_>) -> Option<Request> {
    let head = entry.head?.clone();
    Request::new(head, Input::empty(), Arc::new(entry.info.clone())).ok()
}

/// A field of a head as it was sent.
fn field<'h>(head: &'h [u8], name: &str) -> Option<&'h [u8]> {
    head.split(|byte| *byte == b'\n').skip(1).find_map(|line| {
        let (field, value) = line.split_at(memchr::memchr(b':', line)?);
        field
            .eq_ignore_ascii_case(name.as_bytes())
            .then(|| value[1..].trim_ascii())
    })
}

fn or_dash(out: &mut String, value: Option<&[u8]>) {
    text::quote(out, value.filter(|value| !value.is_empty()).unwrap_or(b"-"));
}

impl Letter {
    fn write(self, out: &mut String, entry: &Entry<'_>, now: SystemTime) {
        let duration = entry.duration.unwrap_or(Duration::ZERO);
        let line = entry.line.map(RequestLine::text);
        // A request line has exactly two spaces: the parser has seen to that.
        let word = |n| line?.split(' ').nth(n);
        let path_and_query =
            || word(1).map(|target| target.split_once('?').unwrap_or((target, "")));
        let request_field = |name| entry.line.and_then(|line| line.field(name));
        // Writing to a String cannot fail.
        let _ = match self {
            Self::RemoteAddress => match entry.info.peer {
                Some(peer) => write!(out, "{}", peer.ip()),
                None => write!(out, "-"),
            },
            Self::Dash => write!(out, "-"),
            Self::User => {
                let user = request_field("authorization").and_then(text::user);
                or_dash(out, user.as_deref());
                Ok(())
            }
            Self::Date => {
                timestamp::push_common(out, now);
                Ok(())
            }
            Self::RequestLine => {
                or_dash(out, line.map(str::as_bytes));
                Ok(())
            }
            Self::Method => {
                or_dash(out, word(0).map(str::as_bytes));
                Ok(())
            }
            Self::Path => {
                or_dash(out, path_and_query().map(|(path, _)| path.as_bytes()));
                Ok(())
            }
            Self::Query => {
                // Nothing where there is none, as there.
                let query = path_and_query().map_or("", |(_, query)| query);
                text::quote(out, query.as_bytes());
                Ok(())
            }
            Self::Protocol => {
                or_dash(out, word(2).map(str::as_bytes));
                Ok(())
            }
            Self::Status => write!(out, "{}", entry.status.as_u16()),
            Self::BytesOrDash if entry.sent == 0 => write!(out, "-"),
            Self::Bytes | Self::BytesOrDash => write!(out, "{}", entry.sent),
            Self::Referer => {
                or_dash(out, request_field("referer"));
                Ok(())
            }
            Self::Agent => {
                or_dash(out, request_field("user-agent"));
                Ok(())
            }
            Self::Seconds => write!(out, "{}", duration.as_secs()),
            Self::Milliseconds => write!(out, "{}", duration.as_millis()),
            Self::Microseconds => write!(out, "{}", duration.as_micros()),
            Self::DecimalSeconds => {
                write!(
                    out,
                    "{}.{:06}",
                    duration.as_secs(),
                    duration.subsec_micros()
                )
            }
            Self::Process => write!(out, "<{}>", std::process::id()),
        };
    }
}

#[cfg(test)]
mod tests;
