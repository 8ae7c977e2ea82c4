//! The locks and threads of C11. In the C library they are those of POSIX under other names, which it calls
//! past our hooks; so they are sent on here.

use super::conditions::{
    pthread_cond_broadcast, pthread_cond_signal, pthread_cond_timedwait, pthread_cond_wait,
};
use super::joining::pthread_join;
use super::mutexes::{
    pthread_mutex_lock, pthread_mutex_timedlock, pthread_mutex_trylock, pthread_mutex_unlock,
};
use super::once::pthread_once;
use crate::calls::{clock_nanosleep, sched_yield};
use libc::{CLOCK_REALTIME, c_int, c_void, pthread_cond_t, pthread_mutex_t, pthread_t, timespec};
use std::ptr::null_mut;

/// What C11 calls the result of one of POSIX.
fn result(number: c_int) -> c_int {
    const SUCCESS: c_int = 0;
    const BUSY: c_int = 1;
    const ERROR: c_int = 2;
    const NO_MEMORY: c_int = 3;
    const TIMED_OUT: c_int = 4;
    match number {
        0 => SUCCESS,
        libc::EBUSY => BUSY,
        libc::ENOMEM => NO_MEMORY,
        libc::ETIMEDOUT => TIMED_OUT,
        _ => ERROR,
    }
}

/// Sends functions on that take and mean the same.
macro_rules! sent_on {
    ($($name:ident($($arg:ident: $Arg:ty),*) => $to:ident;)*) => {
        $(
            /// See the function of POSIX.
            ///
            /// # Safety
            /// That of the C function.
            #[unsafe(no_mangle)]
            unsafe extern "C-unwind" fn $name($($arg: $Arg),*) -> c_int {
                // SAFETY: the caller's arguments.
                result(unsafe { $to($($arg),*) })
            }
        )*
    };
}

sent_on! {
    mtx_lock(mutex: *mut pthread_mutex_t) => pthread_mutex_lock;
    mtx_trylock(mutex: *mut pthread_mutex_t) => pthread_mutex_trylock;
    mtx_timedlock(mutex: *mut pthread_mutex_t, until: *const timespec) => pthread_mutex_timedlock;
    mtx_unlock(mutex: *mut pthread_mutex_t) => pthread_mutex_unlock;
    cnd_wait(condition: *mut pthread_cond_t, mutex: *mut pthread_mutex_t) => pthread_cond_wait;
    cnd_timedwait(condition: *mut pthread_cond_t, mutex: *mut pthread_mutex_t, until: *const timespec) => pthread_cond_timedwait;
    cnd_signal(condition: *mut pthread_cond_t) => pthread_cond_signal;
    cnd_broadcast(condition: *mut pthread_cond_t) => pthread_cond_broadcast;
}

/// See `call_once(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn call_once(once: *mut c_int, initialise: unsafe extern "C-unwind" fn()) {
    // SAFETY: the caller's arguments.
    unsafe { pthread_once(once, initialise) };
}

/// See `thrd_join(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn thrd_join(thread: pthread_t, value: *mut c_int) -> c_int {
    let mut given: *mut c_void = null_mut();
    // SAFETY: the caller's thread.
    let joined = unsafe { pthread_join(thread, &raw mut given) };
    if !value.is_null() {
        // SAFETY: the caller gives a place for it. It travels as a pointer.
        unsafe { value.write(given.addr() as c_int) };
    }
    result(joined)
}

/// See `thrd_sleep(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn thrd_sleep(time: *const timespec, left: *mut timespec) -> c_int {
    // SAFETY: the caller's arguments.
    match unsafe { clock_nanosleep(CLOCK_REALTIME, 0, time, left) } {
        0 => 0,
        libc::EINTR => -1,
        _ => -2,
    }
}

/// See `thrd_yield(3)`.
#[unsafe(no_mangle)]
extern "C-unwind" fn thrd_yield() {
    sched_yield();
}
