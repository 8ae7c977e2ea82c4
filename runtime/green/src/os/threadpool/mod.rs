//! [`unblock`], [`unblock_scoped`] and [`ThreadPool`]: OS threads for what would hold up a worker.
//!
//! What must stay true: handing a closure over never blocks a worker; the number of threads and of
//! closures that wait for one is bounded; and whatever becomes of the caller, a closure runs to its
//! end or not at all.
//!
//! # Implementation
//!
//! Closures go through a bounded `crossbeam-channel`. Before one is sent a place in it is taken,
//! from a fair semaphore whose wait is a wait like any other; so sending never finds it full.
//! Threads are started when there are more closures than threads, up to the maximum, and end when
//! they have had nothing to do for [`IDLE`].

mod job;
mod scoped;

pub use job::Job;
pub use scoped::unblock_scoped;

use self::job::{Ran, Run};
use crate::scheduler::discard::discard;
use crate::scheduler::lock::lock;
use crate::scheduler::service_thread;
use crate::scheduler::timed_out::TimedOut;
use crate::sync::permits::Permits;
use crate::task::JoinError;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// How long a thread stays that has nothing to do.
const IDLE: Duration = Duration::from_secs(10);

/// Threads of the pool that [`unblock`] uses: gevent's default.
const DEFAULT_THREADS: usize = 10;

/// Closures that may wait for one of them.
const DEFAULT_QUEUE: usize = 1000;

/// Runs a closure that blocks or computes for long on an OS thread, and waits for it like for
/// anything else: other green threads of this worker go on meanwhile.
///
/// It uses the pool that [`threadpool`] gives. Called from an OS thread, or from a destructor
/// while the thread unwinds, it simply calls the closure.
///
/// A green thread that is killed, or whose time is over, while the closure is queued takes it
/// back; if it runs already, it runs to its end, and its value is dropped. So the closure has to own
/// what it uses; [`unblock_scoped`] takes one that borrows.
///
/// ```
/// use greenway_green::{spawn, unblock};
///
/// let sum = spawn(|| unblock(|| (1..=1_000_000_u64).sum::<u64>()));
/// assert_eq!(sum.join().unwrap(), 500_000_500_000);
/// ```
///
/// # Panics
/// When the closure panics, with its payload.
pub fn unblock<F, T>(closure: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    if crate::scheduler::giving_way::is_green() {
        threadpool().apply(closure)
    } else {
        closure()
    }
}

/// The pool that [`unblock`] uses: at most 10 threads, and 1,000 closures that wait for them.
pub fn threadpool() -> &'static ThreadPool {
    static POOL: OnceLock<ThreadPool> = OnceLock::new();
    POOL.get_or_init(|| ThreadPool::new(DEFAULT_THREADS, DEFAULT_QUEUE))
}

/// OS threads that run closures for green threads, gevent's `ThreadPool`.
///
/// Clones are the same pool. When the last is dropped, what is queued still runs, then the threads
/// end.
///
/// ```
/// use greenway_green::ThreadPool;
///
/// let pool = ThreadPool::new(2, 16);
/// let job = pool.spawn(|| std::fs::read_to_string("/proc/self/comm"));
/// assert!(job.join().unwrap().is_ok());
/// assert_eq!(pool.stats().completed, 1);
/// ```
#[derive(Clone)]
pub struct ThreadPool {
    entrance: Arc<Entrance>,
}

/// What the pool's own threads do not hold, so that they learn when nobody can send any more.
struct Entrance {
    sender: Sender<Arc<dyn Run>>,
    shared: Arc<Shared>,
}

struct Shared {
    receiver: Receiver<Arc<dyn Run>>,
    /// Free places in the channel.
    places: Permits,
    max_threads: usize,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    threads: usize,
    /// Closures that are queued or run.
    pending: usize,
    running: usize,
    completed: u64,
    panicked: u64,
    killed: u64,
}

/// What a [`ThreadPool`] does and has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadPoolStats {
    /// Threads that exist.
    pub threads: usize,
    /// Closures that run now.
    pub running: usize,
    /// Closures that wait for a thread, including those killed whose turn has not come.
    pub queued: usize,
    /// Closures that have given a value.
    pub completed: u64,
    /// Closures that have panicked.
    pub panicked: u64,
    /// Closures that were killed while they were queued.
    pub killed: u64,
}

impl ThreadPool {
    /// A pool of at most `max_threads` threads, with places for `queue` closures that wait for them.
    /// Threads are started when they are needed.
    ///
    /// # Panics
    /// When either is 0.
    pub fn new(max_threads: usize, queue: usize) -> Self {
        assert!(max_threads > 0, "a thread pool needs at least one thread");
        assert!(queue > 0, "a thread pool needs a place for one closure");
        let (sender, receiver) = crossbeam_channel::bounded(queue);
        Self {
            entrance: Arc::new(Entrance {
                sender,
                shared: Arc::new(Shared {
                    receiver,
                    places: Permits::new(queue),
                    max_threads,
                    counts: Mutex::default(),
                }),
            }),
        }
    }

