//! [`ConnectionPool`] and [`BlockingConnectionPool`]: connections that are kept and lent out.
//!
//! What must stay true: at most so many connections exist; those who wait are served in the order in
//! which they came, within a bound; whatever becomes of a borrower (a kill, a panic, a limit), its
//! place is free again and a connection in an unknown state is not lent out again; and the code that
//! makes, checks and drops connections never runs under a lock of the pool.
//!
//! # Implementation
//!
//! A permit of a fair semaphore is the right to have a connection ([`shared::Slot`]). Whoever has one
//! takes the connection that was given back last, so that those which are not needed grow old and are
//! closed, or makes one. One green thread closes the old ones; there is none while nothing is kept.

mod blocking;
mod builder;
mod guard;
mod no_connection;
mod shared;

pub use blocking::BlockingConnectionPool;
pub use builder::ConnectionPoolBuilder;
pub use guard::PooledConnection;
pub use no_connection::NoConnection;

use self::shared::Shared;
use crate::scheduler::thread::deadline_in;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections to a database or another server, which threads borrow and give back.
///
/// For connections that wait as green threads do: those over sockets of [`net`](crate::net). A driver
/// that blocks belongs into a [`BlockingConnectionPool`].
///
/// A connection is made when somebody needs one, none is kept and there are fewer than
/// [`max_size`](ConnectionPoolBuilder::max_size). Otherwise [`get`](Self::get) waits, first come,
/// first served. Green threads of all workers and OS threads share the connections, so they must be
/// `Send`. Clones are the same pool.
///
/// ```
/// use greenway_green::net::TcpStream;
/// use greenway_green::ConnectionPool;
/// use std::io::Write;
/// use std::time::Duration;
///
/// # let listener = greenway_green::net::TcpListener::bind("127.0.0.1:0").unwrap();
/// # let addr = listener.local_addr().unwrap();
/// let pool = ConnectionPool::builder(move || TcpStream::connect(addr))
///     .max_size(4)
///     .wait_timeout(Duration::from_secs(2))
///     .build();
/// let mut stream = pool.get()?;
/// stream.write_all(b"hello\n")?;
/// drop(stream); // the next one gets it
/// assert_eq!((pool.stats().in_use, pool.stats().idle), (0, 1));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct ConnectionPool<C: Send + 'static> {
    shared: Arc<Shared<C>>,
}

/// What a pool of connections does and has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionPoolStats {
    /// The most connections that there may be.
    pub max_size: usize,
    /// Connections that are lent out, or are being made or checked for somebody.
    pub in_use: usize,
    /// Connections that are kept for the next one.
    pub idle: usize,
    /// Threads that wait for a connection.
    pub waiting: usize,
    /// Connections that have been made.
    pub made: u64,
    /// Threads that have waited in vain.
    pub timed_out: u64,
}

impl<C: Send + 'static> ConnectionPool<C> {
    /// Begins a pool whose connections `connect` makes.
    ///
    /// `connect` is called by the thread that needs a connection, and gets its error or its panic. It
    /// should have a time limit of its own.
    pub fn builder<F, E>(connect: F) -> ConnectionPoolBuilder<C>
    where
        F: Fn() -> Result<C, E> + Send + Sync + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        ConnectionPoolBuilder::new(Box::new(move || connect().map_err(Into::into)))
    }

    /// Borrows a connection, waiting for one at most as long as the pool's
    /// [`wait_timeout`](ConnectionPoolBuilder::wait_timeout) says.
    ///
    /// # Errors
    /// [`NoConnection`] when none was free in time, none could be made, or the pool is closed; also
    /// when none is free and the thread is unwinding.
    ///
    /// # Panics
    /// When the function that makes connections, or the one that checks them, does.
    pub fn get(&self) -> Result<PooledConnection<C>, NoConnection> {
        self.get_timeout(self.shared.limits.wait_timeout)
    }

    /// As [`get`](Self::get), waiting at most `timeout`. [`Duration::MAX`] is no limit.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    ///
    /// # Panics
    /// As [`get`](Self::get).
    pub fn get_timeout(&self, timeout: Duration) -> Result<PooledConnection<C>, NoConnection> {
        self.get_until(deadline_in(timeout))
    }

    fn get_until(&self, deadline: Option<Instant>) -> Result<PooledConnection<C>, NoConnection> {
        self.shared.slot(deadline)?.connection(deadline)
    }

    /// Closes the connections that are kept, and those that are lent out when they come back. Whoever
    /// waits for a connection, or asks for one later, gets [`NoConnection::Closed`].
    ///
    /// ```
    /// # use greenway_green::{ConnectionPool, NoConnection, at_exit};
    /// let pool = ConnectionPool::builder(|| Ok::<_, std::io::Error>("a connection")).build();
    /// let at_the_end = pool.clone();
    /// at_exit(move || at_the_end.close()); // the last goodbye, when a server has stopped
    /// # pool.close();
    /// # assert!(matches!(pool.get(), Err(NoConnection::Closed)));
    /// ```
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

impl<C: Send + 'static> Clone for ConnectionPool<C> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<C: Send + 'static> fmt::Debug for ConnectionPool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConnectionPool")
            .field(&self.stats())
            .finish()
    }
}
