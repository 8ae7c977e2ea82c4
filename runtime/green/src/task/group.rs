//! [`Group`] and [`Pool`]: many green threads as one.

use crate::scheduler::thread::deadline_in;
use crate::scheduler::timed_out::TimedOut;
use crate::sync::Queue;
use crate::sync::permits::Permits;
use crate::sync::wait::sealed::{Watch, Watched};
use crate::task::greenlet::{Greenlet, JoinError, Outcome};
use crate::task::set::TaskSet;
use crate::task::spawn::{Builder, Prepared};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Green threads that are waited for and killed together.
///
/// A thread leaves the group when it ends, so a group that is kept does not grow. Clones are the
/// same group; dropping it lets the threads go on.
///
/// ```
/// use greenway_green::{Group, sleep};
/// use std::time::Duration;
///
/// let group = Group::new();
/// for ms in [1, 2, 3] {
///     group.spawn(move || sleep(Duration::from_millis(ms)));
/// }
/// group.join();
/// assert!(group.is_empty());
/// ```
#[derive(Clone, Default)]
pub struct Group {
    set: Arc<TaskSet>,
}

impl Group {
    /// A group without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a green thread in the group, as [`spawn`](crate::task::spawn()) does.
    pub fn spawn<F, T>(&self, body: F) -> Greenlet<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_with(Builder::new(), body)
    }

    /// As [`spawn`](Self::spawn), with a name, a worker or a delay.
    pub fn spawn_with<F, T>(&self, how: Builder, body: F) -> Greenlet<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let set = self.set.clone();
        how.spawn_then(body, Some(&self.set), move |control| {
            set.remove(control);
        })
    }

    /// Members that have not ended.
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// Whether all members have ended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until the group is empty; at once if the thread that calls is unwinding.
    pub fn join(&self) {
        let _empty_or_unwinding = self.set.wait_empty(None);
    }

    /// Waits until the group is empty, at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`] when it is not empty by then.
    pub fn join_timeout(&self, timeout: Duration) -> Result<(), TimedOut> {
        self.set.wait_empty(deadline_in(timeout))
    }

    /// Kills all present members. Does not wait; [`join`](Self::join) does.
    pub fn kill(&self) {
        self.set.kill();
    }
}

impl Watch for Group {
    fn lookout(&self) -> Watched<'_> {
        Watched(&*self.set)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Group").field(&self.set).finish()
    }
}

/// A [`Group`] with a bound: starting one more waits until there is a free place.
///
/// ```
/// use greenway_green::{Pool, sleep};
/// use std::time::Duration;
///
/// let pool = Pool::new(10);
/// let squares = pool.map(1..=5, |n| {
///     sleep(Duration::from_millis(1));
///     n * n
/// });
/// assert_eq!(squares.unwrap(), [1, 4, 9, 16, 25]);
/// ```
#[derive(Clone)]
pub struct Pool {
    group: Group,
    places: Arc<Permits>,
    size: usize,
}

impl Pool {
    /// A pool of at most `size` green threads at a time.
    ///
    /// # Panics
    /// When `size` is 0.
    pub fn new(size: usize) -> Self {
        assert!(
            size > 0,
            "a pool needs a place for at least one green thread"
        );
        Self {
            group: Group::new(),
            places: Arc::new(Permits::new(size)),
            size,
        }
    }

