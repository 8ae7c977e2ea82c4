//! What a connection needs of its server: settings, lifecycle, counters, logs, whom to trust.
//!
//! This room lies below connections and engines, which take a [`Service`], and knows neither. What
//! builds, starts and stops a server is in `server`, above them.

pub(crate) mod access_log;
pub(crate) mod buses;
pub(crate) mod config;
mod context;
mod date;
mod error_log;
mod forwarded;
pub(crate) mod lifecycle;
mod log_file;
pub(crate) mod log_writer;
pub(crate) mod logger;
pub(crate) mod metrics;
mod neighbours;
mod os_thread;
pub(crate) mod panics;
pub(crate) mod proxy_protocol;
mod request_line;
pub(crate) mod service_thread;
pub(crate) mod settings;
mod timestamp;
mod trust;
pub(crate) mod websockets;

pub(crate) use access_log::{AccessLog, Entry, LogWants};
pub(crate) use config::{Config, Engine, ProxyProtocol};
#[cfg(any(feature = "tls", feature = "http2"))]
pub(crate) use context::Spoken;
pub(crate) use context::{ConnContext, ConnState};
pub(crate) use date::date;
pub(crate) use lifecycle::{Admission, Lifecycle};
pub(crate) use log_file::LogFile;
pub(crate) use log_writer::LogWriter;
pub(crate) use metrics::{Metrics, Refused};
pub(crate) use neighbours::Neighbours;
pub(crate) use os_thread::OsThread;
pub(crate) use request_line::RequestLine;
pub(crate) use service_thread::{ServiceThread, run_again};
pub(crate) use websockets::WebSockets;

use crate::green::embed::lock;
#[cfg(feature = "tls")]
use crate::tls::ServerTls;
use error_log::ErrorLog;
use greenway_app::{Application, ConnectionInfo, Head};
use http::StatusCode;
use std::any::Any;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// What all connections of a server share.
pub(crate) struct Service {
    pub(crate) app: Box<dyn Application>,
    pub(crate) config: Config,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) websockets: Arc<WebSockets>,
    pub(crate) error_log: ErrorLog,
    pub(crate) access_log: Option<AccessLog>,
    /// `None`: connections are plain.
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<ServerTls>,
    /// What is dropped when the server stops, and not before: the engine may outlive a dropped
    /// handle. The files of unix sockets are among it.
    until_stop: Mutex<Vec<Box<dyn Any + Send>>>,
}

impl Service {
    /// What the connections of a server share, before the first of them.
    pub(crate) fn new(
        app: Box<dyn Application>,
        config: Config,
        capacity: usize,
        access_log: Option<AccessLog>,
    ) -> Self {
        let metrics = Arc::new(Metrics::new(config.handlers));
        Self {
            app,
            websockets: WebSockets::new(metrics.clone(), &config),
            metrics,
            config,
            lifecycle: Arc::new(Lifecycle::new(capacity)),
            error_log: ErrorLog::new(),
            access_log,
            #[cfg(feature = "tls")]
            tls: None,
            until_stop: Mutex::default(),
        }
    }

    /// The same, with connections that speak TLS.
    #[cfg(feature = "tls")]
    pub(crate) fn with_tls(self, tls: Option<ServerTls>) -> Self {
        Self { tls, ..self }
    }

    /// A service without a log, for connections that no engine runs: tests.
    #[cfg(test)]
    pub(crate) fn bare(app: impl Application, config: Config) -> Arc<Self> {
        Arc::new(Self::new(Box::new(app), config, 1, None))
    }

    /// Notes a request that is over.
    pub(crate) fn access(&self, entry: &Entry<'_>) {
        let protocol = entry.line.map(RequestLine::protocol);
        self.metrics.request(
            entry.status,
            protocol,
            entry.duration,
            entry.received,
            entry.sent,
        );
        if let Some(log) = &self.access_log {
            log.write(entry);
        }
    }

    /// Notes something that was no request, and was answered with `status`.
    pub(crate) fn access_bad(&self, info: &ConnectionInfo, status: StatusCode) {
        self.access(&Entry {
            info,
            line: None,
            status,
            sent: 0,
            received: 0,
            duration: None,
            head: None,
            response: None,
        });
    }

    /// What is to be kept of a request for the log.
    pub(crate) fn log_wants(&self) -> LogWants {
        self.access_log
            .as_ref()
            .map(AccessLog::wants)
            .unwrap_or_default()
    }

    /// Who a request is from, if a trusted proxy says so.
    ///
    /// # Errors
    /// What is wrong with what the proxy says: the request is to be answered with 400.
    pub(crate) fn client_of(
        &self,
        head: &mut Head,
        info: &Arc<ConnectionInfo>,
    ) -> Result<Option<Arc<ConnectionInfo>>, &'static str> {
        forwarded::apply(head, info, &self.config.forwarded_allow)
    }

    /// Whether a connection is to begin with a PROXY header.
    pub(crate) fn expects_proxy(&self, info: &ConnectionInfo) -> bool {
        let config = &self.config;
        config.proxy_protocol != ProxyProtocol::Off && config.proxy_allow.trusts_peer_of(info)
    }

    /// Opens the logs anew, for whoever has moved the files away.
    pub(crate) fn reopen_logs(&self) {
        if let Some(log) = &self.access_log {
            log.writer().reopen();
        }
    }

    /// Waits until the logs are written, but not for long: who reads them may be stuck.
    pub(crate) fn flush_logs(&self, deadline: Instant) {
        self.error_log.finish();
        if let Some(log) = &self.access_log
            && !log.writer().flush(deadline)
        {
            log::warn!("the access log is stuck: its last lines may be missing");
        }
    }

    /// Keeps `thing` until the server stops.
    pub(crate) fn keep_until_stop(&self, thing: Box<dyn Any + Send>) {
        lock(&self.until_stop).push(thing);
    }

    /// Drops what was kept until the server stops.
    pub(crate) fn release_at_stop(&self) {
        let kept = std::mem::take(&mut *lock(&self.until_stop));
        drop(kept); // not under the lock
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
