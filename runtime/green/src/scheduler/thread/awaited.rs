//! What a thread waits for, said where everybody can see it.
//!
//! A wait notes its kind and its time in one word of the thread's control block, with two plain
//! stores and a look at the kernel's coarse clock, so that others can tell what ten thousand
//! threads do without asking any of them, held up or not.

use crate::sys;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What a thread waits for. Shown, it is a word or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
#[allow(missing_docs)] // the texts below say it
pub enum Awaited {
    Something,
    Time,
    Turn,
    Join,
    QueueGet,
    QueuePut,
    QueuePeek,
    QueueDone,
    Event,
    AsyncResult,
    Permit,
    RwLock,
    Condition,
    Barrier,
    Several,
    Job,
    Readable,
    Writable,
    Accept,
    Departure,
    Connections,
    Connect,
    Child,
    Lot,
    Signal,
    Room,
}

/// All kinds, and how they are called.
const KINDS: [(Awaited, &str); 26] = [
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
    (Awaited::Departure, "client to leave"),
    (Awaited::Connections, "connections to end"),
    (Awaited::Connect, "connect"),
    (Awaited::Child, "child process"),
    (Awaited::Lot, "idle connections"),
    (Awaited::Signal, "signal"),
    (Awaited::Room, "room"),
];

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KINDS[*self as usize].1)
    }
}

/// The word: 0, or when the wait began (milliseconds of the coarse clock, shifted) and 1 + kind.
#[derive(Debug, Default)]
pub(crate) struct WaitNote(AtomicU64);

impl WaitNote {
    pub(crate) fn begin(&self, what: Awaited) {
        self.0
            .store(sys::coarse_ms() << 8 | (what as u64 + 1), Relaxed);
    }

    pub(crate) fn end(&self) {
        self.0.store(0, Relaxed);
    }

    /// What is waited for, and for how long already. Callable from anywhere.
    pub(crate) fn look(&self) -> Option<(Awaited, Duration)> {
        let word = self.0.load(Relaxed);
        let kind = (word & 0xff).checked_sub(1)?;
        let since = sys::coarse_ms().saturating_sub(word >> 8);
        Some((KINDS[kind as usize].0, Duration::from_millis(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_noted_and_has_its_name() {
        for (place, (kind, name)) in KINDS.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
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
