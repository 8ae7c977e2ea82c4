//! Waits that never unwind, for calls that come out of C: nothing may unwind through its frames.

use super::awaited::Awaited;
use super::control_block::Thread;
use super::current::{Current, current};
use super::io::Io;
use crate::platform::sync::Arc;
use crate::platform::{Instant, NoWait, thread};
use crate::scheduler::worker;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How a [quiet wait](wait_quietly) has ended without what it was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its deadline has passed.
    TimedOut,
    /// The thread is to end, or unwinds already.
    Interrupted,
}

/// Whether a wait of the caller would let other green threads run: it is a green thread, which runs,
/// and no lock of the scheduler's is held.
pub fn can_wait() -> bool {
    worker::current().is_some_and(|worker| worker.turn().is_taken()) && !NoWait::is_held()
}

/// As [`wait_for`](super::wait_for), but what ought to end the thread ends the wait alone. The unwinding is
/// left to the next wait that may unwind.
///
/// Once the thread is to end, each further wait ends as well: the first at once, the later ones after
/// others have run for ever longer, at the deadline, or when `ready` gives a value, whichever comes first. So a loop in C
/// that knows no end of a thread keeps neither its worker to itself nor misses what it waits for.
///
/// # Errors
/// How it has ended.
pub fn wait_quietly<T>(
    what: Awaited,
    deadline: Option<Instant>,
    io: Io<'_>,
    mut ready: impl FnMut(&Arc<Thread>) -> Option<T>,
) -> Result<T, Ended> {
    let me = current();
    let mut blocked = false;
    let mut given_way = false;
    loop {
        if let Some(value) = ready(&me) {
            return Ok(value);
        }
        let passed = deadline.filter(|at| *at <= Instant::now());
        let late = passed.filter(|_| blocked);
        let end = late.map_or_else(|| me.over(), |late| me.over_at(|| late));
        if end.is_some() || thread::panicking() {
            if !given_way && me.has_ended_before() {
                given_way = true;
                me.pause_before_end(what, io, deadline);
                continue;
            }
            me.count_end();
            me.count_given_up();
            return Err(Ended::Interrupted);
        }
        if let Some(late) = late {
            me.forgive_since(late);
        }
        if passed.is_some() {
            return Err(Ended::TimedOut);
        }
        if !me.block_quietly(what, io, deadline) {
            return Err(Ended::Interrupted);
        }
        blocked = true;
    }
}

impl Current {
    /// As [`block_below_c`](Self::block_below_c). False if what the thread does before it blocks has unwound.
    fn block_quietly(&self, what: Awaited, io: Io<'_>, deadline: Option<Instant>) -> bool {
        let block = || self.block_below_c(what, io, deadline);
        // The payload of a panic was printed; that of an end comes again with the next wait.
        let unwound = catch_unwind(AssertUnwindSafe(block)).err();
        unwound.map(crate::scheduler::discard::discard).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{JoinError, spawn, yield_now};
    use std::sync::atomic::{AtomicBool, Ordering};

    /// One that is killed before it runs does not begin.
    fn yield_until_waiting(thread: &crate::Greenlet<()>) {
        let waits = |task: &crate::TaskInfo| {
            task.number == thread.number() && matches!(task.state, crate::TaskState::Waiting(_))
        };
        while !crate::green_threads().iter().any(waits) {
            yield_now();
        }
    }

    #[test]
    fn an_end_that_a_quiet_wait_has_met_unwinds_at_the_next_wait() {
        let went_on = Arc::new(AtomicBool::new(false));
        let thread = {
            let went_on = went_on.clone();
            spawn(move || {
                let quiet = || wait_quietly(Awaited::Time, None, Io::None, |_| None::<()>);
                assert_eq!(quiet(), Err(Ended::Interrupted));
                yield_now(); // has what it waits for as soon as it has given way
                went_on.store(true, Ordering::SeqCst);
            })
        };
        yield_until_waiting(&thread);
        thread.kill();
        assert!(matches!(thread.join(), Err(JoinError::Killed)));
        assert!(!went_on.load(Ordering::SeqCst));
    }
}
