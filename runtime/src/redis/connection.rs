//! A connection to Redis over a green socket.
//!
//! What must stay true: each read and each write has a deadline; a connection to which an answer is
//! owed is not whole, and nobody asks it anything more.

use super::BadAddress;
use crate::green::net::{TcpStream, UnixStream};
#[cfg(feature = "tls")]
use crate::tls::{Connector, TlsStream};
use ::redis::{
    ConnectionAddr, ConnectionInfo, ConnectionLike, IntoConnectionInfo, Parser,
    RedisConnectionInfo, RedisResult, Value, cmd,
};
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Where Redis is, and as whom to go there.
#[derive(Clone)]
pub(super) struct Address {
    place: Place,
    login: RedisConnectionInfo,
    #[cfg(feature = "tls")]
    connector: Option<Connector>,
}

#[derive(Debug, Clone)]
enum Place {
    Tcp(String, u16),
    Unix(std::path::PathBuf),
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, BadAddress> {
        // The crate knows this word only together with a TLS of its own.
        let (url, encrypted) = match url.strip_prefix("rediss://") {
            Some(rest) => (format!("redis://{rest}"), true),
            None => (url.to_owned(), false),
        };
        if encrypted && cfg!(not(feature = "tls")) {
            return Err(BadAddress("rediss:// needs the feature `tls`".into()));
        }
        let info: ConnectionInfo = (&*url)
            .into_connection_info()
            .map_err(|error| BadAddress(error.to_string()))?;
        let place = match info.addr() {
            ConnectionAddr::Tcp(host, port) => Place::Tcp(host.clone(), *port),
            ConnectionAddr::Unix(path) => Place::Unix(path.clone()),
            _ => return Err(BadAddress("neither redis:, rediss: nor unix:".into())),
        };
        Ok(Self {
            place,
            login: info.redis_settings().clone(),
            #[cfg(feature = "tls")]
            connector: encrypted.then(Connector::new),
        })
    }

    /// With this connector instead of the usual one, where there is TLS.
    #[cfg(feature = "tls")]
    pub(super) fn by(mut self, connector: Connector) -> Self {
        self.connector = self.connector.map(|_usual| connector);
        self
    }
}

/// Without the password.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    #[cfg(feature = "tls")]
    Tls(TlsStream),
}

impl Socket {
    fn connect(address: &Address, limit: Duration) -> io::Result<Self> {
        match &address.place {
            Place::Unix(path) => Ok(Self::Unix(UnixStream::connect_timeout(path, limit)?)),
            Place::Tcp(host, port) => {
                #[cfg(feature = "tls")]
                if let Some(connector) = &address.connector {
                    let stream = connector.connect_timeout(host, *port, limit)?;
                    return Ok(Self::Tls(stream));
                }
                let stream = TcpStream::connect_timeout((host.as_str(), *port), limit)?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
        }
    }

    fn set_limits(&self, read: Duration, write: Duration) -> io::Result<()> {
        let (read, write) = (Some(read), Some(write));
        match self {
            Self::Unix(stream) => {
                stream.set_read_timeout(read)?;
                stream.set_write_timeout(write)
            }
            Self::Tcp(stream) => {
                stream.set_read_timeout(read)?;
                stream.set_write_timeout(write)
            }
            #[cfg(feature = "tls")]
            Self::Tls(stream) => {
                stream.get_ref().set_read_timeout(read)?;
                stream.get_ref().set_write_timeout(write)
            }
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Unix(stream) => stream.flush(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// A connection to Redis that waits as green threads do, for the commands of the crate `redis`.
///
/// An answer that takes longer than 3 seconds is an error, after which the pool drops it.
pub struct Connection {
    socket: Socket,
    parser: Parser,
    /// Time for one call.
    limit: Duration,
    database: i64,
    owed: bool,
    used: Instant,
    failures: Failures,
    /// Failures before it was made.
    before: u64,
}

/// How often a connection of a pool has failed. Where one does, the others that are kept have most
/// likely ended with it, and nobody should have to find that out one by one.
#[derive(Debug, Clone, Default)]
pub(super) struct Failures(Arc<AtomicU64>);

/// A connection that has rested for so long is asked whether it is there, before it is used.
const REST: Duration = Duration::from_millis(500);

impl Connection {
    pub(super) fn open(
        address: &Address,
        limit: Duration,
        failures: &Failures,
    ) -> RedisResult<Self> {
        let before = failures.0.load(Ordering::Relaxed);
        let socket = Socket::connect(address, limit)?;
        socket.set_limits(limit, limit)?;
        let mut this = Self {
            socket,
            parser: Parser::new(),
            limit,
            database: address.login.db(),
            owed: false,
            used: Instant::now(),
            failures: failures.clone(),
            before,
        };
        if let Some(password) = address.login.password() {
            let mut auth = cmd("AUTH");
            if let Some(user) = address.login.username() {
                auth.arg(user);
            }
            let () = auth.arg(password).query(&mut this)?;
        }
        if this.database != 0 {
            let () = cmd("SELECT").arg(this.database).query(&mut this)?;
        }
        Ok(this)
    }

    fn exchange(
        &mut self,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        self.socket.write_all(commands)?;
        self.socket.flush()?;
        for _ in 0..offset {
            self.parser.parse_value(&mut self.socket)?;
        }
        (0..count)
            .map(|_| self.parser.parse_value(&mut self.socket))
            .collect()
    }

    /// From now on, an answer may take so long.
    pub(super) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.socket.set_limits(patience, self.limit)
    }

    /// Whether it is likely to answer.
    pub(super) fn is_well(&mut self) -> bool {
        self.before == self.failures.0.load(Ordering::Relaxed)
            && (self.used.elapsed() < REST || self.check_connection())
    }

    /// No answer is owed to anybody.
    pub(super) fn is_whole(&self) -> bool {
        !self.owed
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("database", &self.database)
            .field("is_whole", &self.is_whole())
            .finish_non_exhaustive()
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        let replies = self.req_packed_commands(command, 0, 1)?;
        Ok(replies.into_iter().next().unwrap_or(Value::Nil))
    }

    fn req_packed_commands(
        &mut self,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        self.owed = true; // until all have come
        let result = self.exchange(commands, offset, count);
        self.used = Instant::now();
        match &result {
            Ok(_) => self.owed = false,
            Err(_) => {
                self.failures.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        result
    }

    fn get_db(&self) -> i64 {
        self.database
    }

    fn check_connection(&mut self) -> bool {
        cmd("PING").query::<String>(self).is_ok()
    }

    fn is_open(&self) -> bool {
        !self.owed
    }
}
