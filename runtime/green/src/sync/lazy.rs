//! [`Lazy`] and [`WorkerLocal`]: values made at their first use, by initialisers that may wait.
//!
//! std's `LazyLock` holds up the worker while another green thread's initialiser waits, and is
//! poisoned when that one is killed. A `thread_local!` whose initialiser waits is made twice, which
//! breaks memory. These are for green threads: those who come while a value is made wait for it like
//! for anything else, and an initialiser that ends without a value leaves the next one to try.
//!
//! What must stay true: one thread at a time makes a value, and nobody replaces it.

use crate::platform::NoWaitCell;
use crate::scheduler::line::{Line, wait_in};
use crate::scheduler::lock::lock;
use crate::scheduler::thread::{Awaited, current};
use crate::scheduler::timed_out::TimedOut;
use std::any::Any;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

/// Who makes a value.
struct Making(Mutex<State>);

struct State {
    /// The thread whose initialiser runs.
    maker: Option<u64>,
    waiting: Line,
}

/// What one who needs a value is to do.
enum Turn<'a> {
    Made,
    Make(Maker<'a>),
}

impl Making {
    const fn new() -> Self {
        Self(Mutex::new(State {
            maker: None,
            waiting: Line::new(),
        }))
    }

    /// Waits until the value is made, or this thread is the one to make it.
    fn turn(&self, is_made: impl Fn() -> bool) -> Turn<'_> {
        let me = current().id();
        let turn = wait_in(
            Awaited::Other("lazy value"),
            &self.0,
            |state| &mut state.waiting,
            None,
            |state| {
                if is_made() {
                    return Some(Ok(Turn::Made));
                }
                match state.maker {
                    Some(maker) if maker == me => Some(Err(())),
                    Some(_) => None,
                    None => {
                        state.maker = Some(me);
                        Some(Ok(Turn::Make(Maker(self))))
                    }
                }
            },
        );
        match turn {
            Ok(Ok(turn)) => turn,
            Ok(Err(())) => panic!("the initialiser of a lazy value needs that value itself"),
            Err(TimedOut) => panic!("a lazy value is being made, and the thread is unwinding"),
        }
    }
}

/// Whoever makes the value; when it is dropped, those who wait look again.
struct Maker<'a>(&'a Making);

impl Drop for Maker<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.0);
        state.maker = None;
        state.waiting.wake_all();
    }
}

/// A value for the whole process, made when it is first needed; its initialiser may wait.
///
/// Green threads and OS threads that come meanwhile wait, and hold up nobody. If the initialiser
/// panics, or its thread is killed or leaves its time limit in it, the next one that needs the value runs
/// it anew: there is no poison.
///
/// ```
/// use greenway_green::{Lazy, sleep, spawn};
/// use std::time::Duration;
///
/// static TABLE: Lazy<Vec<u32>> = Lazy::new(|| {
///     sleep(Duration::from_millis(5)); // asks the database
///     vec![1, 2, 3]
/// });
///
/// let others = [(); 3].map(|()| spawn(|| TABLE.len()));
/// assert_eq!(TABLE[0], 1);
/// assert_eq!(others.map(|other| other.join().unwrap()), [3; 3]);
/// ```
///
/// # Panics
/// To look at it panics when the initialiser does, or needs the value itself; and while the thread is
/// unwinding, when another one is making it ([`get`](Self::get) is for destructors).
pub struct Lazy<T, F = fn() -> T> {
    value: OnceLock<T>,
    making: Making,
    make: F,
}

impl<T, F: Fn() -> T> Lazy<T, F> {
    /// A value that `make` gives when it is first needed.
    pub const fn new(make: F) -> Self {
        Self {
            value: OnceLock::new(),
            making: Making::new(),
            make,
        }
    }

    /// The value if it is made already. Does not wait.
    pub fn get(this: &Self) -> Option<&T> {
        this.value.get()
    }

    /// The value; makes it, or waits until another thread has. Looking at it does the same.
    ///
    /// # Panics
    /// See the [type](Self#panics).
    pub fn force(this: &Self) -> &T {
        loop {
            if let Some(value) = this.value.get() {
                return value;
            }
            if let Turn::Make(maker) = this.making.turn(|| this.value.get().is_some()) {
                let made = this.value.set((this.make)());
                debug_assert!(made.is_ok(), "one thread at a time makes it");
                drop(maker);
            }
        }
    }
}

impl<T, F: Fn() -> T> Deref for Lazy<T, F> {
    type Target = T;

    fn deref(&self) -> &T {
        Self::force(self)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for Lazy<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lazy").field(&self.value.get()).finish()
    }
}

/// A value of each worker, made when a green thread of the worker first needs it; its initialiser may
/// wait. A `static`, in place of a `thread_local!` for values that are not [`Send`] or that each worker
/// is to have for itself (a connection, a cache).
///
/// All green threads of a worker share the worker's value. It is never dropped, since workers do not
/// end. An OS thread has a value of its own, dropped when it ends. An initialiser that
/// panics or is killed is run anew by the next one, as that of a [`Lazy`].
///
/// ```
/// use greenway_green::{WorkerLocal, sleep, spawn};
/// use std::cell::Cell;
/// use std::time::Duration;
///
/// static SERVED: WorkerLocal<Cell<u32>> = WorkerLocal::new(|| {
///     sleep(Duration::from_millis(1));
///     Cell::new(0)
/// });
///
/// let count = || SERVED.with(|served| served.replace(served.get() + 1));
/// spawn(move || assert_eq!((count(), count()), (0, 1))).join().unwrap();
/// ```
pub struct WorkerLocal<T> {
    key: OnceLock<u64>,
    make: fn() -> T,
}

/// What a worker has of one [`WorkerLocal`].
struct Slot<T> {
    value: OnceCell<T>,
    making: Making,
}

// The map has an entry for each static that was used here, and is borrowed for a look only.
thread_local!(static SLOTS: NoWaitCell<BTreeMap<u64, Rc<dyn Any>>> = const { NoWaitCell::new(BTreeMap::new()) });

impl<T: 'static> WorkerLocal<T> {
    /// A value that `make` gives on each worker where it is needed.
    pub const fn new(make: fn() -> T) -> Self {
        Self {
            key: OnceLock::new(),
            make,
        }
    }

    fn slot(&'static self) -> Rc<Slot<T>> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = || NEXT.fetch_add(1, Ordering::Relaxed);
        let key = *self.key.get_or_init(number);
        let slot = SLOTS.with(|slots| {
            let new = || -> Rc<dyn Any> {
                Rc::new(Slot::<T> {
                    value: OnceCell::new(),
                    making: Making::new(),
                })
            };
            slots.borrow_mut().entry(key).or_insert_with(new).clone()
        });
        slot.downcast().expect("a key belongs to one static")
    }

    /// Shows the worker's value to `look`, which may wait; makes it first, or waits until another green
    /// thread has.
    ///
    /// # Panics
    /// When the initialiser does, or needs the value itself; while the thread is unwinding, when another
    /// one is making it; and in an OS thread whose thread-locals have been destroyed.
    pub fn with<R>(&'static self, look: impl FnOnce(&T) -> R) -> R {
        let slot = self.slot();
        loop {
            if let Some(value) = slot.value.get() {
                return look(value);
            }
            if let Turn::Make(maker) = slot.making.turn(|| slot.value.get().is_some()) {
                let made = slot.value.set((self.make)());
                debug_assert!(made.is_ok(), "one thread at a time makes it");
                drop(maker);
            }
        }
    }
}

impl<T> fmt::Debug for WorkerLocal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerLocal").finish_non_exhaustive()
    }
}
