//! [`Queue`]: how green threads, OS threads and response bodies hand things to one another.

use super::line::{Line, Ticket};
use super::thread::{Io, Thread, TimedOut as WaitTimedOut, deadline_in, wait_for};
use greenway_app::{Body, IntoBody, IntoChunk, IntoResponse, Response};
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A bounded queue with an end mark, for any mix of green and OS threads.
///
/// Clones share one queue. Putting waits while it is full, getting waits while it is empty, and
/// both are fair: whoever has waited longest is served first. [`close`](Self::close) sets the
/// end mark (the `StopIteration` of Bottle's primer): what was put before it can still be got,
/// then [`get`](Self::get) returns `None` for ever.
///
/// A queue of chunks is a response body: return it from a handler and feed it from anywhere, for
/// as long as you like. When the client leaves, the queue is closed, so that a producer learns of
/// it from the error of its next [`put`](Self::put).
///
/// ```
/// use greenway::green::{Queue, spawn};
///
/// let queue = Queue::new(8);
/// let feed = queue.clone();
/// spawn(move || {
///     for n in 0..3 {
///         feed.put(n).unwrap();
///     }
///     feed.close();
/// });
/// assert_eq!(queue.iter().collect::<Vec<_>>(), [0, 1, 2]);
/// ```
pub struct Queue<T> {
    shared: Arc<Mutex<State<T>>>,
}

struct State<T> {
    items: VecDeque<T>,
    capacity: usize,
    closed: bool,
    getters: Line,
    putters: Line,
}

impl<T> State<T> {
    /// Items that nobody has been promised.
    fn has_item(&self) -> bool {
        self.items.len() > self.getters.granted()
    }

    /// Places that nobody has been promised.
    fn has_room(&self) -> bool {
        self.items.len() + self.putters.granted() < self.capacity
    }

    fn push(&mut self, item: T) {
        self.items.push_back(item);
        self.promise_items();
    }

    fn pop(&mut self) -> Option<T> {
        let item = self.items.pop_front();
        self.promise_room();
        item
    }

    fn promise_items(&mut self) {
        while self.has_item() && self.getters.grant() {}
    }

    fn promise_room(&mut self) {
        while !self.closed && self.has_room() && self.putters.grant() {}
    }
}

/// The queue is closed: nobody will get this item any more. Gives it back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Closed<T>(pub T);

/// Why an item could not be put. Gives it back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PutError<T> {
    /// The queue is full, and stayed full until the timeout if there was one.
    Full(T),
    /// The queue is closed.
    Closed(T),
}

/// Nothing came in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOut;

/// There is nothing in the queue at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Empty;

impl<T> Queue<T> {
    /// A queue that holds at most `capacity` items.
    ///
    /// # Panics
    /// When `capacity` is 0.
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a queue needs room for at least one item");
        Self {
            shared: Arc::new(Mutex::new(State {
                items: VecDeque::new(),
                capacity,
                closed: false,
                getters: Line::default(),
                putters: Line::default(),
            })),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Never held over a wait, and nothing in here can panic half-way through a change.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an item, waiting while the queue is full.
    ///
    /// # Errors
    /// [`Closed`] with the item when the queue is or becomes closed.
    pub fn put(&self, item: T) -> Result<(), Closed<T>> {
        match self.put_until(item, None) {
            Ok(()) => Ok(()),
            // Without a deadline this means that the thread is unwinding, where nothing may block.
            Err(PutError::Closed(item) | PutError::Full(item)) => Err(Closed(item)),
        }
    }

    /// Puts an item, waiting at most `timeout` while the queue is full.
    ///
    /// # Errors
    /// [`PutError`] with the item when the queue stays full or is closed.
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), PutError<T>> {
        self.put_until(item, deadline_in(timeout))
    }

    fn put_until(&self, item: T, deadline: Option<Instant>) -> Result<(), PutError<T>> {
        let mut item = Some(item);
        let mut place = Place::new(self, Side::Put);
        let put = wait_for(deadline, Io::None, |me, _| {
            let mut state = self.lock();
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
            (Err(WaitTimedOut), Some(item)) => Err(PutError::Full(item)),
            (Err(WaitTimedOut), None) => {
                unreachable!("the item is taken only when the put is done")
            }
        }
    }

    /// Puts an item if there is room now.
    ///
    /// # Errors
    /// [`PutError`] with the item when the queue is full or closed.
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        let mut state = self.lock();
        if state.closed {
            Err(PutError::Closed(item))
        } else if state.has_room() {
            state.push(item);
            Ok(())
        } else {
            Err(PutError::Full(item))
        }
    }

