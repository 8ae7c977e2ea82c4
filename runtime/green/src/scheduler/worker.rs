//! The workers: OS threads that run green threads, and how things reach them.
//!
//! `may` owns the OS threads and their epoll. This module adds what pinning needs: a mailbox
//! for each worker, through which wakes and new green threads come from elsewhere, and a clock.
//!
//! # Implementation
//!
//! On each worker three resident coroutines live for ever. The *porter* watches an eventfd (the
//! bell), empties the mailbox, wakes and starts what it finds there. The *clock* watches a
//! timerfd and wakes what is due. The *guard* watches an epoll and wakes those whose descriptor
//! is ready (see [`watch`](crate::scheduler::watch)). The descriptors are chosen so that `may` watches them
//! on that worker, and all are edge-triggered: bell and timer never have to be read.
//!
//! Wakes on the worker itself need neither bell nor system call, but `may` looks at its epoll
//! only when nothing is left to run, so two green threads that keep waking one another would
//! starve all others of I/O. Therefore after [`WAKES_PER_ROUND`] such wakes the next ones
//! wait for the bell, that is, for a round of epoll.

use crate::monitor::overflow;
use crate::monitor::{self, Held, Snapshot, Turn};
use crate::scheduler::coroutines::{Carriers, Start};
use crate::scheduler::thread::{Interest, Thread};
use crate::scheduler::timer::{Key, Timers};
use crate::scheduler::watch::Watches;
use crate::sys::signal;
use crate::sys::{self, Epoll, Events};

use may::io::{CoIo, WaitIo};
use std::cell::{Cell, UnsafeCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How many green threads of a worker may wake one another before I/O gets its turn.
const WAKES_PER_ROUND: u32 = 128;

/// Epoll's flag for "readable", as `wait_io` reports it: the bell has rung.
const READABLE: usize = libc::EPOLLIN as usize;

/// How the green threads are run. Fixed once the first of them has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// OS threads that run green threads. Default: one for each core.
    pub workers: usize,
    /// Bytes of address space for each green thread's stack, rounded up to whole pages. Only
    /// pages that are touched use memory. Default: 256 KiB in release, 1 MiB in debug builds.
    pub stack_size: usize,
    /// How long a green thread may run without a wait before it is reported as holding up its
    /// worker (see [`on_blocked`](crate::on_blocked)); 0: nobody is watched. Default: 1 s in
    /// release, 100 ms in debug builds.
    pub max_blocking_time: Duration,
    /// Whether to find out how much of its stack each green thread and each request has used (see
    /// [`run_info`](crate::observe::run_info)): two or three system calls for each of them. Default: only
    /// in debug builds.
    pub stack_marks: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            stack_size: if cfg!(debug_assertions) {
                1024 * 1024
            } else {
                256 * 1024
            },
            max_blocking_time: Duration::from_millis(if cfg!(debug_assertions) {
                100
            } else {
                1000
            }),
            stack_marks: cfg!(debug_assertions),
        }
    }
}

/// What may be in a mailbox.
pub(crate) enum Message {
    Wake(Arc<Thread>),
    Spawn(Box<dyn FnOnce() + Send>),
}

/// One worker.
pub struct Worker {
    index: usize,
    mailbox: Mutex<Vec<Message>>,
    /// The bell has been rung and not been heard yet.
    ringing: AtomicBool,
    bell: CoIo<OwnedFd>,
    timer: CoIo<OwnedFd>,
    epoll: Epoll,
    /// `may`'s watch over a copy of `epoll`.
    news: CoIo<OwnedFd>,
    /// Green threads that live here.
    population: AtomicUsize,
    turn: Turn,
    held: Held,
    snapshot: Snapshot,
    /// The number of its OS thread.
    tid: AtomicI32,
    here: UnsafeCell<Here>,
}

/// What only the worker's own OS thread touches.
struct Here {
    timers: Timers<Arc<Thread>>,
    watches: Watches,
    /// Green threads to be started; they may hold values that are not `Send`.
    newborn: VecDeque<Start>,
    carriers: Carriers,
    /// Green threads to be woken after a round of epoll.
    next_round: Vec<Arc<Thread>>,
    wakes: u32,
}

/// Who starts a green thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Carrier,
    Porter,
}

