//! What a fuzzer calls, and what it holds the protocol to.
//!
//! A fuzzer that only looks for panics learns little about a parser in safe Rust. The functions
//! here look for disagreement instead, which is what request smuggling is made of: between the
//! same bytes read in one piece and in many, between our decoder and a second one that was
//! written from the grammar alone, between what the parser found and what the server answered.
//! Each panics on the first contradiction.
//!
//! The module exists in builds for tests and for fuzzers (`--cfg fuzzing`) only and is not part of
//! the public interface. The package `tests/fuzz` has the targets and the corpus; the crate's own
//! tests run the connection over the same memory with generated streams.
//!
//! # Input
//!
//! The first byte of an input is not part of the stream: it says how the stream is cut. Reads
//! bring `1 + high nibble` and `1 + low nibble` bytes by turns; 0xff means all at once. For
//! WebSockets the second byte says who we are and what was agreed on.

pub(crate) mod memory;
mod reference;
pub(crate) mod replies;
mod websocket;

use bytes::BytesMut;
use greenway_proto::http1::play::{Event, Seen, events};
use greenway_proto::http1::{BodyLength, Decoder, HeadLimits, Step};
use memory::Session;
use replies::Replies;

/// Reads a stream of requests and holds every head to the rules that all others build on.
///
/// # Panics
/// When it finds a contradiction.
pub fn head(input: &[u8]) {
    let Some((cuts, stream)) = split(input) else {
        return;
    };
    let limits = HeadLimits::default();
    let whole = events([stream], &limits);
    assert_eq!(
        whole,
        events(cuts.pieces(stream), &limits),
        "the cuts matter"
    );
    assert_eq!(
        whole,
        events(stream.chunks(1), &limits),
        "not the same byte by byte"
    );
    for event in &whole {
        if let Event::Head(seen) = event {
            reference::check_head(seen);
        }
    }
}

/// Decodes a stream as a chunked body and compares with a second decoder.
///
/// # Panics
/// When it finds a contradiction.
pub fn chunked(input: &[u8]) {
    let Some((cuts, stream)) = split(input) else {
        return;
    };
    let whole = decode([stream]);
    assert_eq!(whole, decode(cuts.pieces(stream)), "the cuts matter");
    assert_eq!(whole, decode(stream.chunks(1)), "not the same byte by byte");
    let expected = reference::decode_chunked(stream);
    if stream.len() <= reference::BELOW_ALL_LIMITS || whole.is_some() {
        assert_eq!(whole, expected, "not what the grammar says");
    }
}

/// A whole chunked body, and how much of the stream is left behind it; `None` if it is refused
/// or incomplete.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<(Vec<u8>, usize)> {
    let mut decoder = Decoder::new(BodyLength::Chunked);
    let (mut buf, mut body) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buf.extend_from_slice(piece);
        while let Step::Data(n) = decoder.next(&mut buf).ok()? {
            body.extend_from_slice(&decoder.take(&mut buf, n));
        }
    }
    decoder.is_done().then_some((body, buf.len()))
}

/// Serves a stream as a connection, and compares the responses with the requests.
///
/// # Panics
/// When it finds a contradiction.
pub fn connection(input: &[u8]) {
    let Some((cuts, stream)) = split(input) else {
        return;
    };
    check_connection(stream, cuts);
}

/// Serves `stream` in one piece, cut, and to a client that leaves in the middle.
pub(crate) fn check_connection(stream: &[u8], cuts: Cuts) {
    let seen = events([stream], &HeadLimits::default());
    let whole = Session::new(stream).serve();
    let replies = Replies::parse(&whole.output, &methods(&seen));
    check_count(&seen, &replies, whole.calls);

    let cut = Session::new(stream).cut(cuts).serve();
    assert!(whole.shut && cut.shut, "the connection stays open");
    assert_eq!(whole.calls, cut.calls, "the cuts matter");
    assert_eq!(
        replies,
        Replies::parse(&cut.output, &methods(&seen)),
        "the cuts matter"
    );

    // A client that takes no more at some place has seen the start of the same, and nothing else
    // happens.
    let room = cut.output.len() / 2;
    let left = Session::new(stream).cut(cuts).leaving_after(room).serve();
    assert!(left.calls <= cut.calls);
    assert!(
        replies::mask_dates(&cut.output).starts_with(&replies::mask_dates(&left.output)),
        "a client that leaves has seen something else"
    );
}

