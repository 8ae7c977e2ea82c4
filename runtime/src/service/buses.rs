//! The buses of this process's rooms, as far as a server has to know of them: which one the settings
//! name, and what is counted.
//!
//! Rooms lie above a server's parts and are older than it: a program makes them before it starts
//! one. So the server leaves the address here, and rooms look for it when they are first used; rooms
//! leave their counters here, and the metrics look for them.

use crate::green::embed::lock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, Weak};

/// The variable of the flag `--room-bus`.
const VARIABLE: &str = "GREENWAY_ROOM_BUS";

static CHOSEN: OnceLock<Option<String>> = OnceLock::new();

static COUNTS: Mutex<Vec<Weak<BusCounts>>> = Mutex::new(Vec::new());

/// Settles which bus rooms with a name have.
///
/// # Errors
/// When it was settled before, by the use of such a room or by another server, and otherwise.
pub(crate) fn choose(url: &str) -> Result<(), Option<&'static str>> {
    match chosen_or(|| Some(url.to_owned())) {
        Some(settled) if settled == url => Ok(()),
        settled => Err(settled),
    }
}

/// The address of the bus of rooms that have a name and no bus of their own.
pub(crate) fn chosen() -> Option<&'static str> {
    let of_environment = || std::env::var(VARIABLE).ok().filter(|url| !url.is_empty());
    chosen_or(of_environment)
}

fn chosen_or(choose: impl FnOnce() -> Option<String>) -> Option<&'static str> {
    CHOSEN.get_or_init(choose).as_deref()
}

/// What one bus's end in this process has counted.
#[derive(Debug, Default)]
pub(crate) struct BusCounts {
    pub(crate) connected: AtomicBool,
    pub(crate) posts: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) reconnects: AtomicU64,
    pub(crate) gaps: AtomicU64,
    pub(crate) lag_us: AtomicU64,
}

/// All of them together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct BusSum {
    pub(crate) buses: usize,
    pub(crate) connected: usize,
    pub(crate) posts: u64,
    pub(crate) received: u64,
    pub(crate) failed: u64,
    pub(crate) reconnects: u64,
    pub(crate) gaps: u64,
    /// The longest.
    pub(crate) lag_us: u64,
}

impl BusCounts {
    /// New ones, which are in the metrics while they exist.
    pub(crate) fn new() -> Arc<Self> {
        let this = Arc::new(Self::default());
        let mut all = lock(&COUNTS);
        all.retain(|counts| counts.strong_count() > 0);
        all.push(Arc::downgrade(&this));
        this
    }

    pub(crate) fn sum() -> BusSum {
        let all: Vec<_> = lock(&COUNTS).iter().filter_map(Weak::upgrade).collect();
        let mut sum = BusSum {
            buses: all.len(),
            ..BusSum::default()
        };
        for counts in all {
            sum.connected += usize::from(counts.connected.load(Relaxed));
            sum.posts += counts.posts.load(Relaxed);
            sum.received += counts.received.load(Relaxed);
            sum.failed += counts.failed.load(Relaxed);
            sum.reconnects += counts.reconnects.load(Relaxed);
            sum.gaps += counts.gaps.load(Relaxed);
            sum.lag_us = sum.lag_us.max(counts.lag_us.load(Relaxed));
        }
        sum
    }
}
