//! What the sources find in place of their own `platform`: a std and a `may` whose steps the checker
//! chooses. A coroutine is a thread of the checker that has its worker to itself while it runs.

pub use self::coroutine::{
    Coroutine, WaitIo, WaitIoWaker, current_coroutine, is_coroutine, park_coroutine,
    pass_turn_of_coroutine,
};
pub use self::fd::{BorrowedFd, OwnedFd};
pub use self::thread::resume_unwind;
pub use self::time::{Duration, Instant};
pub use shuttle::thread_local as coroutine_local;
pub use shuttle::thread_local as late_local;

/// Locks and atomics whose every use is a choice of the checker.
pub mod sync {
    pub use shuttle::sync::{
        Arc, Condvar, LockResult, Mutex, MutexGuard, PoisonError, TryLockError, Weak,
    };
    // Set once, by the thread itself, before anybody looks: nothing to choose.
    pub use std::sync::OnceLock;

    /// Locks. A thread that unwinds leaves poison behind, about which nobody cares.
    pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wait<'a, T>(changed: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    pub mod atomic {
        pub use shuttle::sync::atomic::{AtomicBool, AtomicU8, Ordering};
        // Numbers and notes, on which nothing depends.
        pub use std::sync::atomic::{AtomicU64, AtomicUsize};
    }
}

/// What the table of those who wait at an address takes from std.
pub mod table {
    pub use super::time::Instant;
    pub use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
    pub use shuttle::sync::{Arc, Mutex};

    /// One shard is enough, and quicker.
    pub const HOW_MANY: usize = 1;