// SAFETY: all fields but `here` and the three `CoIo` are Send + Sync. `here` is reached only
// through `Worker::here`, which checks that it runs on the worker's OS thread. Of the `CoIo`,
// only the residents of that thread wait; others use the plain descriptor in it.
unsafe impl Send for Worker {}
// SAFETY: as above.
unsafe impl Sync for Worker {}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Worker({})", self.index)
    }
}

struct Runtime {
    config: Config,
    workers: Vec<&'static Worker>,
}

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

thread_local!(static WORKER: Cell<Option<&'static Worker>> = const { Cell::new(None) });

/// The worker whose OS thread this is.
// Not inlined: a thread-local's address must be looked up anew after every wait, in case that
// somebody has turned work stealing on and we are being called to find that out.
#[inline(never)]
pub fn current() -> Option<&'static Worker> {
    WORKER.get()
}

pub fn is_current(worker: &Worker) -> bool {
    current().is_some_and(|here| here.index == worker.index)
}

/// Starts the workers, unless they run already. True if this call has started them.
///
/// Called implicitly with [`Config::default`] by the first `spawn`; call it before that to
/// choose. The number of workers and the stack size cannot be changed later.
///
/// # Panics
/// When the process has no descriptors left for the workers' clocks and bells, or when called
/// first from a coroutine that was spawned with `may` directly.
pub fn start(config: Config) -> bool {
    let mut started = false;
    RUNTIME.get_or_init(|| {
        started = true;
        Runtime::start(config)
            .unwrap_or_else(|error| panic!("cannot start the green threads' workers: {error}"))
    });
    started
}

fn runtime() -> &'static Runtime {
    RUNTIME.get().unwrap_or_else(|| {
        start(Config::default());
        RUNTIME.get().expect("start() has just set it")
    })
}

/// How the green threads are run, in effect; starts the workers if none run yet.
pub fn config() -> Config {
    runtime().config
}

/// As [`config`]; `None` if no workers run yet.
pub(crate) fn config_now() -> Option<Config> {
    RUNTIME.get().map(|runtime| runtime.config)
}

/// All workers; starts them if none run yet.
pub fn workers() -> &'static [&'static Worker] {
    &runtime().workers
}

/// The worker with the fewest green threads.
pub fn least_loaded() -> &'static Worker {
    let workers = workers();
    workers
        .iter()
        .min_by_key(|worker| worker.population())
        .expect("there is at least one worker")
}

