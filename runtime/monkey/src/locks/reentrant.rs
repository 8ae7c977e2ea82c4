//! C's mutexes that know who holds them: those that may be locked again, and those that check.
//!
//! The C library knows OS threads. Two green threads of one worker are one for it, and it would let the
//! second one in while the first one waits, with the mutex held. So who holds such a mutex is noted
//! here, as long as it is a green thread; a mutex that has an entry is another's, whatever the C library says.

use crate::original;
use greenway_green::embed::{current_worker, lock, with_current};
use libc::{
    PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, c_int, pthread_mutex_t,
};
use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

struct Holder {
    thread: u64,
    /// How often it has locked it.
    times: usize,
}

static HOLDERS: LazyLock<Mutex<HashMap<usize, Holder>>> = LazyLock::new(Mutex::default);
/// How many mutexes have an entry.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// Where in a mutex glibc keeps its kind, and the bits of it that count here. No function tells.
const KIND_WORD: usize = 4;
const KIND_BITS: c_int = 3;

/// That is so in the C library that we run with.
static KNOWN: AtomicBool = AtomicBool::new(false);

/// Finds out whether a mutex can be asked for its kind.
pub(super) fn learn() {
    let kinds = [
        PTHREAD_MUTEX_NORMAL,
        PTHREAD_MUTEX_RECURSIVE,
        PTHREAD_MUTEX_ERRORCHECK,
    ];
    let known = kinds.into_iter().all(|kind| {
        let mut attributes = MaybeUninit::uninit();
        let mut mutex = MaybeUninit::<pthread_mutex_t>::uninit();
        // SAFETY: both are made before they are used, and nobody else knows of them.
        unsafe {
            libc::pthread_mutexattr_init(attributes.as_mut_ptr());
            libc::pthread_mutexattr_settype(attributes.as_mut_ptr(), kind);
            libc::pthread_mutex_init(mutex.as_mut_ptr(), attributes.as_ptr());
            let says = word(mutex.as_ptr());
            libc::pthread_mutex_destroy(mutex.as_mut_ptr());
            libc::pthread_mutexattr_destroy(attributes.as_mut_ptr());
            says == kind
        }
    });
    KNOWN.store(known, Ordering::Relaxed);
}

/// # Safety
/// It is a mutex.
unsafe fn word(mutex: *const pthread_mutex_t) -> c_int {
    const { assert!(size_of::<pthread_mutex_t>() > KIND_WORD * size_of::<c_int>()) };
    // SAFETY: the word lies within the mutex, which is aligned for it. It does not change but for a bit of
    // another meaning.
    unsafe { mutex.cast::<c_int>().add(KIND_WORD).read_volatile() & KIND_BITS }
}

/// Whether it matters who holds a mutex.
///
/// # Safety
/// It is a mutex.
pub(super) unsafe fn knows_its_holder(mutex: *const pthread_mutex_t) -> bool {
    // SAFETY: the caller's mutex.
    let kind = || unsafe { word(mutex) };
    KNOWN.load(Ordering::Relaxed)
        && matches!(kind(), PTHREAD_MUTEX_RECURSIVE | PTHREAD_MUTEX_ERRORCHECK)
}

fn me() -> u64 {
    with_current(|me| me.id())
}

/// Locks such a mutex for the green thread that calls, if it is free, or its own and may be locked again.
///
/// # Safety
/// It is a mutex.
pub(super) unsafe fn try_lock(mutex: *mut pthread_mutex_t) -> c_int {
    let me = me();
    let mut holders = lock(&HOLDERS);
    let holder = holders.get(&mutex.addr());
    if holder.is_some_and(|holder| holder.thread != me) {
        return libc::EBUSY;
    }
    // SAFETY: the caller's mutex.
    let result = unsafe { original::pthread_mutex_trylock(mutex) };
    if matches!(result, 0 | libc::EOWNERDEAD) {
        let holder = holders.entry(mutex.addr()).or_insert_with(|| {
            HELD.fetch_add(1, Ordering::SeqCst);
            Holder {
                thread: me,
                times: 0,
            }
        });
        holder.times += 1;
    }
    result
}

/// Whether the green thread that calls holds a mutex that it may not lock again.
///
/// # Safety
/// It is a mutex.
pub(super) unsafe fn is_locked_twice(mutex: *const pthread_mutex_t) -> bool {
    // SAFETY: the caller's mutex.
    let checks = || unsafe { word(mutex) } == PTHREAD_MUTEX_ERRORCHECK;
    KNOWN.load(Ordering::Relaxed) && checks() && {
        let me = me();
        let holders = lock(&HOLDERS);
        holders
            .get(&mutex.addr())
            .is_some_and(|holder| holder.thread == me)
    }
}

/// Unlocks a mutex that has an entry; `None` if it has none.
///
/// # Safety
/// It is a mutex.
pub(super) unsafe fn unlock(mutex: *mut pthread_mutex_t) -> Option<c_int> {
    if HELD.load(Ordering::SeqCst) == 0 {
        return None;
    }
    let me = current_worker().map(|_| me());
    let mut holders = lock(&HOLDERS);
    let holder = holders.get_mut(&mutex.addr())?;
    if me != Some(holder.thread) {
        return Some(libc::EPERM);
    }
    holder.times -= 1;
    if holder.times == 0 {
        holders.remove(&mutex.addr());
        HELD.fetch_sub(1, Ordering::SeqCst);
    }
    // Under our lock: whoever finds no entry finds the mutex free.
    // SAFETY: the caller's mutex.
    Some(unsafe { original::pthread_mutex_unlock(mutex) })
}
