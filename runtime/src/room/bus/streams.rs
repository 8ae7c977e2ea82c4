//! Streams of Redis as the logs of a bus.
//!
//! A room is one stream. The id of an entry is the cursor, `EPOCH-NUMBER`: Redis wants ids that
//! grow, and does not mind that they are no times. An epoch begins with an entry of the number 0,
//! and is the server's time in microseconds, so a stream that was lost goes on behind everything
//! that it has been. What has to happen at once is a script.
//!
//! What must stay true:
//! - One connection reads for all rooms, and waits in Redis; it is woken by an entry in a stream of
//!   the process's own, which cannot be missed.
//! - All other calls take a connection out of the pool, for one answer.
//! - All keys of a room have its name in braces, which puts them on one node of a cluster.

use super::scripts::Scripts;
use super::{Append, Bus, BusError, Entry, Extent, Lists, Report, Seen};
use crate::green::PooledConnection;
use crate::green::embed::lock;
use crate::redis::{CALL, Connection, Redis, lasts};
use crate::room::cursor::Cursor;
use ::redis::{Cmd, FromRedisValue, RedisError, Value, cmd};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::time::Duration;

/// How long a tag is known: longer than anybody tries to append the same post.
const TAG_LIFE: Duration = Duration::from_secs(120);

/// Entries of one room in one answer.
const MOST_AT_ONCE: usize = 256;

/// What the keys of a room begin with; its name and a brace follow.
const PREFIX: &str = "greenway:room:{";

/// A bus over a Redis; see [`Redis`].
pub(super) struct RedisStreams {
    redis: Redis,
    /// Of the reader, between two calls.
    reader: Mutex<Option<Connection>>,
    /// The stream that wakes the reader, and the last entry of it that was read.
    bell: String,
    heard: Mutex<String>,
    scripts: Scripts,
}

impl RedisStreams {
    pub(super) fn new(redis: Redis) -> Self {
        let node = RandomState::new().hash_one(()); // the hasher's keys are random
        Self {
            redis,
            reader: Mutex::new(None),
            bell: format!("greenway:bell:{node:016x}"),
            heard: Mutex::new("0-0".to_owned()),
            scripts: Scripts::new(),
        }
    }

    fn connection(&self) -> Result<PooledConnection<Connection>, BusError> {
        self.redis.get().map_err(|error| {
            let source = std::error::Error::source(&error);
            match source.and_then(|source| source.downcast_ref::<RedisError>()) {
                Some(reason) if lasts(reason) => BusError::lasting(reason),
                Some(reason) => BusError::temporary(reason),
                None => BusError::temporary(error),
            }
        })
    }

    fn call<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, BusError> {
        command.query(&mut *self.connection()?).map_err(failed)
    }
}

impl Bus for RedisStreams {
    fn open(&self, room: &str, seen: Option<Seen>) -> Result<Extent, BusError> {
        let (id, tag) = match seen {
            Some(Seen { cursor, tag }) => (id_of(cursor), tag.to_string()),
            None => (String::new(), String::new()),
        };
        let script = &self.scripts.open;
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
        let script = &self.scripts.append;
        let (state, id): (String, String) = script
            .key(&key)
            .key(format!("{key}:tag:{:016x}", post.tag))
            .key(format!("{key}:reserved"))
            .arg(post.tag.to_string())
            .arg(post.bytes)
            .arg(post.keep.max(1))
            .arg(TAG_LIFE.as_millis().to_string())
            .arg(post.is_reserved.to_string())
            .invoke(&mut *self.connection()?)
            .map_err(failed)?;
        settled(&state, &id)
    }

    fn reserve(&self, room: &str, tag: u64, life: Duration) -> Result<Cursor, BusError> {
        let key = key_of(room);
        let script = &self.scripts.reserve;
        let (state, id): (String, String) = script
            .key(&key)
            .key(format!("{key}:reserved"))
            .arg(tag.to_string())
            .arg(life.as_millis().to_string())
            .invoke(&mut *self.connection()?)
            .map_err(failed)?;
        settled(&state, &id)
    }

    fn release(&self, room: &str, tag: u64) -> Result<(), BusError> {
        let key = key_of(room);
        let script = &self.scripts.release;
        let _removed: i64 = script
            .key(format!("{key}:reserved"))
            .arg(tag.to_string())
            .invoke(&mut *self.connection()?)
            .map_err(failed)?;
        Ok(())
    }