    /// Starts a green thread as [`spawn`](crate::task::spawn()) does, waiting while the pool is full.
    ///
    /// If it is full and the thread that calls is unwinding, nothing is started: the join gives
    /// [`JoinError::NotStarted`].
    pub fn spawn<F, T>(&self, body: F) -> Greenlet<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_with(Builder::new(), body)
    }

    /// As [`spawn`](Self::spawn), with a name, a worker or a delay.
    pub fn spawn_with<F, T>(&self, how: Builder, body: F) -> Greenlet<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        match self.places.acquire(None) {
            Ok(()) => self.start(how, body, |_| {}),
            Err(TimedOut) => {
                // Dropping the first function is what tells that it was not started.
                let home = how.home();
                let Prepared { greenlet, .. } = how.prepare(home, body, Outcome::new(None), |_| {});
                greenlet
            }
        }
    }

    /// Starts a green thread if there is a free place, and gives the body back if not.
    ///
    /// # Errors
    /// The body, when the pool is full.
    pub fn try_spawn<F, T>(&self, body: F) -> Result<Greenlet<T>, F>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        if self.places.try_acquire() {
            Ok(self.start(Builder::new(), body, |_| {}))
        } else {
            Err(body)
        }
    }

    /// Starts a green thread, for which there is a permit.
    fn start<F, T, A>(&self, how: Builder, body: F, after: A) -> Greenlet<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
        A: FnOnce(u64) + Send + 'static,
    {
        let (set, places) = (self.group.set.clone(), self.places.clone());
        how.spawn_then(body, Some(&self.group.set), move |control| {
            places.release(1);
            set.remove(control);
            after(control.number());
        })
    }

    /// Calls `f` with each item, in as many green threads as there are places for, and gives the
    /// results in the order of the items.
    ///
    /// # Errors
    /// That of the first item (in their order) whose call panicked or was killed. What has been
    /// started for later ones is killed.
    pub fn map<I, F, R>(&self, items: I, f: F) -> Result<Vec<R>, JoinError>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        self.imap(items, f).collect()
    }

    /// As [`map`](Self::map), giving each result when it is there and its turn has come. Items
    /// are taken, and calls begun, as results are asked for. Dropping the iterator kills the
    /// calls that are under way.
    pub fn imap<I, F, R>(
        &self,
        items: I,
        f: F,
    ) -> impl Iterator<Item = Result<R, JoinError>> + use<I, F, R>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        let mut calls = Calls::new(self, items, f);
        let mut order = VecDeque::new();
        std::iter::from_fn(move || {
            calls.fill(|number| order.push_back(number));
            // In the map until it has ended, so that it is killed if this wait unwinds.
            let number = order.pop_front()?;
            let call = calls.under_way.get(&number)?;
            call.control().wait_end(None).ok()?;
            Some(calls.under_way.remove(&number)?.join())
        })
    }

    /// As [`imap`](Self::imap), giving each result as soon as it is there.
    ///
    /// ```
    /// use greenway_green::{Pool, sleep};
    /// use std::time::Duration;
    ///
    /// let pool = Pool::new(2);
    /// let results = pool.imap_unordered([40, 1], |ms| {
    ///     sleep(Duration::from_millis(ms));
    ///     ms
    /// });
    /// assert_eq!(results.map(Result::unwrap).collect::<Vec<_>>(), [1, 40]);
    /// ```
    pub fn imap_unordered<I, F, R>(
        &self,
        items: I,
        f: F,
    ) -> impl Iterator<Item = Result<R, JoinError>> + use<I, F, R>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        let mut calls = Calls::new(self, items, f);
        std::iter::from_fn(move || {
            calls.fill(|_| {});
            if calls.under_way.is_empty() {
                return None;
            }
            let number = calls.ended.get()?;
            Some(calls.under_way.remove(&number)?.join())
        })
    }

    /// Green threads that the pool can hold.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Green threads that could be started now without waiting: gevent's `free_count`.
    pub fn free_count(&self) -> usize {
        self.places.free()
    }

    /// Members that have not ended.
    pub fn len(&self) -> usize {
        self.group.len()
    }

    /// Whether all members have ended.
    pub fn is_empty(&self) -> bool {
        self.group.is_empty()
    }

    /// Waits until the pool is empty; at once if the thread that calls is unwinding.
    pub fn join(&self) {
        self.group.join();
    }

    /// Waits until the pool is empty, at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`] when it is not empty by then.
    pub fn join_timeout(&self, timeout: Duration) -> Result<(), TimedOut> {
        self.group.join_timeout(timeout)
    }

    /// Kills all present members. Does not wait; [`join`](Self::join) does.
    pub fn kill(&self) {
        self.group.kill();
    }
}

impl Watch for Pool {
    fn lookout(&self) -> Watched<'_> {
        self.group.lookout()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("size", &self.size)
            .field("running", &self.group.set)
            .finish_non_exhaustive()
    }
}

/// The calls of a `map` that are under way: at most as many as the pool is large.
struct Calls<I: Iterator, F, R> {
    pool: Pool,
    items: I,
    f: Arc<F>,
    under_way: BTreeMap<u64, Greenlet<R>>,
    /// The numbers of those that have ended. Never full: it has a place for each of them.
    ended: Queue<u64>,
}

impl<I, F, R> Calls<I, F, R>
where
    I: Iterator<Item: Send + 'static>,
    F: Fn(I::Item) -> R + Send + Sync + 'static,
    R: Send + 'static,
{
    fn new(pool: &Pool, items: impl IntoIterator<IntoIter = I>, f: F) -> Self {
        Self {
            pool: pool.clone(),
            items: items.into_iter(),
            f: Arc::new(f),
            under_way: BTreeMap::new(),
            ended: Queue::new(pool.size),
        }
    }

    /// Begins calls while there is a free place; waits for one only if none is under way.
    fn fill(&mut self, mut begun: impl FnMut(u64)) {
        while self.under_way.len() < self.pool.size {
            let permit = if self.under_way.is_empty() {
                self.pool.places.acquire(None).is_ok()
            } else {
                self.pool.places.try_acquire()
            };
            if !permit {
                return;
            }
            let place = Place(&self.pool.places);
            let Some(item) = self.items.next() else {
                return;
            };
            std::mem::forget(place);
            let (f, ended) = (self.f.clone(), self.ended.clone());
            let call = self.pool.start(
                Builder::new(),
                move || f(item),
                move |number| {
                    // Fails only when the iterator is gone and nobody is interested.
                    let _ = ended.try_put(number);
                },
            );
            begun(call.control().number());
            self.under_way.insert(call.control().number(), call);
        }
    }
}

impl<I: Iterator, F, R> Drop for Calls<I, F, R> {
    fn drop(&mut self) {
        for call in self.under_way.values() {
            call.kill();
        }
    }
}

/// A permit of a pool, given back when dropped: the caller's iterator may panic.
struct Place<'a>(&'a Permits);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.release(1);
    }
}
