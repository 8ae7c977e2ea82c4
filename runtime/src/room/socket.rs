//! WebSockets as members.

use super::Room;
use super::cursor::Since;
use super::delivery::Target;
use super::member::Membership;
use super::members::{Presence, RoomFull, Via};
use super::post::Message;
use super::socket_queue::SocketQueue;
use crate::green::embed::lock;
use crate::websocket::{CloseCode, ErrorKind, Sender, SocketError};
use std::fmt;
use std::sync::Arc;

/// A WebSocket's membership in a room; it leaves when this is dropped.
pub struct SocketMember {
    membership: Membership,
    queue: Arc<SocketQueue>,
}

impl SocketMember {
    pub(super) fn join(
        room: &Room,
        name: &str,
        since: Since,
        sender: Sender,
    ) -> Result<Self, RoomFull> {
        let mut membership = Membership::take(room, name, Via::WebSocket).inspect_err(|full| {
            sender.close(CloseCode::TRY_AGAIN_LATER, &full.to_string());
        })?;
        room.ready();
        let mut since = since;
        let (queue, subscription) = loop {
            let news = {
                let feed = lock(&room.shared.feed);
                let news = feed.history.since(since);
                if news.messages.is_empty() && !(news.gap && room.link().is_some()) {
                    let queue = Arc::new(SocketQueue::new(sender, news.cursor.plus(1)));
                    let target = Target::Socket(queue.clone());
                    // Under the lock, so that nothing is published in between.
                    break (
                        queue,
                        room.shared
                            .delivery
                            .add(membership.presence().number, target),
                    );
                }
                news
            };
            if news.gap
                && let Some(link) = room.link()
            {
                let gap = Message::new(news.cursor, link.gap.clone());
                let _ended = send(&sender, &gap);
            }
            // At the peer's pace. An end of the socket is its handler's business.
            let _ended = news.messages.iter().try_for_each(|m| send(&sender, m));
            since = news.cursor.into();
        };
        membership.settle(subscription);
        Ok(Self { membership, queue })
    }

    /// How the others see it.
    #[must_use]
    pub fn presence(&self) -> &Presence {
        self.membership.presence()
    }

    /// Messages of the room that wait because the socket's own queue is full.
    #[must_use]
    pub fn lag(&self) -> usize {
        self.queue.len()
    }
}

impl Drop for SocketMember {
    fn drop(&mut self) {
        self.queue.end();
    }
}

impl fmt::Debug for SocketMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketMember")
            .field("presence", self.presence())
            .field("lag", &self.lag())
            .finish_non_exhaustive()
    }
}

/// Sends a message, waiting if need be.
fn send(sender: &Sender, message: &Message) -> Result<(), SocketError> {
    match sender.try_send(message.encoded()) {
        Err(error) if error.kind() == ErrorKind::Full => {
            sender.send(message.encoded().message().clone())
        }
        other => other,
    }
}