    /// Hands a closure over, waiting while the queue is full.
    ///
    /// If it is full and the thread that calls is unwinding, the closure is dropped: the join
    /// gives [`JoinError::NotStarted`](crate::JoinError::NotStarted).
    pub fn spawn<F, T>(&self, closure: F) -> Job<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        if self.entrance.shared.places.acquire(None).is_err() {
            return Job::not_started();
        }
        let job = Job::new(closure);
        self.submit(job.runner());
        job
    }

    /// Hands a closure over if the queue is not full, and gives it back if it is.
    ///
    /// # Errors
    /// The closure, when the queue is full.
    pub fn try_spawn<F, T>(&self, closure: F) -> Result<Job<T>, F>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        if !self.entrance.shared.places.try_acquire() {
            return Err(closure);
        }
        let job = Job::new(closure);
        self.submit(job.runner());
        Ok(job)
    }

    /// Runs a closure on a thread of the pool and gives its value, as [`unblock`] does. Not for
    /// closures that run on this pool themselves: with all its threads waiting, none would be left.
    ///
    /// # Panics
    /// When the closure panics, with its payload.
    pub fn apply<F, T>(&self, closure: F) -> T
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        if std::thread::panicking() {
            return closure();
        }
        match self.apply_until(None, closure) {
            Ok(Ok(value)) => value,
            Ok(Err(error)) => error.resume(),
            // There is no deadline, and the thread is not unwinding.
            Err(TimedOut) => unreachable!("a wait without a deadline ends by what it waits for"),
        }
    }

    /// As [`apply`](Self::apply), at most until `deadline`: then the closure is taken back if it is
    /// still queued, or runs for nobody.
    pub(crate) fn apply_until<F, T>(
        &self,
        deadline: Option<Instant>,
        closure: F,
    ) -> Result<Result<T, JoinError>, TimedOut>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        /// Takes the closure back if the caller does not wait for it any more.
        struct TakeBack<'a, T>(&'a Job<T>);
        impl<T> Drop for TakeBack<'_, T> {
            fn drop(&mut self) {
                self.0.kill();
            }
        }
        self.entrance.shared.places.acquire(deadline)?;
        let job = Job::new(closure);
        self.submit(job.runner());
        let _in_the_end = TakeBack(&job); // has no effect on one that has ended
        job.join_until(deadline)
    }

    /// What the pool does and has done.
    pub fn stats(&self) -> ThreadPoolStats {
        let counts = lock(&self.entrance.shared.counts);
        ThreadPoolStats {
            threads: counts.threads,
            running: counts.running,
            queued: counts.pending - counts.running,
            completed: counts.completed,
            panicked: counts.panicked,
            killed: counts.killed,
        }
    }

    /// The most threads that it starts.
    pub fn max_threads(&self) -> usize {
        self.entrance.shared.max_threads
    }

    /// Queues a job for which there is a place.
    fn submit(&self, job: Arc<dyn Run>) {
        let shared = &self.entrance.shared;
        let mut counts = lock(&shared.counts);
        counts.pending += 1;
        // Under the lock, so that no thread that finds the queue empty ends at this moment. There
        // is a place (`places`), and `shared` holds a receiver.
        let sent = self.entrance.sender.try_send(job);
        assert!(sent.is_ok(), "a place in the queue was taken before");
        if counts.threads >= counts.pending.min(shared.max_threads) {
            return;
        }
        counts.threads += 1;
        drop(counts);
        let threads = shared.clone();
        let Err(error) = service_thread::start("greenway-unblock", move || threads.serve()) else {
            return;
        };
        let alone = {
            let mut counts = lock(&shared.counts);
            counts.threads -= 1;
            counts.threads == 0
        };
        log::warn!("no OS thread for a thread pool: {error}");
        if alone && let Ok(job) = shared.receiver.try_recv() {
            shared.run(job); // holding up this worker is better than never running it
        }
    }
}

impl Shared {
    /// The life of a thread.
    fn serve(&self) {
        loop {
            match self.receiver.recv_timeout(IDLE) {
                Ok(job) => self.run(job),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let mut counts = lock(&self.counts);
                    if self.receiver.is_empty() {
                        counts.threads -= 1;
                        return;
                    }
                }
            }
        }
        lock(&self.counts).threads -= 1;
    }

    fn run(&self, job: Arc<dyn Run>) {
        self.places.release(1);
        lock(&self.counts).running += 1;
        job.run(&|ran| {
            let mut counts = lock(&self.counts);
            counts.running -= 1;
            counts.pending -= 1;
            let count = match ran {
                Ran::Completed => &mut counts.completed,
                Ran::Panicked => &mut counts.panicked,
                Ran::WasKilled => &mut counts.killed,
            };
            *count += 1;
        });
        // If nobody holds the handle, the value is dropped here, and may panic.
        discard(job);
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool")
            .field("max_threads", &self.max_threads())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
