//! The server: what it is told, what it listens on, how it starts and how it stops.

mod access_log;
mod budget;
mod builder;
mod complaints;
mod forwarded;
mod inherited;
mod lifecycle;
mod listen;
mod log_file;
mod metrics;
pub(crate) mod panics;
pub(crate) mod proxy_protocol;
mod running;
mod signals;
mod task;
mod trust;

pub(crate) use access_log::{Entry, Format};
pub use builder::Server;
pub(crate) use inherited::waiting as inherited_sockets;
pub(crate) use lifecycle::{Admission, Lifecycle};
pub(crate) use log_file::{LogFile, SharedLog};
pub(crate) use metrics::{Metrics, Refused};
pub use running::{Running, Stopped};
pub(crate) use signals::{OnSignal, Told, catch_signals};
pub(crate) use task::Task;
pub(crate) use trust::Trust;

use crate::config::Config;
use crate::websocket::Sockets;
use access_log::AccessLog;
use complaints::Complaints;
use greenway_app::{Application, Connection as Facts, Head};
use http::StatusCode;
use listen::SocketFile;
use std::sync::{Arc, Mutex, PoisonError};

/// What all connections of a server share.
pub(crate) struct Service {
    pub(crate) app: Box<dyn Application>,
    pub(crate) config: Config,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) websockets: Arc<Sockets>,
    pub(crate) complaints: Complaints,
    access_log: Option<AccessLog>,
    /// Removed when the server stops, and not before: its engine may outlive a dropped handle.
    socket_files: Mutex<Vec<SocketFile>>,
}

/// What the access log needs of a request, beyond what costs nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LogWants {
    /// The request's head.
    pub(crate) variables: bool,
    /// The response's head.
    pub(crate) response: bool,
}

impl Service {
    /// A service without a log, for connections that no engine runs: tests and fuzz targets.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn bare(app: impl Application, config: Config) -> Arc<Self> {
        let lifecycle = Arc::new(Lifecycle::new(1));
        let metrics = Arc::new(Metrics::new(config.handlers));
        Arc::new(Self {
            app: Box::new(app),
            websockets: Sockets::new(metrics.clone(), &config),
            metrics,
            config,
            lifecycle,
            complaints: Complaints::new(),
            access_log: None,
            socket_files: Mutex::default(),
        })
    }

    /// Notes a request that is over.
    pub(crate) fn access(&self, entry: &Entry<'_>) {
        self.metrics
            .request(entry.status, entry.duration, entry.received, entry.sent);
        if let Some(log) = &self.access_log {
            log.write(entry);
        }
    }

    /// Notes something that was no request, and was answered with `status`.
    pub(crate) fn access_bad(&self, facts: &Facts, status: StatusCode) {
        self.access(&Entry {
            facts,
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
        facts: &Arc<Facts>,
    ) -> Result<Option<Arc<Facts>>, &'static str> {
        forwarded::apply(head, facts, &self.config.forwarded_allow)
    }

    /// Whether a connection is to begin with a PROXY header.
    pub(crate) fn expects_proxy(&self, facts: &Facts) -> bool {
        let config = &self.config;
        config.proxy_protocol && config.proxy_allow.trusts_peer_of(facts)
    }

    /// Opens the logs anew, for whoever has moved the files away.
    pub(crate) fn reopen_logs(&self) {
        if let Some(log) = &self.access_log {
            log.reopen();
        }
    }

    /// Writes what is to be written before the process may end.
    fn flush_logs(&self) {
        self.complaints.finish();
        if let Some(log) = &self.access_log {
            log.flush();
        }
    }

    /// Removes what unix sockets have left in the file system. Who has connected stays connected.
    fn remove_socket_files(&self) {
        // Nothing under the lock can panic half-way through a change.
        let mut files = self
            .socket_files
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        files.clear();
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
