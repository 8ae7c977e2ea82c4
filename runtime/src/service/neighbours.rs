//! The other processes that accept from the same sockets.
//!
//! Where one process is alone, a client that finds no room is told so (503). Where there are several, the
//! kernel gives a client to whichever is first, so a full one leaves it to the others: only when all
//! are full is it sent away. The master knows whether they are.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// What a process knows of its neighbours, and they of it.
pub(crate) struct Neighbours {
    /// We have said that there is no room here.
    full: AtomicBool,
    /// There is no room anywhere.
    all_full: AtomicBool,
    tell: Box<dyn Fn(bool) -> bool + Send + Sync>,
}

impl Neighbours {
    /// `tell` says whether there is no room here any more. It waits for nobody, since clients do; if it
    /// cannot say so now, it gives false, and is called again for the next client.
    pub(crate) fn new(tell: impl Fn(bool) -> bool + Send + Sync + 'static) -> Self {
        Self {
            full: AtomicBool::new(false),
            all_full: AtomicBool::new(false),
            tell: Box::new(tell),
        }
    }

    /// Whether to leave the next client to the others; `full` is whether there is no room here.
    pub(crate) fn leaves_the_next(&self, full: bool) -> bool {
        let has_changed = self.full.load(SeqCst) != full && self.full.swap(full, SeqCst) != full;
        if has_changed && !(self.tell)(full) {
            self.full.store(!full, SeqCst);
        }
        full && !self.all_full.load(SeqCst)
    }

    /// Notes whether there is no room anywhere.
    pub(crate) fn note_all_full(&self, all_full: bool) {
        self.all_full.store(all_full, SeqCst);
    }
}

impl fmt::Debug for Neighbours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Neighbours")
            .field("full", &self.full)
            .field("all_full", &self.all_full)
            .finish_non_exhaustive()
    }
}
