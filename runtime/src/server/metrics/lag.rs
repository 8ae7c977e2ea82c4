//! How late a worker's green threads run.
//!
//! A green thread on each worker sleeps and looks how much later than asked it was woken. Code
//! that does not wait shows up here: it holds up its worker, and the probe with it. A worker that
//! is held up right now cannot say so, but its probe is overdue, which anybody can see.

use crate::green::Greenlet;
use crate::green::embed::{spawn_on, workers};
use crate::green::sleep;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A probe costs its worker one wake-up in this time.
const INTERVAL: Duration = Duration::from_millis(250);

/// The probes of all workers.
#[derive(Debug)]
pub(crate) struct LagProbes {
    started: Instant,
    probes: Vec<(Arc<Probe>, Greenlet<()>)>,
}

/// Times in microseconds since the start.
#[derive(Debug, Default)]
struct Probe {
    /// When it is to wake next.
    due: AtomicU64,
    /// The longest that it was late by since somebody asked.
    worst: AtomicU64,
}

impl LagProbes {
    pub(crate) fn start() -> Self {
        let started = Instant::now();
        let start_one = |&worker| {
            let probe = Arc::new(Probe::default());
            let here = probe.clone();
            // Until it runs for the first time, it is late since now.
            (probe, spawn_on(worker, move || run(&here, started)))
        };
        Self {
            started,
            probes: workers().iter().map(start_one).collect(),
        }
    }

    /// How much longer than it should each worker has not come round, at this moment.
    pub(super) fn overdue(&self) -> impl Iterator<Item = Duration> {
        let now = us_since(self.started);
        let overdue = move |probe: &Probe| now.saturating_sub(probe.due.load(Relaxed));
        self.probes
            .iter()
            .map(move |(probe, _)| Duration::from_micros(overdue(probe)))
    }

    /// The longest that each worker was late by since the last call.
    pub(super) fn take_worst(&self) -> impl Iterator<Item = Duration> {
        let now = us_since(self.started);
        self.probes.iter().map(move |(probe, _)| {
            let overdue = now.saturating_sub(probe.due.load(Relaxed));
            Duration::from_micros(probe.worst.swap(0, Relaxed).max(overdue))
        })
    }
}

impl Drop for LagProbes {
    fn drop(&mut self) {
        for (_, greenlet) in &self.probes {
            greenlet.kill();
        }
    }
}

fn us_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn run(probe: &Probe, started: Instant) {
    let interval = u64::try_from(INTERVAL.as_micros()).expect("a quarter of a second");
    loop {
        let due = us_since(started) + interval;
        probe.due.store(due, Relaxed);
        sleep(INTERVAL);
        let late = us_since(started).saturating_sub(due);
        probe.worst.fetch_max(late, Relaxed);
    }
}
