//! Calls that block and know no other way: they are made on an OS thread.

use crate::errno;
use crate::patch::{Patch, counts};
use crate::waiting::wait_quietly;
use greenway_green::embed::{Ended, Io, current, lock};
use greenway_green::{Awaited, ThreadPool, threadpool};
use libc::ssize_t;
use std::sync::{Arc, Mutex};

/// Makes a call that owns what it uses on a thread of `pool`, and waits for what it gives.
///
/// # Errors
/// `Some(Interrupted)` when the thread is to end: the call goes on for nobody, and its value is dropped. `None`
/// when too many calls are waiting already.
pub(super) fn owned<T: Send + 'static>(
    pool: &ThreadPool,
    what: &'static str,
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Option<Ended>> {
    let slot = Arc::new(Mutex::new(None));
    let caller = current().handle();
    let give = {
        let slot = slot.clone();
        move || {
            let value = call();
            *lock(&slot) = Some(value);
            caller.wake();
        }
    };
    if pool.try_spawn(give).is_err() {
        return Err(None);
    }
    wait_quietly(Awaited::Other(what), None, Io::None, |_| lock(&slot).take()).map_err(Some)
}

/// Makes a call that uses the caller's memory on a thread of `pool`, and waits until it is done, whatever
/// happens to the caller. `None`, and the call is not made, when too many are waiting already.
pub(super) fn lent<T: Send + 'static, F: Fn() -> T>(
    pool: &ThreadPool,
    what: &'static str,
    call: F,
) -> Option<T> {
    struct Lent(*const ());
    // SAFETY: it points to `call`, which consists of numbers and of memory that the caller has lent to a
    // function of the C library that any thread may call. `call` lives until it was called.
    unsafe impl Send for Lent {}
    fn make<T, F: Fn() -> T>(call: &Lent) -> T {
        // SAFETY: `lent` has made it of a reference to an `F`, and waits for us.
        let call = unsafe { &*call.0.cast::<F>() };
        call()
    }
    // A pointer without `F` in its type, which need not live as long as a job of the pool.
    let make: fn(&Lent) -> T = make::<T, F>;
    let lent = Lent((&raw const call).cast());
    let slot = Arc::new(Mutex::new(None));
    let caller = current().handle();
    let give = {
        let slot = slot.clone();
        move || {
            let lent = lent; // whole, so that it is `Send`
            let value = make(&lent);
            *lock(&slot) = Some(value);
            caller.wake();
        }
    };
    pool.try_spawn(give).ok()?;
    loop {
        // One who is to end is told so again and again, and waits on.
        if let Ok(value) =
            wait_quietly(Awaited::Other(what), None, Io::None, |_| lock(&slot).take())
        {
            return Some(value);
        }
    }
}

/// Makes a call on a file on a thread of the pool, if that is patched, else here.
pub(super) fn files_read(call: impl Fn() -> ssize_t) -> ssize_t {
    if !counts(Patch::FILES) {
        return call();
    }
    let before = errno::get();
    match lent(threadpool(), "file", || (call(), errno::get())) {
        Some((result, error)) => {
            errno::set(if result < 0 { error } else { before });
            result
        }
        None => call(),
    }
}
