//! [`BlockingConnectionPool`]: connections of a driver that blocks.

use super::shared::Shared;
use super::{ConnectionPoolStats, NoConnection};
use crate::os::threadpool::ThreadPool;
use crate::scheduler::giving_way::is_green;
use crate::scheduler::thread::deadline_in;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Connections of a driver that blocks (`postgres`, `mysql`, `rusqlite`), used on OS threads.
///
/// There is a thread for each connection, so whoever has got a connection waits for no thread. Threads
/// are started when they are needed, and end after 10 seconds without work. Connections are made,
/// checked, used and closed on them alone, so none of that holds up a worker. Clones are the same pool.
///
/// ```
/// use greenway_green::{ConnectionPool, spawn};
///
/// # struct Database;
/// # impl Database {
/// #     fn connect() -> Result<Self, std::io::Error> { Ok(Self) }
/// #     fn query(&mut self, sql: &str) -> Result<usize, std::io::Error> { Ok(sql.len()) }
/// # }
/// let pool = ConnectionPool::builder(Database::connect).max_size(4).build_blocking();
/// let rows = spawn(move || {
///     let rows = pool.run(|db| db.query("SELECT 1"))??; // no connection; an error of the query
///     Ok::<_, Box<dyn std::error::Error + Send + Sync>>(rows)
/// });
/// assert_eq!(rows.join().unwrap().unwrap(), 8);
/// ```
pub struct BlockingConnectionPool<C: Send + 'static> {
    shared: Arc<Shared<C>>,
    threads: ThreadPool,
}

impl<C: Send + 'static> BlockingConnectionPool<C> {
    pub(super) fn new(mut shared: Shared<C>) -> Self {
        let size = shared.limits.max_size;
        // Only who has a connection hands over work; the rest are connections that are to be closed.
        let threads = ThreadPool::new(size, 2 * size);
        shared.threads = Some(threads.clone());
        Self {
            shared: Arc::new(shared),
            threads,
        }
    }

    /// Waits for a connection as [`ConnectionPool::get`](crate::ConnectionPool::get) does, and calls
    /// `work` with it on an OS thread; meanwhile other green threads of this worker go on. In an OS
    /// thread `work` is called where it is.
    ///
    /// A green thread that is killed, or whose client leaves, while it waits for a connection does not
    /// call `work`. If `work` runs already, it runs to its end and its value is dropped, so give the
    /// database a limit for its statements. After a panic of `work` the connection is closed.
    ///
    /// # Errors
    /// [`NoConnection`] when none was free in time, none could be made, or the pool is closed; also
    /// when none is free and the thread is unwinding.
    ///
    /// # Panics
    /// When `work` does, or what makes or checks connections; with the payload.
    pub fn run<F, T>(&self, work: F) -> Result<T, NoConnection>
    where
        F: FnOnce(&mut C) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.run_timeout(self.shared.limits.wait_timeout, work)
    }

    /// As [`run`](Self::run), waiting for a connection at most `timeout`. [`Duration::MAX`] is no
    /// limit.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn run_timeout<F, T>(&self, timeout: Duration, work: F) -> Result<T, NoConnection>
    where
        F: FnOnce(&mut C) -> T + Send + 'static,
        T: Send + 'static,
    {
        let work = self.job(timeout, work)?;
        if is_green() {
            self.threads.apply(work)
        } else {
            work()
        }
    }

    /// As [`run`](Self::run), for a closure that borrows from the caller.
    ///
    /// A green thread that is killed, or whose client leaves, while the closure runs unwinds when it
    /// has ended, as with [`unblock_scoped`](crate::unblock_scoped).
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn run_scoped<F, T>(&self, work: F) -> Result<T, NoConnection>
    where
        F: FnOnce(&mut C) -> T + Send,
        T: Send,
    {
        let work = self.job(self.shared.limits.wait_timeout, work)?;
        if is_green() {
            self.threads.apply_scoped(work)
        } else {
            work()
        }
    }

    /// Waits for a place for a connection, and gives what is to be done where there is one.
    fn job<F, T>(
        &self,
        timeout: Duration,
        work: F,
    ) -> Result<impl FnOnce() -> Result<T, NoConnection> + use<C, F, T>, NoConnection>
    where
        F: FnOnce(&mut C) -> T,
    {
        let deadline = deadline_in(timeout);
        let slot = self.shared.slot(deadline)?;
        Ok(move || {
            let mut connection = slot.connection(deadline)?;
            Ok(work(&mut connection))
        })
    }

    /// As [`ConnectionPool::close`](crate::ConnectionPool::close).
    pub fn close(&self) {
        self.shared.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// What the pool does and has done.
    pub fn stats(&self) -> ConnectionPoolStats {
        self.shared.stats()
    }
}

impl<C: Send + 'static> Clone for BlockingConnectionPool<C> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            threads: self.threads.clone(),
        }
    }
}

impl<C: Send + 'static> fmt::Debug for BlockingConnectionPool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BlockingConnectionPool")
            .field(&self.stats())
            .finish()
    }
}
