//! [`discard`]: dropping what somebody else has made, whose destructor may panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Drops a value; a panic of its destructor is swallowed, however often it panics.
pub fn discard<T>(value: T) {
    let mut next = catch_unwind(AssertUnwindSafe(move || drop(value))).err();
    for _ in 0..8 {
        let Some(payload) = next else { return };
        next = catch_unwind(AssertUnwindSafe(move || drop(payload))).err();
    }
    std::mem::forget(next); // a payload that panics in its destructor for ever
}
