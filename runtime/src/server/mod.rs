//! The server: what it is told, what it listens on, how it starts and how it stops.

mod access_log;
mod budget;
mod builder;
mod lifecycle;
mod listen;
pub(crate) mod panics;
mod running;
mod signals;

pub use builder::Server;
pub(crate) use lifecycle::{Admission, Lifecycle};
pub use running::{Running, Stopped};
pub(crate) use signals::OnSignal;

use crate::config::Config;
use crate::connection::RequestLine;
use access_log::AccessLog;
use greenway_app::{Application, Connection as Facts};
use http::StatusCode;
use std::sync::Arc;
use std::time::Instant;

/// What all connections of a server share.
pub(crate) struct Service {
    pub(crate) app: Box<dyn Application>,
    pub(crate) config: Config,
    pub(crate) lifecycle: Arc<Lifecycle>,
    access_log: Option<AccessLog>,
}

impl Service {
    /// Notes a request that is over.
    pub(crate) fn access(
        &self,
        facts: &Facts,
        line: Option<&RequestLine>,
        status: StatusCode,
        bytes: u64,
        started: Option<Instant>,
    ) {
        if let Some(log) = &self.access_log {
            log.write(facts, line, status, bytes, started);
        }
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
