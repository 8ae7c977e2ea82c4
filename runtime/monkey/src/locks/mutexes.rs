//! C's mutexes.
//!
//! What C's library does with a mutex by itself (a wait for a condition gives it up, for one) goes past our
//! `pthread_mutex_unlock`, so who waits here also looks again by itself.

use super::holders;
use super::reentrant;
use super::table::{self, Outcome};
use crate::calls::deadline_of;
use crate::patch::{Patch, counts, is_patched};
use crate::patience::Patience;
use crate::{errno, original};
use libc::{CLOCK_REALTIME, c_int, clockid_t, pthread_mutex_t, pthread_spinlock_t, timespec};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Any wake.
pub(super) const ANY: u32 = u32::MAX;

/// The longest pause between two looks.
pub(super) const LONGEST: Duration = Duration::from_millis(10);

thread_local!(static ASKED: Cell<bool> = const { Cell::new(false) });

/// The program's allocator locks mutexes of C's.
static OF_THE_ALLOCATOR: AtomicBool = AtomicBool::new(false);

/// Finds out whether the program's allocator locks C's mutexes. If it does, they are left alone: memory is
/// taken everywhere, also where no green thread may wait.
pub(super) fn ask_the_allocator() {
    let ask = || {
        ASKED.set(true);
        for size in [16, 256, 4 << 10, 64 << 10, 1 << 20, 8 << 20] {
            drop(std::hint::black_box(Vec::<u8>::with_capacity(size)));
        }
        ASKED.set(false);
    };
    // On an OS thread of its own, whose part of the allocator is empty.
    let asked = std::thread::Builder::new()
        .spawn(ask)
        .map(|thread| thread.join());
    let known = matches!(asked, Ok(Ok(())));
    if !known || OF_THE_ALLOCATOR.load(Ordering::SeqCst) {
        OF_THE_ALLOCATOR.store(true, Ordering::SeqCst);
        log::warn!(
            "the program's allocator locks mutexes of the C library: these are not patched, and \
             hold up a worker where C code waits for one"
        );
    }
}

/// Whether a mutex is to be waited for as green threads do, by the caller.
#[inline]
pub(super) fn counts_here() -> bool {
    is_patched(Patch::LOCKS) && !asked() && counts(Patch::LOCKS)
}

/// Whether one who unlocks or signals is to look for green threads that wait.
#[inline]
pub(super) fn wakes_here() -> bool {
    is_patched(Patch::LOCKS) && !asked()
}

/// Whether C's locks are the allocator's. An allocator mostly has no need to wait, and some try first, so what
/// tells is that one unlocks.
fn asked() -> bool {
    if ASKED.get() {
        OF_THE_ALLOCATOR.store(true, Ordering::SeqCst);
    }
    OF_THE_ALLOCATOR.load(Ordering::Relaxed)
}

/// Waits at `address` until `attempt`, which does not wait, gives something but `EBUSY`, or the deadline.
pub(super) fn until_free(
    what: &'static str,
    address: usize,
    deadline: Option<Instant>,
    mut attempt: impl FnMut() -> c_int,
) -> c_int {
    match attempt() {
        libc::EBUSY => errno::kept(|| until_free_again(what, address, deadline, attempt)),
        result => result,
    }
}

#[inline(never)] // off the stack of those who need not wait
fn until_free_again(
    what: &'static str,
    address: usize,
    deadline: Option<Instant>,
    mut attempt: impl FnMut() -> c_int,
) -> c_int {
    let mut result = libc::EBUSY;
    let patience = Patience::new(LONGEST);
    while result == libc::EBUSY {
        let until = patience.next_look().into_iter().chain(deadline).min();
        let outcome = table::wait(what, address, ANY, until, || {
            result = attempt();
            result == libc::EBUSY
        });
        if outcome == Outcome::NotNow {
            break;
        }
        // A lock has no other end than that one has it, or that the caller's time is over: for one who is to end
        // that is early.
        result = attempt();
        let over = |at: Instant| outcome == Outcome::Interrupted || at <= Instant::now();
        if result == libc::EBUSY && deadline.is_some_and(over) {
            return libc::ETIMEDOUT;
        }
    }
    result
}

