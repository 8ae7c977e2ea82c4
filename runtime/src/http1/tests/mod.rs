//! Tables for every rule, payloads of known attacks, and properties.
//!
//! All of them go through [`events`], which plays a connection: heads and
//! bodies alternate until the input ends or is refused. [`whole`] runs it twice,
//! with the input in one piece and byte by byte, and demands the same outcome;
//! so every row of every table is a test of that too.

use bytes::BytesMut;
use greenway_app::{Head, Span};
use http::Version;

use super::{BodyLength, Decoder, HeadLimits, HeadReader, Reject, RequestHead, Step};

mod decode;
mod encode;
mod fields;
mod head;
mod smuggling;
mod splits;

/// What a connection got to see.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    Head(Box<Seen>),
    /// Body bytes, however many pieces they came in.
    Body(Vec<u8>),
    End,
    Refused(Reject),
}

/// A request head in comparable form.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    method: String,
    version: Version,
    target: String,
    path: String,
    query: Option<String>,
    authority: Option<String>,
    fields: Vec<(String, Vec<u8>)>,
    wire: Vec<u8>,
    body: BodyLength,
    keep_alive: bool,
    expect_continue: bool,
    upgrade: bool,
}

impl From<RequestHead> for Seen {
    fn from(request: RequestHead) -> Self {
        let head = &request.head;
        let bytes = |span: Span| head.bytes[span.start as usize..span.end as usize].to_vec();
        // Spans that do not hold ASCII would be a bug, so let them panic.
        let text = |span: Span| String::from_utf8(bytes(span)).unwrap();
        let Head {
            method,
            version,
            target,
            path,
            query,
            authority,
            fields,
            ..
        } = head;
        Self {
            method: method.to_string(),
            version: *version,
            target: text(*target),
            path: text(*path),
            query: query.map(text),
            authority: authority.map(text),
            fields: fields
                .iter()
                .map(|field| (text(field.name), bytes(field.value)))
                .collect(),
            wire: head.bytes.to_vec(),
            body: request.body,
            keep_alive: request.keep_alive,
            expect_continue: request.expect_continue,
            upgrade: request.upgrade,
        }
    }
}

/// Plays a connection that reads `parts` one by one.
fn events<'a>(parts: impl IntoIterator<Item = &'a [u8]>, limits: &HeadLimits) -> Vec<Event> {
    let mut seen = Vec::new();
    let mut buf = BytesMut::new();
    let mut reader = HeadReader::default();
    let mut decoder: Option<Decoder> = None;
    for part in parts {
        buf.extend_from_slice(part);
        loop {
            let Some(body) = &mut decoder else {
                match reader.read(&mut buf, limits) {
                    Ok(Some(head)) => {
                        decoder = Some(Decoder::new(head.body));
                        seen.push(Event::Head(Box::new(head.into())));
                        continue;
                    }
                    Ok(None) => break,
                    Err(reject) => {
                        assert_eq!(reader.read(&mut buf, limits).unwrap_err(), reject);
                        seen.push(Event::Refused(reject));
                        return seen;
                    }
                }
            };
            match body.next(&mut buf) {
                Ok(Step::Data(n)) => {
                    assert!(0 < n && n <= buf.len());
                    match seen.last_mut() {
                        Some(Event::Body(bytes)) => bytes.extend_from_slice(&buf[..n]),
                        _ => seen.push(Event::Body(buf[..n].to_vec())),
                    }
                    body.take(&mut buf, n);
                }
                Ok(Step::NeedMore) => break,
                Ok(Step::End) => {
                    assert!(body.is_done() && body.remaining() == Some(0));
                    seen.push(Event::End);
                    decoder = None;
                }
                Err(reject) => {
                    assert_eq!(body.next(&mut buf), Err(reject));
                    seen.push(Event::Refused(reject));
                    return seen;
                }
            }
        }
    }
    seen
}

/// [`events`] for input in one piece, which must be those byte by byte.
fn whole_with(input: &[u8], limits: &HeadLimits) -> Vec<Event> {
    let seen = events([input], limits);
    let trickled = events(input.chunks(1), limits);
    assert_eq!(
        seen,
        trickled,
        "not the same byte by byte: {}",
        input.escape_ascii()
    );
    seen
}

fn whole(input: &[u8]) -> Vec<Event> {
    whole_with(input, &HeadLimits::default())
}

/// The first head of the input, or the status it is refused with.
fn head(input: impl AsRef<[u8]>) -> Result<Seen, u16> {
    let input = input.as_ref();
    match whole(input).into_iter().next() {
        Some(Event::Head(seen)) => Ok(*seen),
        Some(Event::Refused(reject)) => Err(reject.status.as_u16()),
        other => panic!("{other:?} for {}", input.escape_ascii()),
    }
}

/// The head of a request with these lines; each gets its CRLF.
fn lines(lines: &[&str]) -> Result<Seen, u16> {
    head(lines.join("\r\n") + "\r\n\r\n")
}
