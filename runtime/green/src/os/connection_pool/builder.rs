//! [`ConnectionPoolBuilder`]: how a pool of connections is to be.

use super::shared::{Connect, Look, Shared};
use super::{BlockingConnectionPool, ConnectionPool};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Settings of a [`ConnectionPool`] or a [`BlockingConnectionPool`], begun by
/// [`ConnectionPool::builder`]. In all times [`Duration::MAX`] is no limit.
pub struct ConnectionPoolBuilder<C> {
    connect: Connect<C>,
    check: Option<Look<C>>,
    broken: Option<Look<C>>,
    limits: Limits,
}

/// Numbers and times of a pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) max_size: usize,
    pub(super) wait_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) max_lifetime: Duration,
    pub(super) check_after: Duration,
}

impl<C: Send + 'static> ConnectionPoolBuilder<C> {
    pub(super) fn new(connect: Connect<C>) -> Self {
        Self {
            connect,
            check: None,
            broken: None,
            limits: Limits {
                max_size: 10,
                wait_timeout: Duration::from_secs(30),
                idle_timeout: Duration::from_secs(10 * 60),
                max_lifetime: Duration::from_secs(30 * 60),
                check_after: Duration::from_millis(500),
            },
        }
    }

    /// The most connections at a time. Default: 10. All processes together need fewer than the
    /// server accepts.
    ///
    /// # Panics
    /// When it is 0.
    #[must_use]
    pub fn max_size(mut self, connections: usize) -> Self {
        assert!(connections > 0, "a pool needs a place for one connection");
        self.limits.max_size = connections;
        self
    }

    /// How long to wait for a connection while all are in use. Default: 30 seconds. The time that it
    /// takes to make one does not count.
    #[must_use]
    pub fn wait_timeout(mut self, timeout: Duration) -> Self {
        self.limits.wait_timeout = timeout;
        self
    }

    /// How long a connection is kept that nobody uses. Default: 10 minutes.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.limits.idle_timeout = timeout;
        self
    }

    /// How old a connection may become, counted from when it was made. It is closed when nobody uses
    /// it, and up to an eighth earlier, so that connections which were made together are not all
    /// replaced together. Default: 30 minutes.
    #[must_use]
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.limits.max_lifetime = lifetime;
        self
    }

    /// A question to the other side whether the connection is still good (`SELECT 1`, `PING`), asked
    /// before one is lent out that has been kept for [`check_after`](Self::check_after). If it says
    /// false, the connection is closed and another one taken. Default: connections are not asked.
    ///
    /// It may wait, and should have a time limit of its own.
    #[must_use]
    pub fn check(mut self, check: impl Fn(&mut C) -> bool + Send + Sync + 'static) -> Self {
        self.check = Some(Box::new(check));
        self
    }

    /// After how long without use a connection is [checked](Self::check). Default: half a second.
    /// Zero: each time.
    #[must_use]
    pub fn check_after(mut self, idle: Duration) -> Self {
        self.limits.check_after = idle;
        self
    }

    /// A look at a connection that comes back: one of which this says true is closed. For drivers that
    /// know when theirs are of no use any more (`is_closed`). It must not wait, and a panic in it
    /// counts as true. Default: all are kept.
    #[must_use]
    pub fn broken(mut self, broken: impl Fn(&mut C) -> bool + Send + Sync + 'static) -> Self {
        self.broken = Some(Box::new(broken));
        self
    }

    /// The pool, for connections that wait as green threads do. It has no connection yet.
    #[must_use]
    pub fn build(self) -> ConnectionPool<C> {
        ConnectionPool {
            shared: Arc::new(self.shared()),
        }
    }

    /// The pool, for a driver that blocks: all that is done with a connection is done on OS threads,
    /// of which it has as many as connections. It has no connection and no thread yet.
    #[must_use]
    pub fn build_blocking(self) -> BlockingConnectionPool<C> {
        BlockingConnectionPool::new(self.shared())
    }

    fn shared(self) -> Shared<C> {
        Shared::new(self.connect, self.check, self.broken, self.limits)
    }
}

impl<C> fmt::Debug for ConnectionPoolBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConnectionPoolBuilder")
            .field(&self.limits)
            .finish()
    }
}
