//! [`Thread`]: the control block of a green thread, or of an OS thread that waits.
//!
//! # How a wake reaches a wait
//!
//! *Token.* A wake that no wait has used yet is kept as the `token`, so one that comes between
//! the look at a condition and the block is not lost: who is about to block takes the token
//! instead. A wake is never counted: two of them before one wait are one, since whoever is woken
//! looks at its condition and finds all that has changed.
//!
//! *A green thread* is only touched on its home worker, so on that worker `token` and `waiting`
//! change one after the other: [`deliver`](Thread::deliver) sets the token, and resumes the
//! coroutine if it is blocked; a thread that begins to block swaps the token to false first, and
//! if it was set, does not block. There is no moment in between.
//!
//! *From elsewhere* a wake goes through the home worker's mailbox. `posted` says that such a
//! message is under way, so that a thousand wakes are one message. It is cleared by `deliver`
//! *before* the token is set: a wake that finds `posted` set has happened before that, what it
//! announces was written before it, and the thread that resumes afterwards sees it. A wake that
//! comes after the clearing posts a message of its own. Both sides use acquire and release on
//! `posted`, so that what was written before the wake is visible after the delivery.
//!
//! *An OS thread* has no home. It blocks in `park`, where std keeps a token of its own, or in
//! `poll(2)` with an eventfd, its bell, among the descriptors. Who is about to poll says so
//! (`polling`) and then looks at the token; who wakes sets the token and then looks at `polling`.
//! All four are sequentially consistent, so at least one of them sees the other: either the
//! waiter finds the token and does not poll, or the waker finds `polling` and rings the bell,
//! which ends a poll that begins later as well.

use super::awaited::{Awaited, WaitNote};
use super::interrupt::Interrupt;
use crate::platform::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use crate::platform::sync::{Arc, Mutex, OnceLock, Weak};
use crate::platform::{
    Coroutine, Duration, Instant, NoWait, NoWaitCell, OwnedFd, WaitIoWaker, thread,
};
use crate::scheduler::home_cell::HomeCell;
use crate::scheduler::task_context::TaskContext;
use crate::scheduler::timer;
use crate::scheduler::worker::{self, Here, Message, Worker};
use crate::sys;
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

/// The control block of a green thread, or of an OS thread that waits.
///
/// Whoever holds one can wake the thread, interrupt it, and see what it waits for. Its own state
/// is reached through [`Current`](super::Current), which only exists where the thread runs.
pub struct Thread {
    id: u64,
    pub(super) kind: Kind,
    /// A wake has come that no wait has used yet.
    pub(super) token: AtomicBool,
    /// A wake message is on its way through the home worker's mailbox.
    posted: AtomicBool,
    interrupt: AtomicU8,
    /// What it waits for, for others to see.
    pub(super) waiting_for: WaitNote,
    /// Where the stack of a green thread was when it began; 0 for an OS thread.
    anchor: AtomicUsize,
    /// What its greenlet is called; for a green thread that is one.
    identity: OnceLock<Arc<dyn Identity>>,
    /// What the layers above do on it.
    pub(super) context: Mutex<Option<Weak<dyn TaskContext>>>,
    own: HomeCell<Own>,
}

pub(super) enum Kind {
    Green {
        home: &'static Worker,
        co: Coroutine,
    },
    Os {
        thread: thread::Thread,
        polling: AtomicBool,
        bell: OnceLock<OwnedFd>,
    },
}

/// What a green thread is called, without its value or its life.
pub(crate) trait Identity: Send + Sync {
    /// 1, 2, …: no other green thread has or has had it.
    fn number(&self) -> u64;

    /// Shows its name and number. Called from signal handlers: it does not allocate.
    fn write_name(&self, out: &mut dyn fmt::Write) -> fmt::Result;
}

