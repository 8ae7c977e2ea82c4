//! Properties: what is found depends on the bytes, not on how they were cut;
//! what is encoded is decoded; and nothing panics.

use std::time::SystemTime;

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::super::{
    CHUNK_END, Date, Framing, LAST_CHUNK, RequestInfo, chunk_head, plan, write_head,
};
use super::{BodyLength, Decoder, Event, HeadLimits, Step, events};

/// Pieces of requests, right and wrong, out of which streams are made: random
/// bytes alone would never get past the first line.
const PIECES: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /a?b HTTP/1.0\r\n\r\n",
    "OPTIONS * HTTP/1.5\r\nHost: h\r\n",
    "PRI * HTTP/2.0\r\n\r\n",
    "POST http://a/b HTTP/1.1\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
    "Host: h\r\n",
    "Host: a b\r\n",
    "Content-Length: 3\r\n",
    "Content-Length: 3, 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip\r\n",
    "Connection: close\r\n",
    "Expect: 100-continue\r\n",
    "X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
    "x:\r\n",
    "x : y\r\n",
    " folded\r\n",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "\0",
    "hello",
    "abc",
    "3\r\nabc\r\n",
    "5;x=y\r\nhello\r\n",
    "A\r\n0123456789\r\n",
    "0\r\n\r\n",
    "0\r\nx: y\r\n\r\n",
    "0\n\n",
    "ffffffffffffffff\r\n",
];

