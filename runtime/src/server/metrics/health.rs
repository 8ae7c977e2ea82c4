//! Whether the server lives, and whether it should be sent requests: for whoever restarts it, and
//! for whoever balances load.

use super::LagProbes;
use crate::service::Service;
use std::fmt::Write as _;
use std::time::Duration;

/// A worker that has not come round for so long is held up.
const HELD_UP: Duration = Duration::from_secs(1);

/// What is known of a server's health.
pub(super) struct Health<'a> {
    pub(super) service: &'a Service,
    pub(super) lag: &'a LagProbes,
}

impl<'a> Health<'a> {
    pub(super) fn of(service: &'a Service, lag: &'a LagProbes) -> Self {
        Self { service, lag }
    }

    /// Whether it lives: no worker is held up. A stop under way is no reason to end it sooner.
    pub(super) fn live(&self) -> (bool, String) {
        let held = self.held_up();
        match (held.is_empty(), self.service.lifecycle.is_stopping()) {
            (true, false) => (true, "ok\n".to_owned()),
            (true, true) => (true, "ok, stopping\n".to_owned()),
            (false, _) => (false, held),
        }
    }

    /// Whether it takes requests: it lives, does not stop, and is not full.
    pub(super) fn ready(&self) -> (bool, String) {
        let lifecycle = &self.service.lifecycle;
        let mut why = self.held_up();
        if lifecycle.is_stopping() {
            why.push_str("stopping\n");
        }
        if lifecycle.connections() >= lifecycle.capacity() {
            why.push_str("as many connections as there may be\n");
        }
        match why.is_empty() {
            true => (true, "ok\n".to_owned()),
            false => (false, why),
        }
    }

    /// A line for each worker that is held up.
    fn held_up(&self) -> String {
        let mut lines = String::new();
        for (worker, overdue) in self.lag.overdue().enumerate() {
            if overdue >= HELD_UP {
                let seconds = overdue.as_secs_f64();
                let _infallible = writeln!(lines, "worker {worker} is held up for {seconds:.1} s");
            }
        }
        lines
    }
}
