//! Bringing messages to the members.
//!
//! Members are divided among the workers, each to the one on which it joined, and each worker has a
//! green thread that delivers to its own members while there is something to deliver. So the work
//! of a message to thousands is shared by all workers, a thread that publishes does none of it, and a
//! member's thread is woken from its own worker.
//!
//! What must stay true:
//! - A member gets the messages in their order, each once: one thread delivers to it, and those
//!   before its first are skipped.
//! - Nothing here waits for a member. A member whose queue is full is dealt with as the room says.
//! - No lock is held for more than a few members' worth of work, and none while a thread gives way.
//! - What is to be delivered is bounded: those who publish wait when it is too much.

use super::post::Message;
use super::queue::{Bounds, MemberQueue, Put};
use super::socket_queue::SocketQueue;
use crate::green::embed::{Awaited, Io, Thread, current_worker, lock, spawn_on, wait_for, workers};
use crate::green::{TimedOut, yield_now};
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// Members that are served before others of the worker get their turn.
const AT_ONCE: usize = 64;

/// Messages that may be waiting to be delivered before those who publish more have to wait.
const MOST_PENDING: usize = 256;

/// All members that get messages brought, and how.
#[derive(Debug)]
pub(super) struct Delivery {
    bounds: Bounds,
    /// One for each worker. Made for the first member: a room may be older than the workers.
    shards: OnceLock<Box<[Arc<Shard>]>>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) dropped: AtomicU64,
    pub(super) evicted: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard(Mutex<Pending>);

#[derive(Debug, Default)]
struct Pending {
    members: BTreeMap<u64, Target>,
    pending: VecDeque<Message>,
    /// A green thread delivers.
    delivering: bool,
    /// Those who wait until less is pending.
    blocked: Vec<Arc<Thread>>,
}

impl Pending {
    fn unblock(&mut self) {
        for thread in self.blocked.drain(..) {
            thread.wake();
        }
    }
}

/// Where a member's messages go.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Queue(Arc<MemberQueue>),
    Socket(Arc<SocketQueue>),
}

impl Target {
    fn deliver(&self, message: &Message, bounds: &Bounds) -> Put {
        match self {
            // What had to go is dropped where nothing is locked.
            Self::Queue(queue) => queue.put(message, bounds, &mut Vec::new()),
            Self::Socket(socket) => socket.put(message, bounds),
        }
    }
}

/// A member's right to get what is published; ends when dropped.
#[derive(Debug)]
pub(super) struct Subscription {
    shard: Arc<Shard>,
    number: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let target = lock(&self.shard.0).members.remove(&self.number);
        drop(target); // and with it what is in its queue, not under the lock
    }
}

impl Delivery {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            shards: OnceLock::new(),
            counts: Arc::default(),
        }
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether everything has been brought.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        let mut shards = self.shards.get().into_iter().flatten();
        shards.all(|shard| !lock(&shard.0).delivering)
    }

    /// From here on, what is posted is brought to `target` as well.
    pub(super) fn add(&self, number: u64, target: Target) -> Subscription {
        let make = || workers().iter().map(|_| Arc::default()).collect();
        let shards = self.shards.get_or_init(make);
        let index = match current_worker() {
            Some(here) => here.index(),
            None => usize::try_from(number).unwrap_or(0) % shards.len(),
        };
        let shard = shards[index].clone();
        lock(&shard.0).members.insert(number, target);
        Subscription { shard, number }
    }

    /// Waits while too much is pending, which is never for a member's sake.
    pub(super) fn wait_for_capacity(&self) {
        for shard in self.shards.get().into_iter().flatten() {
            let result = wait_for(Awaited::Other("room"), None, Io::None, |me, _| {
                let mut state = lock(&shard.0);
                if state.pending.len() < MOST_PENDING || !state.delivering {
                    return Some(());
                }
                if !state.blocked.iter().any(|other| other.id() == me.id()) {
                    state.blocked.push(me.clone());
                }
                None
            });
            // One that is unwinding cannot wait: its message goes beyond the bound.
            let (Ok(()) | Err(TimedOut)) = result;
        }
    }

    /// Has a message brought to all members.
    pub(super) fn post(&self, message: &Message) {
        for (index, shard) in self.shards.get().into_iter().flatten().enumerate() {
            let mut state = lock(&shard.0);
            if state.members.is_empty() {
                continue;
            }
            state.pending.push_back(message.clone());
            if !std::mem::replace(&mut state.delivering, true) {
                drop(state);
                let task = DeliveryTask {
                    shard: shard.clone(),
                    bounds: self.bounds,
                    counts: self.counts.clone(),
                    done: Cell::new(false),
                };
                spawn_on(workers()[index], move || task.run());
            }
        }
    }
}

/// Delivers what is pending in one shard.
struct DeliveryTask {
    shard: Arc<Shard>,
    bounds: Bounds,
    counts: Arc<Counts>,
    done: Cell<bool>,
}

impl DeliveryTask {
    fn run(self) {
        // A queue of so many can take half of it before its reader has had a chance.
        let messages_at_once = (self.bounds.messages / 2).clamp(1, AT_ONCE);
        let (mut members, mut messages) = (0, 0);
        while let Some(message) = self.next() {
            let mut after = Bound::Unbounded;
            loop {
                let some = self.members(after);
                let Some((last, _)) = some.last() else { break };
                after = Bound::Excluded(*last);
                members += some.len();
                for (number, target) in some {
                    self.deliver(number, &target, &message);
                }
                if members >= AT_ONCE {
                    (members, messages) = (0, 0);
                    yield_now();
                }
            }
            messages += 1;
            if messages >= messages_at_once {
                (members, messages) = (0, 0);
                yield_now();
            }
        }
    }

    /// The next message; with `None`, this is not the one who delivers any more.
    fn next(&self) -> Option<Message> {
        let mut state = lock(&self.shard.0);
        let message = state.pending.pop_front();
        if message.is_none() {
            state.delivering = false;
            self.done.set(true);
            state.pending = VecDeque::new(); // gives the memory back
        }
        state.unblock();
        message
    }

    fn members(&self, after: Bound<u64>) -> Vec<(u64, Target)> {
        let state = lock(&self.shard.0);
        let members = state.members.range((after, Bound::Unbounded));
        members
            .take(AT_ONCE)
            .map(|(number, target)| (*number, target.clone()))
            .collect()
    }

    fn deliver(&self, number: u64, target: &Target, message: &Message) {
        match target.deliver(message, &self.bounds) {
            Put::Taken => {}
            Put::Dropped => {
                self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
            put @ (Put::Evicted | Put::Gone) => {
                let removed = lock(&self.shard.0).members.remove(&number);
                if removed.is_some() && put == Put::Evicted {
                    self.counts.evicted.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

/// However it ends (no memory for its stack, a panic), the next message finds another one.
impl Drop for DeliveryTask {
    fn drop(&mut self) {
        if !self.done.get() {
            let mut state = lock(&self.shard.0);
            state.delivering = false;
            state.unblock();
        }
    }
}
