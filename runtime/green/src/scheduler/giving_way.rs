//! Letting others run: for a time, once, or after enough work.

use super::thread::{
    Awaited, Io, checkpoint, current, deadline_in, wait_for, wait_quietly, with_current,
};
use super::timed_out::TimedOut;
use super::worker;
use std::time::Duration;

/// Lets this thread sleep for at least `duration`, while others run.
///
/// A green thread stays on its worker; the resolution is that of the kernel's clocks, not a
/// millisecond. [`Duration::MAX`] sleeps until the thread is killed.
///
/// ```
/// use greenway_green::sleep;
/// use std::time::Duration;
///
/// sleep(Duration::from_millis(10));
/// ```
pub fn sleep(duration: Duration) {
    let deadline = deadline_in(duration);
    let (Ok(()) | Err(TimedOut)) = wait_for(Awaited::Time, deadline, Io::None, |_, _| None::<()>);
}

/// Lets all others of this worker run that can run.
///
/// For code that computes for long: unlike `may`'s own, this lets input and output proceed. Which
/// sockets are ready is looked at each time, but not more often than every 50 microseconds.
pub fn yield_now() {
    let Some(here) = worker::here() else {
        checkpoint();
        return std::thread::yield_now();
    };
    let me = current();
    if here.may_pass_turn() && !std::thread::panicking() && me.over().is_none() {
        return me.pass_turn(here);
    }
    drop(me);
    let mut asked = false;
    let (Ok(()) | Err(TimedOut)) = wait_for(Awaited::Turn, None, Io::None, |me, _| {
        if asked {
            return Some(());
        }
        asked = true;
        here.wake_next_round(me.clone());
        None
    });
}

/// Notes a piece of work that did not wait, and gives way to others after enough of them, unless
/// this is an OS thread: the kernel sees to those. What ought to end this thread is raised here,
/// as in a wait.
pub fn take_turn() {
    if std::thread::panicking() {
        return;
    }
    let enough = with_current(|me| match me.over() {
        None => me.home().is_some() && me.tick(),
        Some(_) => true,
    });
    if enough {
        yield_now();
    }
}

/// As [`yield_now`], for a call that comes out of C: nothing unwinds here.
pub fn yield_quietly() {
    let Some(here) = worker::here() else {
        return std::thread::yield_now();
    };
    let mut asked = false;
    let (Ok(()) | Err(_)) = wait_quietly(Awaited::Turn, None, Io::None, |me| {
        if asked {
            return Some(());
        }
        asked = true;
        here.wake_next_round(me.clone());
        None
    });
}

/// Notes a piece of work that did not wait, for a call that comes out of C. True after enough of
/// them: then the caller [gives way](yield_quietly), if it may.
pub fn turn_is_over() -> bool {
    with_current(|me| me.home().is_some() && me.tick_over())
}

/// Whether the caller is a green thread.
pub fn is_green() -> bool {
    worker::current().is_some()
}

/// The number of the worker (from 0) that runs the calling green thread; `None` in an OS thread.
pub fn worker_index() -> Option<usize> {
    worker::current().map(|worker| worker.index())
}
