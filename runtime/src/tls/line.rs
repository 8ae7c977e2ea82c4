//! How many handshakes are under way at once, and who has to go when there are too many.
//!
//! A handshake costs its server memory and its client one packet. So there are only so many, and one
//! more waits for a place. Where those who have one do not get on, the oldest of them has to go:
//! honest clients need a few round trips, and one who holds a place for longer than [`PATIENCE`]
//! while others wait is slow, or means to be.

use crate::green::embed::{
    Awaited, Interrupt, Io, Locked, Thread, TimedOut, current, lock, wait_for,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a place is one's own when others wait.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who waits and was not woken asks again after so long at least.
const LEAST_WAIT: Duration = Duration::from_millis(50);

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
    /// Who has come last is let in first: under a flood, most of those who wait will never get on.
    waiting: Vec<Arc<Thread>>,
}

/// The right to shake hands, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    line: &'a Line,
    number: u64,
}

impl Line {
    /// One with so many places.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> Locked<'_, State> {
        lock(&self.state)
    }

    /// Waits for a place, for the green thread that calls. `None` at the deadline.
    pub(crate) fn enter(&self, deadline: Option<Instant>) -> Option<Place<'_>> {
        let me = current().handle();
        loop {
            let oldest_has_until = match self.lock().enter(self.most, &me) {
                Ok(number) => return Some(Place { line: self, number }),
                Err(until) => until,
            };
            let until = deadline.map_or(oldest_has_until, |end| end.min(oldest_has_until));
            let has_room = || self.lock().inside.len() < self.most;
            let (Ok(()) | Err(TimedOut)) =
                wait_for(Awaited::Permit, Some(until), Io::None, |_, _| {
                    has_room().then_some(())
                });
            if deadline.is_some_and(|end| end <= Instant::now()) {
                self.lock().forget(&me);
                return None;
            }
        }
    }
}

impl State {
    /// A place for this thread; or when to ask again, unless it is woken before.
    fn enter(&mut self, most: usize, me: &Arc<Thread>) -> Result<u64, Instant> {
        let now = Instant::now();
        let free = most.saturating_sub(self.inside.len());
        let had_their_time = |since: Instant| since + PATIENCE <= now;
        let slow = self.inside.values();
        let slow = slow.take_while(|(since, _)| had_their_time(*since)).count();
        let place = self
            .waiting
            .iter()
            .rposition(|thread| Arc::ptr_eq(thread, me));
        let later = place.map_or(0, |place| self.waiting.len() - 1 - place);
        if later >= free + slow {
            if place.is_none() {
                self.waiting.push(me.clone()); // whoever leaves wakes it
            }
            let oldest = self.inside.first_key_value();
            let until = oldest.map_or(now, |(_, (since, _))| *since + PATIENCE);
            return Err(until.max(now + LEAST_WAIT));
        }
        if free == 0
            && let Some((_, (_, slow))) = self.inside.pop_first()
        {
            // Under the lock: whoever leaves by itself is not interrupted afterwards.
            slow.interrupt(Interrupt::Stop);
        }
        self.forget(me);
        self.last += 1;
        self.inside.insert(self.last, (now, me.clone()));
        Ok(self.last)
    }

    fn forget(&mut self, me: &Arc<Thread>) {
        self.waiting.retain(|thread| !Arc::ptr_eq(thread, me));
    }

    fn leave(&mut self, number: u64) -> bool {
        let was_inside = self.inside.remove(&number).is_some();
        if was_inside && let Some(next) = self.waiting.last() {
            next.wake();
        }
        was_inside
    }
}

impl Place<'_> {
    /// Gives the place up. False if it was taken away: then the thread was interrupted, and has to
    /// end.
    pub(crate) fn leave(self) -> bool {
        let left = self.line.lock().leave(self.number);
        std::mem::forget(self);
        left
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.line.lock().leave(self.number);
    }
}
