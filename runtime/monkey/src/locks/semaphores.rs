//! C's semaphores. One may be shared with other processes, so who waits also looks again by itself.

use super::mutexes::{ANY, LONGEST, counts_here, wakes_here};
use super::table::{self, Outcome};
use crate::calls::{deadline_after, deadline_of};
use crate::patience::{Patience, until_done_or_removed};
use crate::waiting::may_be_handler;
use crate::{errno, original};
use libc::{CLOCK_REALTIME, c_int, c_short, clockid_t, sem_t, sembuf, size_t, ssize_t, timespec};
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
    let deadline = match unsafe { deadline_of(clock, until) } {
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
            // One who is to end waits on, as at a lock, unless it has a time for it, which is over early then.
            // `EINTR` it would take for a signal and wait again, if it looks; whoever does not look goes on
            // without the semaphore. With any other error libuv and others end the process.
            Outcome::Interrupted if deadline.is_some() => return errno::fail(libc::ETIMEDOUT),
            Outcome::Interrupted => {}
            Outcome::TimedOut if deadline.is_some_and(|at| at <= Instant::now()) => {
                return errno::fail(libc::ETIMEDOUT);
            }
            Outcome::TimedOut | Outcome::Woken => {}
        }
    }
}

/// See `sem_post(3)`. On any OS thread it looks for green threads that wait. Handlers of signals may post, but not
/// take memory, as waking does: then those who wait find it when they look themselves.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn sem_post(semaphore: *mut sem_t) -> c_int {
    let address = semaphore.addr();
    // SAFETY: the caller's argument, unchanged. It may be gone afterwards: only its address is used.
    let result = unsafe { original::sem_post(semaphore) };
    if wakes_here() && !table::is_empty() && !may_be_handler() {
        table::wake_if_free(address, 1);
    }
    result
}

/// See `semop(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn semop(semaphores: c_int, operations: *mut sembuf, n: size_t) -> c_int {
    if !counts_here() {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::semop(semaphores, operations, n) };
    }
    // SAFETY: the caller's arguments, and no time.
    unsafe { semtimedop(semaphores, operations, n, null()) }
}

/// See `semop(2)`: nothing tells when it is time for another look. One that must not wait for some of its
/// operations, but may for others, is left to the kernel, since nothing tells either for which it would.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn semtimedop(
    semaphores: c_int,
    operations: *mut sembuf,
    n: size_t,
    timeout: *const timespec,
) -> c_int {
    const AT_ONCE: c_short = libc::IPC_NOWAIT as c_short;
    /// More the kernel refuses.
    const MOST: size_t = 500;
    let may_wait = !operations.is_null() && n > 0 && n <= MOST && counts_here() && {
        // SAFETY: the caller gives so many.
        let operations = unsafe { std::slice::from_raw_parts(operations, n) };
        operations.iter().all(|one| one.sem_flg & AT_ONCE == 0)
    };
    if !may_wait {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::semtimedop(semaphores, operations, n, timeout) };
    }
    // SAFETY: the caller's time.
    let deadline = match unsafe { deadline_after(timeout) } {
        Ok(deadline) => deadline,
        Err(error) => return errno::fail(error),
    };
    // SAFETY: the caller gives so many.
    let mut copy = unsafe { std::slice::from_raw_parts(operations, n) }.to_vec();
    for one in &mut copy {
        one.sem_flg |= AT_ONCE;
    }
    // SAFETY: a list that lives over the call.
    let attempt = || unsafe { original::semop(semaphores, copy.as_mut_ptr(), n) } as ssize_t;
    until_done_or_removed("semop", &[libc::EAGAIN], deadline, attempt) as c_int
}
