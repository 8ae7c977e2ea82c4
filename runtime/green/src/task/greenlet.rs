//! [`Greenlet`]: a green thread, seen from outside.

use crate::scheduler::control::Control;
use crate::scheduler::lock::lock;
use crate::scheduler::thread::{Interrupt, deadline_in};
use crate::scheduler::timed_out::TimedOut;
use crate::sync::wait::{sealed::Watch, sealed::Watched, wait};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A green thread, seen from outside: gevent's name for it. Dropping it lets the thread go on.
///
/// ```
/// use greenway_green::{JoinError, sleep, spawn};
/// use std::time::Duration;
///
/// let sleeper = spawn(|| sleep(Duration::MAX));
/// sleeper.kill();
/// assert!(matches!(sleeper.join(), Err(JoinError::Killed)));
/// ```
pub struct Greenlet<T> {
    control: Arc<Control>,
    outcome: Arc<Outcome<T>>,
}

/// How a green thread ended, between its end and the join.
pub(crate) struct Outcome<T> {
    slot: Mutex<Option<Result<T, JoinError>>>,
    /// Set when a panic is dropped here, never having been seen by a join.
    unseen_panic: Option<Arc<AtomicBool>>,
}

impl<T> Outcome<T> {
    pub(crate) fn new(unseen_panic: Option<Arc<AtomicBool>>) -> Arc<Self> {
        Arc::new(Self {
            slot: Mutex::new(None),
            unseen_panic,
        })
    }

    pub(crate) fn put(&self, outcome: Result<T, JoinError>) {
        *lock(&self.slot) = Some(outcome);
    }
}

impl<T> Drop for Outcome<T> {
    fn drop(&mut self) {
        if let (Some(flag), Some(Err(JoinError::Panicked(_)))) =
            (&self.unseen_panic, &*lock(&self.slot))
        {
            flag.store(true, Ordering::Release);
        }
    }
}

/// Why a green thread gave no value.
pub enum JoinError {
    /// It panicked, with this payload.
    Panicked(Box<dyn Any + Send>),
    /// It was killed.
    Killed,
    /// It could not be started: there was no memory or no memory mapping for its stack.
    NotStarted,
    /// Its value has been taken by an earlier join. Also what a join gives that would have to
    /// block while its thread unwinds.
    Taken,
}

impl JoinError {
    /// Goes on with the panic in the thread that calls, as if it had happened here.
    ///
    /// # Panics
    /// Always; with a message of its own where there was no panic.
    pub fn resume(self) -> ! {
        match self {
            Self::Panicked(payload) => resume_unwind(payload),
            other => panic!("{other}"),
        }
    }
}

impl<T> Greenlet<T> {
    pub(crate) fn new(control: Arc<Control>, outcome: Arc<Outcome<T>>) -> Self {
        Self { control, outcome }
    }

    pub(crate) fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Waits for the thread to end, and gives its value.
    ///
    /// # Errors
    /// [`JoinError`] when it panicked, was killed, or could not be started.
    pub fn join(self) -> Result<T, JoinError> {
        self.join_until(None).unwrap_or(Err(JoinError::Taken))
    }

    /// Waits at most `timeout` for the thread to end. `None` when it has not.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Option<Result<T, JoinError>> {
        self.join_until(deadline_in(timeout)).ok()
    }

    fn join_until(&self, deadline: Option<Instant>) -> Result<Result<T, JoinError>, TimedOut> {
        self.control.wait_end(deadline)?;
        let outcome = lock(&self.outcome.slot).take();
        Ok(outcome.unwrap_or(Err(JoinError::Taken)))
    }

    /// Whether the thread has ended.
    pub fn ready(&self) -> bool {
        self.control.has_ended()
    }

    /// The number by which [`green_threads`](crate::green_threads) and the log call it; gevent's `minimal_ident`.
    pub fn number(&self) -> u64 {
        self.control.number()
    }

    /// Its name: what the [`Builder`](crate::Builder) was given, or `green-` and a number.
    pub fn name(&self) -> String {
        self.control.name().into_owned()
    }

    /// The number of the worker that it lives on, as [`worker_index`](crate::worker_index).
    pub fn worker(&self) -> usize {
        self.control.home().index()
    }

    /// Ends the thread: it unwinds from its present wait, or from its next one. Its destructors
    /// run. Does nothing when it has ended. Does not wait; [`join`](Self::join) does.
    pub fn kill(&self) {
        self.control.kill();
    }

    /// As [`kill`](Self::kill), with another reason.
    pub fn interrupt(&self, why: Interrupt) {
        self.control.interrupt(why);
    }
}

impl<T> Watch for Greenlet<T> {
    fn lookout(&self) -> Watched<'_> {
        Watched(&*self.control)
    }
}

/// Waits until `count` of the threads have ended (all, if `None`), at most `timeout` (without
/// limit, if `None`). Gives the places of those that have, in the order in which they ended as
/// far as it could be seen; [`Greenlet::join`] then gives the values without waiting.
///
/// ```
/// use greenway_green::{joinall, sleep, spawn};
/// use std::time::Duration;
///
/// let threads: Vec<_> = [30, 10, 20]
///     .map(|ms| spawn(move || sleep(Duration::from_millis(ms))))
///     .into();
/// assert_eq!(joinall(&threads, None, Some(1)), [1]);
/// assert_eq!(joinall(&threads, None, None).len(), 3);
/// ```
pub fn joinall<T>(
    threads: &[Greenlet<T>],
    timeout: Option<Duration>,
    count: Option<usize>,
) -> Vec<usize> {
    let objects: Vec<&dyn crate::Waitable> = threads.iter().map(|thread| thread as _).collect();
    wait(&objects, timeout, count)
}

/// Kills all the threads, and waits until they have ended, at most `timeout`.
///
/// # Errors
/// [`TimedOut`] when some have not ended in time: one that does not wait cannot be killed.
pub fn killall<T>(threads: &[Greenlet<T>], timeout: Option<Duration>) -> Result<(), TimedOut> {
    for thread in threads {
        thread.kill();
    }
    let deadline = timeout.and_then(deadline_in);
    threads
        .iter()
        .try_for_each(|thread| thread.control.wait_end(deadline))
}

impl<T> fmt::Debug for Greenlet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.control.fmt(f)
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(payload) => {
                write!(
                    f,
                    "the green thread panicked: {}",
                    panic_message(&**payload)
                )
            }
            Self::Killed => f.write_str("the green thread was killed"),
            Self::NotStarted => f.write_str("the green thread could not be started"),
            Self::Taken => f.write_str("the green thread's value has been taken before"),
        }
    }
}

impl Error for JoinError {}

/// The message of a panic, if its payload is a text.
pub fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(a payload that is not text)")
}
