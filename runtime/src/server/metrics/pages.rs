//! What is shown under which path.

use super::{Health, LagProbes, text};
use crate::green::run_info;
use crate::service::Service;
use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;

/// What there is to show.
pub(crate) trait Pages: Send {
    /// The page under a path; `None` if there is none.
    fn page(&self, path: &str, query: Option<&str>) -> Option<Page>;
}

/// What is shown under a path.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    /// Its media type; the charset is UTF-8.
    pub(crate) kind: &'static str,
    pub(crate) body: String,
}

/// The media type of the numbers.
pub(crate) const PROMETHEUS: &str = "text/plain; version=0.0.4";

impl Page {
    /// A page that is there.
    pub(crate) fn good(kind: &'static str, body: String) -> Self {
        let status = StatusCode::OK;
        Self { status, kind, body }
    }

    /// An answer to whoever asks whether all is well.
    pub(crate) fn verdict(well: bool, body: String) -> Self {
        let status = match well {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self {
            status,
            kind: "text/plain",
            body,
        }
    }
}

/// The pages of a server.
#[derive(Debug, Clone)]
pub(crate) struct ServerPages {
    service: Arc<Service>,
    lag: Arc<LagProbes>,
}

impl ServerPages {
    pub(crate) fn new(service: Arc<Service>) -> Self {
        let lag = Arc::new(LagProbes::start());
        Self { service, lag }
    }

    /// The longest for which a worker has been held up, at this moment.
    pub(crate) fn held_up(&self) -> Duration {
        self.lag.overdue().max().unwrap_or_default()
    }
}

impl Pages for ServerPages {
    fn page(&self, path: &str, query: Option<&str>) -> Option<Page> {
        let health = Health::of(&self.service, &self.lag);
        let verdict = |(well, body)| Page::verdict(well, body);
        let page = match (path, query) {
            ("/metrics", _) => Page::good(PROMETHEUS, text::render(&health)),
            ("/threads", Some("all")) => Page::good("text/plain", format!("{:#}", run_info())),
            ("/threads", _) => Page::good("text/plain", run_info().to_string()),
            ("/healthz", _) => verdict(health.live()),
            ("/readyz", _) => verdict(health.ready()),
            _ => return None,
        };
        Some(page)
    }
}
