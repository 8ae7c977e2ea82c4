//! The clocks of all WebSockets of the process: pings, and limits on silence, idleness and closing.
//!
//! One green thread serves the timers of them all, in the order in which they are due, and runs while
//! there are any. It holds sockets weakly. Peers that are gone are found by it also where no handler
//! receives.

use super::core::SocketCore;
use crate::connection::WritePace;
use crate::green::Builder;
use crate::green::embed::{Awaited, Io, Locked, Thread, TimedOut, lock, take_turn, wait_for};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// Pings that may go without an answer.
const MISSES: u32 = 2;

/// How often the kernel is asked whether the peer of one that is being closed has everything.
const LOOK: Duration = Duration::from_millis(250);

/// The clocks of one socket.
#[derive(Debug)]
pub(super) struct Heartbeat {
    every: Option<Duration>,
    ping_at: Option<Instant>,
    /// Pings since something has come.
    asked: u32,
    idle: Option<Duration>,
    idle_at: Option<Instant>,
    closing: Option<Closing>,
}

/// The clock of a close. It begins when the peer has everything that was sent to it, our close
/// frame last: before that it cannot answer. Until then it is given the time of one who is slow
/// to take what it is sent.
#[derive(Debug)]
struct Closing {
    timeout: Duration,
    pace: WritePace,
    looked: Instant,
    /// When it has to have closed; `None` while it has not got everything.
    by: Option<Instant>,
}

impl Closing {
    /// When to look again; `None` if its time is over.
    fn look(&mut self, now: Instant, undelivered: u64) -> Option<Instant> {
        let passed = now.saturating_duration_since(self.looked);
        self.pace = self.pace.waited(passed).seen(Some(undelivered));
        self.looked = now;
        if undelivered == 0 && self.by.is_none() {
            self.by = now.checked_add(self.timeout);
        }
        let next = match self.by {
            Some(by) => Some(by),
            None if self.pace.left().is_zero() => None,
            None => now.checked_add(LOOK.min(self.timeout)),
        };
        next.filter(|next| *next > now)
    }
}

/// What is to be done for a socket, and when to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Nothing(Option<Instant>),
    Ping(Option<Instant>),
    /// It has answered no ping.
    Silent,
    /// It has not answered our close frame.
    Unclosed,
    /// No message has come for too long.
    Idle,
}

impl Heartbeat {
    pub(super) fn new(every: Option<Duration>, idle: Option<Duration>) -> Self {
        Self {
            every,
            ping_at: None,
            asked: 0,
            idle,
            idle_at: None,
            closing: None,
        }
    }

    /// When to look for the first time.
    pub(super) fn first(&mut self, now: Instant) -> Option<Instant> {
        self.ping_at = self.every.and_then(|every| now.checked_add(every));
        self.idle_at = self.idle.and_then(|idle| now.checked_add(idle));
        self.next()
    }

    /// We have sent a close frame, or queued it. Gives when to look for the first time; `None` if
    /// the peer may take for ever, or somebody looks already.
    pub(super) fn begin_close(
        &mut self,
        now: Instant,
        timeout: Duration,
        pace: WritePace,
    ) -> Option<Instant> {
        if self.closing.is_some() {
            return None;
        }
        let first = now.checked_add(timeout)?;
        self.closing = Some(Closing {
            timeout,
            pace,
            looked: now,
            by: None,
        });
        Some(first.min(now + LOOK))
    }

    pub(super) fn next(&self) -> Option<Instant> {
        if let Some(closing) = &self.closing {
            return Some(closing.by.unwrap_or(closing.looked + LOOK));
        }
        [self.ping_at, self.idle_at].into_iter().flatten().min()
    }

    /// As [`beat`](Self::beat), while we close; so many bytes have not reached the peer.
    pub(super) fn beat_closing(&mut self, now: Instant, undelivered: u64) -> Due {
        match &mut self.closing {
            Some(closing) => match closing.look(now, undelivered) {
                None => Due::Unclosed,
                next => Due::Nothing(next),
            },
            None => Due::Nothing(None),
        }
    }

    /// `heard`: something has come since the last look; `used`: a message was among it.
    pub(super) fn beat(&mut self, now: Instant, heard: bool, used: bool) -> Due {
        if heard {
            self.asked = 0;
        }
        if used {
            self.idle_at = self.idle.and_then(|idle| now.checked_add(idle));
        }
        if self.idle_at.is_some_and(|at| at <= now) {
            self.idle_at = None;
            return Due::Idle;
        }
        if self.ping_at.is_none_or(|at| at > now) {
            return Due::Nothing(self.next());
        }
        if self.asked >= MISSES {
            return Due::Silent;
        }
        self.asked += 1;
        self.ping_at = self.every.and_then(|every| now.checked_add(every));
        Due::Ping(self.next())
    }
}

static TIMERS: Mutex<Timers> = Mutex::new(Timers {
    due: BTreeMap::new(),
    when: None,
    next: 0,
    running: false,
    thread: None,
});

struct Timers {
    /// By time, and by a number where times are equal.
    due: BTreeMap<(Instant, u64), Weak<SocketCore>>,
    /// When each socket is due, by its address, which is its own while it is listed.
    when: Option<HashMap<usize, (Instant, u64)>>,
    next: u64,
    running: bool,
    /// To be woken when something is due before what it waits for.
    thread: Option<Arc<Thread>>,
}

fn lock_timers() -> Locked<'static, Timers> {
    lock(&TIMERS)
}

fn address(shared: &Arc<SocketCore>) -> usize {
    Arc::as_ptr(shared).addr()
}

