//! [`Local`]: values that each thread, green or not, has for itself.
//!
//! A `thread_local!` is shared by all green threads of a worker; these are not. They are dropped
//! when their thread ends, on that thread, so their destructors may wait.
//!
//! # Implementation
//!
//! A green thread's values are in a map that `may` keeps with the coroutine, and are taken out of
//! it by [`EndOfThread`]: `may` itself would drop them when the stack is gone already. An OS
//! thread's are in a thread-local. Values are behind an `Rc`, so that one can be replaced while
//! somebody looks at it.

use crate::platform::NoWait;
use crate::scheduler::discard::discard;
use crate::scheduler::thread::{self, Thread};
use crate::scheduler::worker;
use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A value for each green thread, and for each OS thread: gevent's `local`.
///
/// It is made at a thread's first access and dropped when that thread ends. Usually a `static`;
/// values of a `Local` that is dropped live until their threads end.
///
/// In a handler and in the body that it returns, it is a value of the request: the next request
/// of the connection, or of the OS thread, begins without it. It is dropped when the response has
/// been sent, by whatever end the request comes to.
///
/// ```
/// use greenway_green::{Local, spawn};
///
/// static USER: Local<String> = Local::new(|| String::from("nobody"));
///
/// USER.set("ann".into());
/// let other = spawn(|| USER.get()).join().unwrap();
/// assert_eq!(other, "nobody");
/// assert_eq!(USER.get(), "ann");
/// ```
pub struct Local<T> {
    key: OnceLock<u64>,
    init: fn() -> T,
    _values: PhantomData<fn() -> T>,
}

type Values = BTreeMap<u64, Rc<dyn Any>>;

may::coroutine_local!(static GREEN: RefCell<Values> = RefCell::new(Values::new()));

thread_local!(static OS: OsValues = const { OsValues(RefCell::new(Values::new())) });

struct OsValues(RefCell<Values>);

impl Drop for OsValues {
    fn drop(&mut self) {
        // Another access from here on fails (see `LocalKey::with`), so there is nothing to repeat.
        discard(self.0.take());
    }
}

/// Runs `f` on the map of the thread that calls.
fn with_values<R>(f: impl FnOnce(&RefCell<Values>) -> R) -> R {
    if worker::current().is_some() {
        // A handler of a signal may come in between, and make a call that asks for the current thread, which
        // lies in the same map.
        let _no_wait = NoWait::begin();
        GREEN.with(f)
    } else {
        // Made before the map, so that it is still there when the map's destructors wait.
        drop(thread::current());
        OS.with(|values| f(&values.0))
    }
}

impl<T: 'static> Local<T> {
    /// A value that each thread makes with `init` when it first needs it.
    pub const fn new(init: fn() -> T) -> Self {
        Self {
            key: OnceLock::new(),
            init,
            _values: PhantomData,
        }
    }

    fn key(&self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        *self
            .key
            .get_or_init(|| NEXT.fetch_add(1, Ordering::Relaxed))
    }

    fn value(&self) -> Rc<T> {
        let key = self.key();
        let found = with_values(|values| values.borrow().get(&key).cloned());
        let value = found.unwrap_or_else(|| {
            // Not under the borrow: `init` may use other values, and may wait.
            let made: Rc<dyn Any> = Rc::new((self.init)());
            thread::current().mark_locals(true);
            // `init` may have set the value, which wins. What was made for nothing is dropped below,
            // where nothing is borrowed: its destructor may use other values.
            with_values(|values| {
                values
                    .borrow_mut()
                    .entry(key)
                    .or_insert_with(|| made.clone())
                    .clone()
            })
        });
        // A key belongs to one `Local` for ever, which has put a `T` there.
        value.downcast().expect("a key has values of one type")
    }

    /// Shows this thread's value to `f`, which may wait.
    ///
    /// # Panics
    /// In an OS thread that is ending and has dropped its values already.
    pub fn with<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        f(&self.value())
    }

    /// A copy of this thread's value.
    ///
    /// # Panics
    /// As [`with`](Self::with).
    pub fn get(&self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// Gives this thread another value; the present one is dropped.
    ///
    /// # Panics
    /// As [`with`](Self::with).
    pub fn set(&self, value: T) {
        let (key, value) = (self.key(), Rc::new(value));
        thread::current().mark_locals(true);
        // Dropped outside the borrow: its destructor may use other values.
        let old = with_values(|values| values.borrow_mut().insert(key, value));
        drop(old);
    }

    /// Drops this thread's value; the next access makes a new one. gevent's `del`.
    ///
    /// # Panics
    /// As [`with`](Self::with).
    pub fn remove(&self) {
        let key = self.key();
        let old = with_values(|values| values.borrow_mut().remove(&key));
        drop(old);
    }
}

/// Runs `block` with a new set of local values, which are dropped at its end; afterwards the
/// thread has its former ones again. For values that belong to one piece of work of several that
/// a thread does one after the other. (A request begins without any as it is.)
///
/// ```
/// use greenway_green::{Local, with_fresh_locals};
///
/// static TRACE: Local<u32> = Local::new(|| 0);
/// TRACE.set(1);
/// with_fresh_locals(|| {
///     assert_eq!(TRACE.get(), 0);
///     TRACE.set(2);
/// });
/// assert_eq!(TRACE.get(), 1);
/// ```
///
/// # Panics
/// When `block` panics. A panic of a value's destructor is swallowed.
pub fn with_fresh_locals<R>(block: impl FnOnce() -> R) -> R {
    struct Restore(Option<Values>);
    impl Drop for Restore {
        fn drop(&mut self) {
            drop_values();
            let former = self.0.take().expect("taken only here");
            let rest = with_values(|values| values.replace(former));
            drop(rest); // not while they are borrowed: it is the user's code
        }
    }
    let _restore = Restore(Some(with_values(RefCell::take)));
    block()
}

/// Drops the local values of a green thread when it is dropped itself.
pub(crate) struct EndOfThread;

impl Drop for EndOfThread {
    fn drop(&mut self) {
        end_of_work(&thread::current());
    }
}

/// Drops the values of the thread that calls, which is `me`: it has done one of the things that it
/// does one after the other, such as the requests of a connection, and each is to begin without
/// any. Next to nothing if it has used none; tells whether it had.
///
/// # Panics
/// When `me` is a thread that lives elsewhere.
pub fn end_of_work(me: &Thread) -> bool {
    let present = me.here().mark_locals(false);
    if present {
        drop_values();
    }
    present
}

/// Drops the values of the thread that calls, and those that their destructors make anew, up to
/// a bound; what is left then is leaked, since there is no thread to drop it.
fn drop_values() {
    const ROUNDS: u32 = 8;
    for _ in 0..ROUNDS {
        let values = with_values(RefCell::take);
        if values.is_empty() {
            return;
        }
        for value in values.into_values() {
            discard(value);
        }
    }
    std::mem::forget(with_values(RefCell::take));
}

impl<T> fmt::Debug for Local<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}
