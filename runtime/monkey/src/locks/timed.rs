//! Times at which C's locks give up.

use crate::calls::instant_of;
use libc::{c_int, clockid_t, timespec};
use std::time::Instant;

/// When an absolute time of `clock` is reached; without one, never.
///
/// # Errors
/// The number of an error, for a time or a clock that the C library refuses.
///
/// # Safety
/// `until` is null or a time that can be read.
pub(super) unsafe fn deadline(
    clock: clockid_t,
    until: *const timespec,
) -> Result<Option<Instant>, c_int> {
    // SAFETY: the caller's promise.
    match unsafe { until.as_ref() } {
        Some(until) => instant_of(clock, *until),
        None => Ok(None),
    }
}
