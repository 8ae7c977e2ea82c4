//! C's locks for many who read or one who writes.
//!
//! glibc's lock of the kind "writers first, no reader twice" lets no reader in while somebody waits to write. Of
//! green threads that wait it knows nothing, so they are counted here.

use super::holders;
use super::mutexes::{counts_here, until_free, wakes_here};
use super::table;
use crate::calls::deadline_of;
use crate::original;
use greenway_green::embed::{current_worker, lock as lock_own};
use libc::{CLOCK_REALTIME, c_int, clockid_t, pthread_rwlock_t, timespec};
use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Instant;

/// `PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP`.
const WRITERS_FIRST: c_int = 2;

/// Where in a lock glibc keeps its kind. No function tells.
const KIND_WORD: usize = 12;

/// That is so in the C library that we run with.
static KNOWN: AtomicBool = AtomicBool::new(false);

/// Finds out whether a lock can be asked for its kind.
pub(super) fn learn() {
    let known = [0, WRITERS_FIRST].into_iter().all(|kind| {
        let mut attributes = MaybeUninit::uninit();
        let mut lock = MaybeUninit::<pthread_rwlock_t>::uninit();
        // SAFETY: both are made before they are used, and nobody else knows of them.
        unsafe {
            libc::pthread_rwlockattr_init(attributes.as_mut_ptr());
            libc::pthread_rwlockattr_setkind_np(attributes.as_mut_ptr(), kind);
            libc::pthread_rwlock_init(lock.as_mut_ptr(), attributes.as_ptr());
            let says = word(lock.as_ptr());
            libc::pthread_rwlock_destroy(lock.as_mut_ptr());
            libc::pthread_rwlockattr_destroy(attributes.as_mut_ptr());
            says == kind
        }
    });
    KNOWN.store(known, Ordering::Relaxed);
}

/// # Safety
/// It is a lock.
unsafe fn word(lock: *const pthread_rwlock_t) -> c_int {
    const { assert!(size_of::<pthread_rwlock_t>() > KIND_WORD * size_of::<c_int>()) };
    // SAFETY: the word lies within the lock, which is aligned for it, and does not change.
    unsafe { lock.cast::<c_int>().add(KIND_WORD).read_volatile() }
}

/// # Safety
/// It is a lock.
unsafe fn puts_writers_first(lock: *const pthread_rwlock_t) -> bool {
    // SAFETY: the caller's lock.
    KNOWN.load(Ordering::Relaxed) && unsafe { word(lock) } == WRITERS_FIRST
}

/// How many green threads wait to write, by the lock's address, for locks that put them first.
static WRITERS: LazyLock<Mutex<HashMap<usize, usize>>> = LazyLock::new(Mutex::default);
static HOW_MANY: AtomicUsize = AtomicUsize::new(0);

/// One that waits to write.
struct Writer(usize);

impl Writer {
    fn new(address: usize) -> Self {
        *lock_own(&WRITERS).entry(address).or_default() += 1;
        HOW_MANY.fetch_add(1, Ordering::SeqCst);
        Self(address)
    }

    fn waits_at(address: usize) -> bool {
        HOW_MANY.load(Ordering::SeqCst) > 0 && lock_own(&WRITERS).contains_key(&address)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        HOW_MANY.fetch_sub(1, Ordering::SeqCst);
        let mut writers = lock_own(&WRITERS);
        if let Some(count) = writers.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                writers.remove(&self.0);
            }
        }
        drop(writers);
        // Readers that it has kept out look again. If it has the lock now, they wait on.
        table::wake_if_free(self.0, usize::MAX);
    }
}

/// Waits to read, on a green thread.
///
/// # Safety
/// It is a lock.
unsafe fn read_until(lock: *mut pthread_rwlock_t, deadline: Option<Instant>) -> c_int {
    // SAFETY: the caller's lock.
    let attempt = || unsafe {
        if Writer::waits_at(lock.addr()) && puts_writers_first(lock) {
            return libc::EBUSY;
        }
        original::pthread_rwlock_tryrdlock(lock)
    };
    until_free("pthread rwlock", lock.addr(), deadline, attempt)
}

