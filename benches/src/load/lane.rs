//! What the generator threads share with the one that measures: counters that only
//! grow, and the phase. Plain relaxed atomics: each counter has one writer, and the
//! figures are differences over a second or more.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`: the one clock of the generator, because timers
/// are armed with absolute times of it.
pub(crate) fn now() -> u64 {
    read(ClockId::Monotonic)
}

/// Nanoseconds since 1970: the clock that a server's stamps are made with. It is the same
/// one on this machine; over a run it is steady enough for microseconds.
pub(crate) fn wall() -> u64 {
    read(ClockId::Realtime)
}

/// CPU time of the calling thread in nanoseconds. A real system call: ask rarely.
pub(super) fn thread_cpu() -> u64 {
    read(ClockId::ThreadCPUTime)
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // All of these clocks count from zero upwards, so neither part is negative.
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// A counter with one writer.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Load and store instead of a locked addition: there is only one writer.
    pub(super) fn add(&self, n: u64) {
        self.set(self.get() + n);
    }
}

/// The counters of one generator thread, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Lane {
    /// Connections that are where the plan wants them before the window opens.
    pub(super) ready: Counter,
    /// Answers complete.
    pub(super) completed: Counter,
    /// Of those, the ones with a status other than 2xx.
    pub(super) refused: Counter,
    /// Connections that broke or could not be opened.
    pub(super) errors: Counter,
    /// When the last of them came, as [`now`] tells it.
    pub(super) last: Counter,
    /// CPU time of the thread, at most some milliseconds old.
    pub(super) cpu: Counter,
    /// Not zero when the thread has given up.
    pub(super) over: Counter,
}

/// What a generator thread is to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Connect and ask.
    Run = 0,
    /// Ask nothing new; an open loop waits a moment for what it has asked.
    Drain = 1,
    /// Leave at once.
    Quit = 2,
}

/// Phase and window, written by the measuring thread.
#[derive(Debug)]
pub(super) struct Shared {
    phase: AtomicU8,
    from: AtomicU64,
    to: AtomicU64,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            phase: AtomicU8::new(Phase::Run as u8),
            from: AtomicU64::new(u64::MAX),
            to: AtomicU64::new(u64::MAX),
        }
    }
}

impl Shared {
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Run,
            1 => Phase::Drain,
            _ => Phase::Quit,
        }
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// The window as `from..to` in nanoseconds; empty until it is set.
    pub(super) fn window(&self) -> std::ops::Range<u64> {
        self.from.load(Ordering::Relaxed)..self.to.load(Ordering::Relaxed)
    }

    /// The end is stored first: a thread that sees the start must not take the window
    /// for endless.
    pub(super) fn set_window(&self, from: u64, to: u64) {
        self.to.store(to, Ordering::Release);
        self.from.store(from, Ordering::Release);
    }
}
