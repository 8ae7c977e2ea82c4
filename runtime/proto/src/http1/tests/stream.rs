//! A connection without a socket: heads and bodies in the order in which a stream holds them.
//!
//! The tests of this crate and the fuzz targets judge HTTP/1 by the same events, so that each can
//! repeat what the other has found. `tests/fuzz-checks` therefore compiles this file as well; its
//! `super` has the same names as ours.

use bytes::BytesMut;
use greenway_app::{Head, Span};
use http::Version;

use super::{BodyLength, Decoder, HeadLimits, HeadReader, Reject, RequestHead, Step};

/// What a server finds in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Head(Box<HeadRecord>),
    /// Body bytes, however many pieces they came in.
    Body(Vec<u8>),
    End,
    Refused(Reject),
}

/// A request head in comparable form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeadRecord {
    pub(crate) method: String,
    pub(crate) version: Version,
    pub(crate) target: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) authority: Option<String>,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) wire: Vec<u8>,
    pub(crate) body: BodyLength,
    pub(crate) keep_alive: bool,
    pub(crate) expect_continue: bool,
    pub(crate) upgrade: bool,
}

impl From<RequestHead> for HeadRecord {
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

/// All that a server finds which reads `parts` one by one.
pub(crate) fn events<'a>(
    parts: impl IntoIterator<Item = &'a [u8]>,
    limits: &HeadLimits,
) -> Vec<Event> {
    let mut found = Vec::new();
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
                        found.push(Event::Head(Box::new(head.into())));
                        continue;
                    }
                    Ok(None) => break,
                    Err(reject) => {
                        assert_eq!(reader.read(&mut buf, limits).unwrap_err(), reject);
                        found.push(Event::Refused(reject));
                        return found;
                    }
                }
            };
            match body.next(&mut buf) {
                Ok(Step::Data(n)) => {
                    assert!(0 < n && n <= buf.len());
                    match found.last_mut() {
                        Some(Event::Body(bytes)) => bytes.extend_from_slice(&buf[..n]),
                        _ => found.push(Event::Body(buf[..n].to_vec())),
                    }
                    body.take(&mut buf, n);
                }
                Ok(Step::NeedMore) => break,
                Ok(Step::End) => {
                    assert!(body.is_done() && body.remaining() == Some(0));
                    found.push(Event::End);
                    decoder = None;
                }
                Err(reject) => {
                    assert_eq!(body.next(&mut buf), Err(reject));
                    found.push(Event::Refused(reject));
                    return found;
                }
            }
        }
    }
    found
}
