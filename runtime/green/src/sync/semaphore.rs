//! [`Semaphore`] and [`BoundedSemaphore`]: at most so many at a time.

use crate::scheduler::thread::deadline_in;
use crate::scheduler::timed_out::TimedOut;
use crate::sync::permits::Permits;
use crate::sync::wait::sealed::{Watch, Watched};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A number of permits that threads take and give back, in the order in which they ask.
///
/// Clones share the permits. A [`Permit`] gives itself back when dropped; [`release`](Self::release)
/// adds one that nobody had, which makes a semaphore a counter of events that threads wait for.
///
/// ```
/// use greenway_green::{Semaphore, sleep, spawn};
/// use std::time::Duration;
///
/// let at_most_two = Semaphore::new(2);
/// let threads = [(); 5].map(|()| {
///     let at_most_two = at_most_two.clone();
///     spawn(move || {
///         let _permit = at_most_two.acquire().unwrap();
///         sleep(Duration::from_millis(1));
///     })
/// });
/// threads.map(|thread| thread.join().unwrap());
/// assert_eq!(at_most_two.free(), 2);
/// ```
#[derive(Clone)]
pub struct Semaphore {
    permits: Arc<Permits>,
}

/// A permit of a semaphore, given back when dropped.
#[must_use = "it is given back when dropped"]
pub struct Permit {
    permits: Option<Arc<Permits>>, // until it is forgotten
}

impl Permit {
    /// Keeps the permit for good, or until somebody calls `release`.
    pub fn forget(mut self) {
        self.permits = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(permits) = &self.permits {
            permits.release(1);
        }
    }
}

impl Semaphore {
    /// A semaphore with this many permits; 0 is allowed.
    pub fn new(permits: usize) -> Self {
        Self {
            permits: Arc::new(Permits::new(permits)),
        }
    }

    /// Takes a permit, waiting until there is one for this thread.
    ///
    /// # Errors
    /// [`TimedOut`] only when none is free and the thread is unwinding.
    pub fn acquire(&self) -> Result<Permit, TimedOut> {
        self.permits.acquire(None).map(|()| self.permit())
    }

    /// Takes a permit, waiting at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`] when there was none in time.
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Permit, TimedOut> {
        let deadline = deadline_in(timeout);
        self.permits.acquire(deadline).map(|()| self.permit())
    }

    /// Takes a permit if one is free now.
    pub fn try_acquire(&self) -> Option<Permit> {
        self.permits.try_acquire().then(|| self.permit())
    }

    fn permit(&self) -> Permit {
        Permit {
            permits: Some(self.permits.clone()),
        }
    }

    /// Adds a permit.
    pub fn release(&self) {
        self.permits.release(1);
    }

    /// Permits that nobody has: gevent's `counter`.
    pub fn free(&self) -> usize {
        self.permits.free()
    }

    /// Whether no permit is free.
    pub fn locked(&self) -> bool {
        self.free() == 0
    }
}

/// A [`Semaphore`] that never has more permits than at first: a release too many is an error.
///
/// ```
/// use greenway_green::BoundedSemaphore;
///
/// let semaphore = BoundedSemaphore::new(1);
/// semaphore.acquire().unwrap().forget();
/// assert!(semaphore.release().is_ok());
/// assert!(semaphore.release().is_err());
/// ```
#[derive(Clone)]
pub struct BoundedSemaphore {
    semaphore: Semaphore,
    bound: usize,
}

/// A bounded semaphore has been released more often than acquired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleasedTooOften;

impl BoundedSemaphore {
    /// A semaphore with this many permits; 0 is allowed.
    pub fn new(permits: usize) -> Self {
        Self {
            semaphore: Semaphore::new(permits),
            bound: permits,
        }
    }

    /// As [`Semaphore::acquire`].
    ///
    /// # Errors
    /// [`TimedOut`] only when none is free and the thread is unwinding.
    pub fn acquire(&self) -> Result<Permit, TimedOut> {
        self.semaphore.acquire()
    }

    /// As [`Semaphore::acquire_timeout`].
    ///
    /// # Errors
    /// [`TimedOut`] when there was none in time.
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Permit, TimedOut> {
        self.semaphore.acquire_timeout(timeout)
    }

    /// As [`Semaphore::try_acquire`].
    pub fn try_acquire(&self) -> Option<Permit> {
        self.semaphore.try_acquire()
    }

    /// Gives back a permit that was [forgotten](Permit::forget).
    ///
    /// # Errors
    /// [`ReleasedTooOften`] when all permits are free already.
    pub fn release(&self) -> Result<(), ReleasedTooOften> {
        let within = self.semaphore.permits.release_within(self.bound);
        within.then_some(()).ok_or(ReleasedTooOften)
    }

    /// Permits that nobody has.
    pub fn free(&self) -> usize {
        self.semaphore.free()
    }

    /// Whether no permit is free.
    pub fn locked(&self) -> bool {
        self.semaphore.locked()
    }
}

impl Watch for Semaphore {
    fn lookout(&self) -> Watched<'_> {
        Watched(&*self.permits)
    }
}

impl Watch for BoundedSemaphore {
    fn lookout(&self) -> Watched<'_> {
        self.semaphore.lookout()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Semaphore({} free)", self.free())
    }
}

impl fmt::Debug for BoundedSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "BoundedSemaphore({} of {} free)",
            self.free(),
            self.bound
        )
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

impl fmt::Display for ReleasedTooOften {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore was released more often than acquired")
    }
}

impl Error for ReleasedTooOften {}
