//! Redis, for what several processes share: rooms, sessions, limits, and what handlers keep there.
//!
//! The crate `redis` has the protocol and the commands. Its own connections block, so those here
//! are green sockets in a [`ConnectionPool`].
//!
//! What must stay true: each read and each write has a deadline; a connection whose answer was not
//! waited for is never used again; nothing shows the password.
//!
//! Sentinel and Cluster are what the crate has over its own connections only, not over others'. A
//! name or a proxy that leads to the primary (as hosted ones have) does for both.

mod connection;
mod rates;
mod sessions;

pub use connection::Connection;

use self::connection::{Address, Failures};
use crate::green::{ConnectionPool, ConnectionPoolStats, NoConnection, PooledConnection};
use ::redis::{ErrorKind, RedisError, Script};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A call takes at most so long, and so does the wait for a connection.
pub(crate) const CALL: Duration = Duration::from_secs(3);

/// Connections of one pool.
const CONNECTIONS: usize = 16;

/// A Redis, or a Valkey, with a pool of connections to it. Clones are the same one.
///
/// It is a bus of rooms ([`RoomBuilder::bus`](crate::room::RoomBuilder::bus)), a store of sessions
/// and one of rates, so that all processes that have the same Redis have the same rooms, sessions
/// and limits. [`get`](Self::get) is for commands of one's own.
///
/// ```no_run
/// use greenway::middleware::RateLimit;
/// use greenway::redis::Redis;
/// use greenway::room::Room;
/// use greenway::sessions::Sessions;
/// use greenway::{App, Request};
/// use std::time::Duration;
///
/// let redis = Redis::connect("redis://127.0.0.1:6379")?;
/// let lobby = Room::builder().name("lobby").bus(redis.clone()).build();
/// let mut app = App::new();
/// app.install(Sessions::new(redis.clone()));
/// app.install(RateLimit::new(100, Duration::from_secs(60)).store(redis));
/// app.post("/say", move |_: Request| lobby.publish("hello").to_string());
/// # Ok::<(), greenway::redis::BadAddress>(())
/// ```
///
/// A call takes at most 3 seconds, and there are at most 16 connections for calls; a room's reader
/// has one more.
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
}

struct Shared {
    address: Address,
    pool: ConnectionPool<Connection>,
    rates: Script,
}

/// This is no address of a Redis, or one that this program was built without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadAddress(String);

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no address of a Redis: {}", self.0)
    }
}

impl std::error::Error for BadAddress {}

impl Redis {
    /// The Redis at this address: `redis://[user][:password@]host[:port][/database]`, `rediss://...`
    /// with TLS (the feature `tls`), `unix:///path/to/socket`. Connects when it is first used, so a
    /// Redis that is away for the moment is no error.
    ///
    /// # Errors
    /// When this is no such address.
    pub fn connect(url: &str) -> Result<Self, BadAddress> {
        Ok(Self::at(Address::parse(url)?))
    }

    /// As [`connect`](Self::connect), with TLS by a connector of one's own: for a certificate of an
    /// authority of one's own, or one of the client's.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    #[cfg(feature = "tls")]
    pub fn connect_tls(url: &str, connector: crate::tls::Connector) -> Result<Self, BadAddress> {
        Ok(Self::at(Address::parse(url)?.by(connector)))
    }

    fn at(address: Address) -> Self {
        let (to, failures) = (address.clone(), Failures::default());
        let pool = ConnectionPool::builder(move || Connection::open(&to, CALL, &failures))
            .max_size(CONNECTIONS)
            .wait_timeout(CALL)
            .check_after(Duration::ZERO) // it looks itself how long that was
            .check(Connection::is_well)
            .broken(|connection| !connection.is_whole())
            .build();
        let rates = Script::new(rates::TAKE);
        let shared = Shared {
            address,
            pool,
            rates,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Borrows a connection, for commands of one's own: it is a `redis::ConnectionLike`, of the
    /// crate `redis` 1.
    ///
    /// # Errors
    /// When Redis cannot be reached, or no connection is free in time.
    pub fn get(&self) -> Result<PooledConnection<Connection>, NoConnection> {
        self.shared.pool.get()
    }

    /// Makes a connection beside the pool, whose answers may take so long.
    pub(crate) fn connection(&self, patience: Duration) -> Result<Connection, RedisError> {
        let connection = Connection::open(&self.shared.address, CALL, &Failures::default())?;
        connection.set_patience(patience)?;
        Ok(connection)
    }

    /// What its pool does and has done.
    #[must_use]
    pub fn stats(&self) -> ConnectionPoolStats {
        self.shared.pool.stats()
    }
}

/// Whether the same call will fail again.
pub(crate) fn lasts(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::AuthenticationFailed
        | ErrorKind::InvalidClientConfig
        | ErrorKind::UnexpectedReturnType => true,
        // Busy, loading, out of memory, a replica: these pass.
        _ => matches!(
            error.code(),
            Some("WRONGTYPE" | "NOPERM" | "WRONGPASS" | "NOAUTH" | "CROSSSLOT")
        ),
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("address", &self.shared.address)
            .field("connections", &self.stats())
            .finish_non_exhaustive()
    }
}
