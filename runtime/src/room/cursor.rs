//! Where somebody stands in a room's history.

use std::error::Error;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;

/// The place of a message in a room: the epoch of the room and the message's number in it.
///
/// Numbers grow by one for each message. The epoch is another random one for each [`Room`], so a
/// cursor of an earlier run of the program is known for what it is. As text, for URLs and event
/// ids, it is `EPOCH-NUMBER`.
///
/// ```
/// use greenway::room::{Cursor, Room};
///
/// let room = Room::new();
/// let cursor = room.publish("hello");
/// assert_eq!(cursor.number(), 1);
/// assert_eq!(cursor.to_string().parse::<Cursor>(), Ok(cursor));
/// ```
///
/// [`Room`]: super::Room
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cursor {
    pub(super) epoch: u64,
    pub(super) number: u64,
}

impl Cursor {
    /// Where a room with a bus stands before it has read anything of it; before all of its places.
    pub(super) const UNREAD: Self = Self {
        epoch: 1,
        number: 0,
    };

    /// One that no room knows.
    const FOREIGN: Self = Self {
        epoch: 0,
        number: 0,
    };

    /// The place before the first message of a new room.
    pub(super) fn fresh() -> Self {
        Self {
            epoch: RandomState::new().hash_one(()).max(1), // the hasher's keys are random
            number: 0,
        }
    }

    /// The place in the log of a bus with this epoch and number. Each epoch of a log is larger than
    /// those before it, so its cursors have an order; cursors of different rooms have none.
    #[must_use]
    pub fn new(epoch: u64, number: u64) -> Self {
        Self { epoch, number }
    }

    /// The epoch of its room.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The place before, in the same epoch.
    pub(super) fn before(self) -> Self {
        Self {
            number: self.number.saturating_sub(1),
            ..self
        }
    }

    /// The place of so many messages later.
    pub(super) fn plus(self, messages: u64) -> Self {
        Self {
            number: self.number.saturating_add(messages),
            ..self
        }
    }

    /// The message's number in its room, from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.epoch, self.number)
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let plain = |text: &str| !text.starts_with('+');
        let (epoch, number) = text.split_once('-').ok_or(BadCursor)?;
        if !plain(epoch) || !plain(number) {
            return Err(BadCursor);
        }
        Ok(Self {
            epoch: u64::from_str_radix(epoch, 16).map_err(|_| BadCursor)?,
            number: number.parse().map_err(|_| BadCursor)?,
        })
    }
}

/// A text is no [`Cursor`]; whoever sent it did not get it from a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadCursor;

impl fmt::Display for BadCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a room's cursor (EPOCH-NUMBER)")
    }
}

impl Error for BadCursor {}

/// What somebody who comes has seen already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// Nothing, and wants none of what has been: messages from now on.
    Now,
    /// Nothing, and wants all that the room remembers.
    Start,
    /// Everything up to this place.
    Cursor(Cursor),
}

impl Since {
    /// What a client says that it has seen: the value of `Last-Event-ID`, or of a parameter.
    /// `None` is [`Start`](Since::Start). A text that is no cursor counts as one of another room:
    /// the client gets all that there is, and is told that there is a gap.
    ///
    /// ```
    /// use greenway::room::Since;
    /// use greenway::{Request, sse};
    ///
    /// let of_events = |request: &Request| Since::seen(sse::last_event_id(request));
    /// let of_polls = |request: &Request| Since::seen(request.query("after").as_deref());
    /// ```
    #[must_use]
    pub fn seen(text: Option<&str>) -> Self {
        match text {
            None => Self::Start,
            Some(text) => Self::Cursor(text.parse().unwrap_or(Cursor::FOREIGN)),
        }
    }
}

impl From<Cursor> for Since {
    fn from(cursor: Cursor) -> Self {
        Self::Cursor(cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_text_that_comes_back() {
        let cursor = Cursor {
            epoch: 0xab,
            number: 42,
        };
        assert_eq!(cursor.to_string(), "00000000000000ab-42");
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in [
            "",
            "-",
            "1",
            "1-",
            "-1",
            "x-1",
            "1-x",
            "1--1",
            "+1-1",
            "1-+1",
            "1-1 ",
            "1ffffffffffffffff-1",
        ] {
            assert_eq!(bad.parse::<Cursor>(), Err(BadCursor), "{bad:?}");
            assert_eq!(Since::seen(Some(bad)), Since::Cursor(Cursor::FOREIGN));
        }
        assert_eq!(Since::seen(None), Since::Start);
        assert_ne!(Cursor::fresh(), Cursor::fresh());
    }
}
