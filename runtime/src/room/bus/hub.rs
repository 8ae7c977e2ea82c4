//! [`Hub`]: a process's end of a bus, with the thread that reads it for all rooms.
//!
//! What must stay true:
//! - One green thread reads, with one call for all rooms, while there are rooms; it ends with the
//!   last of them.
//! - When the bus fails, it tries again after a pause that grows and differs from process to
//!   process, and asks each room's log whether what it had is still in it.
//! - Nobody who publishes waits longer than the hub's patience.

use super::link::Position;
use super::presence::PAUSE;
use super::{Append, Bus, BusError, Seen};
use crate::green::embed::{lock, panic_message};
use crate::green::{sleep, spawn};
use crate::room::cursor::Cursor;
use crate::room::{Room, RoomInner};
use crate::service::buses::{self, BusCounts};
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

/// How long the reader waits for news in one call.
const READ_PATIENCE: Duration = Duration::from_secs(3);

/// The pause after the first failure. Each further one doubles it, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// This process's end of a [`Bus`], for as many rooms as there are. Clones are the same one.
///
/// ```
/// # #[cfg(feature = "redis")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use greenway::redis::Redis;
/// use greenway::room::{Hub, Room};
/// use std::time::Duration;
///
/// let hub = Hub::from(Redis::connect("redis://127.0.0.1/")?).patience(Duration::from_secs(3));
/// let lobby = Room::builder().name("lobby").bus(hub.clone()).build();
/// let news = Room::builder().name("news").bus(hub).build();
/// # let _ = (lobby, news);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "redis"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
    patience: Duration,
}

struct Shared {
    bus: Box<dyn Bus>,
    rooms: Mutex<Rooms>,
    counts: Arc<BusCounts>,
}

#[derive(Default)]
struct Rooms {
    last: u64,
    /// By a number of their own.
    attached: HashMap<u64, Attached>,
    /// A green thread reads.
    reading: bool,
    /// A green thread sees to who is there.
    attending: bool,
}

#[derive(Clone)]
struct Attached {
    name: Arc<str>,
    room: Weak<RoomInner>,
}

/// What a [`Hub`] has seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubStats {
    /// Whether the last call of the reader went well.
    pub connected: bool,
    /// Posts of this process that were appended.
    pub posts: u64,
    /// Posts that were read, those of this process included.
    pub received: u64,
    /// Posts that were given up, with an error for those who published them.
    pub failed: u64,
    /// How often reading began anew after a failure.
    pub reconnects: u64,
    /// How often something was missing, and the members of a room were told so.
    pub gaps: u64,
    /// The time that the last post of this process took from here to the bus and back.
    pub lag: Duration,
}

impl<B: Bus> From<B> for Hub {
    fn from(bus: B) -> Self {
        Self::new(bus)
    }
}

#[cfg(feature = "redis")]
impl From<crate::redis::Redis> for Hub {
    fn from(redis: crate::redis::Redis) -> Self {
        Self::new(super::streams::RedisStreams::new(redis))
    }
}

impl Hub {
    /// The one that the settings name (`--room-bus`), for all rooms of this process that have a name
    /// and no bus of their own.
    pub(in crate::room) fn of_settings() -> Option<Self> {
        static HUB: OnceLock<Option<Hub>> = OnceLock::new();
        HUB.get_or_init(|| Self::at(buses::chosen()?)).clone()
    }

    /// The server checks the address when it starts; a room that is used before has to say itself.
    fn at(url: &str) -> Option<Self> {
        #[cfg(feature = "redis")]
        let result = crate::redis::Redis::connect(url).map(Self::from);
        #[cfg(not(feature = "redis"))]
        let result = Err::<Self, _>(format_args!("{url}: without the feature `redis`"));
        let complain = |error: &dyn fmt::Display| log::error!("the rooms have no bus: {error}");
        result.inspect_err(|error| complain(error)).ok()
    }

    /// The end of this bus, with a patience of 10 seconds.
    pub fn new(bus: impl Bus) -> Self {
        Self {
            shared: Arc::new(Shared {
                bus: Box::new(bus),
                rooms: Mutex::default(),
                counts: BusCounts::new(),
            }),
            patience: Duration::from_secs(10),
        }
    }

