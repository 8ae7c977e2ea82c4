//! The settings of a room.

use super::bus::{Hub, Link};
use super::delivery::Delivery;
use super::history::History;
use super::members::{Change, Members};
use super::order::Order;
use super::post::Post;
use super::queue::{Bounds, Slow};
use super::{Feed, Room, RoomInner};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The settings of a [`Room`].
///
/// ```
/// use greenway::room::{Change, Post, Room, Slow};
///
/// let room = Room::builder()
///     .history(200)
///     .slow(Slow::DropOldest)
///     .on_change(|room, change| {
///         if let Change::Joined(who) = change {
///             room.publish(Post::new(&*who.name).name("joined").passing());
///         }
///     })
///     .build();
/// # drop(room);
/// ```
#[derive(Debug)]
#[must_use = "nothing is made until `build`"]
pub struct RoomBuilder {
    history: usize,
    history_bytes: usize,
    bounds: Bounds,
    capacity: usize,
    linger: Duration,
    on_change: Option<Hook>,
    name: Option<Arc<str>>,
    bus: Option<Hub>,
    gap: Post,
}

/// What is called when somebody comes or goes.
pub(super) struct Hook(pub(super) Box<HookFn>);

type HookFn = dyn Fn(&Room, Change) + Send + Sync;

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

impl Default for RoomBuilder {
    fn default() -> Self {
        Self {
            history: 100,
            history_bytes: 1024 * 1024,
            bounds: Bounds {
                messages: 256,
                bytes: 1024 * 1024,
                slow: Slow::default(),
            },
            capacity: 100_000,
            linger: Duration::from_secs(10),
            on_change: None,
            name: None,
            bus: None,
            gap: Post::new("").name("gap"),
        }
    }
}

impl RoomBuilder {
    /// Messages that the room remembers; 100 by default. With 0, long polls and clients that
    /// come back learn only that they have missed something.
    pub fn history(mut self, messages: usize) -> Self {
        self.history = messages;
        self
    }

    /// Bytes of the messages that the room remembers; 1 MiB by default.
    pub fn history_bytes(mut self, bytes: usize) -> Self {
        self.history_bytes = bytes;
        self
    }

    /// Messages in a member's queue; 256 by default. A message is in memory once, however many
    /// queues it is in.
    ///
    /// # Panics
    /// When it is 0.
    pub fn queue(mut self, messages: usize) -> Self {
        assert!(messages > 0, "a queue needs room for at least one message");
        self.bounds.messages = messages;
        self
    }

    /// Bytes of the messages in a member's queue; 1 MiB by default. A larger message fits in if
    /// the queue is empty.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.bounds.bytes = bytes;
        self
    }

    /// What is done about a member whose queue is full; [`Slow::Disconnect`] by default.
    pub fn slow(mut self, policy: Slow) -> Self {
        self.bounds.slow = policy;
        self
    }

    /// Members that may be there at once; 100,000 by default.
    pub fn capacity(mut self, members: usize) -> Self {
        self.capacity = members;
        self
    }

    /// How long a client that polls is taken to be there after its last poll; 10 seconds by
    /// default.
    pub fn linger(mut self, pause: Duration) -> Self {
        self.linger = pause;
        self
    }

    /// Called when somebody has come or gone, on the thread that brings it about: also from
    /// destructors, where a wait returns at once. It may use the room; to announce the change,
    /// it publishes. A panic is logged.
    pub fn on_change(mut self, hook: impl Fn(&Room, Change) + Send + Sync + 'static) -> Self {
        self.on_change = Some(Hook(Box::new(hook)));
        self
    }

    /// What the room is called in the log of its [bus](Self::bus); `room` by default. Rooms of
    /// one name are one room.
    ///
    /// A room with a name and without a bus has that of `--room-bus`, if the flag is given or the
    /// variable `GREENWAY_ROOM_BUS` is set. A server's flag is known when the server starts, so such
    /// a room should not be used before.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Connects the room with those of its [name](Self::name) in other processes and on other
    /// machines: what is published in one reaches the members of all, in one order, and a cursor
    /// of one is a cursor of all. Takes a [`Bus`](super::Bus), or a [`Hub`] that several rooms share.
    ///
    /// Then the log of the bus is the history, of which the room has the last messages by its own
    /// bounds. The first use of the room waits for them. The [hook](Self::on_change) is called for
    /// the members of this process.
    pub fn bus(mut self, bus: impl Into<Hub>) -> Self {
        self.bus = Some(bus.into());
        self
    }

    /// What members get in the place of messages that are lost to them because the bus has lost
    /// them: by default an empty text by the name of `gap`, which is an event of that name, and an
    /// empty frame for a WebSocket. A client had better load everything again then.
    pub fn gap(mut self, post: impl Into<Post>) -> Self {
        self.gap = post.into();
        self
    }

    /// The room.
    #[must_use]
    pub fn build(self) -> Room {
        let link = (self.bus.is_some() || self.name.is_some()).then(|| {
            let name = self.name.unwrap_or_else(|| "room".into());
            // With what it has to remember, those that pass are in the log.
            let keep = self.history.saturating_mul(2).max(1024);
            Box::new(Link::new(self.bus, name, keep, self.gap))
        });
        let node = link.as_ref().map_or(0, |link| link.node);
        Room {
            shared: Arc::new(RoomInner {
                feed: Mutex::new(Feed {
                    order: Order::default(),
                    history: History::new(self.history, self.history_bytes),
                    waiting: HashMap::new(),
                }),
                delivery: Delivery::new(self.bounds),
                members: Members::new(self.capacity, self.linger, node),
                on_change: self.on_change,
                link,
            }),
        }
    }
}
