//! A connection without a connection: heads and bodies in the order of a stream.
//!
//! Tests and fuzz targets judge this module by the same events, so that what
//! one of them finds can be repeated by the other. Nothing else uses it.

use bytes::BytesMut;
use greenway_app::{Head, Span};
use http::Version;

use super::{BodyLength, Decoder, HeadLimits, HeadReader, Reject, RequestHead, Step};

/// What a connection got to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Head(Box<Seen>),
    /// Body bytes, however many pieces they came in.
    Body(Vec<u8>),
    End,
    Refused(Reject),
}

/// A request head in comparable form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    pub version: Version,
    pub target: String,
    pub path: String,
    pub query: Option<String>,
    pub authority: Option<String>,
    pub fields: Vec<(String, Vec<u8>)>,
    pub wire: Vec<u8>,
    pub body: BodyLength,
    pub keep_alive: bool,
    pub expect_continue: bool,
    pub upgrade: bool,
}

impl From<RequestHead> for Seen {
    fn from(request: RequestHead) -> Self {
        let head: &Head = &request.head;
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
pub fn events<'a>(parts: impl IntoIterator<Item = &'a [u8]>, limits: &HeadLimits) -> Vec<Event> {
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
