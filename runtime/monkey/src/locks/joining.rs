//! The end of OS threads: nothing tells of it that a green thread could wait for, so it is looked for.

use crate::calls::deadline_of;
use crate::patch::{Patch, counts};
use crate::patience::Patience;
use crate::{errno, original};
use libc::{CLOCK_REALTIME, c_int, c_void, clockid_t, pthread_t, timespec};
use std::time::{Duration, Instant};

/// See `pthread_join(3)`. It has no way to be interrupted: it waits whatever happens to its green thread.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_join(
    thread: pthread_t,
    value: *mut *mut c_void,
) -> c_int {
    if !counts(Patch::LOCKS) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::pthread_join(thread, value) };
    }
    // SAFETY: the caller's arguments.
    unsafe { join_until(thread, value, None) }
}

/// When a look is over.
const PAST: timespec = timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// # Safety
/// That of `pthread_join`.
unsafe fn join_until(
    thread: pthread_t,
    value: *mut *mut c_void,
    deadline: Option<Instant>,
) -> c_int {
    let patience = Patience::new(Duration::from_millis(5));
    loop {
        // A time that is over: unlike `pthread_tryjoin_np` this says of a thread that runs that it is the
        // caller's, or nobody's to join.
        // SAFETY: the caller's arguments; the thread is not joined before this gives something else.
        let result = unsafe { original::pthread_timedjoin_np(thread, value, &PAST) };
        if result != libc::ETIMEDOUT {
            return result;
        }
        let paused = errno::kept(|| patience.pause("thread's end", deadline));
        // One who is to end waits on, unless it has a time for it, which is over early then.
        if paused.is_err() && deadline.is_some() {
            return libc::ETIMEDOUT;
        }
    }
}

/// See `pthread_timedjoin_np(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pthread_timedjoin_np(
    thread: pthread_t,
    value: *mut *mut c_void,
    until: *const timespec,
) -> c_int {
    if !counts(Patch::LOCKS) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::pthread_timedjoin_np(thread, value, until) };
    }
    // SAFETY: the caller's arguments.
    unsafe { pthread_clockjoin_np(thread, value, CLOCK_REALTIME, until) }
}

/// See `pthread_timedjoin_np(3)`; the clock is the caller's choice.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pthread_clockjoin_np(
    thread: pthread_t,
    value: *mut *mut c_void,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    if !counts(Patch::LOCKS) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::pthread_clockjoin_np(thread, value, clock, until) };
    }
    // SAFETY: the caller's time and thread.
    unsafe {
        match deadline_of(clock, until) {
            Ok(deadline) => join_until(thread, value, deadline),
            Err(error) => error,
        }
    }
}
