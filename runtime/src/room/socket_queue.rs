//! The way of a room's messages to a WebSocket.
//!
//! A frame goes to the socket's own outbox, which writes it at once or queues it. When that is
//! full, the messages wait here, in a queue with the room's bounds, and a green thread feeds them
//! on as the peer reads, until none is left. So a socket that keeps up costs neither a thread nor
//! a queue, and one that does not is slow by the room's measure, as any other member.
//!
//! What must stay true: while somebody feeds, nobody else sends the room's messages, so they stay
//! in order.

use super::cursor::Cursor;
use super::post::Message;
use super::queue::{Bounds, MemberQueue, Put};
use crate::green::embed::lock;
use crate::green::spawn;
use crate::websocket::{CloseCode, ErrorKind, Sender};
use std::sync::{Arc, Mutex};

/// What a room sends to a member's socket.
#[derive(Debug)]
pub(super) struct SocketQueue {
    /// The first message that is wanted.
    first: Cursor,
    sender: Sender,
    queue: MemberQueue,
    mode: Mutex<Mode>,
}

/// How messages get to the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Direct,
    /// Through the queue, out of which a green thread feeds the socket.
    Queued,
    /// Not any more: the member has left, was evicted, or the socket has ended.
    Ended,
}

impl SocketQueue {
    pub(super) fn new(sender: Sender, first: Cursor) -> Self {
        Self {
            first,
            sender,
            queue: MemberQueue::new(Vec::new(), first),
            mode: Mutex::new(Mode::Direct),
        }
    }

    pub(super) fn put(self: &Arc<Self>, message: &Message, bounds: &Bounds) -> Put {
        if message.cursor() < self.first {
            return Put::Taken;
        }
        let mut dropped = Vec::new(); // after the lock is given up
        let mut mode = lock(&self.mode);
        if *mode == Mode::Direct {
            match self.sender.try_send(message.encoded()) {
                Ok(()) => return Put::Taken,
                Err(error) if error.kind() == ErrorKind::Full => {}
                Err(_) => *mode = Mode::Ended,
            }
        }
        if *mode == Mode::Ended {
            return Put::Gone;
        }
        let put = self.queue.put(message, bounds, &mut dropped);
        if put == Put::Evicted {
            *mode = Mode::Ended;
            // What is queued goes before it. If the peer takes nothing at all, the socket's own
            // clock ends it.
            self.sender.close(CloseCode::TRY_AGAIN_LATER, "too slow");
        } else if *mode == Mode::Direct {
            *mode = Mode::Queued;
            let this = self.clone();
            spawn(move || this.feed());
        }
        put
    }

    /// No more messages, and those that wait are dropped.
    pub(super) fn end(&self) {
        *lock(&self.mode) = Mode::Ended;
        self.queue.clear();
    }

    /// Messages that wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    fn feed(&self) {
        loop {
            let (next, goes_on) = {
                let mut mode = lock(&self.mode);
                let next = self.queue.try_next();
                let goes_on = *mode == Mode::Queued;
                if goes_on && next.is_none() {
                    *mode = Mode::Direct;
                }
                (next, goes_on)
            };
            let Some(message) = next.filter(|_| goes_on) else {
                return;
            };
            let content = message.encoded().message().clone();
            if self.sender.send(content).is_err() {
                *lock(&self.mode) = Mode::Ended;
                return;
            }
        }
    }
}
