//! Rooms: one message to many, over whatever connects them.
//!
//! A chat, a scoreboard, a price that changes: a message that is published once has to reach all
//! members, and a client that was away for a moment must not miss it. In a [`Room`] it does not
//! matter how a member is connected:
//!
//! | Member | is made by | gets messages |
//! |---|---|---|
//! | long poll | [`Room::poll`] | when it asks; the handler waits if there are none |
//! | server-sent events | [`Room::join`], [`Member::into_events`] | as events, with the cursor as id |
//! | WebSocket | [`Room::join_socket`] | as frames, while its handler receives |
//! | a thread | [`Room::join`] | one by one from its queue |
//!
//! What must stay true:
//! - Nobody waits for a slow member. Each has a bounded queue, and what happens when it is full is
//!   a policy of the room ([`Slow`]).
//! - All members see all messages in one order, and one that comes back with a [`Cursor`] gets
//!   what it has missed, or is told that something is missing ([`News::gap`]).
//! - Everything is bounded: members, queues, history.
//! - Works from green threads of any worker and from OS threads; no lock is held over a wait.
//!
//! A room lives in one process, unless it has a name and a [bus](RoomBuilder::bus), over which the
//! rooms of that name in all processes are one.
//!
//! # Implementation
//!
//! A thread that publishes appends the message to the history, wakes the long polls, and hands the
//! message to a green thread on each worker, which puts it into the queues of that worker's members
//! (`delivery`). Those threads exist while there is something to deliver.

mod builder;
mod bus;
mod cursor;
mod delivery;
mod history;
mod member;
mod members;
mod order;
mod post;
mod queue;
mod socket;
mod socket_queue;
#[cfg(test)]
mod tests;

pub use builder::RoomBuilder;
pub use bus::{Append, Bus, BusError, Entry, Extent, Hub, HubStats, Lists, Report, Seen};
pub use cursor::{BadCursor, Cursor, Since};
pub use history::News;
pub use member::Member;
pub use members::{Change, Presence, RoomFull, Via};
pub use post::{Message, Post};
pub use queue::Slow;
pub use socket::SocketMember;

use self::builder::Hook;
use self::bus::Link;
use self::delivery::Delivery;
use self::history::History;
use self::members::Members;
use self::order::Order;
use crate::green::embed::{
    Awaited, Io, Locked, Thread, deadline_in, discard, lock, panic_message, wait_for,
};
use crate::green::{TimedOut, sleep, spawn, take_turn};
use crate::websocket::Sender;
use greenway_app::HttpError;
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// Messages that may wait for one before them that is being made.
const MOST_BEHIND: usize = 256;

/// A set of members, each of which gets what is published. Clones are the same room.
///
/// ```
/// use greenway::room::{Room, Since};
/// use std::time::Duration;
///
/// let room = Room::new();
/// let ada = room.join("Ada", Since::Now)?;
/// let cursor = room.publish("hello");
/// room.publish("is anybody here?");
///
/// // A member that waits for what comes:
/// assert_eq!(ada.next().unwrap().text(), Some("hello"));
/// // A client that asks for what it has not seen:
/// let news = room.poll("Grace", cursor.into(), Duration::from_secs(25))?;
/// assert_eq!(news.messages[0].text(), Some("is anybody here?"));
/// # Ok::<(), greenway::room::RoomFull>(())
/// ```
#[derive(Clone)]
pub struct Room {
    shared: Arc<RoomInner>,
}

struct RoomInner {
    /// Locked before the shards of `delivery`, never after.
    feed: Mutex<Feed>,
    delivery: Delivery,
    members: Members,
    on_change: Option<Hook>,
    /// What connects it with rooms of its name elsewhere.
    link: Option<Box<Link>>,
}

/// The order of all messages: the history, and the threads that wait for the next one.
struct Feed {
    history: History,
    /// What comes behind it, but is not complete.
    order: Order,
    /// By the number of the thread.
    waiting: HashMap<u64, Arc<Thread>>,
}

/// What a room has seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomStats {
    /// Members that are present now, in this process.
    pub members: usize,
    /// Messages that were published.
    pub published: u64,
    /// Messages that some member did not get because its queue was full.
    pub dropped: u64,
    /// Members that were evicted because they were slow.
    pub evicted: u64,
}

impl Room {
    /// An empty room with the defaults of [`RoomBuilder`].
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A room whose settings are to be chosen.
    pub fn builder() -> RoomBuilder {
        RoomBuilder::default()
    }

