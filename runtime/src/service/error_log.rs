//! ErrorLog of which there may be one for each request: a handler that panics or fails, a
//! connection that cannot be served.
//!
//! The error log is written by whoever serves, so a flood of them would slow down everybody, and
//! hide what else is said. The first of each kind are told, the others counted; the count follows
//! when ten seconds are over, or with the stop.

use super::OsThread;
use crate::green;
use crate::green::embed::RateLimit;
use greenway_app::{Failure, Response};
use log::Level;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(10);
/// Of each kind, within that time.
const EACH: usize = 10;
/// Of all kinds.
const MOST: usize = 100;

/// Whoever complains goes through this.
#[derive(Debug)]
pub(crate) struct ErrorLog {
    state: Arc<Mutex<State>>,
    /// Tells the counts; ends when there are none.
    teller: Mutex<Option<OsThread>>,
}

#[derive(Debug)]
struct State {
    limit: RateLimit,
    /// Somebody will tell the counts.
    told_later: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under the locks can panic half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ErrorLog {
    pub(super) fn new() -> Self {
        let state = State {
            limit: RateLimit::new(WINDOW, EACH, MOST),
            told_later: false,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            teller: Mutex::new(None),
        }
    }

    /// Logs `what`, or counts it if its kind was logged too often. `kind` is shown with the count:
    /// "panics of GET /report".
    #[cold]
    pub(crate) fn say(&self, level: Level, kind: &str, what: fmt::Arguments<'_>) {
        if !log::log_enabled!(level) {
            return;
        }
        let admitted = lock(&self.state).limit.admit(kind, Instant::now());
        match admitted {
            Some(unsaid) => {
                if unsaid > 0 {
                    tell(Some(kind), unsaid);
                }
                log::log!(level, "{what}");
            }
            None => self.tell_later(),
        }
    }

    /// As [`say`](Self::say), of what is an error.
    #[cold]
    pub(crate) fn error(&self, kind: &str, what: fmt::Arguments<'_>) {
        self.say(Level::Error, kind, what);
    }

    /// Logs why a response is a 5xx, if it tells. `asked` gives what requests such as this one
    /// have in common, and the request's line.
    pub(crate) fn failure(&self, response: &Response, asked: impl FnOnce() -> (String, String)) {
        if response.status().is_server_error() {
            self.tell_failure(response, asked);
        }
    }

    #[cold]
    #[inline(never)] // not to be part of the frame of those that do not fail
    fn tell_failure(&self, response: &Response, asked: impl FnOnce() -> (String, String)) {
        if let Some(failure) = response.extensions().get::<Failure>() {
            let (kind, line) = asked();
            let kind = format!("server errors of {kind}");
            self.error(&kind, format_args!("{line}: {failure}"));
        }
    }

    fn tell_later(&self) {
        if std::mem::replace(&mut lock(&self.state).told_later, true) {
            return;
        }
        let state = self.state.clone();
        match OsThread::start("greenway-counts", move || tell_counts(&state)) {
            // Dropped, its predecessor has nothing left to do but to end.
            Ok(task) => drop(lock(&self.teller).replace(task)),
            // The count comes with the next complaint of its kind, or with the stop.
            Err(_) => lock(&self.state).told_later = false,
        }
    }

    /// Tells all counts now: nobody will complain any more.
    pub(super) fn finish(&self) {
        if let Some(task) = lock(&self.teller).take() {
            task.end();
        }
        let counts = lock(&self.state).limit.take_unsaid(None);
        for (kind, unsaid) in counts {
            tell(kind.as_deref(), unsaid);
        }
    }
}

/// Tells what was not said, until there is nothing.
fn tell_counts(state: &Mutex<State>) {
    loop {
        green::sleep(WINDOW); // the windows of all that was not said before are over then
        let (counts, goes_on) = {
            let mut state = lock(state);
            let counts = state.limit.take_unsaid(Some(Instant::now()));
            state.told_later = state.limit.has_unsaid();
            (counts, state.told_later)
        };
        for (kind, unsaid) in counts {
            tell(kind.as_deref(), unsaid);
        }
        if !goes_on {
            return;
        }
    }
}

fn tell(kind: Option<&str>, unsaid: u64) {
    log::error!(
        "not shown, {unsaid} more: {}",
        kind.unwrap_or("complaints of other kinds")
    );
}
