//! Whose turn it is on a worker: two plain stores for each wait, which others read.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed};

/// The thread that runs on a worker at the moment.
///
/// Written by the worker alone. The pointer is for comparisons; only code that runs on the worker,
/// between [`enter`](Self::enter) and [`leave`](Self::leave), may look behind it: the thread holds
/// a reference to its own control block on its stack for as long as it has the turn.
#[derive(Debug)]
pub(crate) struct Turn<T> {
    running: AtomicPtr<T>,
    /// Counts the turns, so that two of one thread can be told apart.
    number: AtomicU64,
}

impl<T> Default for Turn<T> {
    fn default() -> Self {
        Self {
            running: AtomicPtr::new(null_mut()),
            number: AtomicU64::new(0),
        }
    }
}

impl<T> Turn<T> {
    /// The thread that runs is about to block. Gives what to [`enter`](Self::enter) with afterwards:
    /// nothing for a coroutine that somebody else has started, of which we know no end.
    pub(crate) fn leave(&self) -> *mut T {
        let running = self.running.load(Relaxed);
        self.running.store(null_mut(), Relaxed);
        running
    }

    /// It goes on.
    pub(crate) fn enter(&self, running: *mut T) {
        self.number.store(self.number.load(Relaxed) + 1, Relaxed);
        self.running.store(running, Relaxed);
    }

    /// The number of the turn, and who has it.
    pub(crate) fn look(&self) -> (u64, *const T) {
        // In this order: a turn that begins in between has a number that never matches.
        (
            self.number.load(Relaxed),
            self.running.load(Relaxed).cast_const(),
        )
    }

    /// The thread whose turn it is. For code that runs on the worker, such as a signal handler.
    ///
    /// # Safety
    /// The caller runs on this turn's worker, on top of whatever runs there.
    pub(crate) unsafe fn running(&self) -> Option<&T> {
        // SAFETY: null or, as the type's docs say, a reference on the stack that is below us.
        unsafe { self.running.load(Relaxed).as_ref() }
    }
}
