//! The protocol at its edges, over memory.

mod battery;
mod cases;
mod examples;
mod faults;
mod properties;

use super::{Event, Failure, Limits, Negotiated, Receiver, Role};
use bytes::BytesMut;

/// All events of a stream, and how it failed.
pub(super) type Events = (Vec<Event>, Option<Failure>);

/// Feeds `pieces` one by one.
pub(super) fn receive<'a>(
    mut receiver: Receiver,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Events {
    let (mut buf, mut events) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buf.extend_from_slice(piece);
        loop {
            match receiver.next(&mut buf) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(failure) => return (events, Some(failure)),
            }
        }
    }
    (events, None)
}

pub(super) fn receiver(role: Role, deflate: Option<&Negotiated>) -> Receiver {
    Receiver::new(role, Limits::default(), deflate)
}
