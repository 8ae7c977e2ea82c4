//! [`Timeout`]: a limit on how long a block of code may wait.
//!
//! What must stay true: a limit is raised in waits only, never between two instructions; a wait
//! that has got what it waited for wins over a limit that is over; and only the block whose
//! limit it was learns of it as an error, so an outer limit is never mistaken for an inner one.
//!
//! # Implementation
//!
//! A thread keeps its limits in a list ([`LimitGuard`]). No timer of its own belongs to one: a
//! wait that blocks does so at most until the earliest. Passing a limit unwinds with its number.

use crate::scheduler::thread::{LimitGuard, Unwind, deadline_in};
use crate::scheduler::timed_out::TimedOut;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// A limit on the time that a block of code may take, gevent's `Timeout`.
///
/// When the time is over, the block unwinds from the wait that it is in, or from its next one:
/// destructors run, and [`run`](Self::run) gives [`TimedOut`]. Code that never waits is never
/// interrupted. Timeouts nest, and each block learns only of its own:
///
/// ```
/// use greenway_green::{TimedOut, Timeout, sleep};
/// use std::time::Duration;
///
/// let outer = Timeout::run(Duration::from_millis(20), || {
///     let inner = Timeout::run(Duration::from_secs(60), || sleep(Duration::MAX));
///     unreachable!("it is the outer one that is over, not {inner:?}");
/// });
/// assert_eq!(outer, Err(TimedOut));
/// ```
///
/// `catch_unwind` in the block catches the unwinding as well, but the next wait raises it again.
#[derive(Debug)]
pub struct Timeout {
    limit: LimitGuard,
}

impl Timeout {
    /// Runs `block`, which may take `duration` from now. [`Duration::MAX`] is no limit.
    ///
    /// # Errors
    /// [`TimedOut`] when the time was over in a wait of the block.
    ///
    /// # Panics
    /// When the block panics.
    pub fn run<T>(duration: Duration, block: impl FnOnce() -> T) -> Result<T, TimedOut> {
        Self::run_with(duration, |_| block())
    }

    /// Runs `block`, which may take until `deadline`.
    ///
    /// # Errors
    /// [`TimedOut`] when the deadline passed in a wait of the block.
    ///
    /// # Panics
    /// When the block panics.
    pub fn run_until<T>(deadline: Instant, block: impl FnOnce() -> T) -> Result<T, TimedOut> {
        Self::enclose(deadline, |_| block())
    }

    /// As [`run`](Self::run), with the limit in the block's hands: a copy loop gives itself new
    /// time with each piece.
    ///
    /// ```
    /// use greenway_green::{Timeout, sleep};
    /// use std::time::Duration;
    ///
    /// let patience = Duration::from_secs(5);
    /// let done = Timeout::run_with(patience, |timeout| {
    ///     for _piece in 0..4 {
    ///         sleep(Duration::from_millis(1)); // for as long as something comes in time
    ///         timeout.restart(patience);
    ///     }
    /// });
    /// assert!(done.is_ok());
    /// ```
    ///
    /// # Errors
    /// [`TimedOut`] when the time was over in a wait of the block.
    ///
    /// # Panics
    /// When the block panics.
    pub fn run_with<T>(duration: Duration, block: impl FnOnce(&Self) -> T) -> Result<T, TimedOut> {
        Self::enclose(instant_in(duration), block)
    }

    fn enclose<T>(at: Instant, block: impl FnOnce(&Self) -> T) -> Result<T, TimedOut> {
        let timeout = Self {
            limit: LimitGuard::new(at),
        };
        // Unwind safety: what unwinds either goes on (below), or is the timeout that the caller
        // asked for and must expect to find the block half done.
        match catch_unwind(AssertUnwindSafe(|| block(&timeout))) {
            Ok(value) => Ok(value),
            Err(payload) => match Unwind::of(&*payload) {
                Some(Unwind::LimitPassed(number)) if number == timeout.limit.number() => {
                    Err(TimedOut)
                }
                _ => {
                    drop(timeout);
                    resume_unwind(payload)
                }
            },
        }
    }

    /// Lets the limit pass `duration` from now instead.
    pub fn restart(&self, duration: Duration) {
        self.limit.set(instant_in(duration));
    }

    /// Lifts the limit: the block may take as long as it likes, unless an enclosing limit says
    /// otherwise.
    pub fn cancel(&self) {
        self.restart(Duration::MAX);
    }
}

/// Runs `block` for at most `duration`; gives `default` when the time is over.
///
/// ```
/// use greenway_green::{sleep, with_timeout};
/// use std::time::Duration;
///
/// let slow = || {
///     sleep(Duration::from_secs(60));
///     "the answer"
/// };
/// assert_eq!(with_timeout(Duration::from_millis(10), "too late", slow), "too late");
/// ```
///
/// # Panics
/// When the block panics.
pub fn with_timeout<T>(duration: Duration, default: T, block: impl FnOnce() -> T) -> T {
    Timeout::run(duration, block).unwrap_or(default)
}

/// The point in time `duration` from now; if the clock cannot show it, one that will not come
/// while this program runs.
fn instant_in(duration: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    deadline_in(duration).unwrap_or_else(|| Instant::now() + CENTURY)
}
