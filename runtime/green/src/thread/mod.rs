//! One wait for everything.
//!
//! A [`Thread`] is the control block of whatever runs handler code: a green thread, or an OS
//! thread that calls into this room. Everything that blocks goes through [`wait_for`], whose
//! ends are: its own condition, its deadline, an enclosing time limit, or an [`Interrupt`].
//!
//! What must stay true:
//! - A condition that holds wins over every other end: it is looked at first.
//! - A limit or an interrupt ends a wait by unwinding, so destructors run. While a thread is
//!   unwinding, a wait neither blocks nor raises: destructors may wait without harm.
//! - An interrupt is sticky until the layer that owns the thread takes it back, so code that
//!   swallows an unwind cannot block again.
//! - A green thread is only ever resumed on its home worker. All that happens to it happens
//!   there, one after the other, so between "check" and "block" nothing can be lost.
//!
//! # Implementation
//!
//! A green thread blocks in `may`'s `park`, or in `WaitIo::wait_io` when it waits for a
//! descriptor that `may` watches (for others see [`watch`](super::watch)); an OS thread blocks in `std::thread::park` or in `poll(2)`. [`Thread::wake`]
//! ends any of these early. On the home worker it acts at once; from elsewhere it leaves a
//! message in the home worker's mailbox (see [`worker`](super::worker)).

mod awaited;
mod block;
mod guards;
mod interrupt;
mod os;

pub use super::timeout::TimedOut;
pub use awaited::Awaited;
use awaited::WaitNote;
pub use block::{Interest, Io};
pub use guards::{BeforeBlock, LimitGuard, LimitNumber, Standstill};
pub use interrupt::{Interrupt, Unwind};
pub(super) use os::{OsSight, os_errands};

use super::control::Control;
use super::errand::Errand;
use super::worker::{self, Worker};
use may::io::WaitIoWaker;
use std::cell::{OnceCell, UnsafeCell};
use std::fmt;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