    macro_rules! shared {
        ($(#[$doc:meta])* static $NAME:ident: $Type:ty = $value:expr;) => {
            shuttle::lazy_static! {
                $(#[$doc])*
                static ref $NAME: $Type = $value;
            }
        };
    }
    pub(crate) use shared;
}

/// The checker's threads have panics of their own: nothing to put aside.
pub fn while_not_unwinding<R>(block: impl FnOnce() -> R) -> Option<R> {
    Some(block())
}

/// Here a wait while something is borrowed panics as soon as somebody else comes.
pub use std::cell::RefCell as NoWaitCell;

/// Here a wait under a lock is a deadlock that the checker finds.
#[derive(Debug)]
pub struct NoWait;

impl NoWait {
    pub fn begin() -> Self {
        Self
    }

    pub fn is_held() -> bool {
        false
    }
}

/// Something else may happen here.
pub fn step() {
    shuttle::thread::yield_now();
}

pub mod thread {
    pub use shuttle::thread::{Thread, ThreadId, current, park, yield_now};
    use std::any::Any;
    use std::cell::Cell;
    use std::panic::AssertUnwindSafe;

    // The checker's threads share an OS thread, and std counts panics for that.
    shuttle::thread_local! {
        static UNWINDING: Cell<bool> = Cell::new(false);
    }

    pub fn panicking() -> bool {
        UNWINDING.with(Cell::get)
    }

    pub fn resume_unwind(payload: Box<dyn Any + Send>) -> ! {
        UNWINDING.with(|unwinding| unwinding.set(true));
        std::panic::resume_unwind(payload)
    }

    /// `None` if `body` was unwound by one of the waits' own.
    pub fn catch_unwind<T>(body: impl FnOnce() -> T) -> Option<T> {
        let result = std::panic::catch_unwind(AssertUnwindSafe(body));
        let ours = UNWINDING.with(|unwinding| unwinding.replace(false));
        match result {
            Ok(value) => Some(value),
            Err(_) if ours => None,
            Err(payload) => std::panic::resume_unwind(payload),
        }
    }

    /// Parks until it is unparked, or the clock has moved.
    pub fn park_timeout(_left: super::time::Duration) {
        if super::time::sleep_until_moved(current()) {
            park();
        }
    }
}

/// A clock that moves once in each run, when the checker says so.
pub mod time {
    pub use std::time::Duration;

    use super::sync::lock;
    use super::thread::Thread;
    use shuttle::sync::Mutex;

    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Instant(u8);

    /// A deadline that may pass.
    pub const LATER: Instant = Instant(1);

    type Wake = Box<dyn FnOnce() + Send>;

    #[derive(Default)]
    struct Clock {
        moved: bool,
        sleepers: Vec<Wake>,
    }

    shuttle::lazy_static! {
        static ref CLOCK: Mutex<Clock> = Mutex::default();
    }

    /// Moves the clock past [`LATER`].
    pub fn pass() {
        let sleepers = {
            let mut clock = lock(&CLOCK);
            clock.moved = true;
            std::mem::take(&mut clock.sleepers)
        };
        for wake in sleepers {
            wake();
        }
    }

    /// Calls `wake` when the clock moves. False if it has.
    pub fn when_moved(wake: impl FnOnce() + Send + 'static) -> bool {
        let mut clock = lock(&CLOCK);
        if !clock.moved {
            clock.sleepers.push(Box::new(wake));
        }
        !clock.moved
    }

    pub(super) fn sleep_until_moved(thread: Thread) -> bool {
        when_moved(move || thread.unpark())
    }

    impl Instant {
        pub fn now() -> Self {
            Self(if lock(&CLOCK).moved { 2 } else { 0 })
        }

        pub fn checked_add(self, _time: Duration) -> Option<Self> {
            Some(LATER)
        }

        pub fn elapsed(self) -> Duration {
            Self::now().saturating_duration_since(self)
        }

        pub fn saturating_duration_since(self, earlier: Self) -> Duration {
            Duration::from_secs(self.0.saturating_sub(earlier.0).into())
        }
    }

    impl std::ops::Add<Duration> for Instant {
        type Output = Self;
        fn add(self, _time: Duration) -> Self {
            LATER
        }
    }
}

/// Descriptors: bells, which is all that the waits have.
pub mod fd {
    use super::sync::{lock, wait};
    use shuttle::sync::{Condvar, Mutex};

    #[derive(Debug, Default)]
    pub struct OwnedFd {
        rung: Mutex<bool>,
        changed: Condvar,
    }

    impl OwnedFd {
        pub fn ring(&self) {
            *lock(&self.rung) = true;
            self.changed.notify_all();
        }

        /// Waits until it has been rung, and takes that back.
        pub fn hear(&self) {
            let mut rung = lock(&self.rung);
            while !*rung {
                rung = wait(&self.changed, rung);
            }
            *rung = false;
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub struct BorrowedFd<'a>(std::marker::PhantomData<&'a ()>);

    impl BorrowedFd<'_> {
        /// One that is never ready.
        pub const NEVER: Self = Self(std::marker::PhantomData);
    }
}

/// Coroutines; there are no descriptors that they wait for themselves.
pub mod coroutine {
    use super::sync::{lock, wait};
    use crate::scheduler::worker;
    use shuttle::sync::{Condvar, Mutex};
    use std::cell::RefCell;
    use std::sync::Arc;

    #[derive(Debug, Clone, Default)]
    pub struct Coroutine(Arc<Token>);

    #[derive(Debug, Default)]
    struct Token {
        unparked: Mutex<bool>,
        changed: Condvar,
    }

    shuttle::thread_local! {
        static CURRENT: RefCell<Option<Coroutine>> = RefCell::new(None);
    }

    impl Coroutine {
        pub fn unpark(&self) {
            *lock(&self.0.unparked) = true;
            self.0.changed.notify_all();
        }
    }

    pub fn is_coroutine() -> bool {
        CURRENT.with(|current| current.borrow().is_some())
    }

    pub fn current_coroutine() -> Coroutine {
        CURRENT
            .with(|current| current.borrow().clone())
            .expect("in a coroutine")
    }

    pub fn park_coroutine() {
        let home = worker::current().expect("in a coroutine");
        let token = current_coroutine().0;
        home.baton().give();
        let mut unparked = lock(&token.unparked);
        while !*unparked {
            unparked = wait(&token.changed, unparked);
        }
        *unparked = false;
        drop(unparked);
        home.baton().take();
    }

    pub fn pass_turn_of_coroutine() {
        let home = worker::current().expect("in a coroutine");
        home.baton().give();
        home.baton().take();
    }

    /// The calling thread is a coroutine from now on.
    pub fn begin() {
        CURRENT.with(|current| *current.borrow_mut() = Some(Coroutine::default()));
    }

    #[derive(Debug)]
    pub struct WaitIoWaker;

    impl WaitIoWaker {
        pub fn wakeup(&self) {}
    }

    pub trait WaitIo {
        fn wait_io(&self) -> usize;
        fn waker(&self) -> WaitIoWaker;
    }
}
