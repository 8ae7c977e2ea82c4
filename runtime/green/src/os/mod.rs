//! What std and the operating system offer and would block a worker: files, other programs,
//! signals, closures that need an OS thread, connections that are kept, and the end of the process.
//!
//! It stands on tasks and meeting points. Sockets are in [`net`](crate::net), which stands on
//! this module's descriptors and thread pool.

mod at_exit;
mod connection_pool;
pub(crate) mod descriptor;
pub mod fs;
pub mod signals;
pub mod subprocess;
mod threadpool;

pub use at_exit::{at_exit, at_exit_within, run_at_exit};
pub use connection_pool::{
    BlockingConnectionPool, ConnectionPool, ConnectionPoolBuilder, ConnectionPoolStats,
    NoConnection, PooledConnection,
};
pub use threadpool::{Job, ThreadPool, ThreadPoolStats, threadpool, unblock, unblock_scoped};
