//! What ends a wait before its time, and how it unwinds.

use crate::platform::resume_unwind;
use std::any::Any;

/// Why a thread is to end at its next wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Interrupt {
    /// The client that it serves has left.
    Departed = 1,
    /// The server stops, and the grace period is over or was not asked for.
    Stop = 2,
    /// Somebody called [`Greenlet::kill`](crate::Greenlet::kill).
    Kill = 3,
}

impl Interrupt {
    pub(super) fn of(number: u8) -> Option<Self> {
        [Self::Departed, Self::Stop, Self::Kill]
            .into_iter()
            .find(|why| *why as u8 == number)
    }
}

/// Whether a payload that `catch_unwind` gives is the end of a thread or of a time limit, and no panic:
/// nobody has to be told of it, and it is to go on with `resume_unwind`.
///
/// ```
/// use greenway_green::{is_interrupt, sleep, spawn};
/// use std::panic::{catch_unwind, resume_unwind};
/// use std::time::Duration;
///
/// let job = spawn(|| {
///     if let Err(payload) = catch_unwind(|| sleep(Duration::MAX)) {
///         if is_interrupt(&*payload) {
///             resume_unwind(payload);
///         }
///         eprintln!("the job has panicked, and is to be started again");
///     }
/// });
/// sleep(Duration::from_millis(5));
/// job.kill();
/// assert!(job.join().is_err());
/// ```
pub fn is_interrupt(payload: &(dyn Any + Send)) -> bool {
    Unwind::of(payload).is_some()
}

/// What unwinds out of a wait, as the payload that `catch_unwind` gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwind {
    /// Somebody has interrupted the thread.
    Interrupted(Interrupt),
    /// The limit with this number is over.
    LimitPassed(u64),
}

impl Unwind {
    /// The unwind in a payload caught by `catch_unwind`, if it is one of ours.
    pub fn of(payload: &(dyn Any + Send)) -> Option<Self> {
        payload.downcast_ref::<Self>().copied()
    }

    /// Unwinds the current thread. No panic hook runs and nothing is printed.
    pub(super) fn raise(self) -> ! {
        resume_unwind(Box::new(self))
    }
}
