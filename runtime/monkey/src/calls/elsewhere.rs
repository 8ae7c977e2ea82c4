//! Calls that block and know no other way: they are made on an OS thread.

use crate::errno;
use crate::patch::{Patch, counts};
use greenway_green::embed::{Ended, Io, current, lock, wait_quietly};
use greenway_green::{Awaited, ThreadPool, threadpool};
use libc::{c_int, ssize_t};
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

/// Makes a call on a file on a thread of the pool, if that is patched, else here. It is waited for whatever
/// happens, since the call uses the caller's memory.
pub(super) fn files_read(call: impl Fn() -> ssize_t) -> ssize_t {
    if !counts(Patch::FILES) {
        return call();
    }
    type Given = Arc<Mutex<Option<(ssize_t, c_int)>>>;
    struct Lent(*const ());
    // SAFETY: it points to `call`, which consists of numbers and of memory that the caller has lent to a
    // system call: to the kernel it is all one which thread asks. `call` lives until it was called.
    unsafe impl Send for Lent {}
    fn make<F: Fn() -> ssize_t>(call: &Lent) -> (ssize_t, c_int) {
        // SAFETY: `files_read` has made it of a reference to an `F`, and waits for us.
        let result = unsafe { &*call.0.cast::<F>() }();
        (result, errno::get())
    }
    fn maker<F: Fn() -> ssize_t>(_: &F) -> fn(&Lent) -> (ssize_t, c_int) {
        make::<F>
    }
    let slot: Given = Arc::default();
    let lent = Lent((&raw const call).cast());
    let make = maker(&call);
    let caller = current().handle();
    let give = {
        let slot = slot.clone();
        move || {
            let lent = lent; // whole, so that it is `Send`
            let result = make(&lent);
            *lock(&slot) = Some(result);
            caller.wake();
        }
    };
    if threadpool().try_spawn(give).is_err() {
        return call();
    }
    loop {
        let given = wait_quietly(Awaited::Other("file"), None, Io::None, |_| {
            lock(&slot).take()
        });
        if let Ok((result, error)) = given {
            errno::set(error);
            return result;
        }
    }
}
