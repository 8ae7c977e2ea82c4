//! What all queues have in common: a bounded store, an end mark, and two fair lines.
//!
//! What must stay true: an item or a place that was promised to somebody is theirs, and is
//! promised anew when they leave without it. So nobody who comes later is served first, and
//! whoever gives up takes nothing along.

use super::errors::{Closed, Empty, PutError};
use crate::platform::Instant;
use crate::platform::sync::{Arc, Mutex};
use crate::scheduler::line::Lookout;
use crate::scheduler::line::{Line, Ticket, wait_in};
use crate::scheduler::lock::lock;
use crate::scheduler::thread::{Awaited, Io, Thread, wait_for};
use crate::scheduler::timed_out::TimedOut;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Where the items are; decides which is next.
pub(super) trait Store: Default {
    type Item;
    fn push(&mut self, item: Self::Item);
    fn pop(&mut self) -> Option<Self::Item>;
    /// What `pop` would give.
    fn first(&self) -> Option<&Self::Item>;
    fn len(&self) -> usize;
}

impl<T> Store for VecDeque<T> {
    type Item = T;
    fn push(&mut self, item: T) {
        self.push_back(item);
    }
    fn pop(&mut self) -> Option<T> {
        self.pop_front()
    }
    fn first(&self) -> Option<&T> {
        self.front()
    }
    fn len(&self) -> usize {
        self.len()
    }
}

impl<T> Store for Vec<T> {
    type Item = T;
    fn push(&mut self, item: T) {
        self.push(item);
    }
    fn pop(&mut self) -> Option<T> {
        self.pop()
    }
    fn first(&self) -> Option<&T> {
        self.last()
    }
    fn len(&self) -> usize {
        self.len()
    }
}

impl<T: Ord> Store for BinaryHeap<Reverse<T>> {
    type Item = T;
    fn push(&mut self, item: T) {
        self.push(Reverse(item));
    }
    fn pop(&mut self) -> Option<T> {
        self.pop().map(|Reverse(item)| item)
    }
    fn first(&self) -> Option<&T> {
        self.peek().map(|Reverse(item)| item)
    }
    fn len(&self) -> usize {
        self.len()
    }
}

pub(super) struct Core<S>(Mutex<State<S>>);

struct State<S> {
    items: S,
    capacity: usize,
    closed: bool,
    /// Items put for which nobody has said yet that they are done.
    unfinished: usize,
    getters: Line,
    putters: Line,
    /// Those who look without taking anything: they peek, select, or wait for all to be done.
    watchers: Line,
}

impl<S: Store> State<S> {
    /// Items that nobody has been promised.
    fn has_item(&self) -> bool {
        self.items.len() > self.getters.granted()
    }

    /// Places that nobody has been promised.
    fn has_room(&self) -> bool {
        self.items.len() + self.putters.granted() < self.capacity
    }

    fn push(&mut self, item: S::Item) {
        self.unfinished += 1;
        self.items.push(item);
        self.promise_items();
    }

    fn pop(&mut self) -> Option<S::Item> {
        let item = self.items.pop();
        self.promise_places();
        item
    }

    fn promise_items(&mut self) {
        while self.has_item() && self.getters.grant() {}
        self.watchers.wake_all();
    }

    fn promise_places(&mut self) {
        while !self.closed && self.has_room() && self.putters.grant() {}
    }
}

