//! Who is connected, and how a stop ends that.
//!
//! A connection holds an [`Admission`] for as long as it lives. A thread that serves one has
//! registered its [`ConnContext`] here, through which a stop reaches it.
//!
//! What must stay true: a stop always ends, and no connection is overlooked by it.
//!
//! # The stop handshake
//!
//! A stop has to end, at once, every connection that waits for a next request and every stream
//! that allows it, while other threads enter and leave these states all the time. No lock is held
//! for that, since each request would have to take it twice. Instead each side writes before it
//! reads:
//!
//! - **The stop** sets the stop flag ([`Lifecycle::begin_stop`]), and then looks at the states of all
//!   contexts ([`Lifecycle::end_idle`]). One that hands over to another process sets the flag for
//!   streams earlier ([`Lifecycle::begin_leaving`], [`Lifecycle::end_streams`]). It wakes those that are idle, and interrupts those that are
//!   stoppable.
//! - **A connection** sets its state, and then looks at the stop flag before it waits
//!   ([`ConnContext::allow_stop`] for streams; for idle connections, the wait for a next request
//!   has the flag among its conditions, see [`Lifecycle::stop_flag`]).
//!
//! All four accesses are `SeqCst`, so they have one order on which everybody agrees. If the
//! connection has looked at the flag before the stop set it, then the connection's state was set
//! earlier still, and the stop, which looks later, sees it. Otherwise the connection sees the flag.
//! So at least one of them notices the other. If both do, the stop's interrupt is idempotent: only
//! one of them changes the state from stoppable to stopping.
//!
//! Two more places work the same way, each with a flag and a list: a context that registers while
//! a stop is under way sets its state first and finds the flag at its first wait; a WebSocket
//! enters the list of [`WebSockets`](super::WebSockets) first and looks at that room's flag
//! afterwards. And the end of the last connection is noticed under the lock of `registry`: one who is
//! about to wait for it has either seen the count or is on the list of those who are woken.

use super::{ConnContext, ConnState};
use crate::green::embed::{Awaited, Interrupt, Io, Thread, TimedOut, lock, wait_for};
use rustc_hash::FxHashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// How many connections there are and may be, and whether the server stops.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    /// No connection has another request after the present one.
    leaving: AtomicBool,
    /// The stop flag.
    stopping: AtomicBool,
    /// The grace period is over.
    ending: AtomicBool,
    capacity: usize,
    connections: AtomicUsize,
    cut: AtomicUsize,
    registry: Mutex<Registry>,
}

#[derive(Debug, Default)]
struct Registry {
    /// By numbers of our own.
    contexts: FxHashMap<u64, Arc<ConnContext>>,
    /// The number that was given last.
    last: u64,
    /// Those who wait for the last connection to end.
    waiting: Vec<Arc<Thread>>,
}

impl Lifecycle {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            leaving: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            capacity,
            connections: AtomicUsize::new(0),
            cut: AtomicUsize::new(0),
            registry: Mutex::default(),
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// The stop flag, as a condition for waits: those that wait for a next request are woken when
    /// it is set.
    pub(crate) fn stop_flag(&self) -> &AtomicBool {
        &self.stopping
    }

    /// Whether the grace period of a stop is over.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// The same, as a condition for waits: connections that are being closed are woken when it is
    /// set.
    pub(crate) fn ending_flag(&self) -> &AtomicBool {
        &self.ending
    }

