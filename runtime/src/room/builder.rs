//! The settings of a room.

use super::delivery::Delivery;
use super::history::History;
use super::members::{Change, Members};
use super::order::Order;
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

    /// The room.
    #[must_use]
    pub fn build(self) -> Room {
        Room {
            shared: Arc::new(RoomInner {
                feed: Mutex::new(Feed {
                    order: Order::default(),
                    history: History::new(self.history, self.history_bytes),
                    waiting: HashMap::new(),
                }),
                delivery: Delivery::new(self.bounds),
                members: Members::new(self.capacity, self.linger),
                on_change: self.on_change,
            }),
        }
    }
}
