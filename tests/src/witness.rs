//! Seeing when, where and how often something is dropped.

use crate::sync::next;
use greenway::green::Queue;
use std::thread::ThreadId;

/// Reports its end.
#[derive(Debug)]
pub struct Witness(Queue<Dropped>);

/// A [`Witness`] was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// The OS thread it happened on.
    pub thread: ThreadId,
    /// Whether a panic, a kill or a stop was unwinding that thread.
    pub unwinding: bool,
}

/// Where witnesses report.
#[derive(Debug, Clone)]
pub struct Drops(Queue<Dropped>);

impl Default for Drops {
    fn default() -> Self {
        Self::new()
    }
}

impl Drops {
    /// No witness has reported yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Queue::new(64 * 1024))
    }

    /// A witness that reports here.
    #[must_use]
    pub fn witness(&self) -> Witness {
        Witness(self.0.clone())
    }

    /// Waits for a report.
    ///
    /// # Panics
    /// When none comes within [`DEADLINE`](crate::DEADLINE).
    #[track_caller]
    pub fn wait(&self) -> Dropped {
        next(&self.0)
    }

    /// Reports that were not waited for.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.0.len()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let report = Dropped {
            thread: std::thread::current().id(),
            unwinding: std::thread::panicking(),
        };
        // There is room for more witnesses than any test has, and nobody closes the queue; a
        // report that is lost fails the test that waits for it.
        let _ = self.0.try_put(report);
    }
}
