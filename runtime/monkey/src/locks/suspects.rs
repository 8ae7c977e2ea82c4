//! What cannot work is told in the log, so that nobody has to find out by a hang.
//!
//! Some of what waits so is in order: a lock may be held for long, a channel may be silent. So each kind is told
//! once in a while, with what to look for.

use super::table::neighbours_at;
use greenway_green::embed::{RateLimit, Thread, current, lock};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

/// After so long a wait may be one that never ends.
pub(super) const LONG: Duration = Duration::from_secs(1);

/// Each kind is told once in this time.
const QUIET: Duration = Duration::from_secs(60);

/// Whether it is time to tell of a kind again.
fn admitted(kind: &'static str) -> bool {
    static TOLD: LazyLock<Mutex<RateLimit>> =
        LazyLock::new(|| Mutex::new(RateLimit::new(QUIET, 1, 8)));
    lock(&TOLD).admit(kind, Instant::now()).is_some()
}

/// How the log calls a green thread.
fn name(thread: &Thread) -> String {
    let worker = thread.home().map_or(0, |home| home.index());
    format!(
        "green thread #{} of worker {worker}",
        thread.number().unwrap_or_default()
    )
}

/// `thread` is parked for long.
pub(super) fn parked(thread: &Thread) {
    if admitted("parked") {
        log::warn!(
            "{} has been parked for more than a second, by `thread::park` or a channel of std's or \
             crossbeam's. OS threads and green threads of other workers wake it. But if it waits \
             at such a channel for a green thread of its own worker, it waits for ever: these \
             channels wake nobody of their own OS thread. There, use `green::Queue` or \
             `green::Channel`, or start one of the two on another worker.",
            name(thread)
        );
    }
}

/// The caller has waited for a mutex of std's for long.
pub(super) fn held_lock(address: usize) {
    if !admitted("held lock") {
        return;
    }
    let neighbours = neighbours_at(address);
    log::warn!(
        "{} has waited for more than a second for the lock at {address:#x}, and of its worker so \
         have {neighbours:?}: somebody holds it over a long wait. The dump of all green threads \
         shows who waits for what.",
        name(&current().handle())
    );
}

/// The caller waits as `parking_lot` does; if a neighbour waits at the same word, its queue is broken.
pub(super) fn parking_lot(address: usize) {
    let neighbours = neighbours_at(address);
    if !neighbours.is_empty() && admitted("parking_lot") {
        log::error!(
            "{} and {neighbours:?} of the same worker wait in one place of a queue that has one place for each OS \
             thread, as the crate `parking_lot` has it: they may wait for ever. Use std's locks, or those of \
             `greenway::green`.",
            name(&current().handle())
        );
    }
}
