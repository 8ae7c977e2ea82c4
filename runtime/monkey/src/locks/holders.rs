//! Who holds which of C's locks, for people who ask.
//!
//! A lock is noted when a green thread gets it, and forgotten when anybody gives it back: one store each, in a
//! table where two locks may want the same place. Then the earlier one is forgotten, and nobody is told
//! of its holder; but nobody is told of a wrong one.

use greenway_green::embed::with_current;
use std::sync::atomic::{AtomicU64, Ordering};

/// Places, a power of two.
const PLACES: usize = 1024;

/// In each the number of a green thread, and as much of the lock's address; 0 if there is none.
static HOLDERS: [AtomicU64; PLACES] = [const { AtomicU64::new(0) }; PLACES];

fn place(address: usize) -> &'static AtomicU64 {
    &HOLDERS[(address >> 3).wrapping_mul(0x9E37_79B9) >> 12 & (PLACES - 1)]
}

/// What of an address is kept.
fn mark(address: usize) -> u64 {
    (address as u64 >> 3) << 32
}

/// The green thread that calls has got a lock.
pub(super) fn note(address: usize) {
    let number = with_current(|me| me.number());
    if let Some(number) = number.and_then(|number| u32::try_from(number).ok()) {
        place(address).store(mark(address) | u64::from(number), Ordering::Relaxed);
    }
}

/// A lock is about to be given back.
pub(super) fn forget(address: usize) {
    let place = place(address);
    let noted = place.load(Ordering::Relaxed);
    if noted != 0 && noted & !u64::from(u32::MAX) == mark(address) {
        // Unless somebody has taken the place meanwhile.
        let (done, failed) = (Ordering::Relaxed, Ordering::Relaxed);
        let _ = place.compare_exchange(noted, 0, done, failed);
    }
}

/// The number of the green thread that holds a lock, where that is known.
pub(super) fn of(address: usize) -> Option<u64> {
    let noted = place(address).load(Ordering::Relaxed);
    let known = noted != 0 && noted & !u64::from(u32::MAX) == mark(address);
    known.then_some(noted & u64::from(u32::MAX))
}
