//! [`CoroutinePool`]: the coroutines of a worker that are used again.
//!
//! To make a coroutine takes `may` nine allocations, and its pool hands out the stack that has
//! been out of use for longest, which no cache knows any more. So the coroutine of a green thread
//! that has ended rests, if not too many do, and takes the next one that is started on its
//! worker: the last to rest first, with its stack still warm.
//!
//! # How a coroutine is handed its next thread
//!
//! All of this happens on one OS thread, so there is nothing to lock. A coroutine that rests has
//! put a slot into the pool and parks. Who starts a green thread takes the coroutine out, puts
//! the thread's first function into its slot, and unparks it; the coroutine, when its turn comes,
//! takes the function out. An unpark that was meant for the thread before finds the slot empty,
//! and the coroutine parks again. `called` counts those that have a function and have not begun,
//! so that a thread for which there was no coroutine is not started before them.

use std::cell::Cell;
use std::rc::Rc;

/// The first function of a green thread.
pub(super) type Start = Box<dyn FnOnce()>;

/// The coroutines of a worker that rest.
pub(super) struct CoroutinePool {
    resting: Vec<Resting>,
    /// How many may rest. Each holds the two or three pages of its stack that were touched.
    most: usize,
    /// How many have been given a green thread and have not begun with it.
    called: usize,
    spare: Vec<Rc<Slot>>,
}

struct Resting {
    coroutine: may::coroutine::Coroutine,
    slot: Rc<Slot>,
}

/// Where a coroutine finds its next green thread.
pub(super) type Slot = Cell<Option<Start>>;

impl CoroutinePool {
    /// For one of `workers`.
    pub(super) fn new(workers: usize) -> Self {
        Self {
            resting: Vec::new(),
            most: (128 / workers).clamp(8, 64),
            called: 0,
            spare: Vec::new(),
        }
    }

    /// Lets one that rests run a green thread, as soon as its turn comes.
    ///
    /// # Errors
    /// The thread's first function, when none rests.
    pub(super) fn start(&mut self, start: Start) -> Result<(), Start> {
        let Some(resting) = self.resting.pop() else {
            return Err(start);
        };
        self.called += 1;
        resting.slot.set(Some(start));
        resting.coroutine.unpark();
        Ok(())
    }

    /// Whether some are about to begin, which were called before whoever asks.
    pub(super) fn has_called(&self) -> bool {
        self.called > 0
    }

    /// The coroutine that calls rests. Gives the slot where it finds what it is called for; `None`
    /// if enough rest.
    pub(super) fn rest(&mut self) -> Option<Rc<Slot>> {
        if self.resting.len() >= self.most {
            return None;
        }
        let slot = self.spare.pop().unwrap_or_default();
        self.resting.push(Resting {
            coroutine: may::coroutine::current(),
            slot: slot.clone(),
        });
        Some(slot)
    }

    /// A coroutine begins with what it was called for.
    pub(super) fn begin(&mut self, slot: Rc<Slot>) {
        self.called -= 1;
        self.spare.push(slot); // no more of them than coroutines
    }
}