impl Timers {
    fn insert(&mut self, shared: &Arc<SocketCore>, at: Instant) {
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

    fn remove(&mut self, shared: &Arc<SocketCore>) {
        if let Some(key) = self
            .when
            .as_mut()
            .and_then(|when| when.remove(&address(shared)))
        {
            self.due.remove(&key);
        }
    }

    /// The next one that is due, or when it will be.
    fn take_due(&mut self, now: Instant) -> Result<Arc<SocketCore>, Option<Instant>> {
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
pub(super) fn watch(shared: &Arc<SocketCore>, at: Instant) {
    let mut timers = lock_timers();
    let before = timers.due.first_key_value().map(|(key, _)| key.0);
    timers.insert(shared, at);
    if !timers.running {
        timers.running = true;
        let starting = Starting(true);
        let timers = Builder::new().name("websocket-heart").balanced();
        timers.spawn(move || starting.run());
    } else if before.is_none_or(|before| at < before)
        && let Some(thread) = &timers.thread
    {
        thread.wake();
    }
}

/// A socket is over.
pub(super) fn forget(shared: &Arc<SocketCore>) {
    let mut timers = lock_timers();
    timers.remove(shared);
    if timers.due.is_empty()
        && let Some(thread) = &timers.thread
    {
        thread.wake(); // it ends
    }
}

/// The thread of the timers before it runs. If there is no stack for it, the next socket tries
/// again.
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
            lock_timers().running = false;
        }
    }
}

fn run() {
    loop {
        let due = lock_timers().take_due(Instant::now());
        match due {
            Ok(shared) => {
                if let Some(next) = shared.beat(Instant::now()) {
                    watch(&shared, next);
                }
                take_turn();
            }
            Err(next) => {
                let mut timers = lock_timers();
                if timers.due.is_empty() {
                    timers.running = false;
                    timers.thread = None;
                    timers.when = None;
                    return;
                }
                drop(timers);
                let news = wait_for(Awaited::Time, next, Io::None, |me, _| {
                    let mut timers = lock_timers();
                    if timers.thread.is_none() {
                        timers.thread = Some(me.clone());
                    }
                    let first = timers.due.first_key_value().map(|(key, _)| key.0);
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
        let mut heartbeat = Heartbeat::new(Some(Duration::from_secs(25)), None);
        assert_eq!(heartbeat.first(start), Some(at(start, 25)));
        let ping =
            |heartbeat: &mut Heartbeat, now, heard| heartbeat.beat(at(start, now), heard, false);
        assert_eq!(
            ping(&mut heartbeat, 20, false),
            Due::Nothing(Some(at(start, 25)))
        );
        assert_eq!(
            ping(&mut heartbeat, 25, false),
            Due::Ping(Some(at(start, 50)))
        );
        assert_eq!(
            ping(&mut heartbeat, 50, true),
            Due::Ping(Some(at(start, 75)))
        );
        assert_eq!(
            ping(&mut heartbeat, 75, false),
            Due::Ping(Some(at(start, 100)))
        );
        assert_eq!(ping(&mut heartbeat, 100, false), Due::Silent);
    }

    #[test]
    fn messages_keep_it_from_being_idle_and_pongs_do_not() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(None, Some(Duration::from_secs(10)));
        assert_eq!(heartbeat.first(start), Some(at(start, 10)));
        let next = Due::Nothing(Some(at(start, 15)));
        assert_eq!(heartbeat.beat(at(start, 5), true, true), next);
        assert_eq!(heartbeat.beat(at(start, 10), true, false), next);
        assert_eq!(heartbeat.beat(at(start, 15), true, false), Due::Idle);
    }

    #[test]
    fn while_closing_only_the_end_counts() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(Some(Duration::from_secs(1)), None);
        heartbeat.first(start);
        let pace = WritePace::new(Duration::from_secs(30));
        let timeout = Duration::from_secs(5);
        assert!(heartbeat.begin_close(start, timeout, pace).is_some());
        assert_eq!(heartbeat.begin_close(start, timeout, pace), None);
        let by = Due::Nothing(Some(at(start, 7)));
        assert_eq!(heartbeat.beat_closing(at(start, 2), 0), by);
        assert_eq!(heartbeat.beat_closing(at(start, 7), 0), Due::Unclosed);
    }

    #[test]
    fn the_clock_of_a_close_begins_when_the_peer_has_the_frame() {
        let start = Instant::now();
        let pace = WritePace::new(Duration::from_secs(30)).seen(Some(4_000_000));
        let closing = |pace| {
            let mut heartbeat = Heartbeat::new(None, None);
            heartbeat.begin_close(start, Duration::from_secs(5), pace);
            heartbeat
        };
        let mut reader = closing(pace);
        for second in 1..=26 {
            let left = 4_000_000 - second * 150_000;
            let next = Due::Nothing(Some(at(start, second) + LOOK));
            assert_eq!(reader.beat_closing(at(start, second), left), next);
        }
        let by = Due::Nothing(Some(at(start, 32)));
        assert_eq!(reader.beat_closing(at(start, 27), 0), by);
        assert_eq!(reader.beat_closing(at(start, 32), 0), Due::Unclosed);
        let mut deaf = closing(pace);
        let next = Due::Nothing(Some(at(start, 29) + LOOK));
        assert_eq!(deaf.beat_closing(at(start, 29), 4_000_000), next);
        assert_eq!(deaf.beat_closing(at(start, 30), 4_000_000), Due::Unclosed);
    }
}
