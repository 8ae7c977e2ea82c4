//! What the process was started with that a server cannot live with, set right.
//!
//! Whoever starts a process decides which signals it ignores. Two of them are about a server's
//! life: with SIGCHLD ignored, no status of a child can be had; and a log that reaches the limit
//! on the size of files (`ulimit -f`) must be an error of the log, where SIGXFSZ would end the
//! process. A handler that does nothing settles both, and unlike an ignored signal it is not
//! passed on to children.

use signal_hook::consts::{SIGCHLD, SIGXFSZ};
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

/// Sets them right, once for the process.
///
/// # Errors
/// When a signal cannot be handled.
pub(crate) fn set_right() -> io::Result<()> {
    static DONE: OnceLock<()> = OnceLock::new();
    if DONE.get().is_some() {
        return Ok(());
    }
    do_nothing_on(SIGXFSZ)?;
    if is_ignored(SIGCHLD) {
        do_nothing_on(SIGCHLD)?;
    }
    DONE.get_or_init(|| ());
    Ok(())
}

fn do_nothing_on(signal: i32) -> io::Result<()> {
    let nobody_looks = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal, nobody_looks).map(|_| ())
}

/// Whether the process ignores a signal, as far as the kernel tells.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores(&status, signal)
}

fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_mask() {
        let status = "Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000011000\n";
        assert!(ignores(status, SIGCHLD));
        assert!(ignores(status, 13));
        assert!(!ignores(status, 15));
        assert!(!ignores("", SIGCHLD));
    }
}
