//! Locking a mutex, where poison says nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex of the server's own.
///
/// Such locks are held for a few instructions, never over a wait or a call of the application's,
/// and nothing under them can panic half-way through a change. So what a thread that has panicked
/// leaves behind is whole, and poison is passed over.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
