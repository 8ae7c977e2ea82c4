//! [`Redis`]: a bus whose logs are streams of Redis.
//!
//! A room is one stream. The id of an entry is the cursor, `EPOCH-NUMBER`: Redis wants ids that
//! grow, and does not mind that they are no times. An epoch begins with an entry of the number 0,
//! and is the server's time in microseconds, so a stream that was lost goes on behind everything
//! that it has been. What has to happen at once is a script.
//!
//! What must stay true:
//! - One connection reads for all rooms, and waits in Redis; it is woken by an entry in a stream of
//!   the process's own, which cannot be missed.
//! - All other calls take a connection out of a pool, for one answer, with a deadline.
//! - A connection whose answer was not waited for is never used again.

mod connection;
mod scripts;

use self::connection::{Address, Connection};
use super::{Append, Bus, BusError, Entry, Extent, Seen};
use crate::green::embed::lock;
use crate::green::{ConnectionPool, PooledConnection};
use crate::room::cursor::Cursor;
use ::redis::{Cmd, FromRedisValue, RedisError, Value, cmd};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A call other than the reader's takes at most so long.
const CALL: Duration = Duration::from_secs(3);

/// Connections for calls; with one for the reader.
const CONNECTIONS: usize = 8;

/// How long a tag is known: longer than anybody tries to append the same post.
const TAG_LIFE: Duration = Duration::from_secs(120);

/// Entries of one room in one answer.
const MOST_AT_ONCE: usize = 256;

/// What the keys begin with.
const PREFIX: &str = "greenway:room:";

/// Redis streams as the [`Bus`] of rooms, from version 5 of Redis on, or Valkey.
///
/// ```no_run
/// use greenway::room::{Redis, Room};
///
/// let room = Room::builder()
///     .name("lobby")
///     .bus(Redis::connect("redis://:password@127.0.0.1:6379/0")?)
///     .build();
/// room.publish("hello, whichever machine you are on");
/// # Ok::<(), greenway::room::BusError>(())
/// ```
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
}

struct Shared {
    address: Address,
    pool: ConnectionPool<Connection>,
    /// Of the reader, between two calls.
    reader: Mutex<Option<Connection>>,
    /// The stream that wakes the reader, and the last entry of it that was read.
    bell: String,
    heard: Mutex<String>,
    scripts: scripts::Scripts,
}

impl Redis {
    /// The Redis at this address: `redis://[user][:password@]host[:port][/database]`, `rediss://...`
    /// with TLS (the feature `tls`), `unix:///path/to/socket`. Connects when it is first used, so a
    /// Redis that is away for the moment is no error.
    ///
    /// # Errors
    /// When this is no such address.
    pub fn connect(url: &str) -> Result<Self, BusError> {
        let address = Address::parse(url)?;
        let to = address.clone();
        let pool = ConnectionPool::builder(move || Connection::open(&to, CALL))
            .max_size(CONNECTIONS)
            .wait_timeout(CALL)
            .broken(|connection| !connection.is_whole())
            .build();
        let node = RandomState::new().hash_one(()); // the hasher's keys are random
        Ok(Self {
            shared: Arc::new(Shared {
                address,
                pool,
                reader: Mutex::new(None),
                bell: format!("greenway:bell:{node:016x}"),
                heard: Mutex::new("0-0".to_owned()),
                scripts: scripts::Scripts::new(),
            }),
        })
    }

    fn connection(&self) -> Result<PooledConnection<Connection>, BusError> {
        self.shared.pool.get().map_err(BusError::temporary)
    }

    fn call<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, BusError> {
        command.query(&mut *self.connection()?).map_err(failed)
    }
}

impl Bus for Redis {
    fn open(&self, room: &str, seen: Option<Seen>) -> Result<Extent, BusError> {
        let (id, tag) = match seen {
            Some(Seen { cursor, tag }) => (id_of(cursor), tag.to_string()),
            None => (String::new(), String::new()),
        };
        let script = &self.shared.scripts.open;
        let (first, last): (String, String) = script
            .key(key_of(room))
            .arg(id)
            .arg(tag)
            .invoke(&mut *self.connection()?)
            .map_err(failed)?;
        let (first, end) = (cursor_of(&first)?, cursor_of(&last)?);
        let start = first.before();
        Ok(Extent { start, end })
    }

    fn append(&self, room: &str, post: &Append<'_>) -> Result<Cursor, BusError> {
        let key = key_of(room);
        let script = &self.shared.scripts.append;
        let id: String = script
            .key(&key)
            .key(format!("{key}:tag:{:016x}", post.tag))
            .arg(post.tag.to_string())
            .arg(post.bytes)
            .arg(post.keep.max(1))
            .arg(TAG_LIFE.as_millis().to_string())
            .invoke(&mut *self.connection()?)
            .map_err(failed)?;
        cursor_of(&id)
    }

