//! [`Current`]: the thread that runs, as a proof that it is the one that asks.

use super::awaited::Awaited;
use super::control_block::{Kind, Note, Own, Thread};
use super::interrupt::Unwind;
use super::io::Io;
use crate::platform::sync::atomic::AtomicBool;
use crate::platform::sync::{Arc, OnceLock};
use crate::platform::{
    Duration, Instant, NoWait, coroutine_local, current_coroutine, is_coroutine, late_local,
    thread, while_not_unwinding,
};
use crate::scheduler::discard::discard;
use crate::scheduler::worker;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Pieces of work that a thread may do before it gives way to the others of its worker.
const TICKS_PER_TURN: u32 = 64;

/// A thread, for code that runs on it: the way to what only the thread itself may touch.
///
/// It is not `Send`, so whoever has one is on the OS thread that the thread is or, if it is green,
/// lives on. [`current`] and [`with_current`] give it without asking; [`Thread::here`] looks whether
/// it is so.
///
/// ```compile_fail
/// let me = greenway_green::embed::current();
/// std::thread::spawn(move || me.tick()); // only its handle() may go elsewhere
/// ```
pub struct Current<M: Deref<Target = Thread> = Arc<Thread>> {
    thread: M,
    _not_send: PhantomData<*const ()>,
}

coroutine_local!(static CURRENT: RefCell<Option<Current>> = RefCell::new(None));
// Not the other one, which for an OS thread is a thread-local that may be gone: see `late_local`.
late_local!(static OF_OS_THREAD: RefCell<Option<Current>> = RefCell::new(None));

/// The thread that is running. In a coroutine that somebody else spawned with `may`, or in an
/// OS thread, a control block is made at the first call; a foreign coroutine is thereby pinned
/// to the worker that it runs on.
pub fn current() -> Current {
    with_current(Clone::clone)
}

/// Shows the thread that is running to `look`, which must not wait. Saves two atomic operations
/// over [`current`], and there are several looks in each request.
pub fn with_current<R>(look: impl FnOnce(&Current) -> R) -> R {
    let look = |cell: &RefCell<Option<Current>>| {
        if let Some(me) = &*cell.borrow() {
            return look(me);
        }
        let me = cell.borrow_mut().insert(adopt()).clone();
        look(&me)
    };
    // A worker's own stack, outside of its coroutines, has a cell of `CURRENT` of its own.
    if worker::current().is_some() {
        // A handler of a signal may come in between, and make a call that would ask once more.
        let _no_wait = NoWait::begin();
        CURRENT.with(look)
    } else {
        OF_OS_THREAD.with(look)
    }
}

/// What runs next in this coroutine is another thread. For the first function of the coroutine,
/// below which nothing of the former thread is left.
pub(crate) fn forget_current() {
    let former = CURRENT.with(RefCell::take);
    drop(former);
}

/// The number of the greenlet that calls; `None` if an OS thread does.
pub(crate) fn parent() -> Option<u64> {
    worker::here()?;
    with_current(|me| me.identity().map(|identity| identity.number()))
}

#[cold]
#[inline(never)] // its frame would lie below all that a thread does
fn adopt() -> Current {
    let kind = if is_coroutine() {
        Kind::Green {
            home: worker::current().unwrap_or_else(|| {
                panic!("a `may` coroutine waits before greenway_green::start() was called")
            }),
            co: current_coroutine(),
        }
    } else {
        Kind::Os {
            thread: thread::current(),
            polling: AtomicBool::new(false),
            bell: OnceLock::new(),
        }
    };
    Current {
        thread: Thread::new(kind),
        _not_send: PhantomData,
    }
}

impl Thread {
    /// This thread, for code that knows that it runs on it, or on another green thread of its
    /// worker; without an atomic operation.
    ///
    /// # Panics
    /// When it is mistaken.
    pub fn here(&self) -> Current<&Self> {
        assert!(
            self.is_here(),
            "a thread's own state was reached from elsewhere"
        );
        Current {
            thread: self,
            _not_send: PhantomData,
        }
    }
}

/// How long one who goes on after its end gives way, at first and at last: doubling.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// So many ends are no accident.
const TELL_AT: u32 = 10;

