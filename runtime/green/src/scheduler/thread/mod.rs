//! One wait for everything.
//!
//! A [`Thread`] is the control block of whatever runs handler code: a green thread, or an OS
//! thread that calls into this crate. Everything that blocks goes through [`wait_for`], whose
//! ends are: its own condition, its deadline, an enclosing time limit, or an [`Interrupt`].
//!
//! What must stay true:
//! - A condition that holds wins over every other end: it is looked at first.
//! - A limit or an interrupt ends a wait by unwinding, so destructors run. While a thread is
//!   unwinding, a wait neither blocks nor raises: destructors may wait without harm.
//! - An interrupt is sticky until the layer that owns the thread takes it back, so code that
//!   swallows an unwind cannot block again. From the second time on its waits give way to others for
//!   ever longer before they end, so that it cannot keep its worker to itself either; the same holds
//!   for waits while unwinding.
//! - A green thread is only ever resumed on its home worker. All that happens to it happens
//!   there, one after the other, so between "check" and "block" nothing can be lost; the
//!   protocol that sees to it is explained in [`control_block`].
//!
//! A green thread blocks in `may`'s `park`, or in `WaitIo::wait_io` when it waits for a
//! descriptor that `may` watches (for others see [`watch`](crate::scheduler::watch)); an OS
//! thread blocks in `std::thread::park` or in `poll(2)`. [`Thread::wake`] ends any of these early.

mod awaited;
mod block;
mod control_block;
mod current;
mod guards;
mod interrupt;
mod io;
mod os_threads;
mod quiet;

pub use awaited::Awaited;
pub(crate) use control_block::Identity;
pub use control_block::{Note, Thread};
pub use current::{Current, current, with_current};
pub(crate) use current::{forget_current, parent};
pub(crate) use guards::Shield;
pub use guards::{BeforeBlock, LimitGuard, LimitNumber, Standstill};
pub use interrupt::{Interrupt, Unwind, is_interrupt};
pub(crate) use io::Claim;
pub use io::{Io, Watched};
pub(crate) use os_threads::{OsThreadInfo, serving_os_threads};
pub use quiet::{Ended, can_wait, quietly, wait_quietly};

use crate::platform::sync::Arc;
use crate::platform::{Duration, Instant, thread};
use crate::scheduler::timed_out::TimedOut;

/// The point in time `timeout` from now; `None` (wait for ever) if the clock cannot show it.
pub fn deadline_in(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// Waits until `ready` gives a value, at most until `deadline`.
///
/// `ready` is called with the control block that has to be woken for it to be called again, and
/// with the epoll flags of the last wait for a registered descriptor (0 for all others); it must
/// arrange for being woken before it returns `None`.
///
/// # Errors
/// [`TimedOut`] when the deadline has passed, or at once when the thread is unwinding.
pub fn wait_for<T>(
    what: Awaited,
    deadline: Option<Instant>,
    io: Io<'_>,
    mut ready: impl FnMut(&Arc<Thread>, usize) -> Option<T>,
) -> Result<T, TimedOut> {
    let me = current();
    let mut flags = 0;
    let mut blocked = false;
    let mut given_way = false;
    loop {
        let blocks = me.times_blocked();
        if let Some(value) = ready(&me, flags) {
            return Ok(value);
        }
        let unwinding = thread::panicking();
        let passed = deadline.filter(|at| *at <= Instant::now());
        // Where others have held the worker since this wait was over, a limit that has passed only
        // since then would not have, had the thread been let go on.
        let late = passed.filter(|_| blocked);
        let end = late.map_or_else(|| me.over(), |late| me.over_at(|| late));
        if unwinding || end.is_some() {
            if !given_way {
                given_way = true;
                if me.has_ended_before() {
                    me.give_way_before_end();
                    // One that is to unwind does so, even if what it waits for has come by now: the
                    // waits that have ended at once may have been those that never unwind.
                    if unwinding || me.over().is_none() {
                        continue;
                    }
                }
            }
            match end {
                Some(end) if !unwinding => me.raise(end),
                _ => {
                    me.count_end();
                    return Err(TimedOut);
                }
            }
        }
        if let Some(late) = late {
            me.forgive_since(late);
        }
        if passed.is_some() {
            return Err(TimedOut);
        }
        flags = me.block(what, io, deadline, blocks);
        blocked = true;
    }
}

/// Waits until `ready`, whatever else happens: no limit and no interrupt ends this wait. For
/// ends that must not be missed because borrowed data depends on them (see
/// [`scope`](crate::scope)).
///
/// # Panics
/// When a green thread is unwinding: its worker's count of panics would be seen by all others of
/// the worker. [`apart`](crate::scheduler::unwinding::apart) is for that.
pub(crate) fn wait_through(what: Awaited, mut ready: impl FnMut(&Arc<Thread>) -> bool) {
    let me = current();
    let may_block = me.home().is_none() || !thread::panicking();
    assert!(may_block, "an unwinding green thread must not block");
    while !ready(&me) {
        // A limit that is over would end `block` at once, again and again, and its hook might panic.
        me.block_plainly(what, Io::None, None);
    }
}

/// Raises what ought to end this thread, without waiting: for loops that never block.
pub fn checkpoint() {
    if thread::panicking() || with_current(|me| me.over().is_none()) {
        return;
    }
    let me = current();
    me.give_way_before_end();
    me.raise_if_over();
}
