//! [`Event`]: one thread tells, any number wait.

use crate::platform::sync::{Arc, Mutex};
use crate::platform::{Duration, Instant};
use crate::scheduler::line::Lookout;
use crate::scheduler::line::{Line, Ticket, wait_in};
use crate::scheduler::lock::lock;
use crate::scheduler::thread::{Awaited, Thread, deadline_in};
use crate::scheduler::timed_out::TimedOut;
use crate::sync::wait::sealed::{Watch, Watched};
use std::fmt;

/// Something that has happened or not, gevent's `Event`.
///
/// Clones are the same event. [`set`](Self::set) wakes all that wait, and until
/// [`clear`](Self::clear) nobody has to wait.
///
/// ```
/// use greenway_green::{Event, spawn};
///
/// let open = Event::new();
/// let visitor = {
///     let open = open.clone();
///     spawn(move || open.wait())
/// };
/// open.set();
/// visitor.join().unwrap();
/// ```
#[derive(Clone, Default)]
pub struct Event {
    shared: Arc<Mutex<EventState>>,
}

#[derive(Default)]
struct EventState {
    set: bool,
    /// Counts the times it was set, so that who waits sees one that was cleared at once.
    times: u64,
    waiting: Line,
}

impl Event {
    /// An event that has not happened.
    pub fn new() -> Self {
        Self::default()
    }

    /// It has happened: all that wait go on.
    pub fn set(&self) {
        let mut state = lock(&self.shared);
        if !state.set {
            state.set = true;
            state.times += 1;
            state.waiting.wake_all();
        }
    }

    /// It has not happened: from now on one has to wait again. Those who waited when it was set
    /// still go on.
    pub fn clear(&self) {
        lock(&self.shared).set = false;
    }

    /// Whether it is set: gevent's `ready` and `is_set`.
    pub fn is_set(&self) -> bool {
        lock(&self.shared).set
    }

    /// Whether nobody waits.
    #[cfg(test)]
    pub(crate) fn nobody_waits(&self) -> bool {
        lock(&self.shared).waiting.front().is_none()
    }

    /// Waits until it is set; comes back at once if the thread is unwinding.
    pub fn wait(&self) {
        let _set_or_unwinding = self.wait_until(None);
    }

    /// Waits until it is set, at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`] when it was not set in time.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), TimedOut> {
        self.wait_until(deadline_in(timeout))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<(), TimedOut> {
        let mut before = None;
        let has_happened = |state: &mut EventState| {
            let before = *before.get_or_insert(state.times);
            (state.set || state.times != before).then_some(())
        };
        wait_in(
            Awaited::Event,
            &self.shared,
            |state| &mut state.waiting,
            deadline,
            has_happened,
        )
    }
}

impl Lookout for Mutex<EventState> {
    fn is_ready(&self) -> bool {
        lock(self).set
    }
    fn watch(&self, thread: &Arc<Thread>) -> Ticket {
        lock(self).waiting.enter(thread.clone())
    }
    fn unwatch(&self, ticket: Ticket) {
        lock(self).waiting.leave(ticket);
    }
}

impl Watch for Event {
    fn lookout(&self) -> Watched<'_> {
        Watched(&*self.shared)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_set() {
            "Event(set)"
        } else {
            "Event(clear)"
        })
    }
}
