//! The clocks of all WebSockets of the process: pings, and limits on silence, idleness and closing.
//!
//! One green thread, the heart, looks after them all, in the order in which they are due; it runs
//! while there are any. It holds sockets weakly, and finds out whether their peers are there also
//! where no handler receives.

use super::shared::Shared;
use crate::green::Builder;
use crate::green::embed::{Awaited, Io, Thread, TimedOut, take_turn, wait_for};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Pings that may go without an answer.
const MISSES: u32 = 2;

/// The clocks of one socket.
#[derive(Debug)]
pub(super) struct Pulse {
    every: Option<Duration>,
    ping_at: Option<Instant>,
    /// Pings since something has come.
    asked: u32,
    idle: Option<Duration>,
    idle_at: Option<Instant>,
    close_by: Option<Instant>,
}

/// What is to be done for a socket, and when to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    Rest(Option<Instant>),
    Ping(Option<Instant>),
    /// It has answered no ping.
    Silent,
    /// It has not answered our close frame.
    Unclosed,
    /// No message has come for too long.
    Idle,
}

impl Pulse {
    pub(super) fn new(every: Option<Duration>, idle: Option<Duration>) -> Self {
        Self {
            every,
            ping_at: None,
            asked: 0,
            idle,
            idle_at: None,
            close_by: None,
        }
    }

    /// When to look for the first time.
    pub(super) fn first(&mut self, now: Instant) -> Option<Instant> {
        self.ping_at = self.every.and_then(|every| now.checked_add(every));
        self.idle_at = self.idle.and_then(|idle| now.checked_add(idle));
        self.next()
    }

    /// The peer is to have closed by then.
    pub(super) fn close_by(&mut self, at: Instant) {
        self.close_by.get_or_insert(at);
    }

    pub(super) fn next(&self) -> Option<Instant> {
        let clocks = if self.close_by.is_some() {
            [self.close_by, None]
        } else {
            [self.ping_at, self.idle_at]
        };
        clocks.into_iter().flatten().min()
    }

    /// `heard`: something has come since the last look; `used`: a message was among it.
    pub(super) fn beat(&mut self, now: Instant, heard: bool, used: bool, closing: bool) -> Beat {
        if closing {
            return match self.close_by {
                Some(at) if at <= now => Beat::Unclosed,
                next => Beat::Rest(next),
            };
        }
        if heard {
            self.asked = 0;
        }
        if used {
            self.idle_at = self.idle.and_then(|idle| now.checked_add(idle));
        }
        if self.idle_at.is_some_and(|at| at <= now) {
            self.idle_at = None;
            return Beat::Idle;
        }
        if self.ping_at.is_none_or(|at| at > now) {
            return Beat::Rest(self.next());
        }
        if self.asked >= MISSES {
            return Beat::Silent;
        }
        self.asked += 1;
        self.ping_at = self.every.and_then(|every| now.checked_add(every));
        Beat::Ping(self.next())
    }
}

static HEART: Mutex<Heart> = Mutex::new(Heart {
    due: BTreeMap::new(),
    when: None,
    next: 0,
    running: false,
    thread: None,
});

struct Heart {
    /// By time, and by a number where times are equal.
    due: BTreeMap<(Instant, u64), Weak<Shared>>,
    /// When each socket is due, by its address, which is its own while it is listed.
    when: Option<HashMap<usize, (Instant, u64)>>,
    next: u64,
    running: bool,
    /// To be woken when something is due before what it waits for.
    thread: Option<Arc<Thread>>,
}

fn lock() -> MutexGuard<'static, Heart> {
    // Nothing under the lock can panic half-way through a change.
    HEART.lock().unwrap_or_else(PoisonError::into_inner)
}

fn address(shared: &Arc<Shared>) -> usize {
    Arc::as_ptr(shared).addr()
}

impl Heart {
    fn insert(&mut self, shared: &Arc<Shared>, at: Instant) {
        let when = self.when.get_or_insert_default();
        if let Some(old) = when.get(&address(shared)).copied() {
            if old.0 <= at {
                return; // it will see for itself
            }
            self.due.remove(&old);
        }
        self.next += 1;
        when.insert(address(shared), (at, self.next));
        self.due.insert((at, self.next), Arc::downgrade(shared));
    }

    fn remove(&mut self, shared: &Arc<Shared>) {
        if let Some(key) = self
            .when
            .as_mut()
            .and_then(|when| when.remove(&address(shared)))
        {
            self.due.remove(&key);
        }
    }

