//! How many handshakes are under way at once, and who has to go when there are too many.
//!
//! A handshake costs its server memory and its client one packet. So there are only so many, and one
//! more waits for a place. Where those who have one do not get on, the oldest of them has to go:
//! honest clients need a few round trips, and one who holds a place for longer than [`PATIENCE`]
//! while others wait is slow, or means to be. Of those who wait, who has come last is let in first:
//! under a flood, most of the others will never get on.
//!
//! What must stay true: of those who wait only the newest looks at a clock, and whoever becomes that
//! is woken. So a flood costs a few wakes for each place and second, however many wait.

use crate::green::embed::{
    Awaited, Interrupt, Io, Locked, Thread, TimedOut, current, lock, wait_for,
};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a place is one's own when others wait.
const PATIENCE: Duration = Duration::from_secs(1);

/// The handshakes of a server.
#[derive(Debug)]
pub(crate) struct Line {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By numbers of our own, which grow.
    inside: BTreeMap<u64, (Instant, Arc<Thread>)>,
    last: u64,
    /// The newest at the end.
    waiting: Vec<Arc<Thread>>,
}

/// The right to shake hands, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    line: &'a Line,
    number: u64,
    /// Counts those that were taken away.
    taken: &'a AtomicU64,
}

/// One who waits for a place, until the value is dropped.
struct Waiting<'a> {
    line: &'a Line,
    me: Arc<Thread>,
    /// It is among those who wait.
    listed: bool,
}

/// Why one who wants a place has to wait.
enum NotNow {
    /// It is the newest, and may have the place of the oldest from then on.
    Until(Instant),
    /// Others come before it.
    Others,
}

impl Line {
    /// One with so many places.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            state: Mutex::default(),
        }
    }

    /// Handshakes that are under way, and how many wait for a place among them.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        (state.inside.len(), state.waiting.len())
    }

    fn lock(&self) -> Locked<'_, State> {
        lock(&self.state)
    }

    /// Waits for a place, for the green thread that calls. `None` at the deadline. `taken` counts
    /// the places that are taken away from those who have one.
    pub(crate) fn enter<'a>(
        &'a self,
        deadline: Option<Instant>,
        taken: &'a AtomicU64,
    ) -> Option<Place<'a>> {
        let mut waiting = Waiting {
            line: self,
            me: current().handle(),
            listed: false,
        };
        loop {
            let turn = match waiting.try_enter() {
                Ok(number) => {
                    return Some(Place {
                        line: self,
                        number,
                        taken,
                    });
                }
                Err(NotNow::Until(turn)) => Some(turn),
                Err(NotNow::Others) => None,
            };
            let until = turn.into_iter().chain(deadline).min();
            let (Ok(()) | Err(TimedOut)) = wait_for(Awaited::Permit, until, Io::None, |me, _| {
                let state = self.lock();
                let next = state.is_newest(me) && (turn.is_none() || state.has_room(self.most));
                next.then_some(())
            });
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return None;
            }
        }
    }
}

impl Waiting<'_> {
    fn try_enter(&mut self) -> Result<u64, NotNow> {
        let mut state = self.line.lock();
        if self.listed && !state.is_newest(&self.me) {
            return Err(NotNow::Others);
        }
        if let Some(until) = state.make_room(self.line.most) {
            if !self.listed {
                state.waiting.push(self.me.clone());
                self.listed = true;
            }
            return Err(NotNow::Until(until));
        }
        if self.listed {
            state.waiting.pop();
            self.listed = false;
            state.wake_newest();
        }
        state.last += 1;
        let number = state.last;
        state
            .inside
            .insert(number, (Instant::now(), self.me.clone()));
        Ok(number)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.listed {
            let mut state = self.line.lock();
            state.waiting.retain(|other| !Arc::ptr_eq(other, &self.me));
            state.wake_newest();
        }
    }
}

impl State {
    fn is_newest(&self, thread: &Arc<Thread>) -> bool {
        let newest = self.waiting.last();
        newest.is_some_and(|newest| Arc::ptr_eq(newest, thread))
    }

    fn wake_newest(&self) {
        if let Some(newest) = self.waiting.last() {
            newest.wake();
        }
    }

    fn has_room(&self, most: usize) -> bool {
        self.inside.len() < most
    }

    /// Makes room for one more, at the cost of one who has had the time; or says when that will be.
    fn make_room(&mut self, most: usize) -> Option<Instant> {
        if self.has_room(most) {
            return None;
        }
        let oldest = self.inside.first_entry()?;
        let until = oldest.get().0 + PATIENCE;
        if until > Instant::now() {
            return Some(until);
        }
        let (_, slow) = oldest.remove();
        // Under the lock: whoever leaves by itself is not interrupted afterwards.
        slow.interrupt(Interrupt::Stop);
        None
    }

    fn leave(&mut self, number: u64) -> bool {
        let was_inside = self.inside.remove(&number).is_some();
        if was_inside {
            self.wake_newest();
        }
        was_inside
    }
}

impl Place<'_> {
    /// Gives the place up. False if it was taken away: then the thread was interrupted, and has to
    /// end.
    pub(crate) fn leave(self) -> bool {
        let left = self.give_up();
        std::mem::forget(self);
        left
    }

    fn give_up(&self) -> bool {
        let left = self.line.lock().leave(self.number);
        if !left {
            self.taken.fetch_add(1, Relaxed);
        }
        left
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.give_up();
    }
}
