//! A member's own queue.
//!
//! What must stay true: whoever delivers never waits; the bounds hold for what has come since the
//! member joined, while what it is given of the history is bounded by the history.

use super::lock;
use super::post::Message;
use crate::green::TimedOut;
use crate::green::embed::{Awaited, Io, Thread, wait_for};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// What is done about a member that does not take its messages as fast as they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Slow {
    /// It is put out: its stream ends when it has read what is in its queue, its WebSocket is
    /// closed. A client that comes back with its cursor has missed nothing.
    #[default]
    Disconnect,
    /// The oldest message in its queue makes room. For what is overtaken by the next message:
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
    /// The member is put out, now or before.
    Out,
    /// The member's connection has ended.
    Gone,
}

#[derive(Debug)]
pub(super) struct Inbox {
    /// The first message that is wanted: earlier ones were given when the member joined.
    first: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Of the history, given at the beginning.
    before: VecDeque<Message>,
    live: VecDeque<Message>,
    bytes: usize,
    out: bool,
    waiting: Option<Arc<Thread>>,
}

impl Inbox {
    pub(super) fn new(before: Vec<Message>, first: u64) -> Self {
        Self {
            first,
            state: Mutex::new(State {
                before: before.into(),
                live: VecDeque::new(),
                bytes: 0,
                out: false,
                waiting: None,
            }),
        }
    }

    pub(super) fn put(&self, message: &Message, bounds: &Bounds) -> Put {
        if message.cursor().number < self.first {
            return Put::Taken;
        }
        let mut state = lock(&self.state);
        if state.out {
            return Put::Out;
        }
        let size = message.size();
        // A message that is larger than the bound still fits into an empty queue.
        let is_full = |state: &State| {
            let live = &state.live;
            live.len() >= bounds.messages || (!live.is_empty() && state.bytes + size > bounds.bytes)
        };
        let mut put = Put::Taken;
        if is_full(&state) {
            put = Put::Dropped;
            match bounds.slow {
                Slow::Disconnect => {
                    state.out = true;
                    state.wake();
                    return Put::Out;
                }
                Slow::DropNewest => return put,
                Slow::DropOldest => {
                    while is_full(&state)
                        && let Some(oldest) = state.live.pop_front()
                    {
                        state.bytes -= oldest.size();
                    }
                }
            }
        }
        state.bytes += size;
        state.live.push_back(message.clone());
        state.wake();
        put
    }

    /// The next message; `None` when the member is out and has had them all.
    pub(super) fn next(&self, deadline: Option<Instant>) -> Result<Option<Message>, TimedOut> {
        wait_for(Awaited::Other("room"), deadline, Io::None, |me, _| {
            let mut state = lock(&self.state);
            let next = state.take();
            if next.is_some() || state.out {
                state.waiting = None;
                return Some(next);
            }
            state.waiting = Some(me.clone());
            None
        })
    }

    /// The next message, if it is there.
    pub(super) fn try_next(&self) -> Option<Message> {
        lock(&self.state).take()
    }

    /// Drops what is left, and takes nothing more.
    pub(super) fn clear(&self) {
        let mut state = lock(&self.state);
        state.out = true;
        let left = (
            std::mem::take(&mut state.before),
            std::mem::take(&mut state.live),
        );
        drop(state);
        drop(left); // not under the lock
    }

    pub(super) fn is_out(&self) -> bool {
        lock(&self.state).out
    }

    pub(super) fn len(&self) -> usize {
        let state = lock(&self.state);
        state.before.len() + state.live.len()
    }
}

impl State {
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
