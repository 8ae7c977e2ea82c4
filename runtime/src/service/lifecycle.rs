//! Who is connected, and how that comes to an end.
//!
//! A connection holds an [`Admission`] for as long as it lives; a thread that serves one has a
//! [`ConnContext`] here, through which a stop reaches it.

use super::{ConnContext, ConnState};
use crate::green::embed::{Awaited, Interrupt, Io, Thread, TimedOut, wait_for};
use rustc_hash::FxHashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct Lifecycle {
    stopping: AtomicBool,
    /// The grace period is over.
    ending: AtomicBool,
    capacity: usize,
    connections: AtomicUsize,
    cut: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The keys are numbers of our own.
    seats: FxHashMap<u64, Arc<ConnContext>>,
    next: u64,
    /// Those who wait for the last connection to end.
    waiting: Vec<Arc<Thread>>,
}

impl Lifecycle {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            stopping: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            capacity,
            connections: AtomicUsize::new(0),
            cut: AtomicUsize::new(0),
            state: Mutex::new(State::default()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Set when the server stops, for those who wait for a next request: they are woken then.
    pub(crate) fn stop_flag(&self) -> &AtomicBool {
        &self.stopping
    }

    /// Whether the grace period of a stop is over.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    pub(crate) fn begin_stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Connections that may be open at once.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Connections that are open.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Notes that a request was ended by the stop.
    pub(crate) fn note_cut(&self) {
        self.cut.fetch_add(1, Ordering::SeqCst);
    }

    /// Requests that were ended by the stop.
    pub(crate) fn cut(&self) -> usize {
        self.cut.load(Ordering::SeqCst)
    }

    /// Lets a connection in, unless there are as many as there may be.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<Admission> {
        let before = self.connections.fetch_add(1, Ordering::SeqCst);
        let admission = Admission {
            lifecycle: self.clone(),
            seat: None,
        };
        (before < self.capacity).then_some(admission) // dropping it counts down again
    }

    /// Gives a seat to a thread, until it is given back by [`unseat`](Self::unseat).
    pub(crate) fn seat(&self, seat: Arc<ConnContext>) -> u64 {
        let mut state = self.lock();
        state.next += 1;
        let number = state.next;
        state.seats.insert(number, seat);
        number
    }

    pub(crate) fn unseat(&self, number: u64) {
        self.lock().seats.remove(&number);
    }

    /// Ends, when the stop has begun, what need not go on: connections that wait for a next
    /// request, and streams that may be ended at once.
    pub(crate) fn end_idle(&self) {
        for seat in self.seats() {
            if seat.place() == ConnState::Idle {
                seat.thread.wake(); // it looks at the flag
            }
            seat.end_if_willing();
        }
    }

    /// Ends what still runs.
    pub(crate) fn end_all(&self) {
        self.ending.store(true, Ordering::SeqCst);
        for seat in self.seats() {
            if seat.place() != ConnState::Free {
                seat.thread.interrupt(Interrupt::Stop);
            }
        }
    }

    fn seats(&self) -> Vec<Arc<ConnContext>> {
        self.lock().seats.values().cloned().collect()
    }

    /// Shows where in its connection's life each seated thread is.
    pub(crate) fn each_place(&self, mut show: impl FnMut(ConnState)) {
        for seat in self.lock().seats.values() {
            show(seat.place());
        }
    }

    /// Waits until no connection is open. False if some still are at the deadline.
    pub(crate) fn wait_until_empty(&self, deadline: Option<Instant>) -> bool {
        let mut asked = false;
        let result = wait_for(
            Awaited::Other("connections to end"),
            deadline,
            Io::None,
            |me, _| {
                let mut state = self.lock();
                if self.connections() == 0 {
                    return Some(());
                }
                if !asked {
                    asked = true;
                    state.waiting.push(me.clone());
                }
                None
            },
        );
        !matches!(result, Err(TimedOut))
    }
}

/// A connection's right to be open; counts down when dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    lifecycle: Arc<Lifecycle>,
    seat: Option<u64>,
}

impl Admission {
    /// Gives a seat to the thread that serves the connection, for as long as it is admitted.
    pub(crate) fn take_seat(&mut self, seat: Arc<ConnContext>) {
        self.seat = Some(self.lifecycle.seat(seat));
    }

    /// The connection goes on without a thread.
    pub(crate) fn leave_seat(&mut self) {
        if let Some(number) = self.seat.take() {
            self.lifecycle.unseat(number);
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.leave_seat();
        if self.lifecycle.connections.fetch_sub(1, Ordering::SeqCst) == 1
            && self.lifecycle.is_stopping()
        {
            // Under the lock: one who is about to wait has either seen the count or is listed.
            for thread in std::mem::take(&mut self.lifecycle.lock().waiting) {
                thread.wake();
            }
        }
    }
}
