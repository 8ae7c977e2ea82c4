//! [`CoroutinePool`]: the coroutines of a worker that are used again.
//!
//! To make a coroutine takes `may` nine allocations, and its pool hands out the stack that has
//! been out of use for longest, which no cache knows any more. So the coroutine of a green thread
//! that has ended rests, if not too many do, and takes the next one that is started on its
//! worker: the last to rest first, with its stack still warm.
//!
//! A few may rest for ever. More than that may rest while they are used: those that were not needed
//! for [`PERIOD`](super::coroutines) end, so that a burst costs its memory for seconds, not for ever.
//!
//! # How a coroutine is handed its next thread
//!
//! All of this happens on one OS thread, so there is nothing to lock. A coroutine that rests has
//! put a slot into the pool and parks. Who starts a green thread takes the coroutine out, puts
//! the thread's first function into its slot, and unparks it; the coroutine, when its turn comes,
//! takes the function out. An unpark that was meant for the thread before finds the slot empty,
//! and the coroutine parks again. `called` counts those that have a function and have not begun,
//! so that a thread for which there was no coroutine is not started before them. One that is to
//! end finds that in its slot instead.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

/// The first function of a green thread.
pub(super) type Start = Box<dyn FnOnce()>;

/// The coroutines of a worker that rest.
pub(crate) struct CoroutinePool {
    /// Those that have rested for longest come first.
    resting: VecDeque<Resting>,
    /// How many may rest for as long as they like. Each holds the two or three pages of its stack that
    /// were touched.
    keep: usize,
    /// How many may rest.
    most: usize,
    /// The fewest that have rested since [`end_idle`](Self::end_idle) has looked.
    fewest: usize,
    /// Somebody calls `end_idle` now and then.
    watched: bool,
    /// How many have been given a green thread and have not begun with it.
    called: usize,
    spare: Vec<Rc<Slot>>,
}

struct Resting {
    coroutine: may::coroutine::Coroutine,
    slot: Rc<Slot>,
}

/// What a coroutine that rests is woken for.
pub(super) enum Call {
    /// To run a green thread.
    Start(Start),
    /// To end.
    End,
}

/// Where a coroutine finds what it is woken for.
pub(super) type Slot = Cell<Option<Call>>;

impl CoroutinePool {
    /// For one of `workers`.
    pub(super) fn new(workers: usize) -> Self {
        Self {
            resting: VecDeque::new(),
            keep: (128 / workers).clamp(8, 64),
            most: (2048 / workers).max(64),
            fewest: 0,
            watched: false,
            called: 0,
            spare: Vec::new(),
        }
    }

    /// Lets one that rests run a green thread, as soon as its turn comes.
    ///
    /// # Errors
    /// The thread's first function, when none rests.
    pub(super) fn start(&mut self, start: Start) -> Result<(), Start> {
        let Some(resting) = self.resting.pop_back() else {
            return Err(start);
        };
        self.fewest = self.fewest.min(self.resting.len());
        self.called += 1;
        resting.slot.set(Some(Call::Start(start)));
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
        self.resting.push_back(Resting {
            coroutine: may::coroutine::current(),
            slot: slot.clone(),
        });
        Some(slot)
    }

    /// How many rest.
    #[cfg(test)]
    pub(crate) fn resting(&self) -> usize {
        self.resting.len()
    }

    /// Whether more rest than may do so for ever, and nobody ends them. The caller is to see to that.
    pub(super) fn begin_watch(&mut self) -> bool {
        let needed = self.resting.len() > self.keep && !self.watched;
        self.watched |= needed;
        needed
    }

    /// Ends those that were not needed since the last call. False if no more are left than may rest for
    /// ever: then there is nothing to watch.
    pub(super) fn end_idle(&mut self) -> bool {
        let idle = self.fewest.saturating_sub(self.keep);
        for resting in self.resting.drain(..idle) {
            resting.slot.set(Some(Call::End));
            resting.coroutine.unpark();
        }
        self.fewest = self.resting.len();
        self.spare.truncate(self.resting.len());
        self.watched = self.resting.len() > self.keep;
        self.watched
    }

    /// A coroutine begins with what it was called for.
    pub(super) fn begin(&mut self, slot: Rc<Slot>) {
        self.called -= 1;
        self.spare.push(slot); // no more of them than coroutines
    }
}
