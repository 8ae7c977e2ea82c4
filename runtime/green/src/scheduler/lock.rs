//! [`lock`]: how the state that threads share is locked everywhere in this crate.

use crate::platform::NoWait;
use crate::platform::sync::{Mutex, MutexGuard, PoisonError};
use std::ops::{Deref, DerefMut};

/// Locks the state of a meeting point. Such a lock is held for a few instructions and never over
/// a wait, and nothing under it can panic half-way through a change: poison says nothing.
pub fn lock<S: ?Sized>(shared: &Mutex<S>) -> Locked<'_, S> {
    let no_wait = NoWait::begin();
    Locked {
        guard: shared.lock().unwrap_or_else(PoisonError::into_inner),
        _no_wait: no_wait,
    }
}

/// Whether the caller's OS thread holds such a lock, or has borrowed state of its worker. In code that
/// was called from there, or by a signal that came then, nobody may be woken and nothing locked.
pub fn holds_lock() -> bool {
    NoWait::is_held()
}

/// A lock that is held, and with it the promise not to wait.
#[derive(Debug)]
pub struct Locked<'a, S: ?Sized> {
    guard: MutexGuard<'a, S>,
    /// Dropped after the lock is free again.
    _no_wait: NoWait,
}

impl<S: ?Sized> Deref for Locked<'_, S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.guard
    }
}

impl<S: ?Sized> DerefMut for Locked<'_, S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.guard
    }
}
