//! [`fatal`]: the end of the process where going on would break memory.

use crate::sys::signal::Stderr;
use std::fmt::Write as _;

/// Says why, on the standard error, and ends the process with SIGABRT. Without a logger, which might
/// wait or panic, and without a panic, which somebody might catch.
#[cold]
pub(crate) fn fatal(why: &str) -> ! {
    // Where nobody reads it there is nothing else to be done.
    let _ = writeln!(Stderr, "greenway: {why} Ending the process.");
    std::process::abort()
}
