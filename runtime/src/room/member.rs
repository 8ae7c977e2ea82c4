//! Members that read their messages themselves.

use super::Room;
use super::cursor::{Cursor, Since};
use super::delivery::{Subscription, Target};
use super::history::News;
use super::members::{Change, Presence, RoomFull, Via};
use super::post::Message;
use super::queue::MemberQueue;
use crate::green::TimedOut;
use crate::green::embed::{deadline_in, lock};
use crate::sse::{Event, Sse};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Somebody's membership, however it gets its messages. It leaves the room when dropped.
#[derive(Debug)]
pub(super) struct Membership {
    room: Room,
    presence: Presence,
    /// Dropped in `drop`, before the others are told.
    subscription: Option<Subscription>,
}

impl Membership {
    pub(super) fn take(room: &Room, name: &str, via: Via) -> Result<Self, RoomFull> {
        Ok(Self {
            presence: room.shared.members.enter(name, via)?,
            room: room.clone(),
            subscription: None,
        })
    }

    /// Everything is ready: from here on, there are messages, and the others know.
    pub(super) fn settle(&mut self, subscription: Subscription) {
        self.subscription = Some(subscription);
        self.room.announce(Change::Joined(self.presence.clone()));
    }
}

impl Membership {
    pub(super) fn presence(&self) -> &Presence {
        &self.presence
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        // Only who has settled is known to the others.
        let settled = self.subscription.take().is_some();
        self.room.shared.members.leave(self.presence.number);
        if settled {
            self.room.announce(Change::Left(self.presence.clone()));
        }
    }
}

/// A member with a queue of its own; it leaves the room when dropped.
///
/// For a thread that takes the messages one by one, or, by [`into_events`](Self::into_events), a
/// stream of server-sent events.
///
/// ```
/// use greenway::room::{Room, Since};
///
/// let room = Room::new();
/// let member = room.join("Ada", Since::Now)?;
/// room.publish("hello");
/// assert_eq!(member.next().unwrap().text(), Some("hello"));
/// # Ok::<(), greenway::room::RoomFull>(())
/// ```
pub struct Member {
    // In this order: what is delivered no more comes before the queue goes.
    membership: Membership,
    queue: Arc<MemberQueue>,
    gap: bool,
    cursor: Cursor,
}

impl Member {
    pub(super) fn join(room: &Room, name: &str, since: Since) -> Result<Self, RoomFull> {
        room.ready();
        let mut membership = Membership::take(room, name, Via::Queue)?;
        let (queue, news_cursor, gap, subscription) = {
            let feed = lock(&room.shared.feed);
            let News {
                messages,
                cursor,
                gap,
            } = feed.history.since(since);
            let queue = Arc::new(MemberQueue::new(messages, cursor.plus(1)));
            let target = Target::Queue(queue.clone());
            // Under the lock, so that nothing is published in between.
            let subscription = room.shared.delivery.add(membership.presence.number, target);
            (queue, cursor, gap, subscription)
        };
        membership.settle(subscription);
        Ok(Self {
            membership,
            queue,
            gap,
            cursor: news_cursor,
        })
    }

    /// The next message, waiting for it. `None` once the member is evicted for being slow; also
    /// when there is none and the thread is unwinding.
    pub fn next(&self) -> Option<Message> {
        self.next_until(None).unwrap_or(None)
    }

    /// The next message, waiting at most `timeout`. `Ok(None)` once the member is evicted.
    ///
    /// # Errors
    /// [`TimedOut`] when none came in time.
    pub fn next_timeout(&self, timeout: Duration) -> Result<Option<Message>, TimedOut> {
        self.next_until(deadline_in(timeout))
    }

    fn next_until(&self, deadline: Option<Instant>) -> Result<Option<Message>, TimedOut> {
        self.queue.next(deadline)
    }

    /// The messages as they come, until the member is evicted.
    pub fn iter(&self) -> impl Iterator<Item = Message> + '_ {
        std::iter::from_fn(|| self.next())
    }

    /// Messages that are waiting for it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether no message is waiting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether something is missing before the first message; see [`News::gap`].
    #[must_use]
    pub fn gap(&self) -> bool {
        self.gap
    }

    /// The place in the room at which it has joined: what comes after it is new, what is before
    /// it was history.
    #[must_use]
    pub fn joined_at(&self) -> Cursor {
        self.cursor
    }

    /// Whether it was evicted because it was too slow ([`Slow::Disconnect`](super::Slow)).
    #[must_use]
    pub fn is_evicted(&self) -> bool {
        self.queue.is_evicted()
    }

    /// How the others see it.
    #[must_use]
    pub fn presence(&self) -> &Presence {
        &self.membership.presence
    }

    /// A response that streams the messages as server-sent events, each with its cursor as id, so
    /// that a client that comes back with `Last-Event-ID` misses nothing. The member leaves when
    /// the stream ends, however it ends.
    ///
    /// If there is a [`gap`](Self::gap), an event of that name comes first, without data of use.
    /// Binary messages are skipped.
    ///
    /// ```
    /// use greenway::room::{Room, Since};
    /// use greenway::{App, HttpError, Request, sse};
    ///
    /// let room = Room::new();
    /// let mut app = App::new();
    /// app.get("/events", move |request: Request| {
    ///     let seen = Since::seen(sse::last_event_id(&request));
    ///     Ok::<_, HttpError>(room.join("somebody", seen)?.into_events())
    /// });
    /// ```
    #[must_use]
    pub fn into_events(self) -> Sse {
        let mut gap = self.gap; // the rest of `self` is taken as a whole: it is the membership
        Sse::from_source(move |patience| {
            if std::mem::take(&mut gap) {
                return Ok(Some(Event::new("").name("gap").encode()));
            }
            let deadline = deadline_in(patience);
            loop {
                let Some(message) = self.next_until(deadline)? else {
                    return Ok(None);
                };
                if let Some(event) = message.event() {
                    return Ok(Some(event));
                }
            }
        })
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("presence", self.presence())
            .field("waiting", &self.len())
            .field("evicted", &self.is_evicted())
            .finish_non_exhaustive()
    }
}
