//! The members of a room.
//!
//! A member with a queue or a WebSocket is present while its value exists. A client that polls is
//! connected only half of the time, so it stays present for a while after each poll; when it does
//! not poll again, it has left.
//!
//! What must stay true: a member that has joined leaves exactly once, and the hook is called for
//! both; no lock is held while a hook runs, so the hook may use the room.

use crate::green::embed::lock;
use greenway_app::{HttpError, StatusError};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

/// How a member gets its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Via {
    /// By its own thread, out of a queue: also as a stream of events.
    Queue,
    /// By long polls, one after the other.
    Poll,
    /// Over a WebSocket.
    WebSocket,
}

/// A member of a room, as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Presence {
    /// The member's number, which grows with each member that joins.
    pub number: u64,
    /// The name under which it has joined. Several members may have the same.
    pub name: Arc<str>,
    /// How it gets its messages.
    pub via: Via,
    /// Where it is: a number of its process's own in a room with a bus, where a member is known by
    /// `node` and `number` together; 0 in a room without one.
    pub node: u64,
}

/// Somebody has come or gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is a member now.
    Joined(Presence),
    /// It is no member any more.
    Left(Presence),
}

/// The room has as many members as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomFull;

impl fmt::Display for RoomFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the room is full")
    }
}

/// As an answer of a handler it is a 503 with Retry-After.
impl Error for RoomFull {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        static ANSWER: LazyLock<StatusError> = LazyLock::new(|| {
            HttpError::new(503, "the room is full")
                .with_header("retry-after", "5")
                .into()
        });
        Some(&*ANSWER)
    }
}

#[derive(Debug)]
pub(super) struct Members {
    capacity: usize,
    linger: Duration,
    node: u64,
    roster: Mutex<Roster>,
}

#[derive(Debug, Default)]
struct Roster {
    last: u64,
    /// Grows whenever somebody comes or goes.
    changes: u64,
    present: BTreeMap<u64, Presence>,
    /// Those who poll, by name: any number of polls of one name are one.
    pollers: HashMap<Arc<str>, Poller>,
    /// When to look whether a client has polled again; each is listed at most once.
    lingering: BTreeSet<(Instant, Arc<str>)>,
    /// Whether a green thread looks.
    swept: bool,
}

#[derive(Debug)]
struct Poller {
    number: u64,
    /// Polls that wait now.
    waiting: usize,
    /// Present at least until then.
    until: Instant,
    lingering: bool,
}

impl Members {
    pub(super) fn new(capacity: usize, linger: Duration, node: u64) -> Self {
        Self {
            capacity,
            linger,
            node,
            roster: Mutex::default(),
        }
    }

    pub(super) fn enter(&self, name: &str, via: Via) -> Result<Presence, RoomFull> {
        lock(&self.roster).enter(name, via, self.capacity, self.node)
    }

    pub(super) fn leave(&self, number: u64) {
        let mut roster = lock(&self.roster);
        roster.present.remove(&number);
        roster.changes += 1;
    }

    /// A poll begins. Gives the client's presence, if it was no member before.
    pub(super) fn begin_poll(&self, name: &str) -> Result<Option<Presence>, RoomFull> {
        let mut roster = lock(&self.roster);
        if let Some(poller) = roster.pollers.get_mut(name) {
            poller.waiting += 1;
            return Ok(None);
        }
        let presence = roster.enter(name, Via::Poll, self.capacity, self.node)?;
        let poller = Poller {
            number: presence.number,
            waiting: 1,
            until: Instant::now(),
            lingering: false,
        };
        roster.pollers.insert(presence.name.clone(), poller);
        Ok(Some(presence))
    }

    /// A poll is over. True if the caller has to start a green thread that
    /// [sweeps](Self::sweep).
    pub(super) fn end_poll(&self, name: &str) -> bool {
        let mut roster = lock(&self.roster);
        let roster = &mut *roster;
        // A client that polls is not removed, so it is there.
        let Some(poller) = roster.pollers.get_mut(name) else {
            return false;
        };
        poller.waiting -= 1;
        poller.until = Instant::now() + self.linger;
        if poller.waiting > 0 || std::mem::replace(&mut poller.lingering, true) {
            return false;
        }
        roster.lingering.insert((poller.until, name.into()));
        !std::mem::replace(&mut roster.swept, true)
    }

    /// Removes the clients that did not poll again. Gives them, and the time until the next look;
    /// `None` when there is nothing to look for, and the sweeping thread ends.
    pub(super) fn sweep(&self, now: Instant) -> (Vec<Presence>, Option<Duration>) {
        let mut roster = lock(&self.roster);
        let roster = &mut *roster;
        let mut left = Vec::new();
        while roster.lingering.first().is_some_and(|(due, _)| *due <= now)
            && let Some((_, name)) = roster.lingering.pop_first()
            && let Some(poller) = roster.pollers.get_mut(&name)
        {
            if poller.waiting > 0 {
                poller.lingering = false; // the end of that poll will see to it
            } else if poller.until > now {
                roster.lingering.insert((poller.until, name));
            } else {
                left.extend(roster.present.remove(&poller.number));
                roster.changes += 1;
                roster.pollers.remove(&name);
            }
        }
        let next = roster.lingering.first();
        let next = next.map(|(due, _)| due.saturating_duration_since(now));
        roster.swept = next.is_some();
        (left, next)
    }

    /// Another number after somebody has come or gone.
    pub(super) fn changes(&self) -> u64 {
        lock(&self.roster).changes
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.roster).present.len()
    }

    pub(super) fn list(&self) -> Vec<Presence> {
        lock(&self.roster).present.values().cloned().collect()
    }
}

impl Roster {
    fn enter(
        &mut self,
        name: &str,
        via: Via,
        capacity: usize,
        node: u64,
    ) -> Result<Presence, RoomFull> {
        if self.present.len() >= capacity {
            return Err(RoomFull);
        }
        self.last += 1;
        self.changes += 1;
        let presence = Presence {
            number: self.last,
            name: name.into(),
            via,
            node,
        };
        self.present.insert(self.last, presence.clone());
        Ok(presence)
    }
}
