//! [`Channel`]: a queue without a buffer.
//!
//! # Implementation
//!
//! Those who put stand in a row with their items in hand. Whoever gets takes the item from the
//! first of them. A getter that waits is woken when an item is offered, but the item stays with
//! its owner until it is taken: so a put that gives up takes its item back, and a getter that gives
//! up takes none along. A getter that finds that the offer was withdrawn goes back to its place.

use super::errors::{Closed, Empty, PutError};
use super::peer::{Close, Peer};
use crate::platform::sync::{Arc, Mutex};
use crate::platform::{Duration, Instant};
use crate::scheduler::line::Lookout;
use crate::scheduler::line::{Line, Ticket};
use crate::scheduler::lock::lock;
use crate::scheduler::thread::{Awaited, Io, Thread, deadline_in, wait_for};
use crate::scheduler::timed_out::TimedOut;
use crate::sync::wait::sealed::{Watch, Watched};
use std::collections::VecDeque;
use std::fmt;

/// A meeting point: [`put`](Self::put) comes back when somebody has got the item, and not before.
///
/// Clones are the same channel. Fair on both sides, and bounded by the threads that put.
///
/// ```
/// use greenway_green::{Channel, spawn};
///
/// let channel = Channel::new();
/// let other = channel.clone();
/// let getter = spawn(move || other.get());
/// channel.put("by hand").unwrap();
/// assert_eq!(getter.join().unwrap(), Some("by hand"));
/// ```
pub struct Channel<T> {
    shared: Arc<Mutex<State<T>>>,
}

struct State<T> {
    offers: VecDeque<Offer<T>>,
    last_offer: u64,
    closed: bool,
    getters: Line,
    watchers: Line,
}

struct Offer<T> {
    number: u64, // ascending along the row
    item: T,
    putter: Arc<Thread>,
}

impl<T> State<T> {
    /// Offers that no getter has been told of.
    fn has_offer(&self) -> bool {
        self.offers.len() > self.getters.granted()
    }

    fn announce(&mut self) {
        while self.has_offer() && self.getters.grant() {}
        self.watchers.wake_all();
    }

    fn take(&mut self) -> Option<T> {
        let offer = self.offers.pop_front()?;
        offer.putter.wake();
        Some(offer.item)
    }

    /// Takes an offer out of the row; `None` if it has been accepted.
    fn withdraw(&mut self, number: u64) -> Option<T> {
        let found = self.offers.binary_search_by_key(&number, |o| o.number);
        // An index that was just found.
        found
            .ok()
            .and_then(|index| self.offers.remove(index))
            .map(|offer| offer.item)
    }
}

