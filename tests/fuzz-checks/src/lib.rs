//! What a fuzzer calls, and what it holds the protocol and the server to.
//!
//! A fuzzer that only looks for panics learns little about a parser in safe Rust. The functions
//! here look for disagreement instead, which is what request smuggling is made of: between the
//! same bytes read in one piece and in many, between our decoder and a second one that was
//! written from the grammar alone, between what the parser found and what the server answered.
//! Each panics on the first contradiction.
//!
//! The package `tests/fuzz` has the targets and the corpus. The tests of this package replay the
//! corpus and run generated streams, so that everything is checked without a fuzzer, too.
//!
//! # Input
//!
//! The first byte of an input is not part of the stream: it says how the stream is cut. Reads
//! bring `1 + high nibble` and `1 + low nibble` bytes by turns; 0xff means all at once. For
//! WebSockets the second byte says who we are and what was agreed on. Cookies have no such byte. A Range header is no stream:
//! three bytes before it are the length of what it is a range of.

#![forbid(unsafe_code)]

mod connection;
mod cookies;
mod loopback;
mod multipart;
mod ranges;
mod reference;
mod replies;
mod session;
mod streams;
mod websocket;

pub use connection::{check_connection, check_connection_to_the_byte};
pub use loopback::serve;
pub use replies::{Replies, Reply};
pub use session::{Served, Session, application};

use bytes::BytesMut;
use greenway_proto::http1::{BodyLength, Decoder, HeadLimits, Step};
use streams::http1::{Event, events};

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
        if let Event::Head(head) = event {
            reference::check_head(head);
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

/// Serves a stream as connections to a server on loopback, and compares the responses with the
/// requests.
///
/// # Panics
/// When it finds a contradiction.
pub fn connection(input: &[u8]) {
    let Some((cuts, stream)) = split(input) else {
        return;
    };
    check_connection(serve, stream, cuts);
}

/// Reads a stream of WebSocket frames, compares with a second receiver, and sends what it found
/// once more.
///
/// # Panics
/// When it finds a contradiction.
pub fn websocket(input: &[u8]) {
    websocket::check(input);
}

/// Reads a multipart form with the boundary `b`, and compares with a second parser.
///
/// # Panics
/// When it finds a contradiction.
pub fn multipart(input: &[u8]) {
    let Some((cuts, body)) = split(input) else {
        return;
    };
    multipart::check(cuts, body);
}

/// Reads a Range header for a length, and compares with a second reader.
///
/// # Panics
/// When it finds a contradiction.
pub fn ranges(input: &[u8]) {
    ranges::check(input);
}

/// Reads Cookie headers, one a line, compares with a second reader, and sets what it found once
/// more. Nothing is cut here: a head is whole before it is read.
///
/// # Panics
/// When it finds a contradiction.
pub fn cookies(input: &[u8]) {
    cookies::check(input);
}

/// How a stream is cut into reads.
#[derive(Debug, Clone, Copy)]
pub struct Cuts(
    /// As the first byte of an input; the [package](crate) says what it means.
    pub u8,
);

impl Cuts {
    /// All in one piece.
    pub const NONE: Self = Self(0xff);

    /// How many bytes the read of this number brings at most.
    #[must_use]
    pub fn size(self, number: usize) -> usize {
        match (self.0, number % 2) {
            (0xff, _) => usize::MAX,
            (byte, 0) => 1 + usize::from(byte >> 4),
            (byte, _) => 1 + usize::from(byte & 0xf),
        }
    }

    /// The pieces of `stream`, none of them empty.
    pub fn pieces(self, mut stream: &[u8]) -> impl Iterator<Item = &[u8]> {
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