/// Waits for a mutex, on a green thread.
///
/// # Safety
/// It is a mutex.
pub(super) unsafe fn lock_until(mutex: *mut pthread_mutex_t, deadline: Option<Instant>) -> c_int {
    // SAFETY: the caller's mutex.
    unsafe {
        if reentrant::is_locked_twice(mutex) {
            return libc::EDEADLK;
        }
        until_free("pthread mutex", mutex.addr(), deadline, || try_lock(mutex))
    }
}

/// Locks a mutex that is free, on a green thread.
///
/// # Safety
/// It is a mutex.
unsafe fn try_lock(mutex: *mut pthread_mutex_t) -> c_int {
    // SAFETY: the caller's mutex.
    let result = unsafe {
        if reentrant::knows_its_holder(mutex) {
            reentrant::try_lock(mutex)
        } else {
            original::pthread_mutex_trylock(mutex)
        }
    };
    if matches!(result, 0 | libc::EOWNERDEAD) {
        holders::note(mutex.addr());
    }
    result
}

/// See `pthread_mutex_trylock(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_mutex_trylock(mutex: *mut pthread_mutex_t) -> c_int {
    // SAFETY: the caller's mutex.
    unsafe {
        if counts_here() {
            try_lock(mutex)
        } else {
            original::pthread_mutex_trylock(mutex)
        }
    }
}

/// See `pthread_mutex_lock(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_mutex_lock(mutex: *mut pthread_mutex_t) -> c_int {
    if !counts_here() {
        // SAFETY: the caller's argument, unchanged.
        return unsafe { original::pthread_mutex_lock(mutex) };
    }
    // SAFETY: the caller's mutex.
    unsafe { lock_until(mutex, None) }
}

/// See `pthread_mutex_timedlock(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_mutex_timedlock(
    mutex: *mut pthread_mutex_t,
    until: *const timespec,
) -> c_int {
    if !counts_here() {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::pthread_mutex_timedlock(mutex, until) };
    }
    // SAFETY: the caller's arguments.
    unsafe { pthread_mutex_clocklock(mutex, CLOCK_REALTIME, until) }
}

/// See `pthread_mutex_clocklock(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_mutex_clocklock(
    mutex: *mut pthread_mutex_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    if !counts_here() {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::pthread_mutex_clocklock(mutex, clock, until) };
    }
    // SAFETY: the caller's time and mutex.
    unsafe {
        match deadline_of(clock, until) {
            Ok(deadline) => lock_until(mutex, deadline),
            // A mutex that is free is had all the same.
            Err(error) => match try_lock(mutex) {
                libc::EBUSY => error,
                result => result,
            },
        }
    }
}

/// See `pthread_mutex_unlock(3)`. On any OS thread it looks for green threads that wait.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_mutex_unlock(mutex: *mut pthread_mutex_t) -> c_int {
    let address = mutex.addr();
    let wakes = wakes_here();
    // The caller's mutex may be gone as soon as it is free: from then on only its address is used.
    if wakes {
        holders::forget(address);
    }
    // SAFETY: the caller's argument, unchanged.
    let result = unsafe {
        let noted = wakes && reentrant::knows_its_holder(mutex);
        match noted.then(|| reentrant::unlock(mutex)).flatten() {
            Some(result) => result,
            None => original::pthread_mutex_unlock(mutex),
        }
    };
    if wakes {
        table::wake_if_free(address, 1);
    }
    result
}

/// See `pthread_spin_lock(3)`: a green thread that spun would keep the one from running that has the lock.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pthread_spin_lock(lock: *mut pthread_spinlock_t) -> c_int {
    if !counts_here() {
        // SAFETY: the caller's argument, unchanged.
        return unsafe { original::pthread_spin_lock(lock) };
    }
    // SAFETY: the caller's lock.
    let attempt = || unsafe { original::pthread_spin_trylock(lock) };
    until_free("pthread spinlock", lock.addr(), None, attempt)
}
