//! [`Job`]: a closure that a thread pool runs, seen from outside.

use crate::scheduler::line::Lookout;
use crate::scheduler::line::{Line, Ticket, wait_in};
use crate::scheduler::lock::lock;
use crate::scheduler::thread::{Awaited, Note, Thread, current, deadline_in, wait_through};
use crate::scheduler::timed_out::TimedOut;
use crate::sync::wait::sealed::{Watch, Watched};
use crate::task::JoinError;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A closure that a [`ThreadPool`](super::ThreadPool) runs. Dropping it lets the closure run.
pub struct Job<T> {
    shared: Arc<Mutex<State<T>>>,
}

struct State<T> {
    phase: Phase<T>,
    waiting: Line,
    /// A panic is to be noted for whoever joins, instead of being printed.
    noting: bool,
    note: Option<Note>,
}

enum Phase<T> {
    Queued(Box<dyn FnOnce() -> T + Send>),
    Running,
    Ended(Result<T, JoinError>),
    /// The outcome has been taken by a join.
    Taken,
}

impl<T> State<T> {
    fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_) | Phase::Taken)
    }

    fn end(&mut self, outcome: Result<T, JoinError>) {
        self.phase = Phase::Ended(outcome);
        self.waiting.wake_all();
    }
}

/// How a run went, for the pool's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ran {
    Completed,
    Panicked,
    WasKilled,
}

/// A job as the pool's threads see it.
pub(super) trait Run: Send + Sync {
    /// Runs it, and calls `count` before anybody can see that it has ended.
    fn run(&self, count: &dyn Fn(Ran));
}

impl<T: Send> Run for Mutex<State<T>> {
    fn run(&self, count: &dyn Fn(Ran)) {
        let (closure, noting) = {
            let mut state = lock(self);
            match mem::replace(&mut state.phase, Phase::Running) {
                Phase::Queued(closure) => (closure, state.noting),
                other => {
                    state.phase = other;
                    drop(state);
                    return count(Ran::WasKilled);
                }
            }
        };
        let me = current();
        let noted_before = me.is_noting();
        me.set_noting(noting);
        // Unwind safety: whatever the closure shares is as exposed as in a std thread.
        let result = catch_unwind(AssertUnwindSafe(closure));
        me.set_noting(noted_before);
        count(match &result {
            Ok(_) => Ran::Completed,
            Err(_) => Ran::Panicked,
        });
        let mut state = lock(self);
        state.note = me.take_note();
        state.end(result.map_err(JoinError::Panicked));
    }
}

impl<T: Send + 'static> Job<T> {
    pub(super) fn new(closure: impl FnOnce() -> T + Send + 'static) -> Self {
        Self {
            shared: Arc::new(Mutex::new(State {
                phase: Phase::Queued(Box::new(closure)),
                waiting: Line::default(),
                noting: current().is_noting(),
                note: None,
            })),
        }
    }

    pub(super) fn runner(&self) -> Arc<dyn Run> {
        self.shared.clone()
    }
}

impl<T> Job<T> {
    /// One that will never be run.
    pub(super) fn not_started() -> Self {
        Self {
            shared: Arc::new(Mutex::new(State {
                phase: Phase::Ended(Err(JoinError::NotStarted)),
                waiting: Line::default(),
                noting: false,
                note: None,
            })),
        }
    }

    /// Waits for the closure to end, and gives its value.
    ///
    /// # Errors
    /// [`JoinError`] when it panicked or was killed while it was queued.
    pub fn join(self) -> Result<T, JoinError> {
        self.join_until(None).unwrap_or(Err(JoinError::Taken))
    }

    /// Waits at most `timeout` for the closure to end. `None` when it has not.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Option<Result<T, JoinError>> {
        self.join_until(deadline_in(timeout)).ok()
    }

    pub(super) fn join_until(
        &self,
        deadline: Option<Instant>,
    ) -> Result<Result<T, JoinError>, TimedOut> {
        let ended = |state: &mut State<T>| {
            if !state.has_ended() {
                return None;
            }
            if let Some(note) = state.note.take() {
                current().put_note(note);
            }
            match mem::replace(&mut state.phase, Phase::Taken) {
                Phase::Ended(outcome) => Some(outcome),
                _ => Some(Err(JoinError::Taken)),
            }
        };
        wait_in(
            Awaited::Job,
            &self.shared,
            |state| &mut state.waiting,
            deadline,
            ended,
        )
    }

    /// Waits for it to end, whatever else happens to this thread. Its outcome stays.
    pub(super) fn wait_through(&self) {
        let mut ticket = None;
        wait_through(Awaited::Job, |me| {
            let mut state = lock(&self.shared);
            let ended = state.has_ended();
            match ticket {
                None if !ended => ticket = Some(state.waiting.enter(me.clone())),
                Some(ticket) if ended => {
                    state.waiting.leave(ticket);
                }
                None | Some(_) => {}
            }
            ended
        });
    }

    /// Whether it has ended.
    pub fn ready(&self) -> bool {
        lock(&self.shared).has_ended()
    }

    /// Takes the closure back if it is still queued: it is dropped and will not run. True if so.
    /// One that runs already cannot be stopped.
    pub fn kill(&self) -> bool {
        let mut state = lock(&self.shared);
        if !matches!(state.phase, Phase::Queued(_)) {
            return false;
        }
        let closure = mem::replace(&mut state.phase, Phase::Running);
        state.end(Err(JoinError::Killed));
        drop(state);
        drop(closure); // not under the lock: it is the caller's code
        true
    }
}

impl<T> Lookout for Mutex<State<T>> {
    fn is_ready(&self) -> bool {
        lock(self).has_ended()
    }
    fn watch(&self, thread: &Arc<Thread>) -> Ticket {
        lock(self).waiting.enter(thread.clone())
    }
    fn unwatch(&self, ticket: Ticket) {
        lock(self).waiting.leave(ticket);
    }
}

impl<T> Watch for Job<T> {
    fn lookout(&self) -> Watched<'_> {
        Watched(&*self.shared)
    }
}

impl<T> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not under the lock: what is written to is the user's.
        let text = match lock(&self.shared).phase {
            Phase::Queued(_) => "Job(queued)",
            Phase::Running => "Job(running)",
            Phase::Ended(_) | Phase::Taken => "Job(ended)",
        };
        f.write_str(text)
    }
}
