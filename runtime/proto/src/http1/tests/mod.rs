//! Tables for every rule, payloads of known attacks, and properties.
//!
//! All of them go through [`events`], which plays a connection: heads and
//! bodies alternate until the input ends or is refused. [`whole`] runs it twice,
//! with the input in one piece and byte by byte, and demands the same outcome;
//! so every row of every table is a test of that too.

use self::stream::{Event, HeadRecord, events};
use super::{BodyLength, Decoder, HeadLimits, HeadReader, Reject, RequestHead, Step};

mod decode;
mod encode;
mod fields;
mod head;
mod smuggling;
mod splits;
mod stream;

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
fn head(input: impl AsRef<[u8]>) -> Result<HeadRecord, u16> {
    let input = input.as_ref();
    match whole(input).into_iter().next() {
        Some(Event::Head(seen)) => Ok(*seen),
        Some(Event::Refused(reject)) => Err(reject.status.as_u16()),
        other => panic!("{other:?} for {}", input.escape_ascii()),
    }
}

/// The head of a request with these lines; each gets its CRLF.
fn lines(lines: &[&str]) -> Result<HeadRecord, u16> {
    head(lines.join("\r\n") + "\r\n\r\n")
}
