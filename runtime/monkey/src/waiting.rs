//! Waits and turns of our own process alone.
//!
//! A child of `vfork` runs on the memory and on the stack of the green thread that has made it, until it starts
//! a program. Some write into a pipe before that, or take locks. If such a call let other green threads
//! run, these would run in the child, and once more in the parent. So in a child a wait is one of the
//! kernel's.
//!
//! A handler of a signal runs on the stack of whoever runs at that moment, who may be in the middle of taking
//! memory. It may write and post a semaphore, and neither may let others run, or take memory itself.

use crate::original;
use crate::patch::is_our_process;
use greenway_green::Awaited;
use greenway_green::embed::{self, Ended, Interest, Io, Thread, current};
use libc::{pollfd, sigset_t, timespec};
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::ptr::null;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// As [`embed::wait_quietly`].
pub(crate) fn wait_quietly<T>(
    what: Awaited,
    deadline: Option<Instant>,
    io: Io<'_>,
    ready: impl FnMut(&Arc<Thread>) -> Option<T>,
) -> Result<T, Ended> {
    if is_our_process() {
        embed::wait_quietly(what, deadline, io, ready)
    } else {
        wait_in_child(deadline, io, ready)
    }
}

/// As [`embed::yield_quietly`].
pub(crate) fn yield_quietly() {
    if is_our_process() {
        embed::yield_quietly();
    }
}

thread_local! {
    /// Signals that were blocked when this worker began, as a mask; none on other OS threads.
    static BLOCKED: Cell<u64> = const { Cell::new(0) };
}

/// The signals that the OS thread blocks, as a mask.
fn blocked() -> u64 {
    const { assert!(size_of::<sigset_t>() >= size_of::<u64>()) };
    let mut set = MaybeUninit::<sigset_t>::zeroed();
    // SAFETY: writes the set, of which the first 64 bits are the kernel's signals.
    unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, null(), set.as_mut_ptr());
        set.as_ptr().cast::<u64>().read()
    }
}

/// Notes which signals a worker blocks at all times.
pub(crate) fn learn_signals() {
    BLOCKED.set(blocked());
}

/// Whether the caller may be the handler of a signal: more are blocked than at other times.
pub(crate) fn may_be_handler() -> bool {
    blocked() & !BLOCKED.get() != 0
}

/// Nobody wakes one who waits here, so it looks again and again.
#[cold]
#[inline(never)] // off the stack of those who wait
fn wait_in_child<T>(
    deadline: Option<Instant>,
    io: Io<'_>,
    mut ready: impl FnMut(&Arc<Thread>) -> Option<T>,
) -> Result<T, Ended> {
    const PAUSE: Duration = Duration::from_millis(1);
    let all: &[_] = match &io {
        Io::Poll(fd, interest) => &[(*fd, *interest)],
        Io::PollAny(fds) => fds,
        Io::None | Io::Registered(_) => &[],
    };
    let entry = |(fd, interest): &(_, _)| pollfd {
        fd: AsRawFd::as_raw_fd(fd),
        events: match interest {
            Interest::Readable => libc::POLLIN,
            Interest::Writable => libc::POLLOUT,
        },
        revents: 0,
    };
    let mut fds: Vec<pollfd> = all.iter().map(entry).collect();
    loop {
        if let Some(value) = ready(&current()) {
            return Ok(value);
        }
        let now = Instant::now();
        let left = deadline.map_or(PAUSE, |at| at.saturating_duration_since(now));
        if left.is_zero() {
            return Err(Ended::TimedOut);
        }
        let pause = timespec {
            tv_sec: 0,
            tv_nsec: left.min(PAUSE).as_nanos() as i64,
        };
        // SAFETY: as many entries, and a time, that live over the call; no mask.
        unsafe { original::ppoll(fds.as_mut_ptr(), fds.len() as u64, &pause, null()) };
    }
}
