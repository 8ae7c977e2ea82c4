//! The requests of a connection that have a handler, or wait for one.

use super::waiters::Driver;
use crate::service::Service;
use crate::service::metrics::Http2Event;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::task::Wake;
use std::time::{Duration, Instant};

/// A request that is reset after so long was not sent to be reset: its client has waited for it.
const EARLY: Duration = Duration::from_secs(1);

/// How many there are, and how many were given up by their clients early.
#[derive(Debug)]
pub(super) struct Requests {
    running: AtomicUsize,
    pub(super) begun: AtomicU64,
    /// Reset by the client before they were answered, and within [`EARLY`].
    given_up: AtomicU64,
    /// Who drives the connection, and is told when one ends.
    driver: Arc<Driver>,
    service: Arc<Service>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    all: Arc<Requests>,
    since: Instant,
}

impl Requests {
    pub(super) fn new(driver: Arc<Driver>, service: Arc<Service>) -> Arc<Self> {
        Arc::new(Self {
            running: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            driver,
            service,
        })
    }

    pub(super) fn begin(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, SeqCst);
        self.begun.fetch_add(1, SeqCst);
        self.service.metrics.http2(Http2Event::Stream);
        Running {
            all: self.clone(),
            since: Instant::now(),
        }
    }

    pub(super) fn running(&self) -> usize {
        self.running.load(SeqCst)
    }

    /// Whether the client resets most of what it asks for, as soon as it has asked. The rule, and the
    /// figures, are Envoy's.
    pub(super) fn are_abused(&self) -> bool {
        const LOOK_FROM: u64 = 500;
        let (begun, given_up) = (self.begun.load(SeqCst), self.given_up.load(SeqCst));
        begun >= LOOK_FROM && given_up > begun / 2
    }
}

impl Running {
    /// The client has reset it before it was answered.
    pub(super) fn given_up(&self) {
        self.count(Http2Event::ResetByClient);
        if self.since.elapsed() < EARLY {
            self.all.given_up.fetch_add(1, SeqCst);
        }
    }
}

impl Running {
    pub(super) fn count(&self, event: Http2Event) {
        self.all.service.metrics.http2(event);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.all.running.fetch_sub(1, SeqCst);
        self.all.driver.wake_by_ref();
    }
}