    /// How long those who publish wait while the bus fails, before they get an error; 10 seconds by
    /// default. With zero they get it at once. It holds for the rooms that are built with this
    /// value.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Figures.
    #[must_use]
    pub fn stats(&self) -> HubStats {
        let counts = &self.shared.counts;
        HubStats {
            connected: counts.connected.load(Relaxed),
            posts: counts.posts.load(Relaxed),
            received: counts.received.load(Relaxed),
            failed: counts.failed.load(Relaxed),
            reconnects: counts.reconnects.load(Relaxed),
            gaps: counts.gaps.load(Relaxed),
            lag: Duration::from_micros(counts.lag_us.load(Relaxed)),
        }
    }

    pub(super) fn counts(&self) -> &BusCounts {
        &self.shared.counts
    }

    pub(super) fn longest_wait(&self) -> Duration {
        self.patience
    }

    /// From now on, the room is read.
    pub(super) fn attach(&self, name: &Arc<str>, room: Weak<RoomInner>) {
        let (was_reading, was_attending) = {
            let mut rooms = lock(&self.shared.rooms);
            rooms.last += 1;
            let (number, name) = (rooms.last, name.clone());
            rooms.attached.insert(number, Attached { name, room });
            let was_reading = std::mem::replace(&mut rooms.reading, true);
            (was_reading, std::mem::replace(&mut rooms.attending, true))
        };
        if was_reading {
            // If this fails, the reader has failed as well, and looks when it begins anew.
            let _ = self.shared.bus.wake();
        } else {
            let shared = self.shared.clone();
            spawn(move || shared.read());
        }
        if !was_attending {
            let shared = Arc::downgrade(&self.shared);
            spawn(move || attend(&shared));
        }
    }

    /// Appends a post, and tries again until the deadline while it may go well.
    pub(super) fn append(&self, room: &str, post: &Append<'_>) -> Result<Cursor, BusError> {
        let counts = &self.shared.counts;
        let result = self.retrying(|| self.shared.bus.append(room, post));
        let count = if result.is_ok() {
            &counts.posts
        } else {
            &counts.failed
        };
        count.fetch_add(1, Relaxed);
        result
    }

    /// Keeps the next place for a post, trying again as [`append`](Self::append) does.
    pub(super) fn reserve(&self, room: &str, tag: u64, life: Duration) -> Result<Cursor, BusError> {
        self.retrying(|| self.shared.bus.reserve(room, tag, life))
    }

    pub(super) fn release(&self, room: &str, tag: u64) -> Result<(), BusError> {
        self.shared.bus.release(room, tag)
    }

    fn retrying<T>(&self, mut call: impl FnMut() -> Result<T, BusError>) -> Result<T, BusError> {
        let start = Instant::now();
        let mut failures = 0;
        loop {
            match call() {
                Err(error) if error.is_temporary() => {
                    failures += u32::from(!error.is_busy());
                    let pause = if error.is_busy() {
                        pause_after(1) / 16 // others take their turns in between
                    } else {
                        pause_after(failures)
                    };
                    if start.elapsed() + pause >= self.patience {
                        return Err(error);
                    }
                    sleep(pause);
                }
                other => return other,
            }
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("bus", &self.shared.bus)
            .field("patience", &self.patience)
            .field("stats", &self.stats())
            .finish()
    }
}

/// A pause between half of a length that doubles with each failure and the whole of it: processes
/// that have lost the same bus do not come back all at once.
fn pause_after(failures: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let random = RandomState::new().hash_one(()) >> 48; // its keys are random
    let half = doubled.min(LONGEST_PAUSE) / 2;
    half + half.mul_f64(random as f64 / 65536.0)
}

/// Tells the bus who is in the rooms, and the rooms who is there elsewhere, while there are rooms.
fn attend(hub: &Weak<Shared>) {
    // What each room has told: a count of its members' changes.
    let mut told = HashMap::new();
    while let Some(shared) = hub.upgrade()
        && let Some(rooms) = shared.rooms(|rooms| &mut rooms.attending)
    {
        told.retain(|number, _| rooms.iter().any(|(other, _)| other == number));
        for (number, Attached { name, room }) in rooms {
            let Some(room) = room.upgrade().map(|shared| Room { shared }) else {
                continue;
            };
            let told = told.entry(number).or_insert(None);
            if room.attend(&*shared.bus, &name, told).is_err() {
                break; // that is the reader's to report
            }
        }
        drop(shared); // not held while we sleep
        sleep(PAUSE);
    }
}

/// Another thread may read when this one has ended, however it ends.
struct Reading<'a>(&'a Shared);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        lock(&self.0.rooms).reading = false;
    }
}

