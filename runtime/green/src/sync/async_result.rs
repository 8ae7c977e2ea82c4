//! [`AsyncResult`]: a value that is there once, for any number of threads that wait for it.

use crate::scheduler::line::Lookout;
use crate::scheduler::line::{Line, Ticket, wait_in};
use crate::scheduler::lock::lock;
use crate::scheduler::thread::{Awaited, Thread, deadline_in};
use crate::scheduler::timed_out::TimedOut;
use crate::sync::wait::sealed::{Watch, Watched};
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A value that will be there some time, gevent's `AsyncResult`.
///
/// Clones are the same result. It is set once; everybody who asks gets a copy. For gevent's
/// `set_exception` let the value be a `Result`. A thread that promises to set it holds a
/// [`Setter`]: if that is dropped before (the thread was killed, say), those who wait get
/// [`Abandoned`](GetError::Abandoned) instead of waiting for ever.
///
/// ```
/// use greenway_green::{AsyncResult, GetError, spawn};
///
/// let answer = AsyncResult::new();
/// let setter = answer.setter();
/// spawn(move || setter.set(42));
/// assert_eq!(answer.get(), Ok(42));
///
/// let never = AsyncResult::<u8>::new();
/// drop(never.setter());
/// assert_eq!(never.get(), Err(GetError::Abandoned));
/// ```
pub struct AsyncResult<T> {
    shared: Arc<Mutex<State<T>>>,
}

struct State<T> {
    value: Option<T>,
    /// The value is there, and somebody copies it at the moment.
    lent: bool,
    setters: usize,
    abandoned: bool,
    waiting: Line,
}

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GetError {
    /// There was none in time, or the thread is unwinding.
    TimedOut,
    /// The last [`Setter`] was dropped without setting one.
    Abandoned,
}

impl<T> AsyncResult<T> {
    /// A result that is not there yet.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Mutex::new(State {
                value: None,
                lent: false,
                setters: 0,
                abandoned: false,
                waiting: Line::default(),
            })),
        }
    }

    /// Sets the value: all that wait get it.
    ///
    /// # Errors
    /// The value, when there is one already.
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut state = lock(&self.shared);
        if state.is_set() {
            return Err(value);
        }
        state.value = Some(value);
        state.waiting.wake_all();
        Ok(())
    }

    /// A promise to set the value.
    pub fn setter(&self) -> Setter<T> {
        let mut state = lock(&self.shared);
        state.setters += 1;
        state.abandoned = false;
        Setter {
            result: self.clone(),
        }
    }

    /// Whether [`get`](Self::get) would not wait.
    pub fn ready(&self) -> bool {
        self.shared.is_ready()
    }

    /// Waits for the value, and gives a copy.
    ///
    /// # Errors
    /// [`GetError::Abandoned`] when there will be none; [`GetError::TimedOut`] only when there is
    /// none and the thread is unwinding.
    pub fn get(&self) -> Result<T, GetError>
    where
        T: Clone,
    {
        self.copy(None)
    }

    /// As [`get`](Self::get), waiting at most `timeout`.
    ///
    /// # Errors
    /// [`GetError`] when there was none in time, or will be none.
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, GetError>
    where
        T: Clone,
    {
        self.copy(deadline_in(timeout))
    }

    /// A copy of the value if it is there. Waits only for somebody who copies it at the moment.
    pub fn try_get(&self) -> Option<T>
    where
        T: Clone,
    {
        let found = |state: &mut State<T>| match state.lend() {
            Some(value) => Some(Some(Loan::new(self, value))),
            None => (!state.lent).then_some(None),
        };
        let loan = self.wait(None, found).ok().flatten()?;
        Some(loan.copy())
    }

    /// Copies the value, not under the lock: it is the user's `Clone`, which may wait, or ask us.
    fn copy(&self, deadline: Option<Instant>) -> Result<T, GetError>
    where
        T: Clone,
    {
        let lend = |state: &mut State<T>| state.lend().map(|value| Loan::new(self, value));
        self.find(deadline, lend).map(|loan| loan.copy())
    }

    /// Waits for the value and takes it away: for values that cannot be copied and are for one
    /// thread only. Afterwards the result can be set again.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn take(&self) -> Result<T, GetError> {
        self.find(None, |state| state.value.take())
    }

    /// As [`take`](Self::take), waiting at most `timeout`.
    ///
    /// # Errors
    /// [`GetError`] when there was none in time, or will be none.
    pub fn take_timeout(&self, timeout: Duration) -> Result<T, GetError> {
        self.find(deadline_in(timeout), |state| state.value.take())
    }

    fn find<R>(
        &self,
        deadline: Option<Instant>,
        mut how: impl FnMut(&mut State<T>) -> Option<R>,
    ) -> Result<R, GetError> {
        let found = |state: &mut State<T>| match how(state) {
            Some(found) => Some(Ok(found)),
            None => (state.abandoned && !state.lent).then_some(Err(GetError::Abandoned)),
        };
        self.wait(deadline, found)?
    }

    fn wait<R>(
        &self,
        deadline: Option<Instant>,
        found: impl FnMut(&mut State<T>) -> Option<R>,
    ) -> Result<R, TimedOut> {
        wait_in(
            Awaited::AsyncResult,
            &self.shared,
            |state| &mut state.waiting,
            deadline,
            found,
        )
    }
}