    /// The next one that is due, or when it will be.
    fn take_due(&mut self, now: Instant) -> Result<Arc<Shared>, Option<Instant>> {
        loop {
            let Some((&key, weak)) = self.due.first_key_value() else {
                return Err(None);
            };
            if key.0 > now {
                return Err(Some(key.0));
            }
            // While somebody holds it weakly, its address is nobody else's.
            let (shared, address) = (weak.upgrade(), weak.as_ptr().addr());
            self.due.remove(&key);
            if let Some(when) = &mut self.when {
                when.remove(&address);
            }
            if let Some(shared) = shared {
                return Ok(shared);
            }
        }
    }
}

/// Looks at a socket at this time, at the latest.
pub(super) fn watch(shared: &Arc<Shared>, at: Instant) {
    let mut heart = lock();
    let before = heart.due.first_key_value().map(|(key, _)| key.0);
    heart.insert(shared, at);
    if !heart.running {
        heart.running = true;
        let starting = Starting(true);
        let heart = Builder::new().name("websocket-heart").balanced();
        heart.spawn(move || starting.run());
    } else if before.is_none_or(|before| at < before)
        && let Some(thread) = &heart.thread
    {
        thread.wake();
    }
}

/// A socket is over.
pub(super) fn forget(shared: &Arc<Shared>) {
    let mut heart = lock();
    heart.remove(shared);
    if heart.due.is_empty()
        && let Some(thread) = &heart.thread
    {
        thread.wake(); // it ends
    }
}

/// A heart that is about to start; where there is no stack for it, the next socket tries again.
struct Starting(bool);

impl Starting {
    fn run(mut self) {
        self.0 = false;
        run();
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if self.0 {
            lock().running = false;
        }
    }
}

fn run() {
    loop {
        let due = lock().take_due(Instant::now());
        match due {
            Ok(shared) => {
                if let Some(next) = shared.beat(Instant::now()) {
                    watch(&shared, next);
                }
                take_turn();
            }
            Err(next) => {
                let mut heart = lock();
                if heart.due.is_empty() {
                    heart.running = false;
                    heart.thread = None;
                    heart.when = None;
                    return;
                }
                drop(heart);
                let news = wait_for(Awaited::Time, next, Io::None, |me, _| {
                    let mut heart = lock();
                    if heart.thread.is_none() {
                        heart.thread = Some(me.clone());
                    }
                    let first = heart.due.first_key_value().map(|(key, _)| key.0);
                    (first != next).then_some(())
                });
                let (Ok(()) | Err(TimedOut)) = news;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn two_pings_may_go_unanswered() {
        let start = Instant::now();
        let mut pulse = Pulse::new(Some(Duration::from_secs(25)), None);
        assert_eq!(pulse.first(start), Some(at(start, 25)));
        let ping = |pulse: &mut Pulse, now, heard| pulse.beat(at(start, now), heard, false, false);
        assert_eq!(ping(&mut pulse, 20, false), Beat::Rest(Some(at(start, 25))));
        assert_eq!(ping(&mut pulse, 25, false), Beat::Ping(Some(at(start, 50))));
        assert_eq!(ping(&mut pulse, 50, true), Beat::Ping(Some(at(start, 75))));
        assert_eq!(
            ping(&mut pulse, 75, false),
            Beat::Ping(Some(at(start, 100)))
        );
        assert_eq!(ping(&mut pulse, 100, false), Beat::Silent);
    }

    #[test]
    fn messages_keep_it_from_being_idle_and_pongs_do_not() {
        let start = Instant::now();
        let mut pulse = Pulse::new(None, Some(Duration::from_secs(10)));
        assert_eq!(pulse.first(start), Some(at(start, 10)));
        let next = Beat::Rest(Some(at(start, 15)));
        assert_eq!(pulse.beat(at(start, 5), true, true, false), next);
        assert_eq!(pulse.beat(at(start, 10), true, false, false), next);
        assert_eq!(pulse.beat(at(start, 15), true, false, false), Beat::Idle);
    }

    #[test]
    fn while_closing_only_the_end_counts() {
        let start = Instant::now();
        let mut pulse = Pulse::new(Some(Duration::from_secs(1)), None);
        pulse.first(start);
        pulse.close_by(at(start, 5));
        pulse.close_by(at(start, 50)); // the first counts
        let rest = Beat::Rest(Some(at(start, 5)));
        assert_eq!(pulse.beat(at(start, 2), false, false, true), rest);
        assert_eq!(pulse.beat(at(start, 5), false, false, true), Beat::Unclosed);
    }
}
