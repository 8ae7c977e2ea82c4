//! When the next request is due: the fixed rate of an open loop, the pauses of clients
//! that think, and the timer that wakes a generator thread for either.
//!
//! What must stay true: times are absolute, so that a generator that was late is not
//! late again by as much, and nothing here depends on when answers come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// A timer that makes epoll return at a time of [`super::lane::now`].
pub(super) struct Alarm {
    timer: OwnedFd,
    armed: u64,
}

impl Alarm {
    /// A timer that `poll` reports as `data`.
    ///
    /// # Errors
    /// When the kernel has no timer to give.
    pub(super) fn new(poll: &OwnedFd, data: u64) -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        epoll::add(poll, &timer, EventData::new_u64(data), EventFlags::IN)?;
        Ok(Self { timer, armed: 0 })
    }

    /// Goes off at `due` and not before.
    ///
    /// # Errors
    /// When the kernel refuses the time.
    pub(super) fn arm(&mut self, due: u64) -> io::Result<()> {
        if self.armed == due {
            return Ok(());
        }
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let at = Timespec {
            tv_sec: (due / 1_000_000_000) as i64,
            tv_nsec: (due % 1_000_000_000) as i64,
        };
        let when = Itimerspec {
            it_interval: zero,
            it_value: at,
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &when)?;
        self.armed = due;
        Ok(())
    }

    /// It has gone off.
    pub(super) fn take(&mut self) {
        self.armed = 0;
        // Only to make it unreadable again; nothing is there when it was re-armed.
        let _ = rustix::io::read(&self.timer, &mut [0_u8; 8]);
    }
}

/// The times at which requests of an open loop are due.
pub(super) struct Schedule {
    pub(super) start: u64,
    pub(super) interval: f64,
    pub(super) next: u64,
}

impl Schedule {
    pub(super) fn due(&self) -> u64 {
        self.start + (self.next as f64 * self.interval) as u64
    }
}

/// Clients that think between an answer and their next request, each for a time drawn
/// evenly from a range; the same ones in every run.
pub(super) struct Thinkers {
    least: u64,
    spread: u64,
    random: u64,
    /// When, which slot, and its generation then. One entry per connection at most.
    waiting: BinaryHeap<Reverse<(u64, usize, u32)>>,
}

impl Thinkers {
    pub(super) fn new(least: Duration, most: Duration, seed: u64) -> Self {
        let least = super::nanos(least);
        Self {
            least,
            spread: super::nanos(most).saturating_sub(least),
            // Any odd constant does: xorshift only must not start at zero.
            random: 0x9e37_79b9_7f4a_7c15 ^ (seed << 1),
            waiting: BinaryHeap::new(),
        }
    }

    /// The client in `slot` starts to think.
    pub(super) fn think(&mut self, time: u64, slot: usize, generation: u32) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let pause = self.least + self.random % (self.spread + 1);
        self.waiting.push(Reverse((time + pause, slot, generation)));
    }

    /// Whose pause is over at `time`: when it ended, slot and generation; otherwise when
    /// the next one ends.
    ///
    /// # Errors
    /// The next time, or nothing when nobody thinks.
    pub(super) fn next(&mut self, time: u64) -> Result<(u64, usize, u32), Option<u64>> {
        match self.waiting.peek() {
            None => Err(None),
            Some(Reverse((due, ..))) if *due > time => Err(Some(*due)),
            Some(Reverse(first)) => {
                let first = *first;
                self.waiting.pop();
                Ok(first)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_stay_in_their_range_and_end_in_order() {
        let (least, most) = (Duration::from_millis(1), Duration::from_millis(2));
        let mut thinkers = Thinkers::new(least, most, 3);
        for slot in 0..500 {
            thinkers.think(1_000, slot, 7);
        }
        assert!(matches!(thinkers.next(1_000), Err(Some(due)) if due >= 1_001_000));
        let ends: Vec<u64> = (0..500)
            .map(|_| thinkers.next(u64::MAX).expect("500 think").0)
            .collect();
        assert!(ends.is_sorted());
        assert!(ends[0] >= 1_001_000 && ends[499] <= 2_001_000);
        // Not all alike: that would be a pulse, not a load.
        assert!(ends[499] - ends[0] > 900_000, "{ends:?}");
        assert_eq!(thinkers.next(u64::MAX), Err(None));
    }
}