impl Current {
    /// Lets others run before one more wait ends at once. The first one does so without a pause:
    /// whoever is told to end does not wait for that. One who swallows it and waits again, or loops
    /// around a wait in a destructor, would otherwise keep the worker to itself for ever.
    #[cold]
    #[inline(never)] // off the stack of those who wait
    pub(super) fn give_way_before_end(&self) {
        self.pause_before_end(Awaited::Turn, Io::None, None);
    }

    /// As [`give_way_before_end`](Self::give_way_before_end), for a wait that may still get what it is for,
    /// and has a deadline of its own: a loop of short sleeps takes no longer than it would have.
    #[cold]
    #[inline(never)] // off the stack of those who wait
    pub(super) fn pause_before_end(&self, what: Awaited, io: Io<'_>, deadline: Option<Instant>) {
        let ends = self.own().ends.get();
        if ends == 0 {
            return;
        }
        if ends == TELL_AT {
            // Nothing may unwind out of a wait below C, nor a logger's panic out of any other.
            let told = catch_unwind(AssertUnwindSafe(|| self.aloud(|| self.tell_of_ends())));
            if let Err(payload) = told {
                self.aloud(|| discard(payload));
            }
        }
        let pause = FIRST_PAUSE * (1 << (ends - 1).min(7));
        let until = Instant::now().checked_add(pause.min(LONGEST_PAUSE));
        let until = until.into_iter().chain(deadline).min();
        let pausing = || self.block_plainly(what, io, until);
        if thread::panicking() {
            // `None` where there is no memory for it: then it ends at once, as the first time.
            let _flags = while_not_unwinding(pausing);
        } else {
            pausing();
        }
    }

    #[cold]
    fn tell_of_ends(&self) {
        if !self.own().told_of_ends.replace(true) {
            match self.thread.context() {
                Some(context) => crate::logging::swallowed_end(&format_args!(
                    "thread #{}, {},",
                    self.thread.id(),
                    context.request_info()
                )),
                None => crate::logging::swallowed_end(&format_args!("{:?}", self.thread)),
            }
        }
    }

    /// The thread's control block, to be given to others.
    pub fn handle(&self) -> Arc<Thread> {
        self.thread.clone()
    }
}

impl<M: Deref<Target = Thread>> Current<M> {
    pub(super) fn own(&self) -> &Own {
        // SAFETY: this type is not `Send` and is made on the OS thread of its thread only: by
        // `adopt` for the thread that calls, by `here` after a look. Green threads never change
        // theirs, which is checked after each wait.
        unsafe { self.thread.own() }
    }

    /// Unwinds if an interrupt is pending or a limit is over, unless the thread is
    /// [shielded](crate::shield).
    pub fn raise_if_over(&self) {
        if let Some(unwind) = self.over() {
            self.raise(unwind);
        }
    }

    /// Unwinds, and counts that.
    pub(super) fn raise(&self, unwind: Unwind) -> ! {
        self.count_end();
        self.count_given_up();
        unwind.raise()
    }

    /// Counts a wait that has ended without what it was for, because the thread is to end.
    pub(super) fn count_given_up(&self) {
        let raised = &self.own().raised;
        raised.set(raised.get().wrapping_add(1));
    }

    /// How many of its waits were ended by unwinding, or below C by an error. Only a difference says
    /// something: it wraps around.
    pub(crate) fn times_raised(&self) -> u32 {
        self.own().raised.get()
    }

    /// Whether [`raise_if_over`](Self::raise_if_over) would unwind, for one who has looked at the clock.
    pub fn is_over_at(&self, now: Instant) -> bool {
        self.over_at(|| now).is_some()
    }

    /// What ought to end the thread.
    pub(crate) fn over(&self) -> Option<Unwind> {
        self.over_at(Instant::now)
    }

    /// As [`over`](Self::over), with the limits that were over at that time.
    pub(super) fn over_at(&self, time: impl FnOnce() -> Instant) -> Option<Unwind> {
        let own = self.own();
        let shield = own.shield.get();
        if let Some(why) = self.thread.interrupted()
            && shield.is_none()
        {
            return Some(Unwind::Interrupted(why));
        }
        let limits = own.limits.borrow();
        if limits.is_empty() {
            return None;
        }
        let time = time();
        // The outermost limit that is over wins: what it encloses is over as well.
        let first = shield.unwrap_or(0);
        let mut effective = limits.iter().filter(|(_, number)| *number >= first);
        let limit = effective.find(|(at, _)| *at <= time);
        limit.map(|&(_, number)| Unwind::LimitPassed(number))
    }

