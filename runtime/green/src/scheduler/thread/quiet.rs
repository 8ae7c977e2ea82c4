//! Waits that never unwind, for calls that come out of C: nothing may unwind through its frames.
//!
//! What a patched call does around its wait makes calls of std's: it takes memory, and an allocator may wait for a
//! lock of its own. If such a call were to wait as well, it would take memory for that, and so on. So a thread is
//! *quiet* from the beginning of such a call to its end, and what it calls meanwhile goes to the kernel. What is
//! called on somebody else's behalf (what is to be done before the thread blocks, a logger) is not part of
//! that: there it is [aloud](Current::aloud) again.

use super::awaited::Awaited;
use super::control_block::Thread;
use super::current::{Current, current};
use super::io::Io;
use crate::platform::sync::Arc;
use crate::platform::{Instant, NoWait, thread};
use crate::scheduler::discard::discard;
use crate::scheduler::worker;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How a [quiet wait](wait_quietly) has ended without what it was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its deadline has passed.
    TimedOut,
    /// The thread is to end, or unwinds already.
    Interrupted,
}

/// Whether a patched call of the caller may let other green threads run: it is a green thread, which runs, is
/// not within such a call already, and holds no lock of the scheduler's.
pub fn can_wait() -> bool {
    let Some(worker) = worker::current() else {
        return false;
    };
    if NoWait::is_held() {
        return false;
    }
    // SAFETY: this is the worker's OS thread, and what has the turn lies below us.
    let running = unsafe { worker.turn().running() };
    // SAFETY: as above: it lives here.
    running.is_some_and(|thread| !unsafe { thread.own() }.quiet.get())
}

/// Runs `body`, a part of a patched call, which ends in a [quiet wait](wait_quietly): what is called below it,
/// but for that wait, is not to wait.
pub fn quietly<R>(body: impl FnOnce() -> R) -> R {
    let me = current();
    let _quiet = me.be(true);
    body()
}

/// A thread is quiet, or not, until this is dropped.
struct Until<'a> {
    quiet: &'a Cell<bool>,
    before: bool,
}

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.quiet.set(self.before);
    }
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
    let _quiet = me.be(true);
    let mut blocked = false;
    let mut given_way = false;
    loop {
        let blocks = me.times_blocked();
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
        if !me.block_quietly(what, io, deadline, blocks) {
            return Err(Ended::Interrupted);
        }
        blocked = true;
    }
}

impl Current {
    fn be(&self, quiet: bool) -> Until<'_> {
        let cell = &self.own().quiet;
        let before = cell.replace(quiet);
        Until {
            quiet: cell,
            before,
        }
    }

    /// Runs what is somebody else's, below a wait: there patched calls may wait.
    pub(super) fn aloud<R>(&self, body: impl FnOnce() -> R) -> R {
        let _aloud = self.be(false);
        body()
    }

    /// As [`block_below_c`](Self::block_below_c). False if what the thread does before it blocks has unwound.
    fn block_quietly(
        &self,
        what: Awaited,
        io: Io<'_>,
        deadline: Option<Instant>,
        blocks: u32,
    ) -> bool {
        let block = || self.block_below_c(what, io, deadline, blocks);
        // The payload of a panic was printed; that of an end comes again with the next wait.
        let unwound = catch_unwind(AssertUnwindSafe(block)).err();
        let unwound = unwound.map(|payload| self.aloud(|| discard(payload)));
        unwound.is_none()
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