    /// Publishes a message to all members, and gives its place in the room's order.
    ///
    /// Never waits for a member. A green thread that publishes in a loop gives way to others now
    /// and then, and waits when messages come faster than they can be put into queues at all.
    ///
    /// In a room with a [bus](RoomBuilder::bus), it waits until the post is in the log, and the
    /// members get it when it comes back, here as elsewhere.
    ///
    /// # Panics
    /// When the bus fails for longer than the [patience](Hub::patience) of its hub: the handler ends
    /// with a 503, as by [`abort`](crate::abort). [`try_publish`](Self::try_publish) gives an error.
    pub fn publish(&self, post: impl Into<Post>) -> Cursor {
        let post = post.into();
        take_turn();
        if let Some(link) = self.link() {
            return or_abort(self.publish_by(link, &post));
        }
        self.publish_here(post)
    }

    /// As [`publish`](Self::publish), with an error where that ends the handler. Without a bus,
    /// there is none.
    ///
    /// # Errors
    /// When the bus fails for longer than the [patience](Hub::patience) of its hub. The post may
    /// be in the log all the same, if its answer was lost.
    pub fn try_publish(&self, post: impl Into<Post>) -> Result<Cursor, BusError> {
        let post = post.into();
        take_turn();
        match self.link() {
            Some(link) => self.publish_by(link, &post),
            None => Ok(self.publish_here(post)),
        }
    }

    #[cold]
    #[inline(never)]
    fn publish_by(&self, link: &Link, post: &Post) -> Result<Cursor, BusError> {
        link.ready(self);
        link.publish(self, post)
    }

    fn publish_here(&self, post: Post) -> Cursor {
        self.shared.delivery.wait_for_capacity();
        let mut feed = self.feed();
        let Feed { history, order, .. } = &mut *feed;
        let (cursor, post) = order.append(history, post);
        if let Some(post) = post {
            let message = history.add(post);
            // Under the lock, so that all get messages in the order of their numbers.
            self.shared.delivery.post(&message);
            self.published(feed);
        }
        cursor
    }

    /// As [`publish`](Self::publish), for a post that shows its own place: a client that gets it
    /// over a WebSocket can name it when it comes back.
    ///
    /// ```
    /// # let room = greenway::room::Room::new();
    /// room.publish_with(|cursor| format!(r#"{{"id":"{cursor}","text":"hello"}}"#));
    /// ```
    ///
    /// `make` may wait, and may use the room. What others publish meanwhile comes behind its message,
    /// and reaches nobody before it; when there are 256 such messages, publishing waits.
    ///
    /// In a room with a [bus](RoomBuilder::bus), all processes wait with what they publish until the
    /// message is there, for 5 seconds at most: then its place is lost, and this fails. `make` must
    /// not publish in the same room there, as that would wait for itself. A thread that is unwinding
    /// cannot wait for a place: what it shows then is the place behind the last message that has
    /// come here, and another thread publishes it.
    ///
    /// # Panics
    /// When `make` panics; nothing is published then, and its place may be left out. With a bus, also
    /// as [`publish`](Self::publish).
    pub fn publish_with<P: Into<Post>>(&self, make: impl FnOnce(Cursor) -> P) -> Cursor {
        take_turn();
        if let Some(link) = self.link() {
            link.ready(self);
            return or_abort(link.publish_with(self, make));
        }
        self.shared.delivery.wait_for_capacity();
        let promised = {
            let mut feed = self.feed();
            let Feed { history, order, .. } = &mut *feed;
            let cursor = order.promise(history);
            Promised { room: self, cursor }
        };
        let cursor = promised.cursor;
        let post = make(cursor).into();
        std::mem::forget(promised); // kept below
        self.fill(cursor, Some(post));
        cursor
    }

    /// Puts a message at its place, or leaves the place out, and lets those behind it go on.
    fn fill(&self, cursor: Cursor, post: Option<Post>) {
        let mut feed = lock(&self.shared.feed);
        let Feed { history, order, .. } = &mut *feed;
        order.fill(history, cursor, post);
        let mut messages = Vec::new();
        while let Some(message) = order.go_on(history) {
            self.shared.delivery.post(&message);
            messages.push(message); // not dropped under the lock
        }
        self.published(feed);
    }