    /// Whether each response is the last one of its connection.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::SeqCst)
    }

    /// From now on, each response says that it is the last one of its connection. Those who wait
    /// for a request may still have one.
    pub(crate) fn begin_leaving(&self) {
        self.leaving.store(true, Ordering::SeqCst);
    }

    pub(crate) fn begin_stop(&self) {
        self.begin_leaving();
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Connections that may be open at once.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether there are as many connections as there may be.
    pub(crate) fn is_full(&self) -> bool {
        self.connections() >= self.capacity
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

    /// Lets a connection in, unless there are as many as there may be and `make_room` cannot have
    /// another one closed. Until that one is, there is one too many.
    pub(crate) fn admit(self: &Arc<Self>, make_room: impl FnOnce() -> bool) -> Option<Admission> {
        let before = self.connections.fetch_add(1, Ordering::SeqCst);
        let admission = Admission {
            lifecycle: self.clone(),
            registered: None,
        };
        (before < self.capacity || make_room()).then_some(admission) // dropping it counts down again
    }

    /// Registers the context of a thread, until [`unregister`](Self::unregister) is called with
    /// the number that this gives.
    pub(crate) fn register(&self, context: Arc<ConnContext>) -> u64 {
        let mut registry = lock(&self.registry);
        registry.last += 1;
        let number = registry.last;
        registry.contexts.insert(number, context);
        number
    }

    pub(crate) fn unregister(&self, number: u64) {
        lock(&self.registry).contexts.remove(&number);
    }

    /// Ends, after [`begin_leaving`](Self::begin_leaving), the streams that may be ended at once, and
    /// has connections of HTTP/2 say that they take no more.
    pub(crate) fn end_streams(&self) {
        for context in self.contexts() {
            if matches!(context.state(), ConnState::Idle | ConnState::Shared) {
                context.thread.wake(); // it looks at the flag
            }
            context.stop_if_allowed();
        }
    }

    /// Ends, after [`begin_stop`](Self::begin_stop), what need not go on: connections that wait for
    /// a next request, and streams that may be ended at once.
    pub(crate) fn end_idle(&self) {
        for context in self.contexts() {
            if matches!(context.state(), ConnState::Idle | ConnState::Shared) {
                context.thread.wake(); // it looks at the flag
            }
            context.stop_if_allowed();
        }
    }

    /// Ends what still runs.
    pub(crate) fn end_all(&self) {
        self.ending.store(true, Ordering::SeqCst);
        for context in self.contexts() {
            match context.state() {
                ConnState::Free | ConnState::Pooled => {}
                // It looks at the flag.
                ConnState::Closing | ConnState::Shared => context.thread.wake(),
                _ => context.thread.interrupt(Interrupt::Stop),
            }
        }
    }

    fn contexts(&self) -> Vec<Arc<ConnContext>> {
        lock(&self.registry).contexts.values().cloned().collect()
    }

    /// Shows the context of each registered thread.
    pub(crate) fn each_context(&self, mut show: impl FnMut(&ConnContext)) {
        for context in lock(&self.registry).contexts.values() {
            show(context);
        }
    }

    /// Connections that are open and not idle: requests that a process which ends now would cut.
    /// `without_thread` is how many idle ones have no thread.
    pub(crate) fn unfinished(&self, without_thread: usize) -> usize {
        let mut idle = without_thread;
        self.each_context(|context| idle += usize::from(context.state() == ConnState::Idle));
        self.connections().saturating_sub(idle)
    }

    /// Waits until no connection is open. False if some still are at the deadline.
    pub(crate) fn wait_until_empty(&self, deadline: Option<Instant>) -> bool {
        let mut listed = false;
        let result = wait_for(
            Awaited::Other("connections to end"),
            deadline,
            Io::None,
            |me, _| {
                let mut registry = lock(&self.registry);
                if self.connections() == 0 {
                    return Some(());
                }
                if !listed {
                    listed = true;
                    registry.waiting.push(me.clone());
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
    /// The number of the context of the thread that serves it.
    registered: Option<u64>,
}

impl Admission {
    /// Registers the context of the thread that serves the connection, for as long as it is
    /// admitted.
    pub(crate) fn attach(&mut self, context: Arc<ConnContext>) {
        self.registered = Some(self.lifecycle.register(context));
    }

    /// The connection goes on without a thread.
    pub(crate) fn detach(&mut self) {
        if let Some(number) = self.registered.take() {
            self.lifecycle.unregister(number);
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.detach();
        if self.lifecycle.connections.fetch_sub(1, Ordering::SeqCst) == 1
            && self.lifecycle.is_leaving()
        {
            // Under the lock: one who is about to wait has either seen the count or is listed.
            for thread in std::mem::take(&mut lock(&self.lifecycle.registry).waiting) {
                thread.wake();
            }
        }
    }
}