    /// Gets the next item, waiting while there is none. `None` once the end mark is reached.
    pub fn get(&self) -> Option<T> {
        // Without a deadline, timing out means that the thread is unwinding.
        self.get_until(None).unwrap_or(None)
    }

    /// Gets the next item, waiting at most `timeout`. `Ok(None)` once the end mark is reached.
    ///
    /// # Errors
    /// [`TimedOut`] when nothing came in time.
    pub fn get_timeout(&self, timeout: Duration) -> Result<Option<T>, TimedOut> {
        self.get_until(deadline_in(timeout))
    }

    fn get_until(&self, deadline: Option<Instant>) -> Result<Option<T>, TimedOut> {
        let mut place = Place::new(self, Side::Get);
        wait_for(deadline, Io::None, |me, _| {
            let mut state = self.lock();
            if place.has_turn(&mut state, me) {
                return Some(state.pop());
            }
            state.closed.then_some(None)
        })
        .map_err(|WaitTimedOut| TimedOut)
    }

    /// Gets an item if there is one now. `Ok(None)` once the end mark is reached.
    ///
    /// # Errors
    /// [`Empty`] when there is none yet.
    pub fn try_get(&self) -> Result<Option<T>, Empty> {
        let mut state = self.lock();
        if state.has_item() {
            Ok(state.pop())
        } else if state.closed {
            Ok(None)
        } else {
            Err(Empty)
        }
    }

    /// Sets the end mark. What is in the queue can still be got; nothing more can be put.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.getters.wake_all();
        state.putters.wake_all();
    }

    /// Whether the end mark is set.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Items in the queue.
    pub fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// Whether there is nothing in the queue.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Items that the queue can hold.
    pub fn capacity(&self) -> usize {
        self.lock().capacity
    }

    /// Gets items, waiting for each, until the end mark.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.get())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Get,
    Put,
}

/// A thread's place in one of a queue's two lines, given up when dropped.
struct Place<'a, T> {
    queue: &'a Queue<T>,
    side: Side,
    ticket: Option<Ticket>,
}

impl<'a, T> Place<'a, T> {
    fn new(queue: &'a Queue<T>, side: Side) -> Self {
        Self {
            queue,
            side,
            ticket: None,
        }
    }

    /// Whether the thread may go ahead; if not, it is in the line afterwards.
    fn has_turn(&mut self, state: &mut State<T>, me: &Arc<Thread>) -> bool {
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

impl<T> Drop for Place<'_, T> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut state = self.queue.lock();
        match self.side {
            Side::Get if state.getters.leave(ticket) => state.promise_items(),
            Side::Put if state.putters.leave(ticket) => state.promise_room(),
            Side::Get | Side::Put => {}
        }
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Queue")
            .field("len", &state.items.len())
            .field("capacity", &state.capacity)
            .field("closed", &state.closed)
            .finish_non_exhaustive()
    }
}

/// Feeds a body; closes the queue when the body is dropped.
struct Feed<T>(Queue<T>);

impl<T> Iterator for Feed<T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.0.get()
    }
}

impl<T> Drop for Feed<T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<T: IntoChunk + 'static> IntoBody for Queue<T> {
    fn into_body(self) -> Body {
        Body::iter(Feed(self))
    }
}

impl<T: IntoChunk + 'static> IntoResponse for Queue<T> {
    fn into_response(self) -> Response {
        self.into_body().into_response()
    }
}

impl<T> fmt::Debug for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closed(..)")
    }
}

impl<T> fmt::Display for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is closed")
    }
}

impl<T> Error for Closed<T> {}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the queue is full",
            Self::Closed(_) => "the queue is closed",
        })
    }
}

impl<T> Error for PutError<T> {}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing came in time")
    }
}

impl Error for TimedOut {}

impl fmt::Display for Empty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is nothing in the queue")
    }
}

impl Error for Empty {}