/// Waits to write, on a green thread.
///
/// # Safety
/// It is a lock.
unsafe fn write_until(lock: *mut pthread_rwlock_t, deadline: Option<Instant>) -> c_int {
    // SAFETY: the caller's lock.
    let attempt = || unsafe { original::pthread_rwlock_trywrlock(lock) };
    let mut result = attempt();
    if result == libc::EBUSY {
        // SAFETY: the caller's lock.
        let first = unsafe { puts_writers_first(lock) };
        let _waits = first.then(|| Writer::new(lock.addr()));
        result = until_free("pthread rwlock", lock.addr(), deadline, attempt);
    }
    if result == 0 {
        holders::note(lock.addr());
    }
    result
}

/// Keeps an OS thread that wants to read waiting while green threads wait to write, if the lock puts them first.
///
/// # Safety
/// It is a lock.
unsafe fn let_writers_first(lock: *const pthread_rwlock_t) {
    // SAFETY: the caller's lock.
    let first = || unsafe { puts_writers_first(lock) };
    while Writer::waits_at(lock.addr()) && current_worker().is_none() && first() {
        // SAFETY: passes a number.
        unsafe { original::usleep(100) };
    }
}

/// See `pthread_rwlock_rdlock(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_rwlock_rdlock(lock: *mut pthread_rwlock_t) -> c_int {
    if !counts_here() {
        // SAFETY: the caller's argument, unchanged.
        unsafe {
            let_writers_first(lock);
            return original::pthread_rwlock_rdlock(lock);
        }
    }
    // SAFETY: the caller's lock.
    unsafe { read_until(lock, None) }
}

/// See `pthread_rwlock_timedrdlock(3)`.
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
    // SAFETY: the caller's arguments.
    unsafe { pthread_rwlock_clockrdlock(lock, CLOCK_REALTIME, until) }
}

/// See `pthread_rwlock_timedrdlock(3)`; the clock is the caller's choice.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pthread_rwlock_clockrdlock(
    lock: *mut pthread_rwlock_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    if !counts_here() {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::pthread_rwlock_clockrdlock(lock, clock, until) };
    }
    // SAFETY: the caller's time and lock.
    unsafe {
        match deadline_of(clock, until) {
            Ok(deadline) => read_until(lock, deadline),
            Err(error) => error,
        }
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
    unsafe { write_until(lock, None) }
}

/// See `pthread_rwlock_timedwrlock(3)`.
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
    // SAFETY: the caller's arguments.
    unsafe { pthread_rwlock_clockwrlock(lock, CLOCK_REALTIME, until) }
}

/// See `pthread_rwlock_timedwrlock(3)`; the clock is the caller's choice.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pthread_rwlock_clockwrlock(
    lock: *mut pthread_rwlock_t,
    clock: clockid_t,
    until: *const timespec,
) -> c_int {
    if !counts_here() {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::pthread_rwlock_clockwrlock(lock, clock, until) };
    }
    // SAFETY: the caller's time and lock.
    unsafe {
        match deadline_of(clock, until) {
            Ok(deadline) => write_until(lock, deadline),
            Err(error) => error,
        }
    }
}

/// See `pthread_rwlock_unlock(3)`. On any OS thread it looks for green threads that wait.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_rwlock_unlock(lock: *mut pthread_rwlock_t) -> c_int {
    let address = lock.addr();
    let wakes = wakes_here();
    if wakes {
        holders::forget(address);
    }
    // SAFETY: the caller's argument, unchanged. It may be gone afterwards: only its address is used.
    let result = unsafe { original::pthread_rwlock_unlock(lock) };
    if wakes {
        table::wake_if_free(address, usize::MAX);
    }
    result
}
