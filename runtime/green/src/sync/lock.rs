//! [`Lock`]: one at a time, also over waits.
//!
//! A `std::sync::Mutex` that is held over a wait stops its worker when another green thread of
//! that worker wants it. This one may be held over waits.
//!
//! # No poison
//!
//! A green thread may be killed at any of its waits, because a client has left for example. If
//! that poisoned the locks it holds, one client could break them for all others. So, as in gevent,
//! the next one gets the lock as if nothing had happened; a change that must not be seen half
//! done has to be undone by a destructor.
//!
//! # Implementation
//!
//! [`Permits`] with one permit do the waiting. The value lies in a std mutex which is therefore
//! never contended; it spares us `unsafe`.

use crate::scheduler::thread::deadline_in;
use crate::scheduler::timed_out::TimedOut;
use crate::sync::permits::Permits;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

/// A value that one thread at a time can use, for as long as it likes, also over waits.
///
/// Fair: who has waited longest is next. It is never poisoned: when a thread unwinds (a panic, a
/// kill, a timeout) with the lock held, the next one gets it, and the value as it is.
///
/// ```
/// use greenway_green::{Lock, scope, sleep};
/// use std::time::Duration;
///
/// let total = Lock::new(0);
/// scope(|s| {
///     for n in 1..=4 {
///         let total = &total;
///         s.spawn(move || {
///             let mut total = total.lock().unwrap();
///             let before = *total;
///             sleep(Duration::from_millis(1)); // the others wait, their workers do not
///             *total = before + n;
///         });
///     }
/// });
/// assert_eq!(total.into_inner(), 10);
/// ```
pub struct Lock<T: ?Sized> {
    permits: Permits,
    value: Mutex<T>,
}

/// The value of a [`Lock`] that is held; dropping it lets the next one have it.
#[must_use = "the lock is given back when this is dropped"]
pub struct LockGuard<'a, T: ?Sized> {
    lock: &'a Lock<T>,
    /// `None` only while it is being dropped: the value must be free before the permit is.
    value: Option<MutexGuard<'a, T>>,
}

impl<T> Lock<T> {
    /// A lock that nobody holds.
    pub fn new(value: T) -> Self {
        Self {
            permits: Permits::new(1),
            value: Mutex::new(value),
        }
    }

    /// The value. Nobody can hold the lock here.
    pub fn into_inner(self) -> T {
        self.value
            .into_inner()
            .unwrap_or_else(|poison| poison.into_inner())
    }
}

impl<T: ?Sized> Lock<T> {
    /// Takes the lock, waiting for it. It must not be held by this thread already, which would
    /// wait for itself; see [`RLock`](crate::RLock).
    ///
    /// # Errors
    /// [`TimedOut`] only when it is held and this thread is unwinding.
    pub fn lock(&self) -> Result<LockGuard<'_, T>, TimedOut> {
        self.lock_until(None)
    }

    /// Takes the lock, waiting at most `timeout` for it.
    ///
    /// # Errors
    /// [`TimedOut`] when it could not be had in time.
    pub fn lock_timeout(&self, timeout: Duration) -> Result<LockGuard<'_, T>, TimedOut> {
        self.lock_until(deadline_in(timeout))
    }

    /// Takes the lock, waiting for it until `deadline`, or without limit.
    ///
    /// # Errors
    /// [`TimedOut`] when it could not be had in time.
    pub fn lock_until(&self, deadline: Option<Instant>) -> Result<LockGuard<'_, T>, TimedOut> {
        self.permits.acquire(deadline).map(|()| self.guard())
    }

    /// Takes the lock if nobody holds it.
    pub fn try_lock(&self) -> Option<LockGuard<'_, T>> {
        self.permits.try_acquire().then(|| self.guard())
    }

    /// Whether somebody holds it.
    pub fn locked(&self) -> bool {
        self.permits.free() == 0
    }

    /// For the one that has the permit.
    fn guard(&self) -> LockGuard<'_, T> {
        let value = match self.value.try_lock() {
            Ok(value) => value,
            Err(TryLockError::Poisoned(poison)) => poison.into_inner(),
            // There is one permit, and a guard lets go of the value before it gives it back.
            Err(TryLockError::WouldBlock) => unreachable!("who has the permit has the value"),
        };
        LockGuard {
            lock: self,
            value: Some(value),
        }
    }

    /// The value, without locking: the borrow shows that nobody holds the lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.value
            .get_mut()
            .unwrap_or_else(|poison| poison.into_inner())
    }
}

impl<'a, T: ?Sized> LockGuard<'a, T> {
    pub(crate) fn lock(guard: &Self) -> &'a Lock<T> {
        guard.lock
    }
}

impl<T: ?Sized> Drop for LockGuard<'_, T> {
    fn drop(&mut self) {
        self.value = None;
        self.lock.permits.release(1);
    }
}

impl<T: ?Sized> Deref for LockGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value.as_ref().expect("there until it is dropped")
    }
}

impl<T: ?Sized> DerefMut for LockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("there until it is dropped")
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(value) => f.debug_tuple("Lock").field(&&*value).finish(),
            None => f.write_str("Lock(held)"),
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for LockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LockGuard").field(&&**self).finish()
    }
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}
