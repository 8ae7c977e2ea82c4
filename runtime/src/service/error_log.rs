//! The rate-limited error log: for messages of which each request may cause one, such as a handler
//! that panics or a connection that cannot be served.
//!
//! A thread that serves writes the server's log itself, so a flood of such messages would slow down
//! everybody, and would hide the others. The first messages of each kind are logged and the further
//! ones counted. The count is logged when ten seconds are over, or when the server stops.

use super::OsThread;
use crate::green;
use crate::green::embed::{RateLimit, lock};
use greenway_app::{Failure, Response};
use log::Level;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(10);
/// Messages of one kind that are logged within the window.
const MOST_OF_A_KIND: usize = 10;
/// Messages of all kinds that are logged within the window.
const MOST: usize = 100;

/// A log that is bounded in messages per time.
#[derive(Debug)]
pub(crate) struct ErrorLog {
    counts: Arc<Mutex<Counts>>,
    /// Logs the counts later; ends when there are none.
    reporter: Mutex<Option<OsThread>>,
}

#[derive(Debug)]
struct Counts {
    limit: RateLimit,
    /// Whether the reporter runs.
    reported_later: bool,
}

impl ErrorLog {
    pub(super) fn new() -> Self {
        let counts = Counts {
            limit: RateLimit::new(WINDOW, MOST_OF_A_KIND, MOST),
            reported_later: false,
        };
        Self {
            counts: Arc::new(Mutex::new(counts)),
            reporter: Mutex::new(None),
        }
    }

    /// Logs `what`, or counts it if its kind was logged too often within the window. `kind` is shown with the count:
    /// "panics of GET /report".
    #[cold]
    pub(crate) fn log(&self, level: Level, kind: &str, what: fmt::Arguments<'_>) {
        if !log::log_enabled!(level) {
            return;
        }
        let admitted = lock(&self.counts).limit.admit(kind, Instant::now());
        match admitted {
            Some(unsaid) => {
                if unsaid > 0 {
                    log_count(Some(kind), unsaid);
                }
                log::log!(level, "{what}");
            }
            None => self.report_later(),
        }
    }

    /// As [`log`](Self::log), for an error.
    #[cold]
    pub(crate) fn error(&self, kind: &str, what: fmt::Arguments<'_>) {
        self.log(Level::Error, kind, what);
    }

    /// Logs the cause of a 5xx response, if the response has one. `asked` gives what requests such as this one
    /// have in common, and the request's line.
    pub(crate) fn failure(&self, response: &Response, asked: impl FnOnce() -> (String, String)) {
        if response.status().is_server_error() {
            self.log_failure(response, asked);
        }
    }

    #[cold]
    #[inline(never)] // its stack frame is large, and most responses are no failures
    fn log_failure(&self, response: &Response, asked: impl FnOnce() -> (String, String)) {
        if let Some(failure) = response.extensions().get::<Failure>() {
            let (kind, line) = asked();
            let kind = format!("server errors of {kind}");
            self.error(&kind, format_args!("{line}: {failure}"));
        }
    }

    fn report_later(&self) {
        if std::mem::replace(&mut lock(&self.counts).reported_later, true) {
            return;
        }
        let counts = self.counts.clone();
        match OsThread::start("greenway-counts", move || {
            report_counts(&counts, WINDOW, log_count);
        }) {
            // The predecessor that this drops has nothing left to do but to end.
            Ok(task) => drop(lock(&self.reporter).replace(task)),
            // The count is logged with the next message of its kind, or at the stop.
            Err(_) => lock(&self.counts).reported_later = false,
        }
    }

    /// Logs all counts now: the server has stopped, and no messages will follow.
    pub(super) fn finish(&self) {
        if let Some(task) = lock(&self.reporter).take() {
            task.end();
        }
        let counts = lock(&self.counts).limit.take_unsaid(None);
        for (kind, unsaid) in counts {
            log_count(kind.as_deref(), unsaid);
        }
    }
}

/// Logs the counts of messages that were not logged, until there are none.
fn report_counts(counts: &Mutex<Counts>, window: Duration, tell: fn(Option<&str>, u64)) {
    let _not_silent = Reporting(counts);
    loop {
        green::sleep(window); // the windows of all messages that were counted before are over then
        let (over, goes_on) = {
            let mut counts = lock(counts);
            let over = counts.limit.take_unsaid(Some(Instant::now()));
            counts.reported_later = counts.limit.has_unsaid();
            (over, counts.reported_later)
        };
        for (kind, unsaid) in over {
            tell(kind.as_deref(), unsaid);
        }
        if !goes_on {
            return;
        }
    }
}

/// The reporter is at work. If the application's logger panics under it, the next message that is not
/// shown starts another one.
struct Reporting<'a>(&'a Mutex<Counts>);

impl Drop for Reporting<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            lock(self.0).reported_later = false;
        }
    }
}

fn log_count(kind: Option<&str>, unsaid: u64) {
    log::error!(
        "not shown, {unsaid} more: {}",
        kind.unwrap_or("complaints of other kinds")
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn counts_are_reported_again_when_a_logger_has_panicked_under_them() {
        let log = ErrorLog::new();
        let now = Instant::now();
        // As the reporter's thread does, at work on the first kind and to go on with the second.
        lock(&log.counts).reported_later = true;
        let fails = |_: Option<&str>, _| panic!("as this test wants it");
        let reporting = AssertUnwindSafe(|| {
            let counts = &log.counts;
            for _ in 0..=MOST_OF_A_KIND {
                lock(counts).limit.admit("over", now - 2 * WINDOW);
                lock(counts).limit.admit("not over", now + 10 * WINDOW);
            }
            report_counts(counts, Duration::from_millis(5), fails);
        });
        assert!(catch_unwind(reporting).is_err());
        assert!(lock(&log.counts).limit.has_unsaid());
        assert!(
            !lock(&log.counts).reported_later,
            "nobody would report them"
        );
    }
}
