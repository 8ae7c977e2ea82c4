//! What all queues have in common: a bounded store, an end mark, and two fair lines.
//!
//! What must stay true: an item or a place that was promised to somebody is theirs, and is
//! promised anew when they leave without it. So nobody who comes later is served first, and
//! whoever gives up takes nothing along.
//!
//! No code of the user's runs under the lock: it may wait, or ask the queue. So a store that compares
//! its items, or whose first item is being cloned, is *taken out* meanwhile, and whoever else needs it
//! waits until it is back. The counts stay, and answer `len` and the promises.

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
    /// To push and to pop calls code of the user's.
    const COMPARES: bool = false;
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
    const COMPARES: bool = true;
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
    /// `None` while it is taken out.
    items: Option<S>,
    /// Items in it, also while it is taken out.
    stored: usize,
    /// Items that have a place and are on their way into the store.
    coming: usize,
    /// Items that belong to somebody who is about to take them out of the store.
    going: usize,
    capacity: usize,
    closed: bool,
    /// Items put for which nobody has said yet that they are done.
    unfinished: usize,
    getters: Line,
    putters: Line,
    /// Those who look without taking anything: they peek, select, or wait for all to be done or for
    /// the store to come back.
    watchers: Line,
}

impl<S: Store> State<S> {
    /// Items that nobody has been promised.
    fn has_item(&self) -> bool {
        self.stored > self.going + self.getters.granted()
    }

    /// Places that nobody has been promised.
    fn has_room(&self) -> bool {
        self.stored + self.coming + self.putters.granted() < self.capacity
    }

    /// Nothing will come any more.
    fn is_over(&self) -> bool {
        self.closed && self.coming == 0
    }

    /// Whether this thread can go on now: the store is there, or will be taken out by itself.
    fn is_reachable(&self) -> bool {
        S::COMPARES || self.items.is_some()
    }

    /// Puts an item for which there is a place, or lets it be on its way.
    fn put(&mut self, item: &mut Option<S::Item>) {
        if S::COMPARES {
            self.coming += 1;
            return;
        }
        let items = self.items.as_mut().expect("the caller has looked");
        items.push(item.take().expect("put once: the wait ends here"));
        self.stored += 1;
        self.unfinished += 1;
        self.promise_items();
    }

    /// Takes the next item, or lets it be on its way.
    fn get(&mut self) -> Option<S::Item> {
        if S::COMPARES {
            self.going += 1;
            return None;
        }
        let items = self.items.as_mut().expect("the caller has looked");
        let item = items.pop();
        self.stored = items.len();
        self.promise_places();
        item
    }

    /// Puts an item if there is a place. `Some(false)` if there never will be.
    fn put_now(&mut self, item: &mut Option<S::Item>) -> Option<bool> {
        if self.closed {
            return Some(false);
        }
        if !self.is_reachable() || !self.has_room() {
            return None;
        }
        self.put(item);
        Some(true)
    }

    /// Takes the next item if there is one. `Some(None)` if there never will be.
    fn get_now(&mut self) -> Option<Option<Option<S::Item>>> {
        if !self.is_reachable() {
            return None;
        }
        if self.has_item() {
            return Some(Some(self.get()));
        }
        self.is_over().then_some(None)
    }

    fn promise_items(&mut self) {
        while self.has_item() && self.getters.grant() {}
        self.watchers.wake_all();
    }

    fn promise_places(&mut self) {
        while !self.closed && self.has_room() && self.putters.grant() {}
    }

    /// Something has come or gone, or is not on its way any more.
    fn promise(&mut self) {
        self.promise_items();
        self.promise_places();
        if self.is_over() {
            self.getters.wake_all();
        }
    }
}

/// A store that is taken out, put back when dropped.
struct Out<'a, S: Store> {
    core: &'a Core<S>,
    items: S,
    had: usize,
}

