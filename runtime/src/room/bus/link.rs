//! [`Link`]: what a room with a bus has beside one without.
//!
//! A post of such a room goes to the bus and nowhere else. What comes back from it, on the one
//! thread that reads, goes into the history and to the members, as what is published does in a room
//! without a bus.
//!
//! What must stay true: a room is read by one thread; its members get what that thread reads, in its
//! order, each post once; where something is missing, the members that are there get the room's gap
//! post in its place, and the history forgets what was before.

use super::hub::Hub;
use super::presence::{self, Elsewhere, LIFE};
use super::{Append, Bus, BusError, Entry, Extent, Report, packet};
use crate::green::embed::{Awaited, Io, deadline_in, lock, wait_for};
use crate::green::{Semaphore, TimedOut, spawn};
use crate::room::cursor::Cursor;
use crate::room::members::Presence;
use crate::room::post::{Message, Post};
use crate::room::{Room, Waiting};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// How long the first who uses a room waits for what the log holds.
const LOADING: Duration = Duration::from_secs(5);

/// How long a place is kept for a post that is being made.
const RESERVED: Duration = Duration::from_secs(5);

/// Posts of threads that may not wait, on their way to the bus by others.
const MOST_HANDED_OVER: usize = 1024;

#[derive(Debug)]
pub(in crate::room) struct Link {
    /// `None` in it: the settings name no bus, and the room is one without.
    hub: OnceLock<Option<Hub>>,
    name: Arc<str>,
    /// This room in this process, for the others of its name.
    pub(in crate::room) node: u64,
    /// Posts that the log is to keep.
    keep: usize,
    /// What members get where something is missing.
    pub(in crate::room) gap: Post,
    /// The room is known to the hub.
    attached: AtomicBool,
    /// What was in the log has been read, or somebody has waited for it in vain.
    ready: AtomicBool,
    /// Somebody was let in before it was read. Changes under the lock of the feed.
    late: AtomicBool,
    handed_over: AtomicUsize,
    /// The last post of this process on its way: its tag and when it set out.
    sent: Mutex<Option<(u64, Instant)>>,
    elsewhere: Mutex<Elsewhere>,
    /// Those of this process who have their posts' places kept, one by one.
    reserving: Semaphore,
}

/// Where the reader is in a room's log.
#[derive(Debug)]
pub(super) struct Position {
    pub(super) cursor: Cursor,
    /// Of the entry there, once one has come.
    pub(super) tag: Option<u64>,
    /// The log's end when reading began: what comes up to there is history.
    history_until: Option<Cursor>,
    /// The log has been asked since the last failure.
    pub(super) is_open: bool,
}

impl Link {
    /// Without a hub, the settings decide when the room is first used.
    pub(in crate::room) fn new(hub: Option<Hub>, name: Arc<str>, keep: usize, gap: Post) -> Self {
        let of_settings = hub.is_none();
        let this = Self {
            hub: OnceLock::new(),
            name,
            node: random(),
            keep,
            gap,
            attached: AtomicBool::new(false),
            ready: AtomicBool::new(false),
            late: AtomicBool::new(false),
            handed_over: AtomicUsize::new(0),
            sent: Mutex::new(None),
            elsewhere: Mutex::default(),
            reserving: Semaphore::new(1),
        };
        if !of_settings {
            this.hub.get_or_init(|| hub);
        }
        this
    }

    /// Whether there is a bus; settled now if it was not.
    pub(in crate::room) fn is_on(&self) -> bool {
        self.hub.get_or_init(Hub::of_settings).is_some()
    }

    /// Its hub. Called where there is one.
    fn hub(&self) -> Result<&Hub, BusError> {
        let hub = self.hub.get().and_then(Option::as_ref);
        hub.ok_or_else(|| BusError::lasting("there is none"))
    }

    /// Waits for what the log holds; not for long, and only until somebody has waited in vain.
    pub(in crate::room) fn ready(&self, room: &Room) {
        if !self.ready.load(Ordering::Acquire) {
            self.get_ready(room);
        }
    }

