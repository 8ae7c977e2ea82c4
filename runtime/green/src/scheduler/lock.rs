//! [`lock`]: how the state that threads share is locked everywhere in this crate.

use crate::platform::sync::{Mutex, MutexGuard, PoisonError};

/// Locks the state of a meeting point. Such a lock is held for a few instructions and never over
/// a wait, and nothing under it can panic half-way through a change: poison says nothing.
pub(crate) fn lock<S>(shared: &Mutex<S>) -> MutexGuard<'_, S> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
