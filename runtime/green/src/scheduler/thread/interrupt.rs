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
