//! [`scope`]: green threads that borrow from the one that starts them.
//!
//! What must stay true, for the sake of memory safety: `scope` does not come back, by a return or
//! by unwinding, before every thread that was started in it has ended and has dropped its closure
//! and its value.
//!
//! # Implementation
//!
//! The scope's body is run under `catch_unwind`, as std's scoped threads do it, so the wait for
//! the children is never done by a thread that unwinds (which must not block, see
//! [`thread`](crate::scheduler::thread)). That wait can be ended by a limit or an interrupt of the parent;
//! then the children are killed and waited for once more, in a wait that nothing ends. If the
//! parent is unwinding before the scope begins, children run at once on the parent's stack; another
//! thread that it has let into the scope may still start some, which are waited for with the parent's
//! panic [put aside](crate::scheduler::unwinding).
//!
//! Whatever unwinds past `scope` all the same meets [`Guard`], which ends the process while there are
//! children: what they borrow would be gone.

use crate::scheduler::fatal::fatal;
use crate::scheduler::unwinding;
use crate::task::greenlet::{Greenlet, JoinError, Outcome};
use crate::task::set::TaskSet;
use crate::task::spawn::{Builder, Prepared, start_on};
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Runs `body`, which can start green threads that borrow from outside it, and waits until all
/// of them have ended.
///
/// ```
/// use greenway_green::{scope, sleep};
/// use std::time::Duration;
///
/// let words = vec!["one".to_owned(), "three".to_owned()];
/// let total = std::sync::atomic::AtomicUsize::new(0);
/// scope(|s| {
///     for word in &words {
///         s.spawn(|| {
///             sleep(Duration::from_millis(1));
///             total.fetch_add(word.len(), std::sync::atomic::Ordering::Relaxed);
///         });
///     }
/// });
/// assert_eq!(total.into_inner(), 8);
/// ```
///
/// When the body panics, or when the caller is killed or its time is over while it waits, the
/// children are killed, and the unwinding goes on once they have ended. So a scope takes as long
/// as its slowest child takes to come to a wait.
///
/// # Panics
/// When the body panics; when a child has panicked that nobody has joined.
pub fn scope<'env, F, T>(body: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let scope = Scope {
        set: Arc::new(TaskSet::default()),
        unseen_panic: Arc::new(AtomicBool::new(false)),
        _scope: PhantomData,
        _env: PhantomData,
    };
    let guard = Guard(&scope.set);
    // Unwind safety: the panic goes on below, as if it had not been caught.
    let result = catch_unwind(AssertUnwindSafe(|| {
        let value = body(&scope);
        // An unwinding thread has no children, see `Scope::start`.
        let _none_or_unwinding = scope.set.wait_empty(None);
        value
    }));
    if result.is_err() {
        scope.set.end();
    }
    if std::thread::panicking() {
        if scope.set.len() > 0 {
            scope.set.end();
            // `None` where there is no memory for it: the guard ends the process.
            let _waited = unwinding::apart(|| scope.set.wait_empty_through());
        }
    } else {
        scope.set.wait_empty_through();
    }
    drop(guard);
    match result {
        Err(payload) => resume_unwind(payload),
        Ok(_) if scope.unseen_panic.load(Ordering::Acquire) => {
            panic!("a green thread of the scope panicked")
        }
        Ok(value) => value,
    }
}

/// Ends the process when it is dropped before all children have ended.
struct Guard<'a>(&'a TaskSet);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.0.len() > 0 {
            fatal(
                "a scope was left while its green threads ran, and what they borrow would be gone.",
            );
        }
    }
}

/// Where green threads can be started that borrow; see [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    set: Arc<TaskSet>,
    unseen_panic: Arc<AtomicBool>,
    // Invariant in both, as std's: neither must shrink or grow.
    _scope: PhantomData<&'scope mut &'scope ()>,
    _env: PhantomData<&'env mut &'env ()>,
}