impl<S: Store> Core<S> {
    pub(super) fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a queue needs a place for at least one item");
        Self(Mutex::new(State {
            items: S::default(),
            capacity,
            closed: false,
            unfinished: 0,
            getters: Line::default(),
            putters: Line::default(),
            watchers: Line::default(),
        }))
    }

    pub(super) fn put(&self, item: S::Item) -> Result<(), Closed<S::Item>> {
        match self.put_until(item, None) {
            Ok(()) => Ok(()),
            // Without a deadline this means that the thread is unwinding, where nothing may block.
            Err(PutError::Closed(item) | PutError::Full(item)) => Err(Closed(item)),
        }
    }

    pub(super) fn put_until(
        &self,
        item: S::Item,
        deadline: Option<Instant>,
    ) -> Result<(), PutError<S::Item>> {
        let mut item = Some(item);
        let mut place = Place::new(self, Side::Put);
        let put = wait_for(Awaited::QueuePut, deadline, Io::None, |me, _| {
            let mut state = lock(&self.0);
            if state.closed {
                return Some(false);
            }
            if place.has_turn(&mut state, me) {
                state.push(item.take().expect("put once: the wait ends here"));
                return Some(true);
            }
            None
        });
        drop(place);
        match (put, item) {
            (Ok(_), None) => Ok(()),
            (Ok(_), Some(item)) => Err(PutError::Closed(item)),
            (Err(TimedOut), Some(item)) => Err(PutError::Full(item)),
            (Err(TimedOut), None) => unreachable!("the item is taken only when the put is done"),
        }
    }

    pub(super) fn try_put(&self, item: S::Item) -> Result<(), PutError<S::Item>> {
        let mut state = lock(&self.0);
        if state.closed {
            Err(PutError::Closed(item))
        } else if state.has_room() {
            state.push(item);
            Ok(())
        } else {
            Err(PutError::Full(item))
        }
    }

    pub(super) fn get_until(&self, deadline: Option<Instant>) -> Result<Option<S::Item>, TimedOut> {
        let mut place = Place::new(self, Side::Get);
        wait_for(Awaited::QueueGet, deadline, Io::None, |me, _| {
            let mut state = lock(&self.0);
            if place.has_turn(&mut state, me) {
                return Some(state.pop());
            }
            state.closed.then_some(None)
        })
    }

    pub(super) fn try_get(&self) -> Result<Option<S::Item>, Empty> {
        let mut state = lock(&self.0);
        if state.has_item() {
            Ok(state.pop())
        } else if state.closed {
            Ok(None)
        } else {
            Err(Empty)
        }
    }

    pub(super) fn peek_until(&self, deadline: Option<Instant>) -> Result<Option<S::Item>, TimedOut>
    where
        S::Item: Clone,
    {
        let look = |state: &mut State<S>| match state.items.first() {
            Some(item) => Some(Some(item.clone())),
            None => state.closed.then_some(None),
        };
        wait_in(
            Awaited::QueuePeek,
            &self.0,
            |state| &mut state.watchers,
            deadline,
            look,
        )
    }

    /// Notes that an item is done; false if none is left that was not.
    pub(super) fn task_done(&self) -> bool {
        let mut state = lock(&self.0);
        let any = state.unfinished > 0;
        state.unfinished -= usize::from(any);
        if state.unfinished == 0 {
            state.watchers.wake_all();
        }
        any
    }

    pub(super) fn unfinished(&self) -> usize {
        lock(&self.0).unfinished
    }

    pub(super) fn wait_all_done(&self, deadline: Option<Instant>) -> Result<(), TimedOut> {
        let done = |state: &mut State<S>| (state.unfinished == 0).then_some(());
        wait_in(
            Awaited::QueueDone,
            &self.0,
            |state| &mut state.watchers,
            deadline,
            done,
        )
    }

    pub(super) fn close(&self) {
        let mut state = lock(&self.0);
        state.closed = true;
        state.getters.wake_all();
        state.putters.wake_all();
        state.watchers.wake_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.0).closed
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.0).items.len()
    }

    pub(super) fn capacity(&self) -> usize {
        lock(&self.0).capacity
    }
}

impl<S: Store> Lookout for Core<S> {
    fn is_ready(&self) -> bool {
        let state = lock(&self.0);
        state.has_item() || state.closed
    }
    fn watch(&self, thread: &Arc<Thread>) -> Ticket {
        lock(&self.0).watchers.enter(thread.clone())
    }
    fn unwatch(&self, ticket: Ticket) {
        lock(&self.0).watchers.leave(ticket);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Get,
    Put,
}

/// A thread's place in one of a queue's two lines, given up when dropped.
struct Place<'a, S: Store> {
    core: &'a Core<S>,
    side: Side,
    ticket: Option<Ticket>,
}

impl<'a, S: Store> Place<'a, S> {
    fn new(core: &'a Core<S>, side: Side) -> Self {
        Self {
            core,
            side,
            ticket: None,
        }
    }

    /// Whether the thread may go ahead; if not, it is in the line afterwards.
    fn has_turn(&mut self, state: &mut State<S>, me: &Arc<Thread>) -> bool {
        let free = match self.side {
            Side::Get => state.has_item(),
            Side::Put => state.has_room(),
        };
        let line = match self.side {
            Side::Get => &mut state.getters,
            Side::Put => &mut state.putters,
        };
        let turn = match self.ticket {
            None => free,
            Some(ticket) => line.redeem(ticket),
        };
        self.ticket = match (turn, self.ticket) {
            (true, _) => None,
            (false, Some(ticket)) => Some(ticket),
            (false, None) => Some(line.enter(me.clone())),
        };
        turn
    }
}

impl<S: Store> Drop for Place<'_, S> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut state = lock(&self.core.0);
        match self.side {
            Side::Get if state.getters.leave(ticket) => state.promise_items(),
            Side::Put if state.putters.leave(ticket) => state.promise_places(),
            Side::Get | Side::Put => {}
        }
    }
}