    fn read(
        &self,
        rooms: &[(&str, Cursor)],
        patience: Duration,
    ) -> Result<Vec<(usize, Entry)>, BusError> {
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
        command.arg("STREAMS").arg(&self.bell);
        for room in streams.keys() {
            command.arg(key_of(room));
        }
        command.arg(&*lock(&self.heard));
        for cursor in streams.values() {
            command.arg(id_of(*cursor));
        }
        let kept = lock(&self.reader).take();
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.redis.connection(patience + CALL).map_err(failed)?,
        };
        let answer: Value = command.query(&mut connection).map_err(failed)?;
        *lock(&self.reader) = Some(connection);
        let mut entries = Vec::new();
        for (name, stream) in streams_of(answer)? {
            let Some(room) = room_of(&name) else {
                if let Some((id, _)) = stream.into_iter().next_back() {
                    *lock(&self.heard) = id;
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
        let mut ring = cmd("XADD");
        ring.arg(&self.bell).arg("MAXLEN").arg(1).arg("*");
        let _id: String = self.call(ring.arg("rooms").arg("more"))?;
        let _set: i64 = self.call(cmd("EXPIRE").arg(&self.bell).arg(60))?;
        Ok(())
    }

    fn trim(&self, room: &str, keep: usize) -> Result<(), BusError> {
        let mut trim = cmd("XTRIM");
        trim.arg(key_of(room)).arg("MAXLEN").arg(keep.max(1));
        let _trimmed: u64 = self.call(&trim)?;
        Ok(())
    }

    fn present(&self, room: &str, report: &Report<'_>) -> Result<Lists, BusError> {
        let key = key_of(room);
        let script = &self.scripts.present;
        let answer: (u64, bool, Vec<Value>) = script
            .key(format!("{key}:nodes"))
            .key(format!("{key}:members"))
            .key(format!("{key}:version"))
            .arg(format!("{:016x}", report.node))
            .arg(report.life.as_millis().to_string())
            .arg(report.members.unwrap_or_default())
            .arg(report.version.to_string())
            .invoke(&mut *self.connection()?)
            .map_err(failed)?;
        let (version, is_known, flat) = answer;
        let mut lists = Vec::new();
        let mut flat = flat.into_iter();
        while let (Some(node), Some(list)) = (flat.next(), flat.next()) {
            let node = bytes_of(node)?;
            let node = std::str::from_utf8(&node).ok();
            let node = node.and_then(|node| u64::from_str_radix(node, 16).ok());
            lists.push((node.ok_or_else(unexpected)?, bytes_of(list)?.into()));
        }
        Ok(Lists {
            version,
            is_known,
            changed: (version != report.version).then_some(lists),
        })
    }
}

impl fmt::Debug for RedisStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.redis.fmt(f)
    }
}

/// What an error of Redis, or of the way there, means for those who publish.
fn failed(error: RedisError) -> BusError {
    if lasts(&error) {
        BusError::lasting(error)
    } else {
        BusError::temporary(error)
    }
}

/// What a script says of a place.
fn settled(state: &str, id: &str) -> Result<Cursor, BusError> {
    match state {
        "ok" => cursor_of(id),
        "busy" => Err(BusError::busy()),
        _ => Err(BusError::lasting("its place was reserved for too long")),
    }
}

fn key_of(room: &str) -> String {
    format!("{PREFIX}{room}}}")
}

fn room_of(key: &[u8]) -> Option<&[u8]> {
    key.strip_prefix(PREFIX.as_bytes())?.strip_suffix(b"}")
}

fn id_of(cursor: Cursor) -> String {
    format!("{}-{}", cursor.epoch, cursor.number)
}

fn cursor_of(id: &str) -> Result<Cursor, BusError> {
    let parts = id.split_once('-');
    let parse = |(epoch, number): (&str, &str)| {
        Some(Cursor::new(epoch.parse().ok()?, number.parse().ok()?))
    };
    parts.and_then(parse).ok_or_else(unexpected)
}

fn entry_of(id: &str, fields: Vec<Value>) -> Result<Entry, BusError> {
    let mut entry = Entry {
        cursor: cursor_of(id)?,
        tag: 0,
        bytes: Bytes::new(),
    };
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        let value = bytes_of(value)?;
        match &*bytes_of(name)? {
            b"t" => {
                let tag = std::str::from_utf8(&value).ok();
                entry.tag = tag.and_then(|tag| tag.parse().ok()).unwrap_or(0);
            }
            b"d" => entry.bytes = value.into(),
            _ => {} // of a later version
        }
    }
    Ok(entry)
}

/// A stream's key, and its entries: ids and fields.
type Stream = (Vec<u8>, Vec<(String, Vec<Value>)>);

/// The answer to XREAD.
fn streams_of(value: Value) -> Result<Vec<Stream>, BusError> {
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
        Value::Nil => Ok(Vec::new()), // nothing has come
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