    /// The lock under which messages get their places, when there is room for one more.
    fn feed(&self) -> Locked<'_, Feed> {
        let feed = lock(&self.shared.feed);
        if feed.order.len() < MOST_BEHIND {
            return feed;
        }
        drop(feed);
        let waiting = Waiting::new(&self.shared.feed);
        let result = wait_for(Awaited::Other("room"), None, Io::None, |me, _| {
            let mut feed = lock(&self.shared.feed);
            if feed.order.len() < MOST_BEHIND {
                return Some(());
            }
            waiting.enter(&mut feed, me);
            None
        });
        // One that is unwinding cannot wait: its message goes beyond the bound.
        let (Ok(()) | Err(TimedOut)) = result;
        drop(waiting); // it takes the lock
        lock(&self.shared.feed)
    }

    /// Wakes those who wait for messages. What had to go for these is dropped here, not under the lock.
    fn published(&self, mut feed: Locked<'_, Feed>) {
        let waiting = std::mem::take(&mut feed.waiting);
        let dropped = feed.history.take_dropped();
        drop(feed);
        drop(dropped);
        for thread in waiting.into_values() {
            thread.wake();
        }
    }

    /// If it has a bus, what its log holds has been read, as far as that can be.
    fn ready(&self) {
        if let Some(link) = self.link() {
            link.ready(self);
        }
    }

    /// What connects it with others, if it has a bus.
    fn link(&self) -> Option<&Link> {
        self.shared.link.as_deref().filter(|link| link.is_on())
    }

    /// The place of the last message. In a room with a bus, of the last one that has come.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.ready();
        lock(&self.shared.feed).history.last()
    }

    /// What there is since then, without waiting.
    #[must_use]
    pub fn since(&self, since: Since) -> News {
        self.ready();
        lock(&self.shared.feed).history.since(since)
    }

    /// What there is since then, waiting at most `patience` if there is nothing. Comes back at
    /// once with [`Since::Start`], and with a cursor behind which there is a gap.
    ///
    /// This is [`poll`](Self::poll) for those who are not to be seen.
    #[must_use]
    pub fn wait_since(&self, since: Since, patience: Duration) -> News {
        self.ready();
        let since = match since {
            Since::Now => Since::Cursor(self.cursor()),
            other => other,
        };
        let waiting = Waiting::new(&self.shared.feed);
        let news = wait_for(
            Awaited::Other("room"),
            deadline_in(patience),
            Io::None,
            |me, _| {
                let mut feed = lock(&self.shared.feed);
                if feed.history.has_news(since) {
                    return Some(feed.history.since(since));
                }
                waiting.enter(&mut feed, me);
                None
            },
        );
        news.unwrap_or_else(|TimedOut| self.since(since))
    }

    /// A long poll: what there is since then, waiting at most `patience` if there is nothing.
    ///
    /// Its client is a member of that name meanwhile, and for a while afterwards, so that it is
    /// there when it asks again ([`RoomBuilder::linger`]). Polls of the same name are one member.
    /// Keep `patience` below the server's `--timeout`; 25 seconds are below the limits of most
    /// proxies, too.
    ///
    /// # Errors
    /// [`RoomFull`], which is a 503 for a client.
    pub fn poll(&self, name: &str, since: Since, patience: Duration) -> Result<News, RoomFull> {
        let _poll = Poll::begin(self, name)?;
        Ok(self.wait_since(since, patience))
    }

    /// Becomes a member with a queue of its own, which has what there is since then in it.
    ///
    /// # Errors
    /// [`RoomFull`], which is a 503 for a client.
    pub fn join(&self, name: &str, since: Since) -> Result<Member, RoomFull> {
        Member::join(self, name, since)
    }

    /// Makes a WebSocket a member: it is sent what there is since then, and then what comes. Waits
    /// only while it is sent what there was.
    ///
    /// Its handler goes on to receive, and leaves the room when it drops the member. Messages are
    /// encoded once for all sockets; a socket that does not take them is dealt with as
    /// [`Slow`] says, and closed with 1013 for [`Slow::Disconnect`]. A socket that has ended
    /// gets nothing, and its handler learns it when it receives.
    ///
    /// ```
    /// use greenway::room::{Room, Since};
    /// use greenway::websocket::Upgrade;
    /// use greenway::{App, HttpError, Request, abort};
    ///
    /// let room = Room::new();
    /// let mut app = App::new();
    /// app.get("/socket", move |request: Request| {
    ///     let since = Since::seen(request.query("after").as_deref());
    ///     let Some(ws) = request.websocket() else {
    ///         abort(400, "Expected a WebSocket request.");
    ///     };
    ///     let _member = room.join_socket("somebody", since, ws.sender())?;
    ///     for message in &ws {
    ///         room.publish(message);
    ///     }
    ///     Ok::<_, HttpError>(())
    /// });
    /// ```
    ///
    /// Whether there is a gap is what [`since`](Self::since) tells: it depends on the application
    /// how a client is told.
    ///
    /// # Errors
    /// [`RoomFull`]; the socket is closed with 1013.
    pub fn join_socket(
        &self,
        name: &str,
        since: Since,
        socket: Sender,
    ) -> Result<SocketMember, RoomFull> {
        SocketMember::join(self, name, since, socket)
    }

    /// The members, in the order in which they have joined.
    ///
    /// In a room with a [bus](RoomBuilder::bus), those of this process come first, and then those of
    /// others, as they were about a second ago. The members of a process that has died are gone
    /// after five. Of each process, 10,000 are named.
    #[must_use]
    pub fn members(&self) -> Vec<Presence> {
        let mut members = self.shared.members.list();
        if let Some(link) = self.link() {
            members.extend(link.elsewhere());
        }
        members
    }

    /// The number of members, those of other processes included.
    #[must_use]
    pub fn len(&self) -> usize {
        let elsewhere = self.link().map_or(0, Link::count_elsewhere);
        self.shared.members.len() + elsewhere
    }

    /// Whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Figures.
    #[must_use]
    pub fn stats(&self) -> RoomStats {
        let counts = self.shared.delivery.counts();
        RoomStats {
            members: self.shared.members.len(),
            published: self.cursor().number(),
            dropped: counts.dropped.load(Ordering::Relaxed),
            evicted: counts.evicted.load(Ordering::Relaxed),
        }
    }

    /// Calls the hook. This may be in a destructor, so a panic of the hook's is logged here.
    fn announce(&self, change: Change) {
        let Some(hook) = &self.shared.on_change else {
            return;
        };
        // Unwind safety: the hook is as exposed as a handler, and what is ours is not locked.
        let result = catch_unwind(AssertUnwindSafe(|| hook.0(self, change)));
        if let Err(payload) = result {
            // An interrupt comes again at the next wait.
            if crate::green::embed::Unwind::of(&*payload).is_none() {
                log::error!("a room's hook panicked: {}", panic_message(&*payload));
            }
            discard(payload);
        }
    }

    /// Starts the green thread that lets clients leave which poll no more.
    fn sweep(&self) {
        let room = Arc::downgrade(&self.shared);
        spawn(move || sweep(&room));
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// The place, or the end of the handler.
fn or_abort(result: Result<Cursor, BusError>) -> Cursor {
    match result {
        Ok(cursor) => cursor,
        Err(error) => {
            log::warn!("{error}");
            let answer = HttpError::new(503, "the room cannot be reached");
            resume_unwind(Box::new(answer.with_header("retry-after", "2")))
        }
    }
}

fn sweep(room: &Weak<RoomInner>) {
    while let Some(shared) = room.upgrade() {
        let room = Room { shared };
        let (left, next) = room.shared.members.sweep(Instant::now());
        for presence in left {
            room.announce(Change::Left(presence));
        }
        drop(room); // not held while we sleep
        let Some(pause) = next else { return };
        sleep(pause);
    }
}

/// A thread that waits for the next message; it is taken off the list when this is dropped.
struct Waiting<'a> {
    feed: &'a Mutex<Feed>,
    number: std::cell::Cell<Option<u64>>,
}