/// A stream of pieces with a few bytes changed.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<Index>(), any::<u8>(), 0..3u8);
    let changes = prop_oneof![3 => Just(Vec::new()), 1 => vec(change, 1..3)];
    (vec(select(PIECES), 0..12), changes).prop_map(|(pieces, changes)| {
        let mut bytes = pieces.concat().into_bytes();
        for (index, byte, kind) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = index.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

/// Several whole requests, one behind the other, none of them malformed; and
/// the bodies that they carry.
fn pipeline() -> impl Strategy<Value = (Vec<u8>, Vec<Vec<u8>>)> {
    let body = vec(any::<u8>(), 0..300);
    vec((body, 0..3u8, vec(1..90usize, 1..4)), 1..6).prop_map(|requests| {
        let mut wire = Vec::new();
        let mut bodies = Vec::new();
        for (body, kind, sizes) in requests {
            match kind {
                0 => {
                    wire.extend_from_slice(b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
                    bodies.push(Vec::new());
                    continue;
                }
                1 => {
                    let length = body.len();
                    let head = format!("PUT / HTTP/1.0\r\nContent-Length: {length}\r\n\r\n");
                    wire.extend_from_slice(head.as_bytes());
                    wire.extend_from_slice(&body);
                }
                _ => {
                    wire.extend_from_slice(
                        b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
                    );
                    encode(&mut wire, &body, &sizes);
                }
            }
            bodies.push(body);
        }
        (wire, bodies)
    })
}

/// `body` in chunks of these sizes, over and over.
fn encode(wire: &mut Vec<u8>, mut body: &[u8], sizes: &[usize]) {
    for &size in sizes.iter().cycle() {
        if body.is_empty() {
            break;
        }
        let (chunk, rest) = body.split_at(size.min(body.len()));
        wire.extend_from_slice(chunk_head(chunk.len()).as_bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(CHUNK_END);
        body = rest;
    }
    wire.extend_from_slice(LAST_CHUNK);
}

/// `bytes` cut at these places.
fn cut<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut parts = Vec::new();
    let mut start = 0;
    for end in places.into_iter().chain([bytes.len()]) {
        parts.push(&bytes[start..end]);
        start = end;
    }
    parts
}

fn any_limits() -> impl Strategy<Value = HeadLimits> {
    let narrow =
        (10..60usize, 0..6usize, 1..60usize).prop_map(|(line, fields, field_size)| HeadLimits {
            line,
            fields,
            field_size,
        });
    prop_oneof![Just(HeadLimits::default()), narrow]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn events_do_not_depend_on_the_cuts(
        stream in stream(),
        cuts in vec(any::<Index>(), 0..6),
        limits in any_limits(),
    ) {
        let whole = events([&stream[..]], &limits);
        prop_assert_eq!(&whole, &events(cut(&stream, &cuts), &limits));
        prop_assert_eq!(&whole, &events(stream.chunks(1), &limits));
    }

    /// More input can add events and lengthen the last body, but never take
    /// back what was seen.
    #[test]
    fn what_was_seen_stays_true(stream in stream(), end in any::<Index>()) {
        let limits = HeadLimits::default();
        let whole = events([&stream[..]], &limits);
        let mut part = events([&stream[..end.index(stream.len() + 1)]], &limits);
        if let Some(Event::Body(bytes)) = part.last() {
            let at = part.len() - 1;
            prop_assert!(matches!(&whole[at], Event::Body(all) if all.starts_with(bytes)));
            part.pop();
        }
        prop_assert!(whole.starts_with(&part), "{:?}\n{:?}", part, whole);
    }

    #[test]
    fn random_bytes_do_no_harm(
        bytes in vec(any::<u8>(), 0..200),
        cuts in vec(any::<Index>(), 0..4),
    ) {
        let limits = HeadLimits::default();
        prop_assert_eq!(events([&bytes[..]], &limits), events(cut(&bytes, &cuts), &limits));
    }

    #[test]
    fn pipelined_requests_arrive_whole(
        (wire, bodies) in pipeline(),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let mut seen = events(cut(&wire, &cuts), &HeadLimits::default()).into_iter();
        for body in bodies {
            prop_assert!(matches!(seen.next(), Some(Event::Head(_))));
            if !body.is_empty() {
                prop_assert_eq!(seen.next(), Some(Event::Body(body)));
            }
            prop_assert_eq!(seen.next(), Some(Event::End));
        }
        prop_assert_eq!(seen.next(), None);
    }

    /// However little of the data is consumed at a time.
    #[test]
    fn chunks_are_decoded_in_any_portions(
        body in vec(any::<u8>(), 0..500),
        sizes in vec(1..100usize, 1..5),
        portion in 1..50usize,
    ) {
        let mut wire = Vec::new();
        encode(&mut wire, &body, &sizes);
        wire.extend_from_slice(b"GET");
        let mut buf = BytesMut::from(&wire[..]);
        let mut decoder = Decoder::new(BodyLength::Chunked);
        let mut decoded = Vec::new();
        while let Step::Data(n) = decoder.next(&mut buf).unwrap() {
            let n = n.min(portion);
            decoded.extend_from_slice(&buf[..n]);
            decoder.take(&mut buf, n);
        }
        prop_assert!(decoder.is_done());
        prop_assert_eq!(decoder.total(), body.len() as u64);
        prop_assert_eq!(decoded, body);
        prop_assert_eq!(&buf[..], b"GET");
    }

    /// Whatever the application sets: one head, at most one framing field, and
    /// that is the plan's.
    #[test]
    fn a_response_has_one_framing(
        fields in vec((
            select(&["content-length", "transfer-encoding", "connection", "upgrade", "x"][..]),
            select(&["5", "6", "x", "close", "chunked", ""][..]),
        ), 0..6),
        status in 100..600u16,
        body in proptest::option::of(0..9u64),
        facts in any::<(bool, bool, bool)>(),
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let (head, old, keep_alive) = facts;
        let version = if old { Version::HTTP_10 } else { Version::HTTP_11 };
        let status = StatusCode::from_u16(status).unwrap();
        let plan = plan(&RequestInfo { head, version, keep_alive }, status, Some(&headers), body);
        let mut out = Vec::new();
        write_head(&mut out, version, status, None, Some(&headers), &plan, &Date::at(SystemTime::now()));

        let mut slots = [httparse::EMPTY_HEADER; 16];
        let mut response = httparse::Response::new(&mut slots);
        let parsed = response.parse(&out).unwrap();
        prop_assert_eq!(parsed, httparse::Status::Complete(out.len()));
        let values = |name: &str| -> Vec<String> {
            let found = response.headers.iter().filter(|header| header.name == name);
            found.map(|header| String::from_utf8(header.value.to_vec()).unwrap()).collect()
        };
        let (lengths, codings) = match plan.framing {
            Framing::Length(length) => (vec![length.to_string()], vec![]),
            Framing::Chunked => (vec![], vec!["chunked".to_owned()]),
            Framing::Close | Framing::None => (vec![], vec![]),
        };
        prop_assert_eq!(values("content-length"), lengths);
        prop_assert_eq!(values("transfer-encoding"), codings);
        prop_assert!(values("connection").len() <= 1);
        // Whoever reads until the end of the connection must get to see it.
        if plan.framing == Framing::Close {
            prop_assert!(!plan.keep_alive);
        }
        // HTTP/1.0 does not know chunks.
        prop_assert!(!old || plan.framing != Framing::Chunked);
    }
}
