//! How what may block in the kernel is done, for parts that outlive their request.

use std::sync::{Arc, Mutex, PoisonError};

/// Calls the closure, and returns when that is done. It works on every thread.
pub type Unblocker = fn(Box<dyn FnOnce() + Send>);

/// The [`Unblocker`] of a server without green threads.
pub(crate) fn here(call: Box<dyn FnOnce() + Send>) {
    call();
}

/// Has `call` called, and gives its value.
pub(crate) fn by<T: Send + 'static>(
    unblock: Unblocker,
    call: impl FnOnce() -> T + Send + 'static,
) -> T {
    let value = Arc::new(Mutex::new(None));
    let there = Arc::clone(&value);
    unblock(Box::new(move || {
        let done = call();
        *there.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
    }));
    let value = value.lock().unwrap_or_else(PoisonError::into_inner).take();
    value.expect("an Unblocker calls before it returns")
}
