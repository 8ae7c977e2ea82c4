//! What a thread waits for, said where everybody can see it.
//!
//! A wait notes its kind and its time in one word of the thread's control block, with two plain
//! stores and a look at the kernel's coarse clock, so that others can tell what ten thousand
//! threads do without asking any of them, held up or not.

use crate::platform::Duration;
use crate::platform::sync::OnceLock;
use crate::sys;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a thread waits for. Shown, it is a word or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Awaited {
    /// `something`: the waiter has not said what.
    Something,
    /// `sleep`: a point in time.
    Time,
    /// `its turn`: others of the worker, to which it gives way.
    Turn,
    /// `join`: the end of other green threads.
    Join,
    /// `queue get`: an item of a queue.
    QueueGet,
    /// `queue put`: a free place in a queue.
    QueuePut,
    /// `queue peek`: an item of a queue, to be looked at.
    QueuePeek,
    /// `queue join`: that all items of a queue are dealt with.
    QueueDone,
    /// `event`: an event that is to be set.
    Event,
    /// `async result`: a result that is to be set.
    AsyncResult,
    /// `lock or semaphore`: a permit.
    Permit,
    /// `rwlock`: a lock for reading or writing.
    RwLock,
    /// `condition`: a notice.
    Condition,
    /// `barrier`: the others who are to come.
    Barrier,
    /// `wait or select`: one of several things.
    Several,
    /// `unblock`: a closure on an OS thread.
    Job,
    /// `read`: something to read.
    Readable,
    /// `write`: that a descriptor can be written.
    Writable,
    /// `accept`: a connection that comes.
    Accept,
    /// `connect`: the answer to an attempt to connect.
    Connect,
    /// `child process`: the end of a process.
    Child,
    /// `signal`: a Unix signal.
    Signal,
    /// Something that a layer above knows; the text is what is shown. At most 128 different texts
    /// of a process are told apart, those that come first; all others are shown as `something`.
    Other(&'static str),
}

/// All kinds but `Other`, and how they are called.
const KINDS: [(Awaited, &str); 22] = [
    (Awaited::Something, "something"),
    (Awaited::Time, "sleep"),
    (Awaited::Turn, "its turn"),
    (Awaited::Join, "join"),
    (Awaited::QueueGet, "queue get"),
    (Awaited::QueuePut, "queue put"),
    (Awaited::QueuePeek, "queue peek"),
    (Awaited::QueueDone, "queue join"),
    (Awaited::Event, "event"),
    (Awaited::AsyncResult, "async result"),
    (Awaited::Permit, "lock or semaphore"),
    (Awaited::RwLock, "rwlock"),
    (Awaited::Condition, "condition"),
    (Awaited::Barrier, "barrier"),
    (Awaited::Several, "wait or select"),
    (Awaited::Job, "unblock"),
    (Awaited::Readable, "read"),
    (Awaited::Writable, "write"),
    (Awaited::Accept, "accept"),
    (Awaited::Connect, "connect"),
    (Awaited::Child, "child process"),
    (Awaited::Signal, "signal"),
];

/// The texts of `Other`, each at the place that stands for it in a [`WaitNote`]. A text does not fit
/// into the note's word, and two words could be read half old and half new.
static OTHERS: [OnceLock<&str>; 128] = [const { OnceLock::new() }; 128];

impl Awaited {
    /// The number that stands for this kind: its place in [`KINDS`], or beyond them in [`OTHERS`].
    fn number(self) -> usize {
        let Self::Other(text) = self else {
            return match self {
                Self::Something => 0,
                Self::Time => 1,
                Self::Turn => 2,
                Self::Join => 3,
                Self::QueueGet => 4,
                Self::QueuePut => 5,
                Self::QueuePeek => 6,
                Self::QueueDone => 7,
                Self::Event => 8,
                Self::AsyncResult => 9,
                Self::Permit => 10,
                Self::RwLock => 11,
                Self::Condition => 12,
                Self::Barrier => 13,
                Self::Several => 14,
                Self::Job => 15,
                Self::Readable => 16,
                Self::Writable => 17,
                Self::Accept => 18,
                Self::Connect => 19,
                Self::Child => 20,
                Self::Signal | Self::Other(_) => 21,
            };
        };
        let place = OTHERS
            .iter()
            .position(|known| *known.get_or_init(|| text) == text);
        place.map_or(0, |place| KINDS.len() + place)
    }

    fn of(number: usize) -> Self {
        match KINDS.get(number) {
            Some((kind, _)) => *kind,
            None => OTHERS
                .get(number - KINDS.len())
                .and_then(OnceLock::get)
                .map_or(Self::Something, |text| Self::Other(text)),
        }
    }
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Other(text) => text,
            kind => KINDS[kind.number()].1,
        })
    }
}

/// The word: 0, or when the wait began (milliseconds of the coarse clock, shifted) and 1 + kind.
#[derive(Debug, Default)]
pub(super) struct WaitNote(AtomicU64);

impl WaitNote {
    pub(super) fn begin(&self, what: Awaited) {
        self.0
            .store(sys::coarse_ms() << 8 | (what.number() as u64 + 1), Relaxed);
    }

    pub(super) fn end(&self) {
        self.0.store(0, Relaxed);
    }

    /// What is waited for, and for how long already. Callable from anywhere.
    pub(super) fn look(&self) -> Option<(Awaited, Duration)> {
        let word = self.0.load(Relaxed);
        let kind = (word & 0xff).checked_sub(1)?;
        let since = sys::coarse_ms().saturating_sub(word >> 8);
        Some((Awaited::of(kind as usize), Duration::from_millis(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_noted_and_has_its_name() {
        let others = ["frobnication", "another one"].map(|text| (Awaited::Other(text), text));
        for (place, (kind, name)) in KINDS.into_iter().chain(others).enumerate() {
            assert!(kind.number() == place || matches!(kind, Awaited::Other(_)));
            assert_eq!(kind.to_string(), name);
            let note = WaitNote::default();
            assert_eq!(note.look(), None);
            note.begin(kind);
            let (what, since) = note.look().expect("noted above");
            assert!(what == kind && since < Duration::from_secs(60));
            note.end();
            assert_eq!(note.look(), None);
        }
    }
}
