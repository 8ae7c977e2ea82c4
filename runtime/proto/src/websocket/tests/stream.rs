//! A whole stream of frames as a list of events.
//!
//! `tests/fuzz-checks` compiles this file as well, so that the tests of this crate and the fuzz
//! targets judge by the same events; its `super` has the same names as ours.

use bytes::BytesMut;

use super::{Event, Failure, Receiver};

/// All events of a stream, and how it failed.
pub(crate) type Events = (Vec<Event>, Option<Failure>);

/// Feeds a stream piece by piece. Unlike a connection it goes on behind a close frame, where
/// nothing can follow.
pub(crate) fn events<'a>(
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
        assert!(buf.len() < 140, "{} bytes are left", buf.len());
    }
    (events, None)
}
