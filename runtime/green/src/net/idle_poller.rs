//! [`IdlePoller`]: things with a descriptor that wait for it without a green thread.
//!
//! A waiting green thread holds two pages of stack and its bookkeeping, about 10 kB. What may
//! wait for long and has nothing on its stack that it needs (an idle connection) is given to the
//! idle poller of its worker, and comes back when its descriptor has something to read.
//!
//! What must stay true: all that an idle poller does happens on its worker, so a descriptor that
//! `may` watches there may be parked and taken out again without a system call for `may`'s epoll.
//! A thing is parked, or given back, or dropped (at its deadline, or to make room): exactly one of
//! these. What has become readable is given back, and never dropped.

use crate::Greenlet;
use crate::runtime;
use crate::scheduler::giving_way::yield_now;
use crate::scheduler::lock::{Locked, lock};
use crate::scheduler::registered::Registered;
use crate::scheduler::service_thread::Noticed;
use crate::scheduler::thread::{Awaited, Io, Thread, current, wait_for};
use crate::scheduler::timed_out::TimedOut;
use crate::scheduler::worker::Worker;
use crate::sys::{self, Epoll, Interest};
use crate::task::spawn::Builder;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

/// What waits for descriptors of one worker without a green thread.
pub struct IdlePoller<T: Send + 'static> {
    shared: Arc<Shared<T>>,
    task: Greenlet<()>,
}

struct Shared<T> {
    epoll: Epoll,
    task: OnceLock<Arc<Thread>>,
    // Locked for a moment each, on the worker and by `close`.
    state: Mutex<State<T>>,
}

struct State<T> {
    /// In the order in which they were parked.
    parked: BTreeMap<u64, Parked<T>>,
    deadlines: BTreeSet<(Instant, u64)>,
    next: u64,
    /// How many are to be dropped to make room, those first that were parked first.
    excess: usize,
    closed: bool,
}

struct Parked<T> {
    /// In a box: the free entries that the table keeps should not be as large as whole things.
    thing: Box<T>,
    deadline: Option<Instant>,
}

impl<T: AsFd + Send + 'static> IdlePoller<T> {
    /// An idle poller of a worker. A thing whose descriptor is readable, or whose peer has ended, is
    /// given to `back`, on the worker, in a thread that must not wait.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn new(
        worker: &'static Worker,
        back: impl Fn(Box<T>) + Send + 'static,
    ) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let workers = runtime::workers().len();
        let watched = sys::dup_for_worker(epoll.as_fd(), worker.index(), workers)?;
        let watched = Registered::new(watched)?;
        let shared = Arc::new(Shared {
            epoll,
            task: OnceLock::new(),
            state: Mutex::new(State {
                parked: BTreeMap::new(),
                deadlines: BTreeSet::new(),
                next: 0,
                excess: 0,
                closed: false,
            }),
        });
        let here = shared.clone();
        let task = Builder::new()
            .name("greenway-idle")
            .worker(worker.index())
            .spawn(move || {
                // All idle connections would wait for ever.
                let _noticed = Noticed("greenway-idle");
                here.run(watched.io(Interest::Readable), back);
            });
        Ok(Self { shared, task })
    }

    /// Parks a thing until its descriptor is readable; at the deadline it is dropped. Called on
    /// that worker.
    ///
    /// # Errors
    /// The thing, when the idle poller is closed or the kernel's limit on watches is reached.
    pub fn park(&self, thing: Box<T>, deadline: Option<Instant>) -> Result<(), Box<T>> {
        let mut state = self.shared.lock();
        state.next += 1;
        let number = state.next;
        if state.closed || self.shared.epoll.watch_once(thing.as_fd(), number).is_err() {
            return Err(thing);
        }
        state.parked.insert(number, Parked { thing, deadline });
        if let Some(at) = deadline {
            state.deadlines.insert((at, number));
            if state.earliest() == Some(at)
                && let Some(task) = self.shared.task.get()
            {
                drop(state);
                task.wake(); // it is to wait for an earlier deadline
            }
        }
        Ok(())
    }

    /// Has the thing that was parked first dropped, for another one's sake; its worker does it soon,
    /// unless the thing has become readable. False if nothing is parked, or all of it is to go
    /// already.
    pub fn drop_oldest(&self) -> bool {
        let mut state = self.shared.lock();
        if state.closed || state.excess >= state.parked.len() {
            return false;
        }
        state.excess += 1;
        drop(state);
        if let Some(task) = self.shared.task.get() {
            task.wake();
        }
        true
    }

    /// Gives back what has become readable by now, drops all the rest, and takes nothing more.
    /// Does not wait for that.
    pub fn close(&self) {
        self.shared.lock().closed = true;
        if let Some(task) = self.shared.task.get() {
            task.wake();
        }
    }

    /// Waits until a closed poller is empty, or its worker does not come to it before the deadline.
    pub fn wait_closed(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let _ended_or_held_up = self.task.join_timeout(left);
    }
}

impl<T> State<T> {
    fn earliest(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    fn take(&mut self, number: u64) -> Option<Box<T>> {
        let parked = self.parked.remove(&number)?;
        if let Some(at) = parked.deadline {
            self.deadlines.remove(&(at, number));
        }
        Some(parked.thing)
    }
}

impl<T: Send + 'static> Shared<T> {
    fn lock(&self) -> Locked<'_, State<T>> {
        // Nothing under the lock can panic half-way through a change.
        lock(&self.state)
    }

    fn run(&self, io: Io<'_>, back: impl Fn(Box<T>)) {
        self.task.get_or_init(|| current().handle());
        loop {
            let (earliest, closed) = {
                let state = self.lock();
                (state.earliest(), state.closed)
            };
            if !closed {
                let (Ok(()) | Err(TimedOut)) = wait_for(
                    Awaited::Other("idle connections"),
                    earliest,
                    io,
                    |_, flags| {
                        let state = self.lock();
                        let changed = state.closed || state.earliest() != earliest;
                        (flags != 0 || changed || state.excess > 0).then_some(())
                    },
                );
            }
            while self.give_back(&back) {
                yield_now();
            }
            if closed {
                break;
            }
            self.drop_late();
            self.drop_excess();
        }
        let rest = std::mem::take(&mut self.lock().parked);
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
            let late = match state.deadlines.first() {
                Some(&(at, number)) if at <= now => state.take(number),
                _ => return,
            };
            drop(state);
            drop(late);
        }
    }

    fn drop_excess(&self) {
        loop {
            let mut state = self.lock();
            let oldest = state.parked.first_key_value().map(|(number, _)| *number);
            let (Some(number), 1..) = (oldest, state.excess) else {
                state.excess = 0;
                return;
            };
            state.excess -= 1;
            let oldest = state.take(number);
            drop(state);
            drop(oldest);
        }
    }
}

impl<T: Send + 'static> fmt::Debug for IdlePoller<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parked = self.shared.lock().parked.len();
        f.debug_struct("IdlePoller")
            .field("parked", &parked)
            .finish_non_exhaustive()
    }
}