/// What only the thread itself and, for a green thread, its home worker touch.
pub(super) struct Own {
    pub(super) waiting: NoWaitCell<Waiting>,
    pub(super) timer: Cell<Option<timer::Key>>,
    /// Enclosing time limits, outermost first: (when, number).
    pub(super) limits: NoWaitCell<Vec<(Instant, u64)>>,
    pub(super) before_block: NoWaitCell<Option<Rc<dyn Fn()>>>,
    /// That hook is running.
    pub(super) in_hook: Cell<bool>,
    /// It is within a patched call, or a wait of one: those that come below go to the kernel.
    pub(super) quiet: Cell<bool>,
    /// How often it has blocked; it wraps around.
    pub(super) blocks: Cell<u32>,
    /// Pieces of work that the thread has done since it last gave way.
    pub(super) ticks: Cell<u32>,
    /// There may be [`Local`](crate::Local) values of this thread.
    pub(super) locals: Cell<bool>,
    /// Waits that have ended at once, one after the other, because the thread is to end.
    pub(super) ends: Cell<u32>,
    /// Waits that were ended by unwinding, or below C by an error, in all its life; it wraps around.
    pub(super) raised: Cell<u32>,
    /// It was said that it does not end.
    pub(super) told_of_ends: Cell<bool>,
    /// What is to end the thread is held back, but for limits with this number or a larger one.
    pub(super) shield: Cell<Option<u64>>,
    /// Panics are to be noted here instead of being printed.
    pub(super) noting: Cell<bool>,
    pub(super) note: Cell<Option<Note>>,
}

impl Drop for Own {
    fn drop(&mut self) {
        // The last one who holds the control block may be on another OS thread, where an `Rc` must
        // not be dropped. It is still there only if somebody has forgotten a `BeforeBlock` guard.
        std::mem::forget(self.before_block.take());
    }
}

/// What is noted of a panic; made a text only if somebody reads it.
pub type Note = Box<dyn fmt::Display + Send>;

pub(super) enum Waiting {
    No,
    Parked,
    Io(WaitIoWaker),
}

