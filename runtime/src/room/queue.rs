//! A member's own queue.
//!
//! What must stay true: a thread that delivers never waits; the bounds hold for what has come since the
//! member joined, while what it is given of the history is bounded by the history.

use super::cursor::Cursor;
use super::post::Message;
use crate::green::TimedOut;
use crate::green::embed::{Awaited, Io, Thread, lock, wait_for};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// What is done about a member that does not take its messages as fast as they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Slow {
    /// It is evicted: its stream ends when it has read what is in its queue, its WebSocket is
    /// closed. A client that comes back with its cursor has missed nothing.
    #[default]
    Disconnect,
    /// The oldest message in its queue is dropped. For what is overtaken by the next message:
    /// positions, prices.
    DropOldest,
    /// It does not get the new message.
    DropNewest,
}

/// How much a member's queue holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) messages: usize,
    pub(super) bytes: usize,
    pub(super) slow: Slow,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    Taken,
    /// This one or an older one was dropped.
    Dropped,
    /// The member is evicted, now or before.
    Evicted,
    /// The member's connection has ended.
    Gone,
}

#[derive(Debug)]
pub(super) struct MemberQueue {
    /// The first message that is wanted: earlier ones were given when the member joined.
    first: Cursor,
    queued: Mutex<Queued>,
}

#[derive(Debug)]
struct Queued {
    /// Of the history, given at the beginning.
    before: VecDeque<Message>,
    live: VecDeque<Message>,
    bytes: usize,
    evicted: bool,
    waiting: Option<Arc<Thread>>,
}

impl MemberQueue {
    pub(super) fn new(before: Vec<Message>, first: Cursor) -> Self {
        Self {
            first,
            queued: Mutex::new(Queued {
                before: before.into(),
                live: VecDeque::new(),
                bytes: 0,
                evicted: false,
                waiting: None,
            }),
        }
    }

    /// What had to go for it is added to `dropped`, for a caller who holds no lock any more.
    pub(super) fn put(
        &self,
        message: &Message,
        bounds: &Bounds,
        dropped: &mut Vec<Message>,
    ) -> Put {
        if message.cursor() < self.first {
            return Put::Taken;
        }
        let mut queued = lock(&self.queued);
        if queued.evicted {
            return Put::Evicted;
        }
        let size = message.size();
        // A message that is larger than the bound still fits into an empty queue.
        let is_full = |queued: &Queued| {
            let live = &queued.live;
            live.len() >= bounds.messages
                || (!live.is_empty() && queued.bytes + size > bounds.bytes)
        };
        let mut put = Put::Taken;
        if is_full(&queued) {
            put = Put::Dropped;
            match bounds.slow {
                Slow::Disconnect => {
                    queued.evicted = true;
                    queued.wake();
                    return Put::Evicted;
                }
                Slow::DropNewest => return put,
                Slow::DropOldest => {
                    while is_full(&queued)
                        && let Some(oldest) = queued.live.pop_front()
                    {
                        queued.bytes -= oldest.size();
                        dropped.push(oldest);
                    }
                }
            }
        }
        queued.bytes += size;
        queued.live.push_back(message.clone());
        queued.wake();
        put
    }

    /// The next message; `None` when the member is out and has had them all.
    pub(super) fn next(&self, deadline: Option<Instant>) -> Result<Option<Message>, TimedOut> {
        wait_for(Awaited::Other("room"), deadline, Io::None, |me, _| {
            let mut queued = lock(&self.queued);
            let next = queued.take();
            if next.is_some() || queued.evicted {
                queued.waiting = None;
                return Some(next);
            }
            queued.waiting = Some(me.clone());
            None
        })
    }

    /// The next message, if it is there.
    pub(super) fn try_next(&self) -> Option<Message> {
        lock(&self.queued).take()
    }

    /// Drops what is left, and takes nothing more.
    pub(super) fn clear(&self) {
        let mut queued = lock(&self.queued);
        queued.evicted = true;
        let left = (
            std::mem::take(&mut queued.before),
            std::mem::take(&mut queued.live),
        );
        drop(queued);
        drop(left); // not under the lock
    }

    pub(super) fn is_evicted(&self) -> bool {
        lock(&self.queued).evicted
    }

    pub(super) fn len(&self) -> usize {
        let queued = lock(&self.queued);
        queued.before.len() + queued.live.len()
    }
}

impl Queued {
    fn take(&mut self) -> Option<Message> {
        if let Some(message) = self.before.pop_front() {
            if self.before.is_empty() {
                self.before = VecDeque::new(); // gives the memory back
            }
            return Some(message);
        }
        let message = self.live.pop_front()?;
        self.bytes -= message.size();
        Some(message)
    }

    fn wake(&mut self) {
        if let Some(thread) = self.waiting.take() {
            thread.wake();
        }
    }
}