impl<T> State<T> {
    fn is_set(&self) -> bool {
        self.value.is_some() || self.lent
    }

    /// Takes the value out for as long as it is copied.
    fn lend(&mut self) -> Option<T> {
        let value = self.value.take()?;
        self.lent = true;
        Some(value)
    }
}

/// The value while it is copied; put back when dropped.
struct Loan<'a, T> {
    result: &'a AsyncResult<T>,
    value: Option<T>,
}

impl<'a, T> Loan<'a, T> {
    fn new(result: &'a AsyncResult<T>, value: T) -> Self {
        Self {
            result,
            value: Some(value),
        }
    }

    fn copy(&self) -> T
    where
        T: Clone,
    {
        self.value.clone().expect("there until it is dropped")
    }
}

impl<T> Drop for Loan<'_, T> {
    fn drop(&mut self) {
        let mut state = lock(&self.result.shared);
        state.value = self.value.take();
        state.lent = false;
        state.waiting.wake_all();
    }
}

/// The promise to set an [`AsyncResult`].
#[derive(Debug)]
#[must_use = "dropping it abandons the result"]
pub struct Setter<T> {
    result: AsyncResult<T>,
}

impl<T> Setter<T> {
    /// Sets the value.
    ///
    /// # Errors
    /// The value, when there is one already.
    pub fn set(self, value: T) -> Result<(), T> {
        self.result.set(value)
    }
}

impl<T> Drop for Setter<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.result.shared);
        state.setters -= 1;
        if state.setters == 0 {
            state.abandoned = true;
            state.waiting.wake_all();
        }
    }
}

impl<T> Lookout for Mutex<State<T>> {
    fn is_ready(&self) -> bool {
        let state = lock(self);
        state.is_set() || state.abandoned
    }
    fn watch(&self, thread: &Arc<Thread>) -> Ticket {
        lock(self).waiting.enter(thread.clone())
    }
    fn unwatch(&self, ticket: Ticket) {
        lock(self).waiting.leave(ticket);
    }
}

impl<T> Watch for AsyncResult<T> {
    fn lookout(&self) -> Watched<'_> {
        Watched(&*self.shared)
    }
}

impl<T> Clone for AsyncResult<T> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<T> Default for AsyncResult<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for AsyncResult<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not under the lock: what is written to is the user's.
        let (set, abandoned) = {
            let state = lock(&self.shared);
            (state.is_set(), state.abandoned)
        };
        f.debug_struct("AsyncResult")
            .field("set", &set)
            .field("abandoned", &abandoned)
            .finish_non_exhaustive()
    }
}

impl From<TimedOut> for GetError {
    fn from(TimedOut: TimedOut) -> Self {
        Self::TimedOut
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "the result was not there in time",
            Self::Abandoned => "the result was abandoned by those who should have set it",
        })
    }
}

impl Error for GetError {}