impl<'scope> Scope<'scope, '_> {
    /// Starts a green thread that may borrow from outside the scope: on the worker of the green
    /// thread that calls, or on the one that has the fewest. If the thread that calls is
    /// unwinding, the body runs here and now, since nobody could wait for it.
    pub fn spawn<F, T>(&'scope self, body: F) -> ScopedGreenlet<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        self.spawn_with(Builder::new(), body)
    }

    /// As [`spawn`](Self::spawn), with a name, a worker or a delay.
    pub fn spawn_with<F, T>(&'scope self, how: Builder, body: F) -> ScopedGreenlet<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let home = how.home();
        let Prepared { greenlet, start } = self.prepare(how, home, body);
        if std::thread::panicking() {
            start.run_inline();
        } else {
            self.set.add(greenlet.control().clone());
            let start: Box<dyn FnOnce() + Send + 'scope> = Box::new(|| start.run());
            // SAFETY: only the lifetime is changed. What the closure borrows lives for 'scope,
            // which includes the call of `scope`. That call does not end before the set is
            // empty, and `start` leaves it (by `after`, in `prepare`) when the closure's body
            // and value are gone, whether it ran or not.
            let start: Box<dyn FnOnce() + Send + 'static> = unsafe { std::mem::transmute(start) };
            start_on(home, start);
        }
        ScopedGreenlet::new(greenlet)
    }

    /// As [`spawn`](Self::spawn), on this worker; the closure may hold values that are not `Send`.
    ///
    /// # Panics
    /// When called outside a green thread.
    pub fn spawn_local<F, T>(&'scope self, body: F) -> ScopedGreenlet<'scope, T>
    where
        F: FnOnce() -> T + 'scope,
        T: 'scope,
    {
        let how = Builder::new();
        let here = how.local_home();
        let Prepared { greenlet, start } = self.prepare(how, here.home(), body);
        if std::thread::panicking() {
            start.run_inline();
        } else {
            self.set.add(greenlet.control().clone());
            let start: Box<dyn FnOnce() + 'scope> = Box::new(|| start.run());
            // SAFETY: only the lifetime is changed, and `scope` does not return before the set that
            // the thread was added to is empty, when body and value are gone. The closure need not
            // be `Send`: `here` starts it on this OS thread, which it never leaves.
            let start: Box<dyn FnOnce() + 'static> = unsafe { std::mem::transmute(start) };
            here.start(start);
        }
        ScopedGreenlet::new(greenlet)
    }

    /// Kills all threads that were started here and still run. Does not wait.
    pub fn kill(&self) {
        self.set.kill();
    }

    fn prepare<F, T>(
        &self,
        how: Builder,
        home: &'static crate::scheduler::worker::Worker,
        body: F,
    ) -> Prepared<F, T, impl FnOnce(&crate::scheduler::control::Control) + Send + use<F, T>>
    where
        F: FnOnce() -> T,
    {
        let set = self.set.clone();
        let outcome = Outcome::new(Some(self.unseen_panic.clone()));
        how.prepare(home, body, outcome, move |control| set.remove(control))
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("running", &self.set)
            .finish_non_exhaustive()
    }
}

/// A green thread of a [`scope`].
pub struct ScopedGreenlet<'scope, T> {
    greenlet: Greenlet<T>,
    _scope: PhantomData<&'scope ()>,
}

impl<T> ScopedGreenlet<'_, T> {
    fn new(greenlet: Greenlet<T>) -> Self {
        Self {
            greenlet,
            _scope: PhantomData,
        }
    }

    /// As [`Greenlet::join`].
    ///
    /// # Errors
    /// [`JoinError`] when it panicked, was killed, or could not be started.
    pub fn join(self) -> Result<T, JoinError> {
        self.greenlet.join()
    }

    /// As [`Greenlet::join_timeout`].
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Option<Result<T, JoinError>> {
        self.greenlet.join_timeout(timeout)
    }

    /// As [`Greenlet::ready`].
    pub fn ready(&self) -> bool {
        self.greenlet.ready()
    }

    /// As [`Greenlet::kill`].
    pub fn kill(&self) {
        self.greenlet.kill();
    }

    /// As [`Greenlet::name`].
    pub fn name(&self) -> String {
        self.greenlet.name()
    }
}

impl<T> fmt::Debug for ScopedGreenlet<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.greenlet.fmt(f)
    }
}