    #[cold]
    #[inline(never)]
    fn get_ready(&self, room: &Room) {
        let Ok(hub) = self.hub() else { return };
        if !self.attached.swap(true, Ordering::AcqRel) {
            lock(&room.shared.feed).history.share();
            hub.attach(&self.name, Arc::downgrade(&room.shared));
        }
        let waiting = Waiting::new(&room.shared.feed);
        let patience = deadline_in(LOADING.min(hub.longest_wait().max(LOADING / 5)));
        let result = wait_for(Awaited::Other("bus"), patience, Io::None, |me, _| {
            let mut feed = lock(&room.shared.feed);
            if self.ready.load(Ordering::Acquire) {
                return Some(());
            }
            waiting.enter(&mut feed, me);
            None
        });
        if let Err(TimedOut) = result {
            let _feed = lock(&room.shared.feed);
            if !self.ready.swap(true, Ordering::AcqRel) {
                self.late.store(true, Ordering::Release);
            }
        }
    }

    /// Publishes by the bus; see [`Room::try_publish`].
    pub(in crate::room) fn publish(&self, room: &Room, post: &Post) -> Result<Cursor, BusError> {
        let bytes = packet::encode(post);
        let tag = random();
        if std::thread::panicking() {
            // It must not wait, as what it calls would be at an end at once.
            self.hand_over(room, tag, bytes)?;
            return Ok(room.cursor());
        }
        *lock(&self.sent) = Some((tag, Instant::now()));
        self.append(tag, &bytes, false)
    }

    /// Publishes what is made for its place; see [`Room::publish_with`].
    pub(in crate::room) fn publish_with<P: Into<Post>>(
        &self,
        room: &Room,
        make: impl FnOnce(Cursor) -> P,
    ) -> Result<Cursor, BusError> {
        if std::thread::panicking() {
            // Its place cannot be kept without a wait; this is the one that it has if nobody else
            // publishes.
            let post = make(room.cursor().plus(1)).into();
            return self.publish(room, &post);
        }
        let hub = self.hub()?;
        let Ok(_turn) = self
            .reserving
            .acquire_timeout(hub.longest_wait().max(RESERVED))
        else {
            return Err(BusError::busy());
        };
        let tag = random();
        let cursor = hub.reserve(&self.name, tag, RESERVED)?;
        let reserved = Reserved { link: self, tag };
        let post = make(cursor).into();
        *lock(&self.sent) = Some((tag, Instant::now()));
        let result = self.append(tag, &packet::encode(&post), true);
        if result.is_ok() {
            std::mem::forget(reserved); // the append has given it up
        }
        result
    }

    fn append(&self, tag: u64, bytes: &[u8], is_reserved: bool) -> Result<Cursor, BusError> {
        let post = Append {
            tag,
            bytes,
            keep: self.keep,
            is_reserved,
        };
        self.hub()?.append(&self.name, &post)
    }

    /// Has another thread publish it. If that fails, nobody is left to be told but the log.
    fn hand_over(&self, room: &Room, tag: u64, bytes: Vec<u8>) -> Result<(), BusError> {
        if self.handed_over.fetch_add(1, Ordering::AcqRel) >= MOST_HANDED_OVER {
            self.handed_over.fetch_sub(1, Ordering::AcqRel);
            return Err(BusError::temporary("too many posts wait for it"));
        }
        let room = room.clone();
        spawn(move || {
            let Some(link) = &room.shared.link else {
                return; // it has one: it is the caller's
            };
            if let Err(error) = link.append(tag, &bytes, false) {
                log::error!("a post of a thread that has ended is lost: {error}");
            }
            link.handed_over.fetch_sub(1, Ordering::AcqRel);
        });
        Ok(())
    }

    /// A post has come; if it is the one that was timed, this is how long it has taken.
    fn note_lag(&self, tag: u64) {
        let mut sent = lock(&self.sent);
        if let Some((_, start)) = sent.take_if(|(sent, _)| *sent == tag)
            && let Ok(hub) = self.hub()
        {
            let took = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
            hub.counts().lag_us.store(took, Ordering::Relaxed);
        }
    }

    /// The members on other nodes, as far as one has heard.
    pub(in crate::room) fn elsewhere(&self) -> Vec<Presence> {
        let elsewhere = lock(&self.elsewhere);
        if elsewhere.is_stale() {
            return Vec::new();
        }
        elsewhere.named.clone()
    }

    /// The number of members on other nodes.
    pub(in crate::room) fn count_elsewhere(&self) -> usize {
        let elsewhere = lock(&self.elsewhere);
        if elsewhere.is_stale() {
            0
        } else {
            elsewhere.count
        }
    }
}

