//! A server that runs, and how it stops.

use super::metrics::{MetricsServer, ServerPages};
use crate::engine::{AcceptQueue, Engine};
use crate::green;
use crate::green::embed::{Count, deadline_in, lock};
use crate::service::{Service, config};
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// After the grace period, handlers are ended at their wait. One that does not wait cannot be,
/// and is not waited for longer than this.
const LAST_WAIT: Duration = Duration::from_secs(2);
/// Acceptors take in what the kernel has accepted. One whose worker is held up is not waited for
/// longer than this, and all of them together are not.
const LAST_ACCEPT: Duration = Duration::from_secs(1);
/// For so long a server that hands its sockets over leaves idle connections open, since a request may
/// be on its way on each of them. Whoever has requests all the time, as a proxy has, sends one in this
/// time, and is told that it is the last.
const LAST_REQUESTS: Duration = Duration::from_secs(2);
/// The last lines of the access log are not waited for longer than this.
const LAST_LINES: Duration = Duration::from_secs(1);

/// A running server. Dropping it does not stop it: [`stop`](Self::stop) does.
pub struct Running {
    service: Arc<Service>,
    engine: Mutex<Option<Box<dyn Engine>>>,
    /// What it listens on, for the operator.
    names: Vec<String>,
    addrs: Vec<SocketAddr>,
    budget: String,
    metrics_addr: Option<SocketAddr>,
    metrics: Mutex<Option<MetricsServer>>,
    /// What the metrics show, where somebody asks.
    pages: Option<ServerPages>,
    /// The server that leads from http to https.
    redirect: Option<Box<Running>>,
}

/// Why a server stops, which decides how it lets its clients go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopKind {
    /// Nobody takes its place: whoever has connected is served, idle connections are closed.
    End,
    /// Others listen on the same sockets, and go on. Idle connections may have one more request within
    /// [`LAST_REQUESTS`], whose response says that it is the last one.
    HandOver,
    /// As `HandOver`, for a developer: a page that is asked for again is to come from the new
    /// program, so idle connections are closed.
    Reload,
}

/// How a server stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Requests that were ended because the grace period was over, and those that could not even
    /// be ended, since their handlers do not wait.
    pub cut: usize,
}

impl Running {
    pub(super) fn new(
        service: Arc<Service>,
        engine: Box<dyn Engine>,
        names: Vec<String>,
        addrs: Vec<SocketAddr>,
        budget: String,
        metrics: Option<(SocketAddr, MetricsServer)>,
        pages: Option<ServerPages>,
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
            pages,
            redirect: None,
        }
    }

    /// What the metrics show; `None` if nobody was to ask.
    pub(crate) fn pages(&self) -> Option<&ServerPages> {
        self.pages.as_ref()
    }

    /// How many connections it may have, and why.
    pub(crate) fn budget(&self) -> &str {
        &self.budget
    }

    /// Together with the server that leads from http to https, if there is one.
    pub(super) fn with_redirect(self, redirect: Option<Self>) -> Self {
        let redirect = redirect.map(Box::new);
        Self { redirect, ..self }
    }

    /// Where HTTP without TLS is answered with the way to https, if it is.
    pub fn redirect_addr(&self) -> Option<SocketAddr> {
        self.redirect.as_ref()?.addrs().first().copied()
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

    /// Reads the files of certificates and keys anew (HUP, for a program that handles signals
    /// itself). If one cannot be used, that is logged, and all stay as they were. Without TLS
    /// nothing happens.
    pub fn reload_certificates(&self) {
        #[cfg(feature = "tls")]
        super::certificates::reload(&self.service, true);
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
        let redirect = self
            .redirect_addr()
            .map_or(String::new(), |addr| format!(", http://{addr} leads there"));
        format!(
            "listening on {} (engine {}, {capacity}), {}{redirect}{metrics}",
            self.names.join(" and "),
            config.engine.name(),
            self.budget
        )
    }

    /// Stops gracefully: whoever has connected is served; idle connections are closed, those that
    /// were just used half a second after that; requests may go on for the grace period and are then ended at their wait, so that their
    /// destructors run. Returns when all is over. A second call returns at once.
    pub fn stop(&self) -> Stopped {
        self.stop_within(self.service.config.graceful_timeout)
    }

    /// As [`stop`](Self::stop), with another grace period. Beyond it, a stop takes four seconds
    /// at most, whoever holds up workers or keeps a log from being written.
    pub fn stop_within(&self, grace: Duration) -> Stopped {
        self.stop_as(StopKind::End, grace)
    }

    /// As [`stop_within`](Self::stop_within), for a reason.
    pub(crate) fn stop_as(&self, kind: StopKind, grace: Duration) -> Stopped {
        if let Some(engine) = self.stop_accepting(kind) {
            let grace_ends = deadline_in(grace);
            let redirect = self.redirect.as_deref();
            let redirect = redirect.and_then(|one| Some((one, one.stop_accepting(kind)?)));
            self.finish(engine, kind, grace, grace_ends);
            // Its connections have had that time as well.
            if let Some((redirect, engine)) = redirect {
                redirect.finish(engine, kind, grace, grace_ends);
            }
        }
        let stopped = Stopped {
            cut: self.unfinished(),
        };
        // Last: how a stop goes on is worth a look.
        let metrics = lock(&self.metrics).take();
        if let Some(metrics) = metrics {
            metrics.end();
        }
        stopped
    }

    /// The first half of a stop: nobody new finds us, and whoever has is taken in. `None` if that was
    /// done before.
    fn stop_accepting(&self, kind: StopKind) -> Option<Box<dyn Engine>> {
        let engine = lock(&self.engine).take()?;
        let lifecycle = &self.service.lifecycle;
        let queue = match kind {
            StopKind::End => AcceptQueue::Serve,
            StopKind::HandOver | StopKind::Reload => AcceptQueue::Leave,
        };
        match kind {
            StopKind::End | StopKind::Reload => lifecycle.begin_stop(),
            StopKind::HandOver => lifecycle.begin_leaving(),
        }
        if kind != StopKind::End {
            self.service.websockets.note_restart();
        }
        self.service.release_at_stop();
        engine.stop_accepting(queue, Instant::now() + LAST_ACCEPT);
        Some(engine)
    }

    /// The second half of a stop: the connections that there are come to their end.
    fn finish(
        &self,
        engine: Box<dyn Engine>,
        kind: StopKind,
        grace: Duration,
        grace_ends: Option<Instant>,
    ) {
        let lifecycle = &self.service.lifecycle;
        let closing = self.service.websockets.stop(grace);
        if kind == StopKind::HandOver {
            lifecycle.end_streams();
            let last_requests = LAST_REQUESTS.min(grace / 2);
            let _all_have_left = lifecycle.wait_until_empty(deadline_in(last_requests));
            lifecycle.begin_stop();
        }
        engine.close_idle(Instant::now() + LAST_ACCEPT);
        lifecycle.end_idle();
        if !lifecycle.wait_until_empty(grace_ends) {
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
        self.service.flush_logs(Instant::now() + LAST_LINES);
    }

    /// Ends everything now: shortens the grace period of a [`stop`](Self::stop) under way.
    pub(crate) fn end_now(&self) {
        self.service.lifecycle.end_all();
    }

    /// Requests that were cut short, and those that would be if the process ended now.
    pub(crate) fn unfinished(&self) -> usize {
        let idle = self.service.metrics.idle.load(Relaxed);
        self.service.lifecycle.cut() + self.service.lifecycle.unfinished(idle)
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("addrs", &self.addrs)
            .finish_non_exhaustive()
    }
}
