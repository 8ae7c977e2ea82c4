//! [`RLock`]: a lock that its holder may take again.

use crate::scheduler::thread::{current, deadline_in};
use crate::scheduler::timed_out::TimedOut;
use crate::sync::permits::Permits;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A lock that the thread which holds it may take again. It gives shared access only; put a
/// `Cell` or `RefCell` into it to change something. Fair and without poison, as [`Lock`](crate::Lock).
///
/// ```
/// use greenway_green::RLock;
/// use std::cell::Cell;
///
/// let depth = RLock::new(Cell::new(0));
/// let outer = depth.lock().unwrap();
/// let inner = depth.lock().unwrap();
/// inner.set(outer.get() + 2);
/// assert_eq!(outer.get(), 2);
/// ```
pub struct RLock<T: ?Sized> {
    permits: Permits,
    /// The number of the thread that holds it; 0 if none does.
    owner: AtomicU64,
    /// How often its holder has taken it. Touched by the holder only.
    depth: Cell<usize>,
    value: T,
}

// SAFETY: `depth` and the value are reached only by the thread that holds the lock (`owner` is
// compared with a number that no other thread ever has, and the permit is handed on through a
// mutex, which orders what one holder did before what the next one does). Guards are not `Send`,
// so they stay on that thread. The value is thus handed from thread to thread, never shared.
unsafe impl<T: ?Sized + Send> Sync for RLock<T> {}

/// The value of an [`RLock`] that is held; dropping it undoes one `lock`.
#[must_use = "the lock is given back when this is dropped"]
pub struct RLockGuard<'a, T: ?Sized> {
    lock: &'a RLock<T>,
    _not_send: PhantomData<*const ()>,
}

impl<T> RLock<T> {
    /// A lock that nobody holds.
    pub fn new(value: T) -> Self {
        Self {
            permits: Permits::new(1),
            owner: AtomicU64::new(0),
            depth: Cell::new(0),
            value,
        }
    }

    /// The value. Nobody can hold the lock here.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T: ?Sized> RLock<T> {
    /// Takes the lock, waiting for it if another thread holds it.
    ///
    /// # Errors
    /// [`TimedOut`] only when another thread holds it and this one is unwinding.
    pub fn lock(&self) -> Result<RLockGuard<'_, T>, TimedOut> {
        self.lock_until(None)
    }

    /// Takes the lock, waiting at most `timeout` for it.
    ///
    /// # Errors
    /// [`TimedOut`] when it could not be had in time.
    pub fn lock_timeout(&self, timeout: Duration) -> Result<RLockGuard<'_, T>, TimedOut> {
        self.lock_until(deadline_in(timeout))
    }

    fn lock_until(&self, deadline: Option<Instant>) -> Result<RLockGuard<'_, T>, TimedOut> {
        let me = current().id();
        if self.owner.load(Ordering::Relaxed) != me {
            self.permits.acquire(deadline)?;
            self.owner.store(me, Ordering::Relaxed);
        }
        Ok(self.guard())
    }

    /// Takes the lock if no other thread holds it.
    pub fn try_lock(&self) -> Option<RLockGuard<'_, T>> {
        let me = current().id();
        if self.owner.load(Ordering::Relaxed) != me {
            self.permits.try_acquire().then_some(())?;
            self.owner.store(me, Ordering::Relaxed);
        }
        Some(self.guard())
    }

    /// For the thread that holds it.
    fn guard(&self) -> RLockGuard<'_, T> {
        self.depth.set(self.depth.get() + 1);
        RLockGuard {
            lock: self,
            _not_send: PhantomData,
        }
    }

    /// Whether somebody holds it.
    pub fn locked(&self) -> bool {
        self.permits.free() == 0
    }
}

impl<T: ?Sized> Drop for RLockGuard<'_, T> {
    fn drop(&mut self) {
        let depth = &self.lock.depth;
        depth.set(depth.get() - 1);
        if depth.get() == 0 {
            self.lock.owner.store(0, Ordering::Relaxed);
            self.lock.permits.release(1);
        }
    }
}

impl<T: ?Sized> Deref for RLockGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.lock.value
    }
}

impl<T: ?Sized> fmt::Debug for RLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.locked() {
            "RLock(held)"
        } else {
            "RLock(free)"
        })
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RLockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RLockGuard").field(&&**self).finish()
    }
}
