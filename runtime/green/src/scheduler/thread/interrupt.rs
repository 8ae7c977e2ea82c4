//! What ends a wait before its time, and how it unwinds.

use std::any::Any;
use std::panic::resume_unwind;

/// Why a thread is to end at its next wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Interrupt {
    /// The client that it serves has left.
    Departed = 1,
    /// The server stops, and the grace period is over or was not asked for.
    Stop = 2,
    /// Somebody called [`Greenlet::kill`](super::Greenlet::kill).
    Kill = 3,
}

/// What unwinds out of a wait. Private to the crate: no application can make or match one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwind {
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
    pub(crate) fn raise(self) -> ! {
        resume_unwind(Box::new(self))
    }
}
