//! What the borrowers of a pool's connections share.

use super::builder::Limits;
use super::guard::PooledConnection;
use super::{ConnectionPoolStats, NoConnection};
use crate::os::threadpool::ThreadPool;
use crate::runtime;
use crate::scheduler::discard::discard;
use crate::scheduler::giving_way::is_green;
use crate::scheduler::lock::lock;
use crate::scheduler::timed_out::TimedOut;
use crate::sync::permits::Permits;
use crate::task::Builder;
use std::error::Error;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

pub(super) type Connect<C> = Box<dyn Fn() -> Result<C, Box<dyn Error + Send + Sync>> + Send + Sync>;
pub(super) type Look<C> = Box<dyn Fn(&mut C) -> bool + Send + Sync>;

/// The oldest connection is looked for again after this time, if the clock has no better one.
const FAR: Duration = Duration::from_secs(60 * 60);

pub(super) struct Shared<C> {
    connect: Connect<C>,
    check: Option<Look<C>>,
    broken: Option<Look<C>>,
    pub(super) limits: Limits,
    /// Where the connections of a driver that blocks are closed.
    pub(super) threads: Option<ThreadPool>,
    permits: Permits,
    state: Mutex<State<C>>,
    in_use: AtomicUsize,
    waiting: AtomicUsize,
    made: AtomicU64,
    timed_out: AtomicU64,
}

struct State<C> {
    /// The one that was given back last is the last one.
    idle: Vec<Member<C>>,
    closed: bool,
    /// There is a green thread that closes what has grown old.
    reaping: bool,
}

/// A connection and its age.
pub(super) struct Member<C> {
    pub(super) connection: C,
    /// `None`: it may grow as old as it likes.
    expires: Option<Instant>,
    /// When it was made or given back.
    used: Instant,
}

/// The right to have one connection, given back when dropped.
pub(super) struct Slot<C: Send + 'static>(Arc<Shared<C>>);

/// Counts one up until it is dropped.
struct Count<'a>(&'a AtomicUsize);

impl<'a> Count<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl<C: Send + 'static> Shared<C> {
    pub(super) fn new(
        connect: Connect<C>,
        check: Option<Look<C>>,
        broken: Option<Look<C>>,
        limits: Limits,
    ) -> Self {
        Self {
            connect,
            check,
            broken,
            limits,
            threads: None,
            permits: Permits::new(limits.max_size),
            state: Mutex::new(State {
                idle: Vec::new(),
                closed: false,
                reaping: false,
            }),
            in_use: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            made: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
        }
    }

    /// Waits until there may be one connection more.
    pub(super) fn slot(
        self: &Arc<Self>,
        deadline: Option<Instant>,
    ) -> Result<Slot<C>, NoConnection> {
        if !self.permits.try_acquire() {
            let _waits = Count::new(&self.waiting);
            if let Err(TimedOut) = self.permits.acquire(deadline) {
                return Err(self.timed_out());
            }
        }
        self.in_use.fetch_add(1, Relaxed);
        let slot = Slot(self.clone());
        // After the permit: `close` says so first, and lets everybody through then.
        if self.is_closed() {
            return Err(NoConnection::Closed);
        }
        Ok(slot)
    }

    fn timed_out(&self) -> NoConnection {
        self.timed_out.fetch_add(1, Relaxed);
        NoConnection::TimedOut
    }

    fn make(&self) -> Result<Member<C>, NoConnection> {
        let connection = (self.connect)().map_err(NoConnection::Failed)?;
        let now = Instant::now();
        let number = self.made.fetch_add(1, Relaxed);
        let lifetime = self.limits.max_lifetime;
        let earlier = lifetime / 64 * (number % 8) as u32;
        Ok(Member {
            connection,
            expires: now.checked_add(lifetime - earlier),
            used: now,
        })
    }

    /// Of those that are kept and not too old, the connection that was given back last.
    fn take(&self, now: Instant) -> Option<Member<C>> {
        loop {
            let member = lock(&self.state).idle.pop()?;
            if !self.is_old(&member, now) {
                return Some(member);
            }
            self.dispose([member]);
        }
    }

    fn is_old(&self, member: &Member<C>, now: Instant) -> bool {
        self.end_of(member).is_some_and(|end| end <= now)
    }

    /// When a connection that is not used is to be closed.
    fn end_of(&self, member: &Member<C>) -> Option<Instant> {
        let unused = member.used.checked_add(self.limits.idle_timeout);
        [unused, member.expires].into_iter().flatten().min()
    }