impl<S: Store> Drop for Out<'_, S> {
    fn drop(&mut self) {
        let mut state = lock(&self.core.0);
        // A comparison that has panicked may have left an item in it, or have lost one.
        state.stored = self.items.len();
        state.unfinished += state.stored.saturating_sub(self.had);
        state.items = Some(std::mem::take(&mut self.items));
        state.promise();
    }
}

/// An item on its way: whatever becomes of it, it is counted once.
struct Moving<'a, S: Store>(&'a Core<S>, Side);

impl<S: Store> Drop for Moving<'_, S> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.0);
        match self.1 {
            Side::Get => state.going -= 1,
            Side::Put => state.coming -= 1,
        }
        state.promise();
    }
}

impl<S: Store> Core<S> {
    pub(super) fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a queue needs a place for at least one item");
        Self(Mutex::new(State {
            items: Some(S::default()),
            stored: 0,
            coming: 0,
            going: 0,
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
        // What can be done at once needs no place in the line, nor who it is that asks.
        let now = lock(&self.0).put_now(&mut item);
        if let Some(put) = now {
            return self.finish_put(put, item);
        }
        let mut place = Place::new(self, Side::Put);
        let put = wait_for(Awaited::QueuePut, deadline, Io::None, |me, _| {
            let mut state = lock(&self.0);
            if state.closed {
                return Some(false);
            }
            if !place.is_reachable(&mut state, me) || !place.has_turn(&mut state, me) {
                return None;
            }
            state.put(&mut item);
            Some(true)
        });
        drop(place);
        match (put, item) {
            (Ok(put), item) => self.finish_put(put, item),
            (Err(TimedOut), Some(item)) => Err(PutError::Full(item)),
            (Err(TimedOut), None) => unreachable!("the item is taken only when the put is done"),
        }
    }

    /// After [`State::put`], or, if `put` is false, when the queue is closed.
    fn finish_put(&self, put: bool, item: Option<S::Item>) -> Result<(), PutError<S::Item>> {
        match item {
            None => Ok(()),
            Some(item) if put => self.push_apart(item),
            Some(item) => Err(PutError::Closed(item)),
        }
    }

    pub(super) fn try_put(&self, item: S::Item) -> Result<(), PutError<S::Item>> {
        let mut item = Some(item);
        let put = self.once_reachable(|state| {
            let room = !state.closed && state.has_room();
            if room {
                state.put(&mut item);
            }
            (room, state.closed)
        });
        match (put, item) {
            (_, None) => Ok(()),
            (Ok((true, _)), Some(item)) => self.push_apart(item),
            (Ok((_, true)), Some(item)) => Err(PutError::Closed(item)),
            (Ok(_) | Err(TimedOut), Some(item)) => Err(PutError::Full(item)),
        }
    }

    /// Pushes an item that is on its way.
    fn push_apart(&self, item: S::Item) -> Result<(), PutError<S::Item>> {
        let _on_its_way = Moving(self, Side::Put);
        match self.take_out(None, |_| Some(())) {
            Ok((mut out, ())) => {
                out.items.push(item);
                Ok(())
            }
            Err(TimedOut) => Err(PutError::Full(item)),
        }
    }

    pub(super) fn get_until(&self, deadline: Option<Instant>) -> Result<Option<S::Item>, TimedOut> {
        let now = lock(&self.0).get_now(); // as for a put
        let got = match now {
            Some(got) => got,
            None => {
                let mut place = Place::new(self, Side::Get);
                wait_for(Awaited::QueueGet, deadline, Io::None, |me, _| {
                    let mut state = lock(&self.0);
                    if !place.is_reachable(&mut state, me) {
                        return None;
                    }
                    if place.has_turn(&mut state, me) {
                        return Some(Some(state.get()));
                    }
                    state.is_over().then_some(None)
                })?
            }
        };
        match got {
            Some(None) if S::COMPARES => self.pop_apart(),
            Some(item) => Ok(item),
            None => Ok(None),
        }
    }

    pub(super) fn try_get(&self) -> Result<Option<S::Item>, Empty> {
        let got = self.once_reachable(|state| {
            if state.has_item() {
                Some(Some(state.get()))
            } else {
                state.is_over().then_some(None)
            }
        });
        match got {
            Ok(Some(Some(None))) if S::COMPARES => self.pop_apart().map_err(|TimedOut| Empty),
            Ok(Some(got)) => Ok(got.flatten()),
            Ok(None) | Err(TimedOut) => Err(Empty),
        }
    }

    /// Pops the item that is the caller's.
    fn pop_apart(&self) -> Result<Option<S::Item>, TimedOut> {
        let _on_its_way = Moving(self, Side::Get);
        let (mut out, ()) = self.take_out(None, |_| Some(()))?;
        Ok(out.items.pop())
    }

    pub(super) fn peek_until(&self, deadline: Option<Instant>) -> Result<Option<S::Item>, TimedOut>
    where
        S::Item: Clone,
    {
        let look = |state: &mut State<S>| match state.stored > state.going {
            true => Some(true),
            false => state.is_over().then_some(false),
        };
        let (out, any) = self.take_out(deadline, look)?;
        let first = any.then(|| out.items.first().cloned());
        Ok(first.flatten())
    }

    /// Takes the store out as soon as it is there and `look` gives something.
    fn take_out<R>(
        &self,
        deadline: Option<Instant>,
        mut look: impl FnMut(&mut State<S>) -> Option<R>,
    ) -> Result<(Out<'_, S>, R), TimedOut> {
        let taken = |state: &mut State<S>| {
            state.items.as_ref()?;
            let found = look(state)?;
            let items = state.items.take()?;
            let had = state.stored;
            let core = self;
            Some((Out { core, items, had }, found))
        };
        wait_in(
            Awaited::QueuePeek,
            &self.0,
            |state| &mut state.watchers,
            deadline,
            taken,
        )
    }

    /// Does `work` at once, unless somebody looks at the store at the moment.
    fn once_reachable<R>(&self, work: impl FnOnce(&mut State<S>) -> R) -> Result<R, TimedOut> {
        let mut state = lock(&self.0);
        if state.is_reachable() {
            return Ok(work(&mut state));
        }
        drop(state);
        let mut work = Some(work);
        wait_in(
            Awaited::QueuePeek,
            &self.0,
            |state| &mut state.watchers,
            None,
            |state| {
                let work = state.is_reachable().then(|| work.take())?;
                work.map(|work| work(state))
            },
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
        let state = lock(&self.0);
        state.stored - state.going
    }

    pub(super) fn capacity(&self) -> usize {
        lock(&self.0).capacity
    }
}

impl<S: Store> Lookout for Core<S> {
    fn is_ready(&self) -> bool {
        let state = lock(&self.0);
        state.has_item() || state.is_over()
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
    /// Among the watchers, for the store to come back.
    watching: Option<Ticket>,
}

impl<'a, S: Store> Place<'a, S> {
    fn new(core: &'a Core<S>, side: Side) -> Self {
        Self {
            core,
            side,
            ticket: None,
            watching: None,
        }
    }

    /// Whether the store can be had; if not, the thread is woken when that changes.
    fn is_reachable(&mut self, state: &mut State<S>, me: &Arc<Thread>) -> bool {
        let reachable = state.is_reachable();
        if !reachable && self.watching.is_none() {
            self.watching = Some(state.watchers.enter(me.clone()));
        }
        reachable
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
        if self.ticket.is_none() && self.watching.is_none() {
            return;
        }
        let mut state = lock(&self.core.0);
        if let Some(watching) = self.watching {
            state.watchers.leave(watching);
        }
        let Some(ticket) = self.ticket else { return };
        match self.side {
            Side::Get if state.getters.leave(ticket) => state.promise_items(),
            Side::Put if state.putters.leave(ticket) => state.promise_places(),
            Side::Get | Side::Put => {}
        }
    }
}
