//! Who holds up a worker?
//!
//! Green threads give way at their waits. One that computes, or blocks without telling us, holds
//! up all others of its worker, and none of them can say so. An OS thread of its own, the monitor,
//! looks at each worker several times within the bound. A worker whose turn has not changed for
//! longer than that is held up, and is reported with the stack of whoever has the turn.
//!
//! What must stay true:
//! - A turn costs its thread two plain stores and no look at a clock; the monitor has the clock.
//! - A worker that has nothing to do is not held up: nobody has its turn.
//! - Time in which the monitor did not run does not count. A process that was stopped, or a
//!   machine that was asleep, holds up nobody.

pub(crate) mod overflow;
mod report;
mod snapshot;
mod trace;

pub use report::{Blocked, on_blocked};

use crate::scheduler::service_thread;
use crate::scheduler::worker::Worker;
use report::Reporter;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How often a worker is looked at within the bound.
const LOOKS: u32 = 4;
/// A bound that is shorter would be about the machine, not about the green threads.
const LEAST_BOUND: Duration = Duration::from_millis(5);

/// What a worker's times without a wait add up to. Written by the monitor.
#[derive(Debug, Default)]
pub struct Held {
    now_us: AtomicU64,
    times: AtomicU64,
    total_us: AtomicU64,
    longest_us: AtomicU64,
}

impl Held {
    /// For how long it is held up at this moment.
    pub(crate) fn now(&self) -> Option<Duration> {
        let now = self.now_us.load(Relaxed);
        (now > 0).then(|| Duration::from_micros(now))
    }

    /// How often it was held up for longer than the bound.
    pub fn times(&self) -> u64 {
        self.times.load(Relaxed)
    }

    /// For how long it was, all times together.
    pub fn total(&self) -> Duration {
        Duration::from_micros(self.total_us.load(Relaxed))
    }

    /// The longest since the last call.
    pub fn take_longest(&self) -> Duration {
        Duration::from_micros(self.longest_us.swap(self.now_us.load(Relaxed), Relaxed))
    }

    fn set(&self, held: Duration, more: Duration, first: bool) {
        self.now_us.store(micros(held), Relaxed);
        self.times.fetch_add(u64::from(first), Relaxed);
        self.total_us.fetch_add(micros(more), Relaxed);
        self.longest_us.fetch_max(micros(held), Relaxed);
    }

    fn clear(&self) {
        self.now_us.store(0, Relaxed);
    }
}

/// By worker; set when the monitor is started.
static HELD: OnceLock<Box<[Held]>> = OnceLock::new();

impl Worker {
    /// How long it is and was held up.
    pub fn held(&self) -> &'static Held {
        static NEVER: Held = Held {
            now_us: AtomicU64::new(0),
            times: AtomicU64::new(0),
            total_us: AtomicU64::new(0),
            longest_us: AtomicU64::new(0),
        };
        HELD.get().map_or(&NEVER, |held| &held[self.index()])
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Starts the monitor; it ends with the process. With a bound of 0 there is no monitor.
///
/// # Errors
/// When the process can have no more threads, or the signal cannot be handled.
pub(crate) fn start(workers: Vec<&'static Worker>, bound: Duration) -> io::Result<()> {
    if bound.is_zero() {
        return Ok(());
    }
    let bound = bound.max(LEAST_BOUND);
    snapshot::install(workers.len())?;
    HELD.get_or_init(|| workers.iter().map(|_| Held::default()).collect());
    overflow::names_are_written();
    service_thread::start("greenway-monitor", move || {
        let period = bound / LOOKS;
        let mut watches: Vec<_> = workers.into_iter().map(Watch::new).collect();
        let mut reporter = Reporter::new();
        let mut last = Instant::now();
        loop {
            std::thread::sleep(period);
            overflow::write_names();
            let now = Instant::now();
            let passed = now.duration_since(last).min(period * 2);
            for watch in &mut watches {
                watch.look(passed, bound, &mut reporter);
            }
            // The time that reports take must not count as time in which a worker was held up.
            last = Instant::now();
        }
    })
}

/// What the monitor knows of one worker.
struct Watch {
    worker: &'static Worker,
    /// The turn that it saw last.
    turn: u64,
    /// For how long it has been seeing it.
    held: Duration,
    /// When it is to be reported next, as a value of `held`.
    next: Duration,
    /// How often this turn was reported.
    reports: u32,
}

/// What a look has shown.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// It is not held up, and was not.
    Fine,
    /// It has come back, after it was held up.
    Back,
    /// It is held up.
    Held {
        /// Since this look.
        first: bool,
        /// It is time to say so.
        report: bool,
    },
}

