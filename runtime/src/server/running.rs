//! A server that runs, and how it stops.

use crate::engine::Engine;
use crate::green;
use crate::green::embed::{Count, deadline_in};
use crate::lock::lock;
use crate::service::{OsThread, Service, config};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// After the grace period, handlers are ended at their wait. One that does not wait cannot be,
/// and is not waited for longer than this.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// A running server. Dropping it does not stop it: [`stop`](Self::stop) does.
pub struct Running {
    service: Arc<Service>,
    engine: Mutex<Option<Box<dyn Engine>>>,
    /// What it listens on, for the operator.
    names: Vec<String>,
    addrs: Vec<SocketAddr>,
    budget: String,
    metrics_addr: Option<SocketAddr>,
    metrics: Mutex<Option<OsThread>>,
}

/// How a server stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Requests that were ended because the grace period was over.
    pub cut: usize,
}

impl Running {
    pub(super) fn new(
        service: Arc<Service>,
        engine: Box<dyn Engine>,
        names: Vec<String>,
        addrs: Vec<SocketAddr>,
        budget: String,
        metrics: Option<(SocketAddr, OsThread)>,
    ) -> Self {
        let (metrics_addr, metrics) = metrics.unzip();
        Self {
            service,
            engine: Mutex::new(Some(engine)),
            names,
            addrs,
            budget,
            metrics_addr,
            metrics: Mutex::new(metrics),
        }
    }

    /// The TCP addresses that it listens on, in the order of the calls of `bind`.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Where metrics are shown, if they are.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_addr
    }

    /// Opens the logs anew, after somebody has moved the files away (USR1 and HUP, for a program
    /// that handles signals itself). If a file cannot be opened, the old one stays in use.
    pub fn reopen_logs(&self) {
        self.service.reopen_logs();
    }

    /// Connections that are open at the moment.
    pub fn connections(&self) -> usize {
        self.service.lifecycle.connections()
    }

    /// Connections that may be open at once.
    pub fn capacity(&self) -> usize {
        self.service.lifecycle.capacity()
    }

    /// The line that the operator sees at the start.
    pub(crate) fn describe(&self) -> String {
        let config = &self.service.config;
        let capacity = if config.engine == config::Engine::Threads {
            Count(config.threads, "thread")
        } else {
            Count(green::config().workers, "worker")
        };
        let metrics = self.metrics_addr.map_or(String::new(), |addr| {
            format!(", metrics on http://{addr}/metrics")
        });
        format!(
            "listening on {} (engine {}, {capacity}), {}{metrics}",
            self.names.join(" and "),
            config.engine.name(),
            self.budget
        )
    }

    /// Stops gracefully: whoever has connected is served; idle connections are closed at once;
    /// requests may go on for the grace period and are then ended at their wait, so that their
    /// destructors run. Returns when all is over. A second call returns at once.
    pub fn stop(&self) -> Stopped {
        self.stop_within(self.service.config.graceful_timeout)
    }

    /// As [`stop`](Self::stop), with another grace period.
    pub fn stop_within(&self, grace: Duration) -> Stopped {
        let lifecycle = &self.service.lifecycle;
        let engine = lock(&self.engine).take();
        if let Some(engine) = engine {
            lifecycle.begin_stop();
            // First, so that nobody new finds us; then whoever has is taken in.
            self.service.release_at_stop();
            engine.stop_accepting();
            let closing = self.service.websockets.stop(grace);
            lifecycle.end_idle();
            if !lifecycle.wait_until_empty(deadline_in(grace)) {
                lifecycle.end_all();
                if !lifecycle.wait_until_empty(deadline_in(LAST_WAIT)) {
                    let open = Count(lifecycle.connections(), "connection");
                    log::warn!("{open} cannot be ended");
                }
            }
            if let Some(closing) = closing {
                closing.kill();
            }
            engine.join();
            self.service.flush_logs();
        }
        // Last: how a stop goes on is worth a look.
        let metrics = lock(&self.metrics).take();
        if let Some(metrics) = metrics {
            metrics.end();
        }
        Stopped {
            cut: lifecycle.cut(),
        }
    }

    /// Ends everything now: shortens the grace period of a [`stop`](Self::stop) under way.
    pub(crate) fn end_now(&self) {
        self.service.lifecycle.end_all();
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("addrs", &self.addrs)
            .finish_non_exhaustive()
    }
}
