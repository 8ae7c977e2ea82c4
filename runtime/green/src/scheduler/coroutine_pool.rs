//! [`CoroutinePool`]: the coroutines of a worker that are used again.
//!
//! To make a coroutine takes `may` nine allocations, and its pool hands out the stack that has
//! been out of use for longest, which no cache knows any more. So the coroutine of a green thread
//! that has ended rests, if not too many do, and takes the next one that is started on its
//! worker: the last to rest first, with its stack still warm.
//!
//! A few may rest for ever. More than that rest only where they would have been used: each that
//! has to be made, though another one has ended for lack of room, makes room for one more. So what
//! comes once (many connections that become idle) leaves nothing behind, and what comes again finds
//! what it needs. Those that were not needed for [`PERIOD`](super::coroutines) end, and their room with
//! them.
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
    /// How many may rest at the moment: at least `keep`, at most `most`.
    room: usize,
    most: usize,
    /// How many have ended for lack of room, and have not been missed yet.
    ended: usize,
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
            keep: Self::keep(workers),
            room: Self::keep(workers),
            most: (2048 / workers).max(64),
            ended: 0,
            fewest: 0,
            watched: false,
            called: 0,
            spare: Vec::new(),
        }
    }

    fn keep(workers: usize) -> usize {
        (128 / workers).clamp(8, 64)
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

    /// One is made. If another has ended for lack of room, that one was missed.
    pub(super) fn count_made(&mut self) {
        if self.ended > 0 && self.room < self.most {
            self.ended -= 1;
            self.room += 1;
        }
    }

    /// Whether some are about to begin, which were called before whoever asks.
    pub(super) fn has_called(&self) -> bool {
        self.called > 0
    }

    /// The coroutine that calls rests. Gives the slot where it finds what it is called for; `None`
    /// if enough rest.
    pub(super) fn rest(&mut self) -> Option<Rc<Slot>> {
        if self.resting.len() >= self.room {
            self.ended = (self.ended + 1).min(self.most);
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
        self.room = self.room.saturating_sub(idle).max(self.keep);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As a burst does: those that do not rest are made, and all lie down at the end.
    fn burst(pool: &mut CoroutinePool, size: usize) -> usize {
        let mut made = 0;
        for _ in 0..size {
            match pool.start(Box::new(|| ())) {
                Ok(()) => pool.called -= 1, // it has begun
                Err(_start) => {
                    pool.count_made();
                    made += 1;
                }
            }
        }
        for _ in 0..size {
            pool.rest();
        }
        made
    }

    #[test]
    fn room_is_made_by_those_who_come_again() {
        let in_coroutine = || {
            let mut pool = CoroutinePool::new(2);
            assert_eq!(burst(&mut pool, 500), 500);
            assert_eq!(pool.resting(), 64, "what has come once leaves a few");
            assert_eq!(burst(&mut pool, 500), 436);
            assert_eq!(pool.resting(), 500);
            assert_eq!(burst(&mut pool, 500), 0);
            burst(&mut pool, 5_000);
            burst(&mut pool, 5_000);
            assert_eq!(pool.resting(), 1_024, "half of what a process may have");
            pool.end_idle(); // they were used since the last look
            pool.end_idle();
            assert_eq!((pool.resting(), pool.room), (64, 64));
        };
        crate::spawn(in_coroutine).join().unwrap();
    }
}
