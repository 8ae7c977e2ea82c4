//! What carries the posts of rooms between processes and machines.
//!
//! A room lives in one process. With a [`Bus`], rooms of the same name in other processes are the
//! same room: a post is appended to a log that all of them read, and is delivered when it comes
//! back, in every process in the order of the log. Without one, nothing here is in the way: the
//! process itself is the bus, and a room without a bus never comes by.
//!
//! What must stay true:
//! - A place in the log is a [`Cursor`], the same one in every process, so a client that comes back
//!   elsewhere has missed nothing.
//! - Numbers grow by one. Whoever reads a larger step, or another epoch, has missed something, and
//!   says so; so a log that was lost, or has gone back in time, is never taken for a whole one.
//! - A post that is appended twice under the same tag is in the log once, so a publisher may try again.
//! - One thread in each process reads, for all its rooms ([`Hub`]), and it waits for nobody who
//!   reads slowly.

mod hub;
mod link;
mod packet;
mod presence;
#[cfg(feature = "redis")]
mod scripts;
#[cfg(feature = "redis")]
mod streams;

pub use hub::{Hub, HubStats};
pub(super) use link::Link;

use super::cursor::Cursor;
use bytes::Bytes;
use greenway_app::{HttpError, StatusError};
use std::error::Error;
use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

/// A log of posts for each room, which several processes share.
///
/// Its calls block as green threads do, and each has a deadline of its own. They are called from
/// many threads at once. Most programs use one that is there (`greenway::redis`, with the feature
/// of that name) and hand it to [`RoomBuilder::bus`](super::RoomBuilder::bus).
pub trait Bus: fmt::Debug + Send + Sync + 'static {
    /// Makes sure that there is a log for the room, with an epoch, and tells where it begins and
    /// ends.
    ///
    /// `seen` is the last entry that this process has had. If the log should hold it and does
    /// not, it has gone back in time (a restart from an old copy, a replica that had fallen behind).
    /// Then another epoch begins in it, for all who read.
    ///
    /// # Errors
    /// When the log cannot be reached.
    fn open(&self, room: &str, seen: Option<Seen>) -> Result<Extent, BusError>;

    /// Appends a post and gives its place. The log may forget what is older than the last
    /// `post.keep` posts, now or later.
    ///
    /// # Errors
    /// When the log cannot be reached, or does not answer in time: then it is not known whether the
    /// post is in it, and the same call may be made again, which makes no second one.
    fn append(&self, room: &str, post: &Append<'_>) -> Result<Cursor, BusError>;

    /// Keeps the place behind the last post for the post of this tag, for at most so long, and gives
    /// it. Meanwhile no other post gets a place: [`append`](Self::append) is [busy](BusError::busy).
    ///
    /// # Errors
    /// When the log cannot be reached; busy, when it is kept for another one.
    fn reserve(&self, room: &str, tag: u64, life: Duration) -> Result<Cursor, BusError>;

    /// Gives the place up that was kept for this tag, if it still is.
    ///
    /// # Errors
    /// When the log cannot be reached; then it is given up when its time is over.
    fn release(&self, room: &str, tag: u64) -> Result<(), BusError>;

    /// What has come since those places, in order for each room; waits at most `patience` if there is
    /// nothing. The numbers in the answer are indices of `rooms`.
    ///
    /// One thread calls it at a time.
    ///
    /// # Errors
    /// When the log cannot be reached.
    fn read(
        &self,
        rooms: &[(&str, Cursor)],
        patience: Duration,
    ) -> Result<Vec<(usize, Entry)>, BusError>;

    /// Has a [`read`](Self::read) that waits come back soon, or the next one.
    ///
    /// # Errors
    /// When that cannot be done; then it comes back when its time is over.
    fn wake(&self) -> Result<(), BusError>;

    /// Forgets all but the last `keep` posts.
    ///
    /// # Errors
    /// When the log cannot be reached.
    fn trim(&self, room: &str, keep: usize) -> Result<(), BusError>;

    /// Tells who of this process is in the room, and learns who is there in others.
    ///
    /// # Errors
    /// When the bus cannot be reached.
    fn present(&self, room: &str, report: &Report<'_>) -> Result<Lists, BusError>;
}

/// The last entry that a process has had of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its place.
    pub cursor: Cursor,
    /// Its tag, by which it is told from another one at the same place.
    pub tag: u64,
}

/// How far a room's log reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The place before the first entry that it holds.
    pub start: Cursor,
    /// The place of the last one; the same as `start` if there is none.
    pub end: Cursor,
}

/// A post on its way into the log.
#[derive(Debug, Clone, Copy)]
pub struct Append<'a> {
    /// What it is known by, a random number.
    pub tag: u64,
    /// What is to be kept as it is.
    pub bytes: &'a [u8],
    /// Posts that the log has to keep at least.
    pub keep: usize,
    /// The place was kept for it by [`Bus::reserve`]; if it is not any more, that is an error.
    pub is_reserved: bool,
}

/// What a process tells of a room's members.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The process, by a random number.
    pub node: u64,
    /// How long it holds.
    pub life: Duration,
    /// Its members; `None` if they are the same as before.
    pub members: Option<&'a [u8]>,
    /// Of the lists that it has.
    pub version: u64,
}

/// What a process learns of a room's members.
#[derive(Debug, Clone)]
pub struct Lists {
    /// Another one after each change of any list.
    pub version: u64,
    /// The bus has a list of the process that asks. If not, it is to be told anew.
    pub is_known: bool,
    /// The lists of all processes whose reports hold, by their numbers; `None` if the process has
    /// them.
    pub changed: Option<Vec<(u64, Bytes)>>,
}

/// A post as it comes out of the log.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its place.
    pub cursor: Cursor,
    /// What it is known by.
    pub tag: u64,
    /// What was appended; empty for an entry that begins an epoch, whose number is 0.
    pub bytes: Bytes,
}

/// What is wrong with a bus, or with what it was asked.
///
/// As an answer of a handler it is a 503 with `Retry-After`.
#[derive(Debug)]
pub struct BusError {
    what: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Temporary,
    Busy,
    Lasting,
}

impl BusError {
    /// It may go well later: a connection that has ended, a server that is being started.
    pub fn temporary(what: impl fmt::Display) -> Self {
        let (what, kind) = (what.to_string(), Kind::Temporary);
        Self { what, kind }
    }

    /// It may go well in a moment: the next place is kept for another post.
    #[must_use]
    pub fn busy() -> Self {
        let what = "the next place is kept for another post".to_owned();
        let kind = Kind::Busy;
        Self { what, kind }
    }

    /// The same call will fail again: a wrong password, a post that is too large.
    pub fn lasting(what: impl fmt::Display) -> Self {
        let (what, kind) = (what.to_string(), Kind::Lasting);
        Self { what, kind }
    }

    /// Whether the same call may go well later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.kind != Kind::Lasting
    }

    /// Whether the same call may go well in a moment.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.kind == Kind::Busy
    }
}

impl fmt::Display for BusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the bus of a room: {}", self.what)
    }
}

impl Error for BusError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        static ANSWER: LazyLock<StatusError> = LazyLock::new(|| {
            HttpError::new(503, "the room cannot be reached")
                .with_header("retry-after", "2")
                .into()
        });
        Some(&*ANSWER)
    }
}
