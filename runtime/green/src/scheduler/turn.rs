//! Whose turn it is on a worker: two plain stores for each wait, which others read.

use super::thread::Thread;
use super::worker;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed};

/// The thread that runs on a worker at the moment.
///
/// Written by the worker alone. The pointer is for comparisons; only code that runs on the worker,
/// between [`enter`](Self::enter) and [`leave`](Self::leave), may look behind it: the thread holds
/// a reference to its own control block on its stack for as long as it has the turn.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    running: AtomicPtr<Thread>,
    /// Counts the turns, so that two of one thread can be told apart.
    number: AtomicU64,
}

impl Turn {
    /// The thread that runs is about to block. Gives what to [`enter`](Self::enter) with afterwards:
    /// nothing for a coroutine that somebody else has started, of which we know no end.
    pub(crate) fn leave(&self) -> *mut Thread {
        let running = self.running.load(Relaxed);
        self.running.store(null_mut(), Relaxed);
        running
    }

    /// It goes on.
    pub(crate) fn enter(&self, running: *mut Thread) {
        self.number.store(self.number.load(Relaxed) + 1, Relaxed);
        self.running.store(running, Relaxed);
    }

    /// The number of the turn, and who has it.
    pub(crate) fn look(&self) -> (u64, *const Thread) {
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
    pub(crate) unsafe fn running(&self) -> Option<&Thread> {
        // SAFETY: null or, as the type's docs say, a reference on the stack that is below us.
        unsafe { self.running.load(Relaxed).as_ref() }
    }
}

/// From the beginning of a green thread to its end it has its worker's turn, but for its waits.
pub(crate) struct Running<'a> {
    me: &'a Arc<Thread>,
    before: *mut Thread,
}

impl<'a> Running<'a> {
    /// For the thread that calls. It borrows what [`Turn`] points to.
    pub(crate) fn begin(me: &'a Arc<Thread>) -> Self {
        let before = me.home().map_or(null_mut(), |home| {
            debug_assert!(worker::is_current(home));
            let before = home.turn().leave();
            home.turn().enter(Arc::as_ptr(me).cast_mut());
            before
        });
        Self { me, before }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(home) = self.me.home() {
            home.turn().leave();
            home.turn().enter(self.before);
        }
    }
}