/// The point in time `timeout` from now; `None` (wait for ever) if the clock cannot show it.
pub fn deadline_in(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// Pieces of work that a thread may do before it gives way to the others of its worker.
const PIECES_PER_TURN: u32 = 64;

/// The control block of a green thread, or of an OS thread that waits.
pub struct Thread {
    id: u64,
    kind: Kind,
    /// A wake has come that no wait has used yet.
    token: AtomicBool,
    /// A wake message is on its way through the home worker's mailbox.
    posted: AtomicBool,
    interrupt: AtomicU8,
    /// What it waits for, for others to see.
    waiting_for: WaitNote,
    /// Where the stack of a green thread was when it began; 0 for an OS thread.
    anchor: AtomicUsize,
    /// What its greenlet is called, and more; for a green thread that is one.
    control: OnceLock<Arc<Control>>,
    /// What the layers above do on it.
    errand: Mutex<Option<Weak<dyn Errand>>>,
    /// Only touched by the thread itself and, for a green thread, by its home worker.
    own: UnsafeCell<Own>,
}

enum Kind {
    Green {
        home: &'static Worker,
        co: may::coroutine::Coroutine,
    },
    Os {
        thread: std::thread::Thread,
        polling: AtomicBool,
        bell: OnceLock<OwnedFd>,
    },
}

struct Own {
    waiting: Waiting,
    timer: Option<super::timer::Key>,
    /// Enclosing time limits, outermost first: (when, number).
    limits: Vec<(Instant, u64)>,
    before_block: Option<Rc<dyn Fn()>>,
    /// What the thread has done since it last gave way: see [`Thread::did`].
    done: u32,
    /// There may be [`Local`](super::Local) values of this thread.
    locals: bool,
    /// Panics are to be noted here instead of being printed.
    noting: bool,
    note: Option<Note>,
}

/// What is noted of a panic; made a text only if somebody reads it.
pub type Note = Box<dyn fmt::Display + Send>;

enum Waiting {
    No,
    Parked,
    Io(WaitIoWaker),
}

// SAFETY: every field but `own` is Send + Sync by itself. `own` is reached only through
// `Thread::own`, whose callers are on the thread itself or on its home worker; a green thread
// is pinned to its home worker (checked after each wait), so these are one OS thread.
unsafe impl Send for Thread {}
// SAFETY: as above.
unsafe impl Sync for Thread {}

/// Whose control block it is that runs in a coroutine, or in an OS thread.
struct Current(UnsafeCell<OnceCell<Arc<Thread>>>);

impl Current {
    fn get(&self) -> &Arc<Thread> {
        // SAFETY: the one who changes the cell (`forget_current`) does so between two green
        // threads of the coroutine, when none of these references is left: `look` does not wait.
        unsafe { &*self.0.get() }.get_or_init(Thread::adopt)
    }
}

may::coroutine_local!(static CURRENT: Current = Current(UnsafeCell::default()));

/// The thread that is running. In a coroutine that somebody else spawned with `may`, or in an
/// OS thread, a control block is made at the first call; a foreign coroutine is thereby pinned
/// to the worker that it is on now.
pub fn current() -> Arc<Thread> {
    with_current(Arc::clone)
}

/// Shows the thread that is running to `look`, which must not wait. Saves two atomic operations
/// over [`current`], and there are several looks in each request.
pub fn with_current<R>(look: impl FnOnce(&Arc<Thread>) -> R) -> R {
    CURRENT.with(|cell| look(cell.get()))
}

/// What runs next in this coroutine is another thread. For the first function of the coroutine,
/// below which nothing of the former thread is left.
pub(super) fn forget_current() {
    // SAFETY: the caller is not inside a `look`, as `Current::get` needs it.
    let former = CURRENT.with(|cell| unsafe { &mut *cell.0.get() }.take());
    drop(former);
}

/// The number of the greenlet that calls.
pub(super) fn parent() -> Option<u64> {
    let here = worker::current()?;
    // SAFETY: we run on that worker.
    let running = unsafe { here.turn().running() }?;
    running.control().map(|control| control.number())
}

impl Thread {
    #[cold]
    #[inline(never)] // its frame would lie below all that a thread does
    fn adopt() -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let kind = if may::coroutine::is_coroutine() {
            Kind::Green {
                home: worker::current().unwrap_or_else(|| {
                    panic!("a `may` coroutine waits before greenway_green::start() was called")
                }),
                co: may::coroutine::current(),
            }
        } else {
            Kind::Os {
                thread: std::thread::current(),
                polling: AtomicBool::new(false),
                bell: OnceLock::new(),
            }
        };
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            kind,
            token: AtomicBool::new(false),
            posted: AtomicBool::new(false),
            interrupt: AtomicU8::new(0),
            waiting_for: WaitNote::default(),
            anchor: AtomicUsize::new(0),
            control: OnceLock::new(),
            errand: Mutex::new(None),
            own: UnsafeCell::new(Own {
                waiting: Waiting::No,
                timer: None,
                limits: Vec::new(),
                before_block: None,
                done: 0,
                locals: false,
                noting: false,
                note: None,
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

    /// # Panics
    /// When called on another OS thread than the one that this thread is, or lives on.
    fn assert_here(&self) {
        let here = match &self.kind {
            Kind::Green { home, .. } => worker::is_current(home),
            Kind::Os { thread, .. } => thread.id() == std::thread::current().id(),
        };
        assert!(here, "a thread's own state was reached from elsewhere");
    }

    /// # Safety
    /// The caller runs on this thread, or on its home worker. The reference is not kept over a
    /// call that could reach `own` again.
    #[allow(clippy::mut_from_ref)] // an UnsafeCell accessor; the contract above makes it unique
    unsafe fn own(&self) -> &mut Own {
        // SAFETY: the caller vouches for it.
        unsafe { &mut *self.own.get() }
    }

    /// Ends the thread's present wait, or its next one, so that it looks at its condition.
    /// Callable from anywhere.
    pub fn wake(self: &Arc<Self>) {
        match &self.kind {
            Kind::Green { home, .. } => {
                if worker::is_current(home) {
                    home.wake_here(self);
                } else if !self.posted.swap(true, Ordering::AcqRel) {
                    home.post(worker::Message::Wake(self.clone()));
                }
            }
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
                    super::sys::ring(bell);
                }
            }
        }
    }

    /// Part of [`wake`](Self::wake) that runs on the home worker.
    pub(super) fn deliver(&self) {
        debug_assert!(self.home().is_some_and(worker::is_current));
        self.posted.store(false, Ordering::Release);
        if !self.token.swap(true, Ordering::AcqRel)
            && let Kind::Green { co, .. } = &self.kind
        {
            // SAFETY: we are on the home worker; neither call below reaches `own`.
            match unsafe { &self.own().waiting } {
                Waiting::No => {}
                Waiting::Parked => co.unpark(),
                Waiting::Io(waker) => waker.wakeup(),
            }
        }
    }

    /// What it waits for, and for how long already; `None` when it runs. Callable from anywhere.
    pub fn waiting_for(&self) -> Option<(Awaited, Duration)> {
        self.waiting_for.look()
    }

    /// Whether a wake has come, so that it only waits for its worker. Callable from anywhere.
    pub(super) fn is_woken(&self) -> bool {
        self.token.load(Ordering::Relaxed) || self.posted.load(Ordering::Relaxed)
    }

    /// Notes that it is a greenlet, which has just begun. For the thread itself.
    pub(super) fn begin(&self, control: Arc<Control>) {
        let here = 0u8;
        self.anchor
            .store((&raw const here).addr(), Ordering::Relaxed);
        // It begins once.
        let _ = self.control.set(control);
    }

    /// What it is called, and more, if it is a greenlet.
    pub(super) fn control(&self) -> Option<&Arc<Control>> {
        self.control.get()
    }

    /// An address at the upper end of its stack; 0 if that is not known.
    pub(super) fn anchor(&self) -> usize {
        self.anchor.load(Ordering::Relaxed)
    }

    /// Part of a timer's end that runs on the home worker.
    pub(super) fn timer_fired(&self) {
        // SAFETY: timers fire on the home worker.
        unsafe { self.own() }.timer = None;
        self.deliver();
    }

    /// Makes the thread unwind from its present or next wait.
    pub fn interrupt(self: &Arc<Self>, why: Interrupt) {
        self.interrupt.fetch_max(why as u8, Ordering::SeqCst); // the gravest counts
        self.wake();
    }

    pub fn interrupted(&self) -> Option<Interrupt> {
        match self.interrupt.load(Ordering::SeqCst) {
            1 => Some(Interrupt::Departed),
            2 => Some(Interrupt::Stop),
            3 => Some(Interrupt::Kill),
            _ => None,
        }
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

    /// Unwinds if an interrupt is pending or a limit is over.
    pub fn raise_if_over(&self) {
        self.raise_if_over_at(Instant::now);
    }

    /// As [`raise_if_over`](Self::raise_if_over), for limits that were over at that time.
    fn raise_if_over_at(&self, time: impl FnOnce() -> Instant) {
        if let Some(why) = self.interrupted() {
            Unwind::Interrupted(why).raise();
        }
        // SAFETY: called by the thread itself; `raise` diverges after the borrow.
        let limits = unsafe { &self.own().limits };
        if !limits.is_empty() {
            let time = time();
            // The outermost limit that is over wins: what it encloses is over as well.
            if let Some(&(_, number)) = limits.iter().find(|(at, _)| *at <= time) {
                Unwind::LimitPassed(number).raise();
            }
        }
    }

    /// A wait was over at `end`, and the thread goes on only now, because others have held its
    /// worker: its limits do not count that time. For the thread itself.
    fn forgive_since(&self, end: Instant) {
        let late = end.elapsed();
        // SAFETY: called by the thread itself; the borrow ends with the loop.
        for (at, _) in &mut unsafe { self.own() }.limits {
            *at = at.checked_add(late).unwrap_or(*at);
        }
    }

    /// Notes that the thread has done a piece of work (sent a chunk, served a request) that need
    /// not have waited for anything. True after [`PIECES_PER_TURN`] of them without a wait: a
    /// client that takes and sends as fast as we can must not keep a worker to itself.
    pub fn did(&self) -> bool {
        // SAFETY: called by the thread itself.
        let done = &mut unsafe { self.own() }.done;
        *done += 1;
        *done >= PIECES_PER_TURN
    }

    /// Notes whether it may have local values, and tells whether it had.
    pub(super) fn mark_locals(&self, present: bool) -> bool {
        // SAFETY: called by the thread itself.
        std::mem::replace(&mut unsafe { self.own() }.locals, present)
    }

    /// Whether this thread's panics are to be noted. For the thread itself, as the next three.
    pub fn set_noting(&self, noting: bool) {
        self.assert_here();
        // SAFETY: called on the thread itself.
        unsafe { self.own() }.noting = noting;
    }

    pub fn is_noting(&self) -> bool {
        // SAFETY: called by the thread itself.
        unsafe { self.own() }.noting
    }

    pub fn put_note(&self, note: Note) {
        // SAFETY: called by the thread itself.
        unsafe { self.own() }.note = Some(note);
    }

    pub fn take_note(&self) -> Option<Note> {
        // SAFETY: called by the thread itself.
        unsafe { self.own() }.note.take()
    }

    /// Runs on the thread itself when it ends.
    pub(super) fn finish(&self) {
        // SAFETY: called by the thread itself.
        unsafe { self.own() }.before_block = None;
        self.cancel_timer();
    }

    /// For the thread itself, while it does not wait.
    fn cancel_timer(&self) {
        // SAFETY: called by the thread itself; the borrow ends with the statement.
        let timer = unsafe { self.own() }.timer.take();
        if let (Some(timer), Some(home)) = (timer, self.home()) {
            home.cancel_timer(timer);
        }
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

/// Waits until `ready` gives a value, at most until `deadline`.
///
/// `ready` is called with the control block that has to be woken for it to be called again; it
/// must arrange for that before it returns `None`.
///
/// # Errors
/// [`TimedOut`] when the deadline has passed, or at once when the thread is unwinding.
pub fn wait_for<T>(
    what: Awaited,
    deadline: Option<Instant>,
    io: Io<'_>,
    mut ready: impl FnMut(&Arc<Thread>, usize) -> Option<T>,
) -> Result<T, TimedOut> {
    let me = current();
    let mut flags = 0;
    let mut blocked = false;
    loop {
        if let Some(value) = ready(&me, flags) {
            return Ok(value);
        }
        if std::thread::panicking() {
            return Err(TimedOut);
        }
        let over = deadline.filter(|at| *at <= Instant::now());
        if let Some(end) = over.filter(|_| blocked) {
            // Whichever came first: a limit that has passed only since then would not have, had
            // the thread been let go on.
            me.raise_if_over_at(|| end);
            me.forgive_since(end);
            return Err(TimedOut);
        }
        me.raise_if_over();
        if over.is_some() {
            return Err(TimedOut);
        }
        flags = me.block(what, io, deadline);
        blocked = true;
    }
}

/// Waits until `ready`, whatever else happens: no limit and no interrupt ends this wait. For
/// ends that must not be missed because borrowed data depends on them (see `scope`).
///
/// # Panics
/// When the thread is unwinding. A green thread must not block there: its worker's count of
/// panics would be seen by all others of the worker.
pub(super) fn wait_through(what: Awaited, mut ready: impl FnMut(&Arc<Thread>) -> bool) {
    assert!(
        !std::thread::panicking(),
        "an unwinding thread must not block"
    );
    let me = current();
    while !ready(&me) {
        // Not `block`: a limit that is over would end it at once, again and again, and its hook
        // might panic.
        match &me.kind {
            Kind::Green { home, .. } => {
                me.block_green(home, what, Io::None, None);
            }
            Kind::Os { .. } => me.block_os(what, Io::None, None),
        }
    }
}

/// Raises what ought to end this thread, without waiting: for loops that never block.
pub fn checkpoint() {
    if !std::thread::panicking() {
        with_current(|me| me.raise_if_over());
    }
}