impl<'a> Waiting<'a> {
    fn new(feed: &'a Mutex<Feed>) -> Self {
        Self {
            feed,
            number: std::cell::Cell::new(None),
        }
    }

    /// Lists the thread, which is the one that calls.
    fn enter(&self, feed: &mut Feed, me: &Arc<Thread>) {
        feed.waiting.insert(me.id(), me.clone());
        self.number.set(Some(me.id()));
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number.get() {
            lock(self.feed).waiting.remove(&number);
        }
    }
}

/// A place that was promised; left out if what should fill it panics or is killed.
struct Promised<'a> {
    room: &'a Room,
    cursor: Cursor,
}

impl Drop for Promised<'_> {
    fn drop(&mut self) {
        self.room.fill(self.cursor, None);
    }
}

/// A long poll under way.
struct Poll<'a> {
    room: &'a Room,
    name: &'a str,
}

impl<'a> Poll<'a> {
    fn begin(room: &'a Room, name: &'a str) -> Result<Self, RoomFull> {
        let new = room.shared.members.begin_poll(name)?;
        let poll = Self { room, name };
        if let Some(presence) = new {
            room.announce(Change::Joined(presence));
        }
        Ok(poll)
    }
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        if self.room.shared.members.end_poll(self.name) {
            self.room.sweep();
        }
    }
}
