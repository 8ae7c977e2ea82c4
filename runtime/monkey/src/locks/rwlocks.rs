//! C's locks for many who read or one who writes.

use super::mutexes::{counts_here, until_free, wakes_here};
use super::table;
use super::timed::deadline;
use crate::original;
use libc::{CLOCK_REALTIME, c_int, pthread_rwlock_t, timespec};
use std::ptr::null;

/// See `pthread_rwlock_rdlock(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_rwlock_rdlock(lock: *mut pthread_rwlock_t) -> c_int {
    if !counts_here() {
        // SAFETY: the caller's argument, unchanged.
        return unsafe { original::pthread_rwlock_rdlock(lock) };
    }
    // SAFETY: the caller's lock.
    unsafe { pthread_rwlock_timedrdlock(lock, null()) }
}

/// See `pthread_rwlock_timedrdlock(3)`; without a time it waits for ever.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_rwlock_timedrdlock(
    lock: *mut pthread_rwlock_t,
    until: *const timespec,
) -> c_int {
    if !counts_here() {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::pthread_rwlock_timedrdlock(lock, until) };
    }
    // SAFETY: the caller's time.
    match unsafe { deadline(CLOCK_REALTIME, until) } {
        Ok(deadline) => {
            // SAFETY: the caller's lock.
            let attempt = || unsafe { original::pthread_rwlock_tryrdlock(lock) };
            until_free("pthread rwlock", lock.addr(), deadline, attempt)
        }
        Err(error) => error,
    }
}

/// See `pthread_rwlock_wrlock(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_rwlock_wrlock(lock: *mut pthread_rwlock_t) -> c_int {
    if !counts_here() {
        // SAFETY: the caller's argument, unchanged.
        return unsafe { original::pthread_rwlock_wrlock(lock) };
    }
    // SAFETY: the caller's lock.
    unsafe { pthread_rwlock_timedwrlock(lock, null()) }
}

/// See `pthread_rwlock_timedwrlock(3)`; without a time it waits for ever.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_rwlock_timedwrlock(
    lock: *mut pthread_rwlock_t,
    until: *const timespec,
) -> c_int {
    if !counts_here() {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::pthread_rwlock_timedwrlock(lock, until) };
    }
    // SAFETY: the caller's time.
    match unsafe { deadline(CLOCK_REALTIME, until) } {
        Ok(deadline) => {
            // SAFETY: the caller's lock.
            let attempt = || unsafe { original::pthread_rwlock_trywrlock(lock) };
            until_free("pthread rwlock", lock.addr(), deadline, attempt)
        }
        Err(error) => error,
    }
}

/// See `pthread_rwlock_unlock(3)`. On any OS thread it looks for green threads that wait.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_rwlock_unlock(lock: *mut pthread_rwlock_t) -> c_int {
    let address = lock.addr();
    // SAFETY: the caller's argument, unchanged. It may be gone afterwards: only its address is used.
    let result = unsafe { original::pthread_rwlock_unlock(lock) };
    if wakes_here() {
        table::wake_if_free(address, usize::MAX);
    }
    result
}