impl Watch {
    fn new(worker: &'static Worker) -> Self {
        Self {
            worker,
            turn: 0,
            held: Duration::ZERO,
            next: Duration::ZERO,
            reports: 0,
        }
    }

    fn look(&mut self, passed: Duration, bound: Duration, reporter: &mut Reporter) {
        let (turn, running) = self.worker.turn().look();
        let before = self.held;
        match self.judge(turn, running.is_null(), passed, bound) {
            Seen::Fine => {}
            Seen::Back => {
                self.worker.held().clear();
                reporter.back(self.worker, before);
            }
            Seen::Held { first, report } => {
                let more = if first { self.held } else { passed };
                self.worker.held().set(self.held, more, first);
                if report {
                    reporter.report(self.worker, turn, running, self.held, self.reports);
                }
            }
        }
    }

    fn judge(&mut self, turn: u64, idle: bool, passed: Duration, bound: Duration) -> Seen {
        if idle || turn != self.turn {
            let was_held = self.held >= bound;
            self.turn = turn;
            self.held = Duration::ZERO;
            self.next = bound;
            self.reports = 0;
            return if was_held { Seen::Back } else { Seen::Fine };
        }
        let first = self.held < bound;
        self.held += passed;
        if self.held < bound {
            return Seen::Fine;
        }
        let report = self.held >= self.next;
        if report {
            self.next = self.held * 10; // one that never comes back is not to fill the log
            self.reports += 1;
        }
        Seen::Held { first, report }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::workers;

    #[test]
    fn only_one_turn_that_lasts_is_reported_and_ever_more_seldom() {
        let ms = Duration::from_millis;
        let bound = ms(100);
        let mut watch = Watch::new(workers()[0]);
        let mut look = |turn, idle| watch.judge(turn, idle, ms(25), bound);
        for turn in 1..100 {
            assert_eq!(look(turn, false), Seen::Fine, "each time another turn");
        }
        for _ in 0..100 {
            assert_eq!(look(99, true), Seen::Fine, "nobody has the turn");
        }
        for _ in 0..3 {
            assert_eq!(look(99, false), Seen::Fine, "not for long enough");
        }
        let mut reports = Vec::new();
        for at in 4..100 {
            let Seen::Held { first, report } = look(99, false) else {
                panic!("held up");
            };
            assert_eq!(first, at == 4);
            if report {
                reports.push(at * 25);
            }
        }
        assert_eq!(reports, [100, 1000]);
        assert_eq!(look(100, false), Seen::Back);
        assert_eq!(look(101, false), Seen::Fine);
    }

    #[test]
    fn times_add_up() {
        let ms = Duration::from_millis;
        let held = Held::default();
        assert_eq!((held.now(), held.times()), (None, 0));
        held.set(ms(100), ms(100), true);
        held.set(ms(125), ms(25), false);
        assert_eq!(held.now(), Some(ms(125)));
        assert_eq!(held.take_longest(), ms(125));
        held.clear();
        held.set(ms(110), ms(110), true);
        assert_eq!((held.times(), held.total()), (2, ms(235)));
        held.clear();
        assert_eq!(
            held.take_longest(),
            ms(125),
            "it went on after the last look"
        );
        assert_eq!(held.take_longest(), ms(0));
    }
}
