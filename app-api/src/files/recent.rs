//! Which files were found a moment ago, without a wait.
//!
//! Handing a call to another thread costs more than opening a file whose name and inode the kernel
//! has at hand. Those of a file that was opened a moment ago it has, and such a file is opened
//! where the request is. This is a guess: a wrong one holds up a worker for one wait, and is found
//! out by its length.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a file that was found stays a recent one.
const KEPT: u64 = 5;

/// A call that takes longer has waited: reading a small file from the cache and opening four takes
/// less, also on a busy machine.
const QUICK: Duration = Duration::from_micros(500);

/// Places for names. Two that want the same one take turns, at the price of a call elsewhere.
const PLACES: usize = 1024;

/// The bits of an entry that are seconds since the start; the others are the name's hash.
const SECONDS: u64 = (1 << 24) - 1;

pub(super) struct Recent {
    start: Instant,
    hasher: RandomState,
    entries: Box<[AtomicU64]>,
}

/// A name, and its place.
pub(super) struct Entry<'a> {
    recent: &'a Recent,
    place: &'a AtomicU64,
    hash: u64,
}

impl Recent {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            hasher: RandomState::new(),
            entries: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The entry of a name, for a client with certain wishes.
    pub(super) fn entry(&self, name: &impl std::hash::Hash) -> Entry<'_> {
        let hash = self.hasher.hash_one(name);
        let place = &self.entries[hash as usize % PLACES];
        Entry {
            recent: self,
            place,
            hash: hash & !SECONDS,
        }
    }
}

impl Entry<'_> {
    /// Seconds, from 1 on, so that no entry is 0.
    fn now(&self) -> u64 {
        (self.recent.start.elapsed().as_secs() + 1) & SECONDS
    }

    /// Whether it was found a moment ago.
    pub(super) fn is_recent(&self) -> bool {
        let entry = self.place.load(Ordering::Relaxed);
        let age = self.now().wrapping_sub(entry & SECONDS) & SECONDS;
        entry & !SECONDS == self.hash && entry != 0 && age <= KEPT
    }

    /// Notes that it was found, and how long that took where the request is.
    pub(super) fn found(&self, here: Option<Duration>) {
        let quick = here.is_none_or(|time| time <= QUICK);
        let entry = if quick { self.hash | self.now() } else { 0 };
        self.place.store(entry, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Recent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recent").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_recent_until_it_takes_long() {
        let recent = Recent::new();
        let entry = |name: &str| recent.entry(&name);
        assert!(!entry("a").is_recent());
        entry("a").found(None);
        assert!(entry("a").is_recent() && !entry("b").is_recent());
        entry("a").found(Some(QUICK));
        assert!(entry("a").is_recent());
        entry("a").found(Some(QUICK * 2));
        assert!(!entry("a").is_recent());
    }

    #[test]
    fn what_is_old_is_not_recent() {
        let mut recent = Recent::new();
        recent.entry(&"a").found(None);
        let earlier = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds));
        let Some(start) = earlier(KEPT - 1) else {
            return; // the machine has just been started
        };
        recent.start = start;
        assert!(recent.entry(&"a").is_recent());
        recent.start = earlier(KEPT + 2).unwrap_or(start);
        assert!(recent.start == start || !recent.entry(&"a").is_recent());
    }
}
