//! C's semaphores. One may be shared with other processes, so who waits also looks again by itself.

use super::mutexes::{ANY, LONGEST, counts_here, wakes_here};
use super::table::{self, Outcome};
use super::timed::deadline;
use crate::patience::Patience;
use crate::{errno, original};
use libc::{CLOCK_REALTIME, c_int, clockid_t, sem_t, timespec};
use std::ptr::null;
use std::time::Instant;

/// See `sem_wait(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn sem_wait(semaphore: *mut sem_t) -> c_int {
    if !counts_here() {
        // SAFETY: the caller's argument, unchanged.
        return unsafe { original::sem_wait(semaphore) };
    }
    // SAFETY: the caller's semaphore.
    unsafe { sem_clockwait(semaphore, CLOCK_REALTIME, null()) }
}

/// See `sem_timedwait(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn sem_timedwait(
    semaphore: *mut sem_t,
    until: *const timespec,
) -> c_int {
    if !counts_here() {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::sem_timedwait(semaphore, until) };
    }
    // SAFETY: the caller's arguments.
    unsafe { sem_clockwait(semaphore, CLOCK_REALTIME, until) }
}

/// See `sem_clockwait(3)`; without a time it waits for ever.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn sem_clockwait(
    semaphore: *mut sem_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    if !counts_here() {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::sem_clockwait(semaphore, clock, until) };
    }
    // SAFETY: the caller's time.
    let deadline = match unsafe { deadline(clock, until) } {
        Ok(deadline) => deadline,
        Err(error) => return errno::fail(error),
    };
    // SAFETY: the caller's semaphore.
    let attempt = || unsafe { original::sem_trywait(semaphore) };
    let before = errno::get();
    let mut patience = None;
    loop {
        let mut result = attempt();
        if result == 0 {
            errno::set(before);
        }
        if result == 0 || !errno::would_block() {
            return result;
        }
        let patience = patience.get_or_insert_with(|| Patience::new(LONGEST));
        let until = patience.next_look().into_iter().chain(deadline).min();
        let outcome = table::wait("semaphore of C", semaphore.addr(), ANY, until, || {
            result = attempt();
            result != 0 && errno::would_block()
        });
        match outcome {
            Outcome::NotNow if result == 0 => {
                errno::set(before);
                return 0;
            }
            Outcome::NotNow => {}
            Outcome::Interrupted => return errno::fail(libc::EINTR),
            Outcome::TimedOut if deadline.is_some_and(|at| at <= Instant::now()) => {
                return errno::fail(libc::ETIMEDOUT);
            }
            Outcome::TimedOut | Outcome::Woken => {}
        }
    }
}

/// See `sem_post(3)`. On any OS thread it looks for green threads that wait.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn sem_post(semaphore: *mut sem_t) -> c_int {
    let address = semaphore.addr();
    // SAFETY: the caller's argument, unchanged. It may be gone afterwards: only its address is used.
    let result = unsafe { original::sem_post(semaphore) };
    if wakes_here() {
        table::wake_if_free(address, 1);
    }
    result
}
