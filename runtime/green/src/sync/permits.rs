//! Permits that are handed from one thread to the next: the core of semaphores, locks and pools.
//!
//! Fair: a permit that is released goes to whoever has waited longest, and is theirs from that
//! moment. One who gives up (a timeout, a kill) after that hands it on, so none is ever lost.

use crate::platform::Instant;
use crate::platform::sync::{Arc, Mutex};
use crate::scheduler::line::Lookout;
use crate::scheduler::line::{Line, Ticket};
use crate::scheduler::lock::lock;
use crate::scheduler::thread::{Awaited, Io, Thread, wait_for};
use crate::scheduler::timed_out::TimedOut;

#[derive(Debug)]
pub(crate) struct Permits(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Permits that nobody has. While somebody waits there are none.
    free: usize,
    /// `None` before somebody waits: most locks are never contended, and there are many.
    lines: Option<Box<Lines>>,
}

#[derive(Debug, Default)]
struct Lines {
    line: Line,
    /// Those who want to know when one becomes free, without taking it.
    watchers: Line,
}

impl State {
    fn lines(&mut self) -> &mut Lines {
        self.lines.get_or_insert_default()
    }

    fn try_acquire(&mut self) -> bool {
        let free = self.free > 0;
        self.free -= usize::from(free);
        free
    }

    fn release(&mut self, count: usize) {
        let Some(lines) = &mut self.lines else {
            self.free = self.free.saturating_add(count);
            return;
        };
        for left in (0..count).rev() {
            if !lines.line.grant() {
                self.free = self.free.saturating_add(left + 1);
                lines.watchers.wake_all();
                return;
            }
        }
    }
}

impl Permits {
    pub(crate) fn new(count: usize) -> Self {
        Self(Mutex::new(State {
            free: count,
            lines: None,
        }))
    }

    pub(crate) fn try_acquire(&self) -> bool {
        lock(&self.0).try_acquire()
    }

    /// # Errors
    /// [`TimedOut`] at the deadline, or at once when the thread is unwinding.
    pub(crate) fn acquire(&self, deadline: Option<Instant>) -> Result<(), TimedOut> {
        // A condition that holds wins over every other end of a wait, so there is none.
        if self.try_acquire() {
            return Ok(());
        }
        self.wait(deadline)
    }

    #[cold]
    #[inline(never)] // off the stack of those who do not wait
    fn wait(&self, deadline: Option<Instant>) -> Result<(), TimedOut> {
        let mut place = Place {
            permits: self,
            ticket: None,
        };
        wait_for(Awaited::Permit, deadline, Io::None, |me, _| {
            let mut state = lock(&self.0);
            let mine = match place.ticket {
                None if state.try_acquire() => true,
                None => {
                    place.ticket = Some(state.lines().line.enter(me.clone()));
                    false
                }
                Some(ticket) => state.lines().line.redeem(ticket),
            };
            if mine {
                place.ticket = None;
            }
            mine.then_some(())
        })
    }

    pub(crate) fn release(&self, count: usize) {
        lock(&self.0).release(count);
    }

    /// As [`release`](Self::release) of one, if no more than `bound` are free then.
    pub(crate) fn release_within(&self, bound: usize) -> bool {
        let mut state = lock(&self.0);
        let within = state.free < bound;
        if within {
            state.release(1);
        }
        within
    }

    /// Permits that nobody has.
    pub(crate) fn free(&self) -> usize {
        lock(&self.0).free
    }
}

impl Lookout for Permits {
    fn is_ready(&self) -> bool {
        self.free() > 0
    }
    fn watch(&self, thread: &Arc<Thread>) -> Ticket {
        lock(&self.0).lines().watchers.enter(thread.clone())
    }
    fn unwatch(&self, ticket: Ticket) {
        lock(&self.0).lines().watchers.leave(ticket);
    }
}

/// A place in the line, given up when dropped, together with a permit that has come.
struct Place<'a> {
    permits: &'a Permits,
    ticket: Option<Ticket>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let mut state = lock(&self.permits.0);
            if state.lines().line.leave(ticket) {
                state.release(1);
            }
        }
    }
}
