//! WebSockets as members.
//!
//! A frame goes to the socket's own outbox, which writes it at once or queues it. When that is
//! full, the messages wait here, in a queue with the room's bounds, and a green thread feeds them
//! on as the peer reads, until none is left. So a socket that keeps up costs neither a thread nor
//! a queue, and one that does not is slow by the room's measure, as any other member.
//!
//! What must stay true: while somebody feeds, nobody else sends the room's messages, so they stay
//! in order.

use super::Room;
use super::cursor::Since;
use super::delivery::Target;
use super::inbox::{Bounds, Inbox, Put};
use super::lock;
use super::member::Seat;
use super::people::{Presence, RoomFull, Via};
use super::post::Message;
use crate::green::spawn;
use crate::websocket::{CloseCode, ErrorKind, Sender, WebSocketError};
use std::fmt;
use std::sync::{Arc, Mutex};

/// A WebSocket's membership in a room; it leaves when this is dropped.
pub struct SocketMember {
    seat: Seat,
    line: Arc<Line>,
}

impl SocketMember {
    pub(super) fn join(
        room: &Room,
        name: &str,
        since: Since,
        sender: Sender,
    ) -> Result<Self, RoomFull> {
        let mut seat = Seat::take(room, name, Via::WebSocket).inspect_err(|full| {
            sender.close(CloseCode::TRY_AGAIN_LATER, &full.to_string());
        })?;
        let mut since = since;
        let (line, place) = loop {
            let news = {
                let state = lock(&room.shared.line);
                let news = state.history.since(since);
                if news.messages.is_empty() {
                    let line = Arc::new(Line::new(sender, news.cursor.number() + 1));
                    let target = Target::Line(line.clone());
                    // Under the lock, so that nothing is published in between.
                    break (
                        line,
                        room.shared.delivery.add(seat.presence().number, target),
                    );
                }
                news
            };
            // At the peer's pace. An end of the socket is its handler's business.
            let _ended = news.messages.iter().try_for_each(|m| send(&sender, m));
            since = news.cursor.into();
        };
        seat.settle(place);
        Ok(Self { seat, line })
    }

    /// How the others see it.
    #[must_use]
    pub fn presence(&self) -> &Presence {
        self.seat.presence()
    }

    /// Messages of the room that wait because the socket's own queue is full.
    #[must_use]
    pub fn lag(&self) -> usize {
        self.line.inbox.len()
    }
}

impl Drop for SocketMember {
    fn drop(&mut self) {
        *lock(&self.line.way) = Way::Over;
        self.line.inbox.clear();
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

/// The way to a member's socket.
#[derive(Debug)]
pub(super) struct Line {
    /// The first message that is wanted.
    first: u64,
    sender: Sender,
    inbox: Inbox,
    way: Mutex<Way>,
}

/// How messages get to the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Direct,
    /// Through the inbox, out of which a green thread feeds the socket.
    Fed,
    /// Not any more: the member has left, was put out, or the socket has ended.
    Over,
}

impl Line {
    fn new(sender: Sender, first: u64) -> Self {
        Self {
            first,
            sender,
            inbox: Inbox::new(Vec::new(), first),
            way: Mutex::new(Way::Direct),
        }
    }

    pub(super) fn put(self: &Arc<Self>, message: &Message, bounds: &Bounds) -> Put {
        if message.cursor().number() < self.first {
            return Put::Taken;
        }
        let mut way = lock(&self.way);
        if *way == Way::Direct {
            match self.sender.try_send(message.encoded()) {
                Ok(()) => return Put::Taken,
                Err(error) if error.kind() == ErrorKind::Full => {}
                Err(_) => *way = Way::Over,
            }
        }
        if *way == Way::Over {
            return Put::Gone;
        }
        let put = self.inbox.put(message, bounds);
        if put == Put::Out {
            *way = Way::Over;
            // What is queued goes before it. If the peer takes nothing at all, the socket's own
            // clock ends it.
            self.sender.close(CloseCode::TRY_AGAIN_LATER, "too slow");
        } else if *way == Way::Direct {
            *way = Way::Fed;
            let line = self.clone();
            spawn(move || line.feed());
        }
        put
    }

    fn feed(&self) {
        loop {
            let message = {
                let mut way = lock(&self.way);
                match self.inbox.try_next() {
                    Some(message) if *way == Way::Fed => message,
                    _ => {
                        if *way == Way::Fed {
                            *way = Way::Direct;
                        }
                        return;
                    }
                }
            };
            let content = message.encoded().message().clone();
            if self.sender.send(content).is_err() {
                *lock(&self.way) = Way::Over;
                return;
            }
        }
    }
}

/// Sends a message, waiting if need be.
fn send(sender: &Sender, message: &Message) -> Result<(), WebSocketError> {
    match sender.try_send(message.encoded()) {
        Err(error) if error.kind() == ErrorKind::Full => {
            sender.send(message.encoded().message().clone())
        }
        other => other,
    }
}
