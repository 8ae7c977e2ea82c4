//! Waiting for signals. One that is blocked stays with the process, or with the worker's OS thread, until
//! somebody takes it, and no descriptor of a green thread's tells of it: so these look again and again.

use super::time::deadline_after;
use crate::patch::{Patch, counts};
use crate::patience::until_done;
use crate::{errno, original};
use libc::{c_int, siginfo_t, sigset_t, ssize_t, timespec};
use std::ptr::null_mut;
use std::time::Instant;

/// How long a look takes.
const NOW: timespec = timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// # Safety
/// `set` can be read, and `info` is null or may be written.
unsafe fn take(set: *const sigset_t, info: *mut siginfo_t, deadline: Option<Instant>) -> c_int {
    // SAFETY: the caller's arguments, and a time that lives over the call.
    let look = || unsafe { original::sigtimedwait(set, info, &NOW) } as ssize_t;
    until_done("signal", &[libc::EAGAIN], deadline, look) as c_int
}

/// See `sigwaitinfo(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn sigtimedwait(
    set: *const sigset_t,
    info: *mut siginfo_t,
    timeout: *const timespec,
) -> c_int {
    if !counts(Patch::SLEEP) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::sigtimedwait(set, info, timeout) };
    }
    // SAFETY: the caller's arguments.
    unsafe {
        match deadline_after(timeout) {
            Ok(deadline) => take(set, info, deadline),
            Err(error) => errno::fail(error),
        }
    }
}

/// See `sigwaitinfo(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn sigwaitinfo(set: *const sigset_t, info: *mut siginfo_t) -> c_int {
    if !counts(Patch::SLEEP) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::sigwaitinfo(set, info) };
    }
    // SAFETY: the caller's arguments.
    unsafe { take(set, info, None) }
}

/// See `sigwait(3)`, which gives an error's number.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn sigwait(set: *const sigset_t, signal: *mut c_int) -> c_int {
    if !counts(Patch::SLEEP) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::sigwait(set, signal) };
    }
    errno::kept(|| {
        loop {
            // SAFETY: the caller's set.
            let taken = unsafe { take(set, null_mut(), None) };
            match errno::get() {
                _ if taken >= 0 => {
                    // SAFETY: the caller gives a place for it.
                    unsafe { signal.write(taken) };
                    return 0;
                }
                libc::EINTR => {} // another one was handled
                error => return error,
            }
        }
    })
}

/// See `sigsuspend(2)`. On a green thread the mask is set whenever it looks; those that are handled while
/// others run do not end the wait.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn sigsuspend(mask: *const sigset_t) -> c_int {
    if mask.is_null() || !counts(Patch::SLEEP) {
        // SAFETY: the caller's argument, unchanged.
        return unsafe { original::sigsuspend(mask) };
    }
    let look = || {
        // SAFETY: no descriptors, the caller's mask, and a time that lives over the call.
        match unsafe { original::ppoll(null_mut(), 0, &NOW, mask) } {
            0 => errno::fail(libc::EAGAIN),
            failed => failed as ssize_t,
        }
    };
    until_done("signal", &[libc::EAGAIN], None, look);
    // It has no other end, for one who is to end neither.
    errno::fail(libc::EINTR)
}
