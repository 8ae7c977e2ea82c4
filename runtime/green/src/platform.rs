//! What the scheduler and the meeting points take from std and from `may`, in one place.
//!
//! The model check (`tests/model`) compiles their sources as they are, below a module of this
//! name in which each lock, atomic operation, park and wake is a step that the checker chooses.
//! So these files import nothing that waits, wakes or tells the time from anywhere else.

pub(crate) use crate::scheduler::no_wait::{NoWait, NoWaitCell};
pub(crate) use crate::scheduler::unwinding::apart as while_not_unwinding;
pub(crate) use may::coroutine::{
    Coroutine, current as current_coroutine, is_coroutine, park as park_coroutine,
    yield_now as pass_turn_of_coroutine,
};
pub(crate) use may::coroutine_local;
pub(crate) use may::io::{WaitIo, WaitIoWaker};
pub(crate) use std::os::fd::{BorrowedFd, OwnedFd};
pub(crate) use std::panic::resume_unwind;
pub(crate) use std::time::{Duration, Instant};
pub(crate) use std::{sync, thread};

/// As `thread_local!`, for a value that waits need: it is still there while the thread-locals of an
/// OS thread are destroyed.
macro_rules! late_local {
    (static $NAME:ident: $Type:ty = $make:expr) => {
        static $NAME: crate::scheduler::late_local::LateLocal<$Type> =
            crate::scheduler::late_local::LateLocal::new(|| $make);
    };
}

pub(crate) use late_local;
