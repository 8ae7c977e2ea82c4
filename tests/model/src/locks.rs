//! The table of those who wait at an address, as it is, and a mutex on top of it: that of std.

include!(concat!(env!("OUT_DIR"), "/locks.rs"));

use crate::platform::table::{AtomicUsize, Instant, Ordering};
use table::Outcome;

/// A word that is 0 when it is free, 1 when it is locked, 2 when somebody may wait for it.
#[derive(Debug)]
pub struct Word(AtomicUsize);

impl Word {
    pub const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// As std's mutex. False if `deadline` has passed, or the thread is to end and `gives_up`.
    pub fn lock(&self, deadline: Option<Instant>, gives_up: bool) -> bool {
        let take = |from, to| {
            let order = Ordering::SeqCst;
            self.0.compare_exchange(from, to, order, order).is_ok()
        };
        if take(0, 1) {
            return true;
        }
        loop {
            if self.0.swap(2, Ordering::SeqCst) == 0 {
                return true;
            }
            let holds = || self.0.load(Ordering::SeqCst) == 2;
            match table::wait("lock", 4, u32::MAX, deadline, holds) {
                Outcome::Woken | Outcome::NotNow => {}
                Outcome::Interrupted if !gives_up => {}
                Outcome::TimedOut | Outcome::Interrupted => return false,
            }
        }
    }

    pub fn unlock(&self) {
        if self.0.swap(0, Ordering::SeqCst) == 2 {
            table::wake(4, 1, u32::MAX);
        }
    }
}