    fn read(
        &self,
        rooms: &[(&str, Cursor)],
        patience: Duration,
    ) -> Result<Vec<(usize, Entry)>, BusError> {
        let shared = &*self.shared;
        // Each stream once: rooms of one name get the same entries, and skip what they have.
        let mut streams = BTreeMap::new();
        for (room, cursor) in rooms {
            let least = streams.entry(*room).or_insert(*cursor);
            *least = (*cursor).min(*least);
        }
        let mut command = cmd("XREAD");
        command.arg("COUNT").arg(MOST_AT_ONCE);
        // 0 would be for ever.
        command
            .arg("BLOCK")
            .arg(patience.as_millis().max(1).to_string());
        command.arg("STREAMS").arg(&shared.bell);
        for room in streams.keys() {
            command.arg(key_of(room));
        }
        let heard = lock(&shared.heard).clone();
        command.arg(heard);
        for cursor in streams.values() {
            command.arg(id_of(*cursor));
        }
        let kept = lock(&shared.reader).take();
        let mut connection = match kept {
            Some(connection) => connection,
            None => Connection::open(&shared.address, CALL).map_err(failed)?,
        };
        connection
            .set_patience(patience + CALL)
            .map_err(BusError::temporary)?;
        let answer: Value = command.query(&mut connection).map_err(failed)?;
        *lock(&shared.reader) = Some(connection);
        let mut entries = Vec::new();
        for (name, stream) in streams_of(answer)? {
            let Some(room) = name.strip_prefix(PREFIX.as_bytes()) else {
                if let Some((id, _)) = stream.into_iter().next_back() {
                    *lock(&shared.heard) = id;
                }
                continue;
            };
            for (id, fields) in stream {
                let entry = entry_of(&id, fields)?;
                for (index, (other, _)) in rooms.iter().enumerate() {
                    if other.as_bytes() == room {
                        entries.push((index, entry.clone()));
                    }
                }
            }
        }
        Ok(entries)
    }

    fn wake(&self) -> Result<(), BusError> {
        let bell = &self.shared.bell;
        let mut ring = cmd("XADD");
        ring.arg(bell).arg("MAXLEN").arg(1).arg("*").arg("").arg("");
        let _id: String = self.call(&ring)?;
        let _set: i64 = self.call(cmd("EXPIRE").arg(bell).arg(60))?;
        Ok(())
    }

    fn trim(&self, room: &str, keep: usize) -> Result<(), BusError> {
        let mut trim = cmd("XTRIM");
        trim.arg(key_of(room)).arg("MAXLEN").arg(keep.max(1));
        let _trimmed: u64 = self.call(&trim)?;
        Ok(())
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("address", &self.shared.address)
            .field("connections", &self.shared.pool.stats())
            .finish_non_exhaustive()
    }
}

/// What an error of Redis, or of the way there, means for those who publish.
fn failed(error: RedisError) -> BusError {
    use ::redis::{ErrorKind, ServerErrorKind};
    let lasts = match error.kind() {
        ErrorKind::AuthenticationFailed
        | ErrorKind::InvalidClientConfig
        | ErrorKind::UnexpectedReturnType => true,
        ErrorKind::Server(kind) => {
            matches!(kind, ServerErrorKind::NoPerm) || error.code() == Some("WRONGTYPE")
        }
        _ => false,
    };
    if lasts {
        BusError::lasting(error)
    } else {
        BusError::temporary(error)
    }
}

fn key_of(room: &str) -> String {
    format!("{PREFIX}{room}")
}

fn id_of(cursor: Cursor) -> String {
    format!("{}-{}", cursor.epoch, cursor.number)
}

fn cursor_of(id: &str) -> Result<Cursor, BusError> {
    let parts = id.split_once('-');
    let parse = |(epoch, number): (&str, &str)| {
        Some(Cursor::new(epoch.parse().ok()?, number.parse().ok()?))
    };
    let cursor = parts.and_then(parse);
    cursor.ok_or_else(|| BusError::lasting(format_args!("{id:?} is no id of a stream")))
}

fn entry_of(id: &str, fields: Vec<Value>) -> Result<Entry, BusError> {
    let cursor = cursor_of(id)?;
    let mut entry = Entry {
        cursor,
        tag: 0,
        bytes: Bytes::new(),
    };
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        let value = bytes_of(value)?;
        match &*bytes_of(name)? {
            b"t" => {
                let tag = std::str::from_utf8(&value)
                    .ok()
                    .and_then(|it| it.parse().ok());
                entry.tag = tag.unwrap_or(0);
            }
            b"d" => entry.bytes = value.into(),
            _ => {} // of a later version
        }
    }
    Ok(entry)
}

type Stream = (Vec<u8>, Vec<(String, Vec<Value>)>);

/// The answer to XREAD.
fn streams_of(value: Value) -> Result<Vec<Stream>, BusError> {
    if value == Value::Nil {
        return Ok(Vec::new());
    }
    let mut streams = Vec::new();
    for stream in list_of(value)? {
        let [name, entries] = pair_of(stream)?;
        let mut list = Vec::new();
        for entry in list_of(entries)? {
            let [id, fields] = pair_of(entry)?;
            let id = String::from_utf8(bytes_of(id)?).map_err(|_| unexpected())?;
            list.push((id, list_of(fields)?));
        }
        streams.push((bytes_of(name)?, list));
    }
    Ok(streams)
}

fn list_of(value: Value) -> Result<Vec<Value>, BusError> {
    match value {
        Value::Array(list) => Ok(list),
        Value::Nil => Ok(Vec::new()), // an entry that was deleted
        _ => Err(unexpected()),
    }
}

fn pair_of(value: Value) -> Result<[Value; 2], BusError> {
    list_of(value)?.try_into().map_err(|_| unexpected())
}

fn bytes_of(value: Value) -> Result<Vec<u8>, BusError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        _ => Err(unexpected()),
    }
}

fn unexpected() -> BusError {
    BusError::lasting("this is no answer of Redis to the question")
}
