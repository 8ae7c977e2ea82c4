//! [`LateLocal`]: a value of an OS thread that is still there when its thread-locals are destroyed.
//!
//! Destructors of thread-locals may wait, and a wait needs the control block of its thread. One
//! that lay in a `thread_local!` with a destructor of its own might be gone by then, and std ends
//! the process when such a destructor panics.
//!
//! What must stay true: a value is dropped once, after the last use of it on its thread.
//!
//! # Implementation
//!
//! Keys of POSIX threads: their destructors run after those of thread-locals, and again when a
//! destructor has set a value anew. The number of keys is bounded, so these are statics only.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::sync::OnceLock;

/// A value that each OS thread makes when it first needs it; a `static`.
pub(crate) struct LateLocal<T> {
    key: OnceLock<libc::pthread_key_t>,
    make: fn() -> T,
    _values: PhantomData<fn() -> T>,
}

impl<T: 'static> LateLocal<T> {
    pub(crate) const fn new(make: fn() -> T) -> Self {
        Self {
            key: OnceLock::new(),
            make,
            _values: PhantomData,
        }
    }

    /// Shows the value of the thread that calls to `look`.
    ///
    /// # Panics
    /// When the process has no key left: it has 1024 of them.
    pub(crate) fn with<R>(&'static self, look: impl FnOnce(&T) -> R) -> R {
        let key = *self.key.get_or_init(Self::new_key);
        // SAFETY: the key was created and is never deleted.
        let mut value = unsafe { libc::pthread_getspecific(key) }.cast::<T>();
        if value.is_null() {
            value = Box::into_raw(Box::new((self.make)()));
            // SAFETY: as above; what is kept is the box that `drop_value` expects.
            let result = unsafe { libc::pthread_setspecific(key, value.cast()) };
            assert_eq!(result, 0, "no memory for a value of this thread");
        }
        // SAFETY: this thread has set it, and nobody else has it. It is dropped when the thread's
        // stack is gone, and so is `look` by then.
        look(unsafe { &*value })
    }

    fn new_key() -> libc::pthread_key_t {
        let mut key = 0;
        // SAFETY: writes the key, which lives over the call.
        let result = unsafe { libc::pthread_key_create(&raw mut key, Some(drop_value::<T>)) };
        assert_eq!(
            result, 0,
            "the process has no key for values of threads left"
        );
        key
    }
}

/// Called by the system when a thread ends, with what `with` has set. The key has no value any more.
unsafe extern "C" fn drop_value<T>(value: *mut c_void) {
    // SAFETY: it comes from `Box::into_raw` in `with`, and the system calls this once for it.
    drop(unsafe { Box::from_raw(value.cast::<T>()) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static DROPPED: AtomicUsize = AtomicUsize::new(0);

    struct Counted(Cell<u32>);

    impl Drop for Counted {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Ordering::SeqCst);
        }
    }

    static VALUE: LateLocal<Counted> = LateLocal::new(|| Counted(Cell::new(1)));

    struct Late;

    impl Drop for Late {
        fn drop(&mut self) {
            VALUE.with(|value| assert_eq!(value.0.get(), 7, "it is still there"));
        }
    }

    thread_local!(static LATE: Late = const { Late });

    #[test]
    fn it_outlives_thread_locals_and_is_dropped_with_its_thread() {
        std::thread::spawn(|| {
            LATE.with(|_| ());
            VALUE.with(|value| value.0.set(7));
        })
        .join()
        .unwrap();
        assert_eq!(DROPPED.load(Ordering::SeqCst), 1);
    }
}
