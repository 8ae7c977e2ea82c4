//! A parking lot: things with a descriptor that wait for it without a green thread.
//!
//! A waiting green thread holds two pages of stack and its bookkeeping, about 10 kB. What may
//! wait for long and has nothing on its stack that it needs (an idle connection) is given to the
//! lot of its worker, and comes back when its descriptor has something to read.
//!
//! What must stay true: all of a lot happens on its worker, so a descriptor that `may` watches
//! there may be parked and taken out again without a system call for `may`'s epoll. A thing is
//! in the lot, or given back, or dropped at its deadline: exactly one of these.

use super::registered::Registered;
use super::spawn::Builder;
use super::sys::{self, Epoll};
use super::thread::{Awaited, Io, Thread, TimedOut, current, wait_for};
use super::worker::{self, Worker};
use super::{Greenlet, yield_now};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

/// The lot of a worker.
pub struct Lot<T: Send + 'static> {
    shared: Arc<Shared<T>>,
    keeper: Greenlet<()>,
}

struct Shared<T> {
    epoll: Epoll,
    keeper: OnceLock<Arc<Thread>>,
    // Locked on the worker and for a moment each, except by who closes the lot.
    state: Mutex<State<T>>,
}

struct State<T> {
    places: HashMap<u64, Place<T>>,
    clocks: BTreeSet<(Instant, u64)>,
    next: u64,
    closed: bool,
}

struct Place<T> {
    /// In a box: the table has room to spare, which should not be room for whole things.
    thing: Box<T>,
    deadline: Option<Instant>,
}

impl<T: AsFd + Send + 'static> Lot<T> {
    /// The lot of a worker. A thing whose descriptor is readable, or whose peer has ended, is
    /// given to `back`, on the worker, in a thread that must not wait.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn new(
        worker: &'static Worker,
        back: impl Fn(Box<T>) + Send + 'static,
    ) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let workers = worker::workers().len();
        let watched = sys::dup_for_worker(epoll.as_fd(), worker.index(), workers)?;
        let watched = Registered::new(watched)?;
        let shared = Arc::new(Shared {
            epoll,
            keeper: OnceLock::new(),
            state: Mutex::new(State {
                places: HashMap::new(),
                clocks: BTreeSet::new(),
                next: 0,
                closed: false,
            }),
        });
        let here = shared.clone();
        let keeper = Builder::new()
            .name("greenway-lot")
            .worker(worker.index())
            .spawn(move || here.keep(watched.io(), back));
        Ok(Self { shared, keeper })
    }

    /// Parks a thing until its descriptor is readable; at the deadline it is dropped. Called on
    /// the lot's worker.
    ///
    /// # Errors
    /// The thing, when the lot is closed or the kernel's limit on watches is reached.
    pub fn park(&self, thing: Box<T>, deadline: Option<Instant>) -> Result<(), Box<T>> {
        let mut state = self.shared.lock();
        state.next += 1;
        let number = state.next;
        if state.closed || self.shared.epoll.watch_once(thing.as_fd(), number).is_err() {
            return Err(thing);
        }
        state.places.insert(number, Place { thing, deadline });
        if let Some(at) = deadline {
            state.clocks.insert((at, number));
            if state.earliest() == Some(at)
                && let Some(keeper) = self.shared.keeper.get()
            {
                drop(state);
                keeper.wake(); // it is to wait for an earlier deadline
            }
        }
        Ok(())
    }

    /// Gives back what has become readable by now, drops all the rest, and takes nothing more.
    /// Does not wait for that.
    pub fn close(&self) {
        self.shared.lock().closed = true;
        if let Some(keeper) = self.shared.keeper.get() {
            keeper.wake();
        }
    }

    /// Waits until a closed lot is empty, or its worker does not come to it before the deadline.
    pub fn wait_closed(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let _ended_or_held_up = self.keeper.join_timeout(left);
    }
}

impl<T> State<T> {
    fn earliest(&self) -> Option<Instant> {
        self.clocks.first().map(|(at, _)| *at)
    }

    fn take(&mut self, number: u64) -> Option<Box<T>> {
        let place = self.places.remove(&number)?;
        if let Some(at) = place.deadline {
            self.clocks.remove(&(at, number));
        }
        Some(place.thing)
    }
}

impl<T: Send + 'static> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing under the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, io: Io<'_>, back: impl Fn(Box<T>)) {
        self.keeper.get_or_init(current);
        loop {
            let (earliest, closed) = {
                let state = self.lock();
                (state.earliest(), state.closed)
            };
            if !closed {
                let (Ok(()) | Err(TimedOut)) = wait_for(Awaited::Lot, earliest, io, |_, flags| {
                    let state = self.lock();
                    let changed = state.closed || state.earliest() != earliest;
                    (flags != 0 || changed).then_some(())
                });
            }
            while self.give_back(&back) {
                yield_now();
            }
            if closed {
                break;
            }
            self.drop_late();
        }
        let rest = std::mem::take(&mut self.lock().places);
        drop(rest);
    }

    /// Gives back what is readable. True if there may be more of it.
    fn give_back(&self, back: impl Fn(Box<T>)) -> bool {
        let mut ready = Vec::new();
        let more = self.epoll.wait(false, |number, _| ready.push(number));
        for number in ready {
            let thing = self.lock().take(number);
            if let Some(thing) = thing {
                back(thing);
            }
        }
        more.unwrap_or(true) // interrupted: once more
    }

    fn drop_late(&self) {
        let now = Instant::now();
        loop {
            let mut state = self.lock();
            let late = match state.clocks.first() {
                Some(&(at, number)) if at <= now => state.take(number),
                _ => return,
            };
            drop(state);
            drop(late);
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Lot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lot")
            .field("places", &self.shared.lock().places.len())
            .finish_non_exhaustive()
    }
}
