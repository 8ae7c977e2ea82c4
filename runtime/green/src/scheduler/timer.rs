//! The timers of one worker: when must which green thread be looked at again?
//!
//! `may` resumes timed waits on its one timer thread, which would break pinning, so each worker
//! has timers of its own, driven by a timerfd that the worker's epoll watches.
//!
//! Entries are *lazy*: a thread has at most one, and a wait that ends early leaves it in place.
//! When it fires too early (the thread has since begun a later wait) the thread looks at its
//! deadline, finds it in the future and arms again. So a keep-alive connection that waits with
//! a deadline thousands of times a second touches this map about once per deadline, not per wait.
//!
//! The timerfd is set as lazily: when it would fire too late, never because it would fire too
//! early. Short lives, each with a timer that is removed long before its time, leave it alone.

use std::collections::BTreeMap;
use std::time::Instant;

/// Names an entry: its time, and a number that tells entries of one instant apart.
pub(crate) type Key = (Instant, u64);

#[derive(Debug)]
pub(crate) struct Timers<T> {
    entries: BTreeMap<Key, T>,
    serial: u64,
    /// When the timerfd will fire.
    fires: Option<Instant>,
}

impl<T> Timers<T> {
    pub(crate) fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            serial: 0,
            fires: None,
        }
    }

    /// Adds an entry. True if the timerfd must be set to it.
    pub(crate) fn insert(&mut self, at: Instant, value: T) -> (Key, bool) {
        self.serial += 1;
        let key = (at, self.serial);
        let too_late = self.fires.is_none_or(|fires| at < fires);
        if too_late {
            self.fires = Some(at);
        }
        self.entries.insert(key, value);
        (key, too_late)
    }

    pub(crate) fn remove(&mut self, key: Key) {
        self.entries.remove(&key);
    }

    /// Takes one entry that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<T> {
        let entry = self.entries.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// When the timerfd, which has fired, must fire next.
    pub(crate) fn next_firing(&mut self) -> Option<Instant> {
        self.fires = self.entries.first_key_value().map(|(key, _)| key.0);
        self.fires
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn entries_come_out_in_order_and_only_when_due() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::new();
        assert!(timers.insert(at(20), "b").1);
        assert!(timers.insert(at(10), "a").1);
        assert!(
            !timers.insert(at(10), "a2").1,
            "an equal time does not move the timerfd"
        );
        let (gone, _) = timers.insert(at(15), "removed");
        timers.remove(gone);

        assert_eq!(timers.pop_due(at(9)), None);
        assert_eq!(timers.next_firing(), Some(at(10)));
        assert_eq!(timers.pop_due(at(10)), Some("a"));
        assert_eq!(timers.pop_due(at(10)), Some("a2"));
        assert_eq!(timers.pop_due(at(19)), None);
        assert_eq!(timers.pop_due(at(25)), Some("b"));
        assert_eq!(timers.next_firing(), None);
    }

    #[test]
    fn the_timerfd_is_left_alone_while_it_fires_early_enough() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::new();
        let (first, set) = timers.insert(at(10), "first");
        assert!(set);
        timers.remove(first);
        assert!(!timers.insert(at(20), "later").1, "it fires at 10, in vain");
        assert_eq!(timers.pop_due(at(10)), None);
        assert_eq!(timers.next_firing(), Some(at(20)));
        assert!(timers.insert(at(15), "sooner").1);
        assert_eq!(timers.pop_due(at(15)), Some("sooner"));
        assert_eq!(timers.next_firing(), Some(at(20)));
        assert_eq!(timers.pop_due(at(20)), Some("later"));
        assert_eq!(timers.next_firing(), None);
        assert!(timers.insert(at(30), "after silence").1);
    }
}