    /// Counts a wait that ends without having blocked, because the thread is to end.
    pub(super) fn count_end(&self) {
        let ends = &self.own().ends;
        ends.set(ends.get().saturating_add(1));
    }

    /// What ought to end the thread, if that has ended the last of its waits already and was
    /// swallowed: somebody has caught the unwinding, or a call below C has told it as an error.
    pub fn swallowed_end(&self) -> Option<Unwind> {
        self.has_ended_before().then(|| self.over()).flatten()
    }

    /// Forgets what [`count_end`](Self::count_end) has counted: the thread may block again.
    pub(super) fn forget_ends(&self) {
        self.own().ends.set(0);
    }

    /// Whether the last wait ended at once as well, because the thread is to end.
    pub(super) fn has_ended_before(&self) -> bool {
        self.own().ends.get() > 0
    }

    /// Whether some limit of the thread is over or an interrupt is pending; a shield changes nothing.
    pub(super) fn is_to_end(&self) -> bool {
        self.thread.interrupted().is_some() || {
            let limits = self.own().limits.borrow();
            !limits.is_empty() && limits.iter().any(|(at, _)| *at <= Instant::now())
        }
    }

    /// A wait was over at `end`, and the thread goes on only now, because others have held its
    /// worker: its limits do not count that time.
    pub(super) fn forgive_since(&self, end: Instant) {
        let late = end.elapsed();
        for (at, _) in &mut *self.own().limits.borrow_mut() {
            *at = at.checked_add(late).unwrap_or(*at);
        }
    }

    /// Notes that the thread has done a piece of work (sent a chunk, served a request) that need
    /// not have waited for anything. True after 64 of them without a wait: a client that takes and
    /// sends as fast as we can must not keep a worker to itself.
    pub fn tick(&self) -> bool {
        let ticks = &self.own().ticks;
        ticks.set(ticks.get() + 1);
        ticks.get() >= TICKS_PER_TURN
    }

    /// As [`tick`](Self::tick), for one who may not be able to give way now: after it has said so,
    /// it counts anew.
    pub(crate) fn tick_over(&self) -> bool {
        let over = self.tick();
        if over {
            self.own().ticks.set(0);
        }
        over
    }

    /// Notes whether it may have local values, and tells whether it had.
    pub(crate) fn mark_locals(&self, present: bool) -> bool {
        self.own().locals.replace(present)
    }

    /// Says whether this thread's panics are to be noted with [`put_note`](Self::put_note),
    /// instead of being printed.
    pub fn set_noting(&self, noting: bool) {
        self.own().noting.set(noting);
    }

    /// Whether this thread's panics are to be noted.
    pub fn is_noting(&self) -> bool {
        self.own().noting.get()
    }

    /// Keeps what there is to say of a panic; a former note is dropped.
    pub fn put_note(&self, note: Note) {
        self.own().note.set(Some(note));
    }

    /// Takes the last note.
    pub fn take_note(&self) -> Option<Note> {
        self.own().note.take()
    }

    /// Called by the thread itself when it ends.
    pub(crate) fn finish(&self) {
        drop(self.own().before_block.take());
        self.cancel_timer();
    }

    /// Takes the thread's timer back, while it does not wait.
    pub(super) fn cancel_timer(&self) {
        if let Some(timer) = self.own().timer.take()
            && let Some(here) = worker::here()
        {
            here.cancel_timer(timer);
        }
    }
}

impl<M: Deref<Target = Thread>> Deref for Current<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.thread
    }
}

impl<M: Deref<Target = Thread> + Clone> Clone for Current<M> {
    fn clone(&self) -> Self {
        Self {
            thread: self.thread.clone(),
            _not_send: PhantomData,
        }
    }
}

impl<M: Deref<Target = Thread>> fmt::Debug for Current<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.thread, f)
    }
}