impl Shared {
    /// Reads for all rooms, until there is none.
    fn read(&self) {
        let reading = Reading(self);
        let mut positions = HashMap::new();
        let mut failures = 0;
        while let Some(rooms) = self.rooms(|rooms| &mut rooms.reading) {
            positions.retain(|number, _| rooms.iter().any(|(other, _)| other == number));
            // Unwind safety: a position is put back when its room has what it says.
            let result = catch_unwind(AssertUnwindSafe(|| self.round(&rooms, &mut positions)));
            let error = match result {
                Ok(Ok(())) => {
                    if failures > 0 {
                        log::info!("the bus of the rooms is back");
                        self.counts.reconnects.fetch_add(1, Relaxed);
                    }
                    failures = 0;
                    self.counts.connected.store(true, Relaxed);
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(payload) if crate::green::embed::Unwind::of(&*payload).is_some() => {
                    resume_unwind(payload)
                }
                Err(payload) => panic_message(&*payload).to_owned(),
            };
            self.counts.connected.store(false, Relaxed);
            if failures == 0 {
                log::warn!("{error}; the rooms read it again when it is back");
            }
            failures += 1;
            for position in positions.values_mut() {
                position.is_open = false;
            }
            sleep(pause_after(failures));
        }
        std::mem::forget(reading); // `rooms` has seen to it, under its lock
    }

    /// The rooms that there are. If there are none, the thread that asks is not what `role` says any
    /// more, and ends.
    fn rooms(&self, role: fn(&mut Rooms) -> &mut bool) -> Option<Vec<(u64, Attached)>> {
        let mut rooms = lock(&self.rooms);
        rooms
            .attached
            .retain(|_, attached| attached.room.strong_count() > 0);
        if rooms.attached.is_empty() {
            *role(&mut rooms) = false;
            return None;
        }
        let attached = rooms.attached.iter();
        Some(attached.map(|(number, it)| (*number, it.clone())).collect())
    }

    /// Opens what is not open, reads once, and has the rooms deliver it.
    fn round(
        &self,
        rooms: &[(u64, Attached)],
        positions: &mut HashMap<u64, Position>,
    ) -> Result<(), BusError> {
        for (number, attached) in rooms {
            let position = positions.get(number);
            if position.is_some_and(|position| position.is_open) {
                continue;
            }
            let seen = position.and_then(|position| {
                let (cursor, tag) = (position.cursor, position.tag?);
                Some(Seen { cursor, tag })
            });
            let extent = self.bus.open(&attached.name, seen)?;
            match positions.get_mut(number) {
                Some(position) => position.is_open = true,
                None => {
                    if let Some(room) = attached.room.upgrade() {
                        let room = Room { shared: room };
                        positions.insert(*number, room.begin_reading(extent));
                    }
                }
            }
        }
        let open: Vec<_> = rooms
            .iter()
            .filter_map(|(number, it)| Some((number, it, positions.get(number)?.cursor)))
            .collect();
        let wanted: Vec<_> = open
            .iter()
            .map(|(_, it, cursor)| (&*it.name, *cursor))
            .collect();
        for (index, entry) in self.bus.read(&wanted, READ_PATIENCE)? {
            let Some((number, attached, _)) = open.get(index) else {
                continue;
            };
            if let Some(position) = positions.get_mut(number)
                && let Some(room) = attached.room.upgrade()
            {
                Room { shared: room }.receive(position, entry);
            }
        }
        Ok(())
    }
}