    /// Whether it may be lent out; asks the other side if it has not been used for some time.
    fn is_good(&self, member: &mut Member<C>, now: Instant) -> bool {
        let rested = now.saturating_duration_since(member.used);
        let Some(check) = self
            .check
            .as_ref()
            .filter(|_| rested >= self.limits.check_after)
        else {
            return true;
        };
        check(&mut member.connection)
    }

    fn put(self: &Arc<Self>, mut member: Member<C>) {
        if let Some(broken) = &self.broken {
            // Unwind safety: the connection is closed then.
            let look = AssertUnwindSafe(|| broken(&mut member.connection));
            if catch_unwind(look).unwrap_or(true) {
                return self.dispose([member]);
            }
        }
        member.used = Instant::now();
        if self.is_old(&member, member.used) {
            return self.dispose([member]);
        }
        let ages = self.end_of(&member).is_some();
        let mut state = lock(&self.state);
        if state.closed {
            drop(state);
            return self.dispose([member]);
        }
        state.idle.push(member);
        // A program that uses its pool before it starts a server must not start the workers by it:
        // they would not be as the server's settings say.
        let reap = ages && !state.reaping && runtime::is_started();
        state.reaping |= reap;
        drop(state);
        if reap {
            let pool = Arc::downgrade(self);
            Builder::new()
                .name("connection-pool-reaper")
                .spawn(move || reap_for(&pool));
        }
    }

    /// Drops connections, where that may block: on an OS thread if the driver does.
    fn dispose(&self, members: impl IntoIterator<Item = Member<C>> + Send + 'static) {
        let drop_all = move || members.into_iter().for_each(discard);
        match &self.threads {
            Some(threads) if is_green() => {
                if let Err(drop_all) = threads.try_spawn(drop_all) {
                    drop_all(); // as many wait already as there may be
                }
            }
            _ => drop_all(),
        }
    }

    /// Closes what has grown old, and says when to look again. `None`: nothing is kept any more.
    fn reap(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut state = lock(&self.state);
        let (old, young): (Vec<_>, Vec<_>) = mem::take(&mut state.idle)
            .into_iter()
            .partition(|member| self.is_old(member, now));
        let next = young.iter().filter_map(|member| self.end_of(member)).min();
        state.reaping = !young.is_empty();
        let again = state.reaping;
        state.idle = young;
        drop(state);
        if !old.is_empty() {
            self.dispose(old);
        }
        again.then(|| next.unwrap_or(now + FAR))
    }

    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        if mem::replace(&mut state.closed, true) {
            return;
        }
        let idle = mem::take(&mut state.idle);
        drop(state);
        // More than can ever be taken: all who wait go on, and see that it is closed.
        self.permits.release(usize::MAX / 2);
        self.dispose(idle);
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    pub(super) fn stats(&self) -> ConnectionPoolStats {
        ConnectionPoolStats {
            max_size: self.limits.max_size,
            in_use: self.in_use.load(Relaxed),
            idle: lock(&self.state).idle.len(),
            waiting: self.waiting.load(Relaxed),
            made: self.made.load(Relaxed),
            timed_out: self.timed_out.load(Relaxed),
        }
    }
}

/// The life of the green thread that closes what has grown old. It does not keep the pool.
fn reap_for<C: Send + 'static>(pool: &Weak<Shared<C>>) {
    while let Some(pool) = pool.upgrade() {
        let Some(again) = pool.reap() else { return };
        drop(pool);
        crate::sleep(again.saturating_duration_since(Instant::now()));
    }
}

impl<C: Send + 'static> Slot<C> {
    /// A connection that is kept, or a new one.
    pub(super) fn connection(
        self,
        deadline: Option<Instant>,
    ) -> Result<PooledConnection<C>, NoConnection> {
        loop {
            let now = Instant::now();
            let Some(mut member) = self.0.take(now) else {
                let member = self.0.make()?;
                return Ok(PooledConnection::new(self, member));
            };
            if self.0.is_good(&mut member, now) {
                return Ok(PooledConnection::new(self, member));
            }
            self.dispose(member);
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(self.0.timed_out());
            }
        }
    }

    pub(super) fn put(&self, member: Member<C>) {
        self.0.put(member);
    }

    pub(super) fn dispose(&self, member: Member<C>) {
        self.0.dispose([member]);
    }
}

impl<C: Send + 'static> Drop for Slot<C> {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Relaxed);
        self.0.permits.release(1);
    }
}