/// Reads a stream of WebSocket frames, compares with a second receiver, and sends what it found
/// once more.
///
/// # Panics
/// When it finds a contradiction.
pub fn websocket(input: &[u8]) {
    websocket::check(input);
}

fn methods(seen: &[Event]) -> Vec<&str> {
    let heads = seen.iter().filter_map(|event| match event {
        Event::Head(seen) => Some(seen.method.as_str()),
        Event::Body(_) | Event::End | Event::Refused(_) => None,
    });
    heads.collect()
}

/// One response for each request until the connection ends, and it does not end unannounced.
fn check_count(seen: &[Event], replies: &Replies, calls: usize) {
    let requests: Vec<(&Seen, &[Event])> = requests(seen);
    let Some(last) = replies.all.last() else {
        assert!(requests.is_empty(), "requests without a response");
        return;
    };
    let numbers: Vec<usize> = replies.all.iter().filter_map(|reply| reply.call).collect();
    assert!(
        numbers.is_sorted_by(|a, b| a < b) && numbers.last().is_none_or(|&last| last <= calls),
        "not the application's responses, each once and in order"
    );
    // A handler's response can be replaced by an error, if what it reads while it sends is
    // malformed; but each call has one response.
    assert!(calls <= replies.all.len());
    for reply in &replies.all[..replies.all.len() - 1] {
        assert!(!reply.close, "a response after the last one");
    }
    for reply in &replies.all {
        assert!(
            reply.call.is_some() || reply.status >= 400,
            "a response that nobody made"
        );
        assert_ne!(reply.status, 500, "nothing here fails by itself");
    }
    if last.close {
        // The refusal of a head that is malformed or not complete answers no request.
        assert!(replies.all.len() <= requests.len() + 1);
    } else if replies.all.len() != requests.len() {
        assert!(replies.all.len() < requests.len(), "too many responses");
        let (_, body) = requests[replies.all.len() - 1];
        assert!(
            !ends_well(body),
            "the connection ends, though nobody has said so"
        );
    }
}

/// Each head with the events of its body.
fn requests(seen: &[Event]) -> Vec<(&Seen, &[Event])> {
    let is_head = |event: &Event| matches!(event, Event::Head(_));
    let mut requests = Vec::new();
    let mut rest = seen;
    while let [Event::Head(head), behind @ ..] = rest {
        let end = behind.iter().position(is_head).unwrap_or(behind.len());
        let (body, next) = behind.split_at(end);
        requests.push((&**head, body));
        rest = next;
    }
    requests
}

/// Whether a body can be read to its end by a server that throws away no more than 64 KiB.
fn ends_well(body: &[Event]) -> bool {
    match body {
        [Event::End, ..] => true,
        [Event::Body(bytes), Event::End, ..] => bytes.len() <= 64 * 1024,
        _ => false,
    }
}

/// How a stream is cut into reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cuts(pub(crate) u8);

impl Cuts {
    /// All in one piece.
    pub(crate) const NONE: Self = Self(0xff);

    /// How many bytes the read of this number brings at most.
    pub(crate) fn size(self, number: usize) -> usize {
        match (self.0, number % 2) {
            (0xff, _) => usize::MAX,
            (byte, 0) => 1 + usize::from(byte >> 4),
            (byte, _) => 1 + usize::from(byte & 0xf),
        }
    }

    fn pieces(self, mut stream: &[u8]) -> impl Iterator<Item = &[u8]> {
        let mut number = 0;
        std::iter::from_fn(move || {
            let (piece, rest) = stream.split_at(self.size(number).min(stream.len()));
            (number, stream) = (number + 1, rest);
            (!piece.is_empty()).then_some(piece)
        })
    }
}

fn split(input: &[u8]) -> Option<(Cuts, &[u8])> {
    let (&cuts, stream) = input.split_first()?;
    Some((Cuts(cuts), stream))
}
