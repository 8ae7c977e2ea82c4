//! The workers: OS threads that run green threads, and how things reach them.
//!
//! `may` owns the OS threads and their epoll. This module adds what pinning needs: a mailbox
//! for each worker, through which wakes and new green threads come from elsewhere, and timers.
//! The coroutines that empty the mailbox and fire the timers are in
//! [`residents`](crate::scheduler::residents).
//!
//! # The bell of a mailbox
//!
//! Who puts a message into the mailbox rings the bell, an eventfd that the worker watches. To ring
//! is a system call, so `ringing` says that the bell has been rung and not been heard yet, and
//! only who turns it from false to true writes to the eventfd. The mailbox task, when it hears the
//! bell, *first* sets `ringing` to false and *then* takes the messages. A message that was put
//! before that is taken. One that is put later finds `ringing` false and rings again. One whose
//! sender still saw `ringing` true was put before that look, the look was before the flag was
//! cleared, and so it is among those that are taken. Acquire and release on `ringing` order the
//! three; the mailbox's own lock does the rest.
//!
//! # Fairness to descriptors
//!
//! Wakes on the worker itself need neither bell nor system call, but `may` looks at its epoll
//! only when nothing is left to run, so two green threads that keep waking one another would
//! starve all others of I/O. Therefore after [`WAKES_PER_ROUND`] such wakes the next ones
//! wait for the bell, that is, for a round of epoll. The same holds for those that only give way to
//! others, which do so within `may`'s own queue for [`ROUND`] at most.

use super::coroutine_pool::{CoroutinePool, Start};
use super::home_cell::HomeCell;
use super::lock::lock;
use super::no_wait::NoWait;
use super::registered::Registered;
use super::thread::Thread;
use super::timer::{Key, Timers};
use super::turn::Turn;
use super::watch::Watches;
use crate::sys::{self, Epoll, Interest};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How many green threads of a worker may wake one another before I/O gets its turn.
const WAKES_PER_ROUND: u32 = 128;

/// How long green threads of a worker may give way to one another before I/O gets its turn. A thread
/// that computes for longer between two of its turns has I/O looked after at each of them.
const ROUND: Duration = Duration::from_micros(50);

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
    pub(super) bell: Registered<OwnedFd>,
    pub(super) timer: Registered<OwnedFd>,
    epoll: Epoll,
    /// `may`'s watch over a copy of `epoll`.
    pub(super) news: Registered<OwnedFd>,
    /// Green threads that live here.
    population: AtomicUsize,
    turn: Turn<Thread>,
    /// The number of its OS thread.
    tid: AtomicI32,
    local: HomeCell<Local>,
}

/// What only the worker's own OS thread touches.
struct Local {
    timers: RefCell<Timers<Arc<Thread>>>,
    watches: RefCell<Watches<Thread>>,
    /// Green threads to be started; they may hold values that are not `Send`.
    newborn: RefCell<VecDeque<Start>>,
    pool: RefCell<CoroutinePool>,
    /// Green threads to be woken after a round of epoll.
    next_round: RefCell<Vec<Arc<Thread>>>,
    wakes: Cell<u32>,
    /// When the round began; `None` before the first.
    round: Cell<Option<Instant>>,
}

/// Who starts a green thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Pool,
    MailboxTask,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Worker({})", self.index)
    }
}

thread_local!(static WORKER: Cell<Option<&'static Worker>> = const { Cell::new(None) });

/// The worker whose OS thread this is.
// Not inlined: a thread-local's address must be looked up anew after every wait, in case that
// somebody has turned work stealing on and we are being called to find that out.
#[inline(never)]
pub fn current() -> Option<&'static Worker> {
    WORKER.get()
}

/// Whether the caller is on this worker's OS thread.
pub(crate) fn is_current(worker: &Worker) -> bool {
    current().is_some_and(|here| here.index == worker.index)
}

/// A worker, for code that runs on its OS thread: the way to what only that one may touch.
#[derive(Clone, Copy)]
pub(crate) struct Here {
    worker: &'static Worker,
    /// It is not `Send`, so it stays on the OS thread that it was made on.
    _not_send: PhantomData<*const ()>,
}

/// The worker whose OS thread this is, with what is its own.
pub(crate) fn here() -> Option<Here> {
    current().map(|worker| Here {
        worker,
        _not_send: PhantomData,
    })
}

impl Deref for Here {
    type Target = Worker;

