//! What is done, and how long it took.

use std::fmt;
use std::time::{Duration, Instant};

/// Something to be done many times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// OS threads that run green threads.
    pub(crate) workers: usize,
    /// How often it is done.
    pub(crate) times: u64,
    pub(crate) what: &'static str,
}

/// In the order of the table.
pub(crate) const WORKLOADS: &[Workload] = &[
    workload("spawn-1", 1, 100_000, "start one and wait for its end"),
    workload("spawn-2", 2, 100_000, "the same, with two workers"),
    workload(
        "batch-1",
        1,
        300_000,
        "start 1,000, then wait for all; each",
    ),
    workload("batch-2", 2, 300_000, "the same, with two workers"),
    workload("yield-1", 1, 1_000_000, "two that yield to one another"),
    workload(
        "pingpong-1",
        1,
        300_000,
        "there and back over two bounded queues",
    ),
    workload("pingpong-2", 2, 100_000, "the same, with two workers"),
    workload(
        "unblock-2",
        2,
        50_000,
        "an empty closure on an OS thread, and back",
    ),
    workload("sleepers-2", 2, 0, "start one that sleeps for an hour"),
];

const fn workload(name: &'static str, workers: usize, times: u64, what: &'static str) -> Workload {
    Workload {
        name,
        workers,
        times,
        what,
    }
}

impl Workload {
    pub(crate) fn named(name: &str, sleepers: u64) -> Option<Self> {
        let workload = WORKLOADS.iter().find(|workload| workload.name == name)?;
        Some(Self {
            times: workload.times_with(sleepers),
            ..*workload
        })
    }

    pub(crate) fn times_with(&self, sleepers: u64) -> u64 {
        if self.times == 0 {
            sleepers
        } else {
            self.times
        }
    }
}

/// What a process says: nanoseconds each, and bytes each where that is the point.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) nanos: f64,
    pub(crate) bytes: Option<f64>,
}

impl Figure {
    /// Does it once for a tenth of the times, to warm up, and then for all of them.
    pub(crate) fn of(times: u64, mut work: impl FnMut(u64)) -> Self {
        work(times / 10);
        let start = Instant::now();
        work(times);
        Self::new(start.elapsed(), times, None)
    }

    pub(crate) fn new(elapsed: Duration, times: u64, bytes: Option<u64>) -> Self {
        Self {
            nanos: elapsed.as_nanos() as f64 / times as f64,
            bytes: bytes.map(|bytes| bytes as f64 / times as f64),
        }
    }

    /// What [`Display`](fmt::Display) has written: `nanos N` and perhaps `bytes N`; or why there
    /// is nothing.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(reason) = text.trim().strip_prefix("reason ") {
            return Err(reason.to_owned());
        }
        let mut words = text.split_whitespace();
        let mut next = |name| {
            (words.next() == Some(name))
                .then(|| words.next()?.parse().ok())
                .flatten()
        };
        let nanos = next("nanos").ok_or_else(|| format!("it said {text:?}"))?;
        Ok(Self {
            nanos,
            bytes: next("bytes"),
        })
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nanos {:.1}", self.nanos)?;
        match self.bytes {
            Some(bytes) => write!(f, " bytes {bytes:.0}"),
            None => Ok(()),
        }
    }
}

/// Resident bytes of this process.
pub(crate) fn resident() -> u64 {
    let sizes = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = sizes.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}
