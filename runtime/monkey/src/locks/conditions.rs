//! C's conditions. A green thread waits for one in our own table, an OS thread in the C library's; whoever
//! signals does both, and wakes one more than asked for at most, as it may.

use super::mutexes::{ANY, counts_here, lock_until, pthread_mutex_unlock, wakes_here};
use super::table::{self, Outcome};
use crate::calls::deadline_of;
use crate::{errno, original};
use libc::{
    CLOCK_MONOTONIC, CLOCK_REALTIME, c_int, clockid_t, pthread_cond_t, pthread_mutex_t, timespec,
};
use std::mem::MaybeUninit;
use std::sync::LazyLock;
use std::time::Instant;

/// Waits for a condition, on a green thread.
///
/// # Safety
/// Both are what they are said to be, and the caller holds the mutex.
unsafe fn wait_until(
    condition: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
    deadline: Option<Instant>,
) -> c_int {
    let Some(place) = table::Place::take(condition.addr(), ANY, || true) else {
        return 0; // never: it is asked for without a condition
    };
    // SAFETY: the caller holds it.
    let result = unsafe { pthread_mutex_unlock(mutex) };
    if result != 0 {
        return result;
    }
    let outcome = errno::kept(|| place.wait("pthread condition", deadline));
    // SAFETY: the caller's mutex.
    let locked = unsafe { lock_until(mutex, None) };
    match outcome {
        _ if locked != 0 => locked,
        Outcome::TimedOut => libc::ETIMEDOUT,
        // One who is to end wakes for no reason, as it may.
        Outcome::Woken | Outcome::NotNow | Outcome::Interrupted => 0,
    }
}

/// See `pthread_cond_wait(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_cond_wait(
    condition: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
) -> c_int {
    if !counts_here() {
        // Its mutex is given up inside: those who wait for that look again by themselves.
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::pthread_cond_wait(condition, mutex) };
    }
    // SAFETY: the caller's arguments.
    unsafe { wait_until(condition, mutex, None) }
}

/// See `pthread_cond_timedwait(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_cond_timedwait(
    condition: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
    until: *const timespec,
) -> c_int {
    if !counts_here() {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::pthread_cond_timedwait(condition, mutex, until) };
    }
    // SAFETY: the caller's arguments.
    unsafe { pthread_cond_clockwait(condition, mutex, clock_of(condition), until) }
}

/// See `pthread_cond_clockwait(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_cond_clockwait(
    condition: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    if !counts_here() {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::pthread_cond_clockwait(condition, mutex, clock, until) };
    }
    // SAFETY: the caller's arguments.
    unsafe {
        match deadline_of(clock, until) {
            Ok(deadline) => wait_until(condition, mutex, deadline),
            Err(error) => error,
        }
    }
}

/// See `pthread_cond_signal(3)`. On any OS thread it looks for green threads that wait.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_cond_signal(
    condition: *mut pthread_cond_t,
) -> c_int {
    let address = condition.addr();
    // SAFETY: the caller's argument, unchanged. It may be gone afterwards: only its address is used.
    let result = unsafe { original::pthread_cond_signal(condition) };
    if wakes_here() {
        table::wake(address, 1, ANY);
    }
    result
}

/// See `pthread_cond_broadcast(3)`. On any OS thread it looks for green threads that wait.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_cond_broadcast(
    condition: *mut pthread_cond_t,
) -> c_int {
    let address = condition.addr();
    // SAFETY: the caller's argument, unchanged. It may be gone afterwards: only its address is used.
    let result = unsafe { original::pthread_cond_broadcast(condition) };
    if wakes_here() {
        table::wake(address, usize::MAX, ANY);
    }
    result
}

/// Where in a condition glibc keeps which clock its timed waits are about, and the bit that says so. There
/// is no function that tells.
const CLOCK_WORD: usize = 9;
const CLOCK_BIT: u32 = 2;

/// Whether that is so in the C library that we run with.
static KNOWN: LazyLock<bool> = LazyLock::new(|| {
    [CLOCK_REALTIME, CLOCK_MONOTONIC].into_iter().all(|clock| {
        let mut attributes = MaybeUninit::uninit();
        let mut condition = MaybeUninit::<pthread_cond_t>::uninit();
        // SAFETY: both are made before they are used, and nobody else knows of them.
        unsafe {
            libc::pthread_condattr_init(attributes.as_mut_ptr());
            libc::pthread_condattr_setclock(attributes.as_mut_ptr(), clock);
            libc::pthread_cond_init(condition.as_mut_ptr(), attributes.as_ptr());
            let says = word(condition.as_ptr()) & CLOCK_BIT != 0;
            libc::pthread_cond_destroy(condition.as_mut_ptr());
            libc::pthread_condattr_destroy(attributes.as_mut_ptr());
            says == (clock == CLOCK_MONOTONIC)
        }
    })
});

/// # Safety
/// It is a condition.
unsafe fn word(condition: *const pthread_cond_t) -> u32 {
    const { assert!(size_of::<pthread_cond_t>() > CLOCK_WORD * size_of::<u32>()) };
    // SAFETY: the word lies within the condition, which is aligned for it. Others change other bits of it.
    unsafe { condition.cast::<u32>().add(CLOCK_WORD).read_volatile() }
}

/// The clock of a condition's timed waits.
///
/// # Safety
/// It is a condition.
unsafe fn clock_of(condition: *const pthread_cond_t) -> clockid_t {
    if condition.is_null() || !*KNOWN {
        return CLOCK_REALTIME;
    }
    // SAFETY: the caller's condition.
    match unsafe { word(condition) } & CLOCK_BIT {
        0 => CLOCK_REALTIME,
        _ => CLOCK_MONOTONIC,
    }
}