    fn deref(&self) -> &Worker {
        self.worker
    }
}

impl Worker {
    /// A worker whose descriptors `may` watches on its worker with the same number.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub(crate) fn new(index: usize, workers: usize) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let on_worker = |fd: BorrowedFd<'_>| {
            let fd = sys::dup_for_worker(fd, index, workers)?;
            Registered::new(fd)
        };
        Ok(Self {
            index,
            mailbox: Mutex::new(Vec::new()),
            ringing: AtomicBool::new(false),
            bell: on_worker(sys::eventfd()?.as_fd())?,
            timer: on_worker(sys::timerfd()?.as_fd())?,
            news: on_worker(epoll.as_fd())?,
            epoll,
            population: AtomicUsize::new(0),
            turn: Turn::default(),
            tid: AtomicI32::new(0),
            local: HomeCell::new(Local {
                timers: RefCell::new(Timers::new()),
                watches: RefCell::default(),
                newborn: RefCell::default(),
                pool: RefCell::new(CoroutinePool::new(workers)),
                next_round: RefCell::default(),
                wakes: Cell::new(0),
                round: Cell::new(None),
            }),
        })
    }

    /// Makes the OS thread that calls this worker's.
    ///
    /// # Panics
    /// When it is another worker's already, or this worker has one.
    pub(super) fn settle(&'static self) {
        let first = WORKER.replace(Some(self)).is_none() && self.tid() == 0;
        assert!(first, "a worker has one OS thread, for ever");
        self.tid
            .store(sys::signal::thread_number(), Ordering::Relaxed);
    }

    /// 0, 1, …: also the remainder that descriptors of this worker leave.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Green threads that live on this worker.
    pub fn population(&self) -> usize {
        self.population.load(Ordering::Relaxed)
    }

    /// Who runs here.
    pub(crate) fn turn(&self) -> &Turn<Thread> {
        &self.turn
    }

    /// The number of its OS thread.
    pub(crate) fn tid(&self) -> i32 {
        self.tid.load(Ordering::Relaxed)
    }

    /// Counts a green thread that is about to live here, or one that has ended.
    pub(crate) fn count(&self, born: bool) {
        if born {
            self.population.fetch_add(1, Ordering::Relaxed);
        } else {
            self.population.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Puts a message into the mailbox. Callable from anywhere.
    pub(crate) fn post(&self, message: Message) {
        lock(&self.mailbox).push(message);
        self.ring();
    }

    fn ring(&self) {
        if !self.ringing.swap(true, Ordering::AcqRel) {
            sys::ring(self.bell.get());
        }
    }

    /// Notes that the bell was heard, and takes what is in the mailbox into `mail`, which is empty.
    pub(super) fn collect(&self, mail: &mut Vec<Message>) {
        self.ringing.store(false, Ordering::Release);
        std::mem::swap(&mut *lock(&self.mailbox), mail);
    }
}

impl Here {
    /// Whether this is that worker.
    pub(crate) fn is(&self, worker: &Worker) -> bool {
        std::ptr::eq(self.worker, worker)
    }

    /// The worker itself, which others may have as well.
    pub(crate) fn home(self) -> &'static Worker {
        self.worker
    }

    fn local(&self) -> &'static Local {
        // SAFETY: `Here` is not `Send` and is made by `here` only, on the OS thread that has settled
        // as this worker's. There is one for each worker, as `settle` asserts.
        unsafe { self.worker.local.get() }
    }

    /// Starts a green thread here.
    pub(crate) fn start(self, start: Start) {
        if self.take_in(start) == By::MailboxTask {
            let _no_wait = NoWait::begin(); // `may` takes memory for it, in the middle of its queue
            self.bell.wake();
        }
    }

    fn take_in(self, start: Start) -> By {
        let _no_wait = NoWait::begin();
        let mut newborn = self.local().newborn.borrow_mut();
        let left = if newborn.is_empty() {
            self.local().pool.borrow_mut().start(start)
        } else {
            Err(start) // behind those who came first
        };
        match left {
            Ok(()) => By::Pool,
            Err(start) => {
                newborn.push_back(start);
                By::MailboxTask
            }
        }
    }

    /// Takes in a green thread that has come through the mailbox, for
    /// [`next_newborn`](Self::next_newborn) if no coroutine is free.
    pub(super) fn take_in_mail(self, start: Start) {
        let _by_whom = self.take_in(start);
    }

    /// Whether green threads are to be started that no coroutine was free for.
    pub(super) fn has_newborn(self) -> bool {
        !self.local().newborn.borrow().is_empty()
    }

    /// One that is to be started, in the order in which they came.
    pub(super) fn next_newborn(self) -> Option<Start> {
        let _no_wait = NoWait::begin();
        self.local().newborn.borrow_mut().pop_front()
    }

    /// Shows the coroutines that are to be used again to `f`.
    pub(crate) fn with_pool<R>(self, f: impl FnOnce(&mut CoroutinePool) -> R) -> R {
        let _no_wait = NoWait::begin();
        f(&mut self.local().pool.borrow_mut())
    }

    /// Wakes a green thread of this worker.
    pub(crate) fn wake(self, thread: &Arc<Thread>) {
        let wakes = &self.local().wakes;
        wakes.set(wakes.get() + 1);
        if wakes.get() <= WAKES_PER_ROUND {
            thread.deliver(self);
        } else {
            self.wake_next_round(thread.clone());
        }
    }

    /// Wakes a green thread of this worker after a round of epoll.
    pub(crate) fn wake_next_round(self, thread: Arc<Thread>) {
        let _no_wait = NoWait::begin();
        self.local().next_round.borrow_mut().push(thread);
        self.ring();
    }

    /// Whether a green thread may give way without a round of epoll; counted as a wake.
    pub(super) fn may_pass_turn(self) -> bool {
        let Local { wakes, round, .. } = self.local();
        wakes.set(wakes.get() + 1);
        let began = round.get();
        wakes.get() <= WAKES_PER_ROUND && began.is_some_and(|began| began.elapsed() < ROUND)
    }

    /// Begins a round: those who had to wait for it are woken.
    pub(super) fn begin_round(self) {
        self.local().wakes.set(0);
        self.local().round.set(Some(Instant::now()));
        for thread in self.local().next_round.take() {
            thread.deliver(self);
        }
    }

    /// Wakes `thread` of this worker when `fd` is ready; until [`unwatch`](Self::unwatch).
    ///
    /// # Errors
    /// When epoll does not take the descriptor.
    pub(crate) fn watch(
        self,
        fd: BorrowedFd<'_>,
        interest: Interest,
        thread: &Arc<Thread>,
    ) -> io::Result<()> {
        let _no_wait = NoWait::begin();
        let mut watches = self.local().watches.borrow_mut();
        watches.add(&self.worker.epoll, fd, interest, thread)
    }

    /// Ends what [`watch`](Self::watch) has begun.
    pub(crate) fn unwatch(self, fd: BorrowedFd<'_>, thread: &Arc<Thread>) {
        let _no_wait = NoWait::begin();
        let mut watches = self.local().watches.borrow_mut();
        watches.remove(&self.worker.epoll, fd, thread);
    }

    /// Wakes those whose descriptors have become ready.
    pub(super) fn wake_ready(self, woken: &mut Vec<Arc<Thread>>) {
        let epoll = &self.worker.epoll;
        let mut watches = self.local().watches.borrow_mut();
        let mut tell = |number, flags| watches.fired(epoll, number as RawFd, flags, woken);
        // Only a wait can be interrupted.
        while epoll.wait(false, &mut tell).unwrap_or(false) {}
        drop(watches);
        for thread in woken.drain(..) {
            thread.deliver(self);
        }
    }

    /// Has `thread` woken at a point in time.
    pub(crate) fn set_timer(self, at: Instant, thread: Arc<Thread>) -> Key {
        let _no_wait = NoWait::begin();
        let (key, set) = self.local().timers.borrow_mut().insert(at, thread);
        if set {
            let left = at.saturating_duration_since(Instant::now());
            sys::set_timerfd(self.timer.get(), left);
        }
        key
    }

    /// Takes a timer back.
    pub(crate) fn cancel_timer(self, key: Key) {
        let _no_wait = NoWait::begin();
        self.local().timers.borrow_mut().remove(key);
    }

    /// Lets the timers fire that are due, and sets the next one.
    pub(super) fn fire_timers(self) {
        let now = Instant::now();
        let timers = &self.local().timers;
        let due = || timers.borrow_mut().pop_due(now);
        while let Some(thread) = due() {
            thread.timer_fired(self);
        }
        let next = timers.borrow_mut().next_firing();
        if let Some(next) = next {
            sys::set_timerfd(self.timer.get(), next.saturating_duration_since(now));
        }
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