impl Thread {
    #[cold]
    #[inline(never)] // its frame would lie below all that a thread does
    pub(super) fn new(kind: Kind) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            kind,
            token: AtomicBool::new(false),
            posted: AtomicBool::new(false),
            interrupt: AtomicU8::new(0),
            waiting_for: WaitNote::default(),
            anchor: AtomicUsize::new(0),
            identity: OnceLock::new(),
            context: Mutex::new(None),
            own: HomeCell::new(Own {
                waiting: NoWaitCell::new(Waiting::No),
                timer: Cell::new(None),
                limits: NoWaitCell::default(),
                before_block: NoWaitCell::default(),
                in_hook: Cell::default(),
                quiet: Cell::new(false),
                blocks: Cell::new(0),
                ticks: Cell::new(0),
                locals: Cell::new(false),
                ends: Cell::new(0),
                raised: Cell::new(0),
                told_of_ends: Cell::new(false),
                shield: Cell::new(None),
                noting: Cell::new(false),
                note: Cell::new(None),
            }),
        })
    }

    /// A number that no other thread has or has had.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The worker that runs this green thread; `None` for an OS thread.
    pub fn home(&self) -> Option<&'static Worker> {
        match &self.kind {
            Kind::Green { home, .. } => Some(home),
            Kind::Os { .. } => None,
        }
    }

    /// Whether the caller is on the OS thread that this thread is, or lives on.
    pub(super) fn is_here(&self) -> bool {
        match &self.kind {
            Kind::Green { home, .. } => worker::is_current(home),
            Kind::Os { thread, .. } => thread.id() == thread::current().id(),
        }
    }

    /// # Safety
    /// The caller is on the OS thread that this thread is, or lives on.
    pub(super) unsafe fn own(&self) -> &Own {
        // SAFETY: the caller vouches for being where the state belongs.
        unsafe { self.own.get() }
    }

    /// The thread's own state, for its home worker.
    ///
    /// # Panics
    /// When it lives on another worker.
    fn own_at(&self, here: Here) -> &Own {
        let is_home = matches!(&self.kind, Kind::Green { home, .. } if here.is(home));
        assert!(is_home, "a green thread was reached from another worker");
        // SAFETY: `here` exists on the OS thread of the home worker only, as was checked.
        unsafe { self.own() }
    }

    /// Ends the thread's present wait, or its next one, so that it looks at its condition.
    /// Callable from anywhere.
    pub fn wake(self: &Arc<Self>) {
        match &self.kind {
            Kind::Green { home, .. } => match worker::here() {
                Some(here) if here.is(home) => here.wake(self),
                _ => {
                    if !self.posted.swap(true, Ordering::AcqRel) {
                        home.post(Message::Wake(self.clone()));
                    }
                }
            },
            Kind::Os {
                thread,
                polling,
                bell,
            } => {
                self.token.store(true, Ordering::SeqCst);
                thread.unpark();
                if polling.load(Ordering::SeqCst)
                    && let Some(bell) = bell.get()
                {
                    sys::ring(bell);
                }
            }
        }
    }

    /// The part of [`wake`](Self::wake) that runs on the home worker.
    pub(crate) fn deliver(&self, here: Here) {
        let _no_wait = NoWait::begin();
        let own = self.own_at(here);
        self.posted.store(false, Ordering::Release);
        if !self.token.swap(true, Ordering::AcqRel)
            && let Kind::Green { co, .. } = &self.kind
        {
            match &*own.waiting.borrow() {
                Waiting::No => {}
                Waiting::Parked => co.unpark(),
                Waiting::Io(waker) => waker.wakeup(),
            }
        }
    }

    /// The part of a timer's end that runs on the home worker.
    pub(crate) fn timer_fired(&self, here: Here) {
        self.own_at(here).timer.set(None);
        self.deliver(here);
    }

    /// What it waits for, and for how long already; `None` when it runs. Callable from anywhere.
    pub fn waiting_for(&self) -> Option<(Awaited, Duration)> {
        self.waiting_for.look()
    }

    /// Whether a wake has come, so that it only waits for its worker. Callable from anywhere.
    pub(crate) fn is_woken(&self) -> bool {
        self.token.load(Ordering::Relaxed) || self.posted.load(Ordering::Relaxed)
    }

    /// Notes that it is a greenlet, which has just begun. Called once, by the thread itself.
    pub(crate) fn begin(&self, identity: Arc<dyn Identity>) {
        let here = 0u8;
        self.anchor
            .store((&raw const here).addr(), Ordering::Relaxed);
        let _first_time = self.identity.set(identity);
    }

    /// What it is called, if it is a greenlet.
    pub(crate) fn identity(&self) -> Option<&dyn Identity> {
        self.identity.get().map(|identity| &**identity)
    }

    /// The number of its greenlet, by which the dump and the log call it; `None` if it is none.
    pub fn number(&self) -> Option<u64> {
        self.identity().map(Identity::number)
    }

    /// An address at the upper end of its stack; 0 if that is not known.
    pub(crate) fn anchor(&self) -> usize {
        self.anchor.load(Ordering::Relaxed)
    }

    /// Makes the thread unwind from its present or next wait. Callable from anywhere. Of several
    /// interrupts the gravest counts.
    pub fn interrupt(self: &Arc<Self>, why: Interrupt) {
        self.interrupt.fetch_max(why as u8, Ordering::SeqCst);
        self.wake();
    }

    /// Why the thread is to end, if it is. Callable from anywhere.
    pub fn interrupted(&self) -> Option<Interrupt> {
        Interrupt::of(self.interrupt.load(Ordering::SeqCst))
    }

    /// Takes an interrupt back, so that the layer that owns the thread can go on.
    pub fn clear_interrupt(&self) {
        self.interrupt.store(0, Ordering::SeqCst);
    }

    /// Takes back that the thread is to end because the server stops, but no graver interrupt.
    pub fn clear_stop(&self) {
        self.clear_only(Interrupt::Stop);
    }

    /// Takes back that the client has left, but no graver interrupt.
    pub fn clear_departure(&self) {
        self.clear_only(Interrupt::Departed);
    }

    fn clear_only(&self, why: Interrupt) {
        // Another value means that there is nothing to take back.
        let _ = self
            .interrupt
            .compare_exchange(why as u8, 0, Ordering::SeqCst, Ordering::SeqCst);
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Green { home, .. } => format!("green, worker {}", home.index()),
            Kind::Os { thread, .. } => format!("OS thread {:?}", thread.name()),
        };
        write!(f, "Thread({}, {kind})", self.id)
    }
}