/// A place that is kept in the log; given up when dropped.
struct Reserved<'a> {
    link: &'a Link,
    tag: u64,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        // One that unwinds cannot wait: then the log gives it up when its time is over.
        if let Ok(hub) = self.link.hub() {
            let _ = hub.release(&self.link.name, self.tag);
        }
    }
}

impl Room {
    /// What comes from the start of the log to its end is history.
    pub(super) fn begin_reading(&self, extent: Extent) -> Position {
        let mut feed = lock(&self.shared.feed);
        feed.history.jump(extent.start);
        let mut position = Position {
            cursor: extent.start,
            tag: None,
            history_until: Some(extent.end),
            is_open: true,
        };
        self.end_of_history(&mut position);
        self.published(feed);
        position
    }

    /// Takes an entry of the log. Called by the thread that reads, and by no other.
    pub(super) fn receive(&self, position: &mut Position, entry: Entry) {
        let Some(link) = &self.shared.link else {
            return; // a room without one is not read
        };
        if entry.cursor <= position.cursor {
            return; // it has come before
        }
        self.shared.delivery.wait_for_capacity();
        let is_live = position.history_until.is_none();
        let begins_epoch = entry.cursor.number == 0;
        let post = if begins_epoch {
            None
        } else {
            packet::decode(&entry.bytes)
        };
        let mut feed = lock(&self.shared.feed);
        if entry.cursor != position.cursor.plus(1) {
            let from = entry.cursor.before();
            feed.history.jump(from);
            if is_live {
                self.tell_gap(link, from);
            }
        }
        if let Some(post) = post {
            let message = feed.history.add(post);
            if is_live {
                self.shared.delivery.post(&message);
            }
        } else if !begins_epoch {
            log::error!("a room cannot read a post: a later version may have written it");
            feed.history.jump(entry.cursor);
            if is_live {
                self.tell_gap(link, entry.cursor);
            }
        }
        position.cursor = entry.cursor;
        position.tag = Some(entry.tag);
        self.end_of_history(position);
        self.published(feed);
        if let Ok(hub) = link.hub() {
            hub.counts().received.fetch_add(1, Ordering::Relaxed);
        }
        link.note_lag(entry.tag);
    }

    /// Tells the bus of the members who are here, if `told` is not up to date, and learns of others.
    pub(super) fn attend(
        &self,
        bus: &dyn Bus,
        name: &str,
        told: &mut Option<u64>,
    ) -> Result<(), BusError> {
        let Some(link) = &self.shared.link else {
            return Ok(()); // a room without one has nobody elsewhere
        };
        let changes = self.shared.members.changes();
        let is_told = *told == Some(changes);
        let members = (!is_told).then(|| presence::encode(&self.shared.members.list()));
        let report = Report {
            node: link.node,
            life: LIFE,
            members: members.as_deref(),
            version: lock(&link.elsewhere).version,
        };
        *told = None; // if it fails, nobody knows what has come there
        let lists = bus.present(name, &report)?;
        *told = lists.is_known.then_some(changes);
        let mut elsewhere = lock(&link.elsewhere);
        elsewhere.heard = Some(Instant::now());
        if let Some(changed) = lists.changed {
            elsewhere.take(lists.version, &changed, link.node);
        }
        Ok(())
    }

    /// The log has been read up to where it ended: the room is ready. Called under the lock of the feed.
    fn end_of_history(&self, position: &mut Position) {
        let until = position.history_until;
        let Some(link) = &self.shared.link else {
            return;
        };
        if until.is_none_or(|until| position.cursor < until) {
            return;
        }
        position.history_until = None;
        link.ready.store(true, Ordering::Release);
        if link.late.swap(false, Ordering::AcqRel) {
            self.tell_gap(link, position.cursor);
        }
    }

    fn tell_gap(&self, link: &Link, at: Cursor) {
        if let Ok(hub) = link.hub() {
            hub.counts().gaps.fetch_add(1, Ordering::Relaxed);
        }
        self.shared
            .delivery
            .post(&Message::new(at, link.gap.clone()));
    }
}

/// Another one each time, and not 0.
fn random() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    RandomState::new().hash_one(next).max(1) // its keys are random
}