impl Runtime {
    fn start(config: Config) -> io::Result<Self> {
        assert!(
            !may::coroutine::is_coroutine(),
            "greenway_green::start() must be called before the first `may` coroutine waits"
        );
        // Before `may` puts its own in its place.
        let before = overflow::present_handler()?;
        let page = 4096;
        let config = Config {
            workers: config.workers.max(1),
            stack_size: config.stack_size.max(4 * page).next_multiple_of(page),
            ..config
        };
        may::config()
            .set_workers(config.workers)
            .set_stack_size(config.stack_size / size_of::<usize>())
            // Pooled stacks are made and touched at start (8 KiB each), and save an mmap, an
            // mprotect, an munmap and two page faults each where many come at once. (Where they
            // come one after the other, carriers do.)
            .set_pool_capacity(192)
            // A pinned worker cannot get out of the way of another process on its core.
            .set_worker_pin(false);

        let mut workers = Vec::new();
        for index in 0..config.workers {
            let epoll = Epoll::new()?;
            let on_worker = |fd: BorrowedFd<'_>| {
                let fd = sys::dup_for_worker(fd, index, config.workers)?;
                CoIo::new(fd).map_err(io::Error::from)
            };
            workers.push(&*Box::leak(Box::new(Worker {
                index,
                mailbox: Mutex::new(Vec::new()),
                ringing: AtomicBool::new(false),
                bell: on_worker(sys::eventfd()?.as_fd())?,
                timer: on_worker(sys::timerfd()?.as_fd())?,
                news: on_worker(epoll.as_fd())?,
                epoll,
                population: AtomicUsize::new(0),
                turn: Turn::default(),
                held: Held::default(),
                snapshot: Snapshot::default(),
                tid: AtomicI32::new(0),
                here: UnsafeCell::new(Here {
                    timers: Timers::new(),
                    watches: Watches::default(),
                    newborn: VecDeque::new(),
                    carriers: Carriers::new(config.workers),
                    next_round: Vec::new(),
                    wakes: 0,
                }),
            })));
        }
        let ready = Arc::new((Mutex::new(0), Condvar::new()));
        for &worker in &workers {
            let announce = ready.clone();
            let builder = || {
                may::coroutine::Builder::new()
                    .id(worker.index)
                    .name("greenway".into())
            };
            // SAFETY: `may` asks for care with thread-locals and with stack overflow. The
            // residents use one thread-local, which they set, and are pinned (see the module
            // docs); their frames are shallow.
            unsafe {
                builder().spawn(move || {
                    WORKER.set(Some(worker));
                    worker.tid.store(signal::thread_number(), Ordering::Relaxed);
                    signal::use_signal_stack();
                    let (count, changed) = &*announce;
                    *lock(count) += 1;
                    changed.notify_all();
                    worker.be_porter();
                })?;
                builder().spawn(move || worker.be_clock())?;
                builder().spawn(move || worker.be_guard())?;
            }
        }
        let (count, changed) = &*ready;
        let all_here = changed.wait_while(lock(count), |count| *count < config.workers);
        drop(all_here.unwrap_or_else(PoisonError::into_inner));
        overflow::install(before)?;
        monitor::start(workers.clone(), config.max_blocking_time)?;
        Ok(Self { config, workers })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Worker {
    /// 0, 1, …: also the remainder that descriptors of this worker leave.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Green threads that live on this worker.
    pub fn population(&self) -> usize {
        self.population.load(Ordering::Relaxed)
    }

    /// Who runs here.
    pub(crate) fn turn(&self) -> &Turn {
        &self.turn
    }

    /// How long it is and was held up.
    pub fn held(&self) -> &Held {
        &self.held
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The number of its OS thread.
    pub(crate) fn tid(&self) -> i32 {
        self.tid.load(Ordering::Relaxed)
    }

    /// Counts a green thread that is about to live here, or `-1` for one that has ended.
    pub(crate) fn count(&self, born: bool) {
        if born {
            self.population.fetch_add(1, Ordering::Relaxed);
        } else {
            self.population.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// # Safety
    /// The caller does not keep the reference over a call that reaches `here` again.
    #[allow(clippy::mut_from_ref)] // an UnsafeCell accessor; the contract above makes it unique
    unsafe fn here(&self) -> &mut Here {
        assert!(
            is_current(self),
            "a worker's own state was reached from elsewhere"
        );
        // SAFETY: only one OS thread passes the assertion, and the caller vouches for the rest.
        unsafe { &mut *self.here.get() }
    }

    /// Puts a message into the mailbox. Callable from anywhere.
    pub(crate) fn post(&self, message: Message) {
        lock(&self.mailbox).push(message);
        self.ring();
    }

    fn ring(&self) {
        if !self.ringing.swap(true, Ordering::AcqRel) {
            sys::ring(&self.bell);
        }
    }

    /// Starts a green thread on this worker, from this worker.
    pub(crate) fn start_here(&self, start: Start) {
        if self.take_in(start) == By::Porter {
            self.bell.waker().wakeup();
        }
    }

    fn take_in(&self, start: Start) -> By {
        // SAFETY: the borrow ends with the function; whoever is called runs later.
        let here = unsafe { self.here() };
        let left = if here.newborn.is_empty() {
            here.carriers.start(start)
        } else {
            Err(start) // behind those who came first
        };
        match left {
            Ok(()) => By::Carrier,
            Err(start) => {
                here.newborn.push_back(start);
                By::Porter
            }
        }
    }

    /// Shows this worker's carriers, on this worker, to `f`, which reaches nothing else of it.
    pub(crate) fn with_carriers<R>(&self, f: impl FnOnce(&mut Carriers) -> R) -> R {
        // SAFETY: the borrow ends with the statement.
        f(&mut unsafe { self.here() }.carriers)
    }

    /// Wakes a green thread of this worker, from this worker.
    pub(crate) fn wake_here(&self, thread: &Arc<Thread>) {
        // SAFETY: the borrow ends before `deliver`.
        let here = unsafe { self.here() };
        here.wakes += 1;
        if here.wakes <= WAKES_PER_ROUND {
            thread.deliver();
        } else {
            self.wake_next_round(thread.clone());
        }
    }

    /// Wakes a green thread of this worker after a round of epoll, from this worker.
    pub(crate) fn wake_next_round(&self, thread: Arc<Thread>) {
        // SAFETY: the borrow ends with the statement.
        unsafe { self.here() }.next_round.push(thread);
        self.ring();
    }

    /// Starts those who were not given to a carrier, in the order in which they came.
    fn start_newborn(&self) {
        // SAFETY: the borrow ends with the statement, here and below.
        while !unsafe { self.here() }.newborn.is_empty() {
            if self.with_carriers(|carriers| carriers.are_called()) {
                may::coroutine::yield_now(); // they come first
            }
            // SAFETY: as above.
            if let Some(start) = unsafe { self.here() }.newborn.pop_front() {
                crate::task::spawn::launch(start);
            }
        }
    }

    fn be_porter(&self) {
        let mut mail = Vec::new();
        loop {
            let rung = self.bell.wait_io() & READABLE != 0;
            if rung {
                // Before the mailbox is looked at: a message that comes later rings again.
                self.ringing.store(false, Ordering::Release);
                // SAFETY: the borrow ends before anything is woken.
                let here = unsafe { self.here() };
                here.wakes = 0;
                for thread in std::mem::take(&mut here.next_round) {
                    thread.deliver();
                }
                std::mem::swap(&mut *lock(&self.mailbox), &mut mail);
                for message in mail.drain(..) {
                    match message {
                        Message::Wake(thread) => thread.deliver(),
                        Message::Spawn(start) => {
                            let _by_whom = self.take_in(start); // if by the porter, below
                        }
                    }
                }
            }
            self.start_newborn();
        }
    }

    fn be_clock(&self) {
        loop {
            self.timer.wait_io();
            let now = Instant::now();
            // SAFETY: the borrow ends with each statement; `timer_fired` does not come here.
            while let Some(thread) = unsafe { self.here() }.timers.pop_due(now) {
                thread.timer_fired();
            }
            // SAFETY: as above.
            if let Some(next) = unsafe { self.here() }.timers.next_ring() {
                sys::set_timerfd(&self.timer, next.saturating_duration_since(now));
            }
        }
    }

    fn be_guard(&self) {
        let mut woken = Vec::new();
        loop {
            self.news.wait_io();
            // SAFETY: the borrow ends before anything is woken.
            let watches = &mut unsafe { self.here() }.watches;
            let mut tell = |number, flags| {
                let events = Events::told(flags);
                watches.fired(&self.epoll, number as RawFd, events, &mut woken);
            };
            // Only a wait can be interrupted.
            while self.epoll.wait(false, &mut tell).unwrap_or(false) {}
            for thread in woken.drain(..) {
                thread.deliver();
            }
        }
    }

    /// Wakes `thread` of this worker, which calls, when `fd` is ready; until
    /// [`unwatch`](Self::unwatch).
    ///
    /// # Errors
    /// When epoll does not take the descriptor.
    pub(crate) fn watch(
        &self,
        fd: BorrowedFd<'_>,
        interest: Interest,
        thread: &Arc<Thread>,
    ) -> io::Result<()> {
        // SAFETY: the borrow ends with the statement.
        let watches = unsafe { &mut self.here().watches };
        watches.add(&self.epoll, fd, interest, thread)
    }

    pub(crate) fn unwatch(&self, fd: BorrowedFd<'_>, thread: &Arc<Thread>) {
        // SAFETY: the borrow ends with the statement.
        let watches = unsafe { &mut self.here().watches };
        watches.remove(&self.epoll, fd, thread);
    }

    pub(crate) fn set_timer(&self, at: Instant, thread: Arc<Thread>) -> Key {
        // SAFETY: the borrow ends with the statement.
        let (key, set) = unsafe { self.here() }.timers.insert(at, thread);
        if set {
            sys::set_timerfd(&self.timer, at.saturating_duration_since(Instant::now()));
        }
        key
    }

    pub(crate) fn cancel_timer(&self, key: Key) {
        // SAFETY: the borrow ends with the statement.
        unsafe { self.here() }.timers.remove(key);
    }
}

/// A green thread has come back from a wait on another OS thread than it went in.
#[cold]
pub(crate) fn migrated(id: u64, home: &Worker) -> ! {
    eprintln!(
        "greenway: green thread {id} of worker {} was resumed on another OS thread. \
         Some crate depends on `may` with its feature `work_steal`, or waits with `may` directly. \
         Safe Rust is not safe there: ending the process.",
        home.index
    );
    std::process::abort()
}