impl<T> Channel<T> {
    /// A channel.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Mutex::new(State {
                offers: VecDeque::new(),
                last_offer: 0,
                closed: false,
                getters: Line::default(),
                watchers: Line::default(),
            })),
        }
    }

    /// Hands an item over, waiting until somebody takes it.
    ///
    /// # Errors
    /// [`Closed`] with the item when the channel is or becomes closed before it is taken; also
    /// when the thread is unwinding.
    pub fn put(&self, item: T) -> Result<(), Closed<T>> {
        self.put_until(item, None)
            .map_err(|error| Closed(error.into_inner()))
    }

    /// Hands an item over, waiting at most `timeout` until somebody takes it.
    ///
    /// # Errors
    /// [`PutError`] with the item when nobody has taken it in time, or the channel is closed.
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), PutError<T>> {
        self.put_until(item, deadline_in(timeout))
    }

    fn put_until(&self, item: T, deadline: Option<Instant>) -> Result<(), PutError<T>> {
        let number = {
            let mut state = lock(&self.shared);
            if state.closed {
                return Err(PutError::Closed(item));
            }
            state.last_offer += 1;
            let number = state.last_offer;
            state.offers.push_back(Offer {
                number,
                item,
                putter: crate::scheduler::thread::current().handle(),
            });
            state.announce();
            number
        };
        let offered = Offered {
            channel: self,
            number,
        };
        let ended = wait_for(Awaited::QueuePut, deadline, Io::None, |_, _| {
            let state = lock(&self.shared);
            let open = state
                .offers
                .binary_search_by_key(&number, |o| o.number)
                .is_ok();
            (!open || state.closed).then_some(())
        });
        match (offered.withdraw(), ended) {
            (None, _) => Ok(()),
            (Some(item), Ok(())) => Err(PutError::Closed(item)),
            (Some(item), Err(TimedOut)) => Err(PutError::Full(item)),
        }
    }

    /// Gets an item, waiting for somebody who puts one. `None` once the channel is closed; also
    /// when nobody puts and the thread is unwinding.
    pub fn get(&self) -> Option<T> {
        // Without a deadline, timing out means that the thread is unwinding.
        self.get_until(None).unwrap_or(None)
    }

    /// Gets an item, waiting at most `timeout`. `Ok(None)` once the channel is closed.
    ///
    /// # Errors
    /// [`TimedOut`] when nobody has put one in time.
    pub fn get_timeout(&self, timeout: Duration) -> Result<Option<T>, TimedOut> {
        self.get_until(deadline_in(timeout))
    }

    fn get_until(&self, deadline: Option<Instant>) -> Result<Option<T>, TimedOut> {
        let mut place = Place {
            channel: self,
            ticket: None,
        };
        wait_for(Awaited::QueueGet, deadline, Io::None, |me, _| {
            let mut state = lock(&self.shared);
            if state.closed {
                return Some(None);
            }
            match place.ticket {
                None if state.has_offer() => return Some(state.take()),
                None => place.ticket = Some(state.getters.enter(me.clone())),
                Some(ticket) => {
                    if state.getters.redeem(ticket) {
                        if let Some(item) = state.take() {
                            place.ticket = None;
                            return Some(Some(item));
                        }
                        state.getters.restore(ticket, me.clone());
                    }
                }
            }
            None
        })
    }

    /// Gets an item if somebody is putting one that nobody waits for.
    ///
    /// # Errors
    /// [`Empty`] when nobody is.
    pub fn try_get(&self) -> Result<Option<T>, Empty> {
        let mut state = lock(&self.shared);
        if state.closed {
            Ok(None)
        } else if state.has_offer() {
            Ok(state.take())
        } else {
            Err(Empty)
        }
    }

    /// Ends the channel: nothing can be put or got any more. Those who are putting get their
    /// items back.
    pub fn close(&self) {
        let mut state = lock(&self.shared);
        state.closed = true;
        for offer in &state.offers {
            offer.putter.wake();
        }
        state.getters.wake_all();
        state.watchers.wake_all();
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        lock(&self.shared).closed
    }

    /// Gets items, waiting for each, until the channel is closed.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.get())
    }

    /// As [`Queue::feeder`](super::Queue::feeder).
    pub fn feeder(&self) -> Peer<Self> {
        Peer::new(self.clone())
    }

    /// As [`Queue::taker`](super::Queue::taker).
    pub fn taker(&self) -> Peer<Self> {
        Peer::new(self.clone())
    }
}

/// An item that is being put; withdrawn when dropped.
struct Offered<'a, T> {
    channel: &'a Channel<T>,
    number: u64,
}

impl<T> Offered<'_, T> {
    /// The item, unless somebody has got it.
    fn withdraw(&self) -> Option<T> {
        lock(&self.channel.shared).withdraw(self.number)
    }
}

impl<T> Drop for Offered<'_, T> {
    fn drop(&mut self) {
        let item = self.withdraw();
        drop(item); // not under the lock
    }
}

/// A getter's place, given up when dropped; an offer that was meant for it goes to the next.
struct Place<'a, T> {
    channel: &'a Channel<T>,
    ticket: Option<Ticket>,
}

impl<T> Drop for Place<'_, T> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let mut state = lock(&self.channel.shared);
            if state.getters.leave(ticket) {
                state.announce();
            }
        }
    }
}

impl<T> Lookout for Mutex<State<T>> {
    fn is_ready(&self) -> bool {
        let state = lock(self);
        state.has_offer() || state.closed
    }
    fn watch(&self, thread: &Arc<Thread>) -> Ticket {
        lock(self).watchers.enter(thread.clone())
    }
    fn unwatch(&self, ticket: Ticket) {
        lock(self).watchers.leave(ticket);
    }
}

impl<T> Watch for Channel<T> {
    fn lookout(&self) -> Watched<'_> {
        Watched(&*self.shared)
    }
}

impl<T> Close for Channel<T> {
    fn close_for_good(&self) {
        self.close();
    }
}

impl<T> Clone for Channel<T> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<T> Default for Channel<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Channel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not under the lock: what is written to is the user's.
        let (putting, closed) = {
            let state = lock(&self.shared);
            (state.offers.len(), state.closed)
        };
        f.debug_struct("Channel")
            .field("putting", &putting)
            .field("closed", &closed)
            .finish_non_exhaustive()
    }
}
