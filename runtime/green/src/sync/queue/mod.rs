//! Queues: how green threads, OS threads and response bodies hand things to one another.
//!
//! [`Queue`] first in, first out; [`PriorityQueue`] the smallest first; [`LifoQueue`] the last
//! first; [`JoinableQueue`] knows when all work is done; [`Channel`] has no buffer at all: who puts
//! waits for the one who gets. All are bounded, fair, and have an end mark.

#[cfg(feature = "app")]
mod body;
mod channel;
mod core;
mod errors;
mod joinable;
mod peer;

pub use channel::Channel;
pub use errors::{Closed, Empty, PutError};
pub use joinable::{JoinableQueue, Task};
pub use peer::Peer;

use self::core::Core;
use crate::platform::Duration;
use crate::platform::sync::Arc;
use crate::scheduler::thread::deadline_in;
use crate::scheduler::timed_out::TimedOut;
use crate::sync::wait::sealed::{Watch, Watched};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;

/// The methods that all queues with a [`Core`] have.
macro_rules! queue_methods {
    ($T:ident) => {
        /// A queue that holds at most `capacity` items.
        ///
        /// # Panics
        /// When `capacity` is 0.
        pub fn new(capacity: usize) -> Self {
            Self {
                core: Arc::new(Core::new(capacity)),
            }
        }

        /// Puts an item, waiting while the queue is full.
        ///
        /// # Errors
        /// [`Closed`] with the item when the queue is or becomes closed; also when it is full and
        /// the thread is unwinding.
        pub fn put(&self, item: $T) -> Result<(), Closed<$T>> {
            self.core.put(item)
        }

        /// Puts an item, waiting at most `timeout` while the queue is full.
        ///
        /// # Errors
        /// [`PutError`] with the item when the queue stays full or is closed.
        pub fn put_timeout(&self, item: $T, timeout: Duration) -> Result<(), PutError<$T>> {
            self.core.put_until(item, deadline_in(timeout))
        }

        /// Puts an item if there is a free place now.
        ///
        /// # Errors
        /// [`PutError`] with the item when the queue is full or closed.
        pub fn try_put(&self, item: $T) -> Result<(), PutError<$T>> {
            self.core.try_put(item)
        }

        /// Gets the next item, waiting while there is none. `None` once the end mark is reached;
        /// also when there is none and the thread is unwinding.
        pub fn get(&self) -> Option<$T> {
            // Without a deadline, timing out means that the thread is unwinding.
            self.core.get_until(None).unwrap_or(None)
        }

        /// Gets the next item, waiting at most `timeout`. `Ok(None)` once the end mark is reached.
        ///
        /// # Errors
        /// [`TimedOut`] when nothing came in time.
        pub fn get_timeout(&self, timeout: Duration) -> Result<Option<$T>, TimedOut> {
            self.core.get_until(deadline_in(timeout))
        }

        /// Gets an item if there is one now that nobody waits for. `Ok(None)` once the end mark
        /// is reached.
        ///
        /// # Errors
        /// [`Empty`] when there is none yet.
        pub fn try_get(&self) -> Result<Option<$T>, Empty> {
            self.core.try_get()
        }

        /// A copy of the next item, which stays in the queue; waits while there is none. `None`
        /// once the end mark is reached. Somebody else may get the item at any time.
        pub fn peek(&self) -> Option<$T>
        where
            $T: Clone,
        {
            // Without a deadline, timing out means that the thread is unwinding.
            self.core.peek_until(None).unwrap_or(None)
        }

        /// As [`peek`](Self::peek), waiting at most `timeout`.
        ///
        /// # Errors
        /// [`TimedOut`] when nothing came in time.
        pub fn peek_timeout(&self, timeout: Duration) -> Result<Option<$T>, TimedOut>
        where
            $T: Clone,
        {
            self.core.peek_until(deadline_in(timeout))
        }

        /// Sets the end mark. What is in the queue can still be got; nothing more can be put.
        pub fn close(&self) {
            self.core.close();
        }

        /// Whether the end mark is set.
        pub fn is_closed(&self) -> bool {
            self.core.is_closed()
        }

        /// Items in the queue.
        pub fn len(&self) -> usize {
            self.core.len()
        }

        /// Whether there is nothing in the queue.
        pub fn is_empty(&self) -> bool {
            self.len() == 0
        }

        /// Items that the queue can hold.
        pub fn capacity(&self) -> usize {
            self.core.capacity()
        }

        /// Gets items, waiting for each, until the end mark.
        pub fn iter(&self) -> impl Iterator<Item = $T> + '_ {
            std::iter::from_fn(|| self.get())
        }

        /// A handle for those who put. When the last clone of it is dropped, whether its thread
        /// came to its end, panicked or was killed, the queue is closed: nobody waits for items
        /// that will not come. Call this once for all producers together, and clone the handle.
        pub fn feeder(&self) -> Peer<Self> {
            Peer::new(self.clone())
        }

        /// A handle for those who get. When the last clone of it is dropped, the queue is closed:
        /// who puts learns that nobody is there any more. Call this once for all consumers.
        pub fn taker(&self) -> Peer<Self> {
            Peer::new(self.clone())
        }
    };
}
use queue_methods;

/// The traits of a queue with a [`Core`].
macro_rules! queue_traits {
    ($Queue:ident $(: $bound:ident)?) => {
        impl<T $(: $bound)?> Clone for $Queue<T> {
            fn clone(&self) -> Self {
                Self {
                    core: self.core.clone(),
                }
            }
        }

        impl<T $(: $bound)?> peer::Close for $Queue<T> {
            fn close_for_good(&self) {
                self.close();
            }
        }

        impl<T $(: $bound)?> Watch for $Queue<T> {
            fn lookout(&self) -> Watched<'_> {
                Watched(&*self.core)
            }
        }

        impl<T $(: $bound)?> fmt::Debug for $Queue<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Queue))
                    .field("len", &self.len())
                    .field("capacity", &self.capacity())
                    .field("closed", &self.is_closed())
                    .finish_non_exhaustive()
            }
        }
    };
}
use queue_traits;

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
/// use greenway_green::{Queue, spawn};
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
///
/// An OS thread feeds a queue with the same calls. [`put`](Self::put) blocks it while the queue is
/// full, [`try_put`](Self::try_put) never does, so it may be called from an event loop that serves
/// others, such as one that selects over `crossbeam-channel`s:
///
/// ```
/// use greenway_green::{PutError, Queue};
///
/// let (send, receive) = crossbeam_channel::bounded::<u32>(16);
/// let queue = Queue::new(2);
/// let feeder = queue.feeder();
/// let bridge = std::thread::spawn(move || {
///     let mut too_many = 0;
///     for n in receive {
///         match feeder.try_put(n) {
///             Ok(()) => {}
///             Err(PutError::Full(_)) => too_many += 1,
///             Err(PutError::Closed(_)) => break,
///         }
///     }
///     too_many // the feeder is dropped here, which ends the queue
/// });
/// (0..3).for_each(|n| send.send(n).unwrap());
/// drop(send);
/// assert_eq!(bridge.join().unwrap(), 1);
/// assert_eq!(queue.iter().collect::<Vec<_>>(), [0, 1]);
/// ```
pub struct Queue<T> {
    core: Arc<Core<VecDeque<T>>>,
}

impl<T> Queue<T> {
    queue_methods!(T);
}
queue_traits!(Queue);

/// A bounded queue that gives the smallest item first. Otherwise as [`Queue`].
///
/// Which of several equal items is first is not defined; for the largest first, put
/// `std::cmp::Reverse`.
///
/// ```
/// use greenway_green::PriorityQueue;
///
/// let queue = PriorityQueue::new(8);
/// for job in [(2, "sweep"), (1, "put out the fire"), (3, "rest")] {
///     queue.put(job).unwrap();
/// }
/// assert_eq!(queue.get(), Some((1, "put out the fire")));
/// assert_eq!(queue.peek(), Some((2, "sweep")));
/// ```
pub struct PriorityQueue<T: Ord> {
    core: Arc<Core<BinaryHeap<Reverse<T>>>>,
}

impl<T: Ord> PriorityQueue<T> {
    queue_methods!(T);
}
queue_traits!(PriorityQueue: Ord);

/// A bounded queue that gives the item first that was put last. Otherwise as [`Queue`].
///
/// ```
/// use greenway_green::LifoQueue;
///
/// let queue = LifoQueue::new(8);
/// queue.put("old").unwrap();
/// queue.put("new").unwrap();
/// assert_eq!(queue.get(), Some("new"));
/// ```
pub struct LifoQueue<T> {
    core: Arc<Core<Vec<T>>>,
}

impl<T> LifoQueue<T> {
    queue_methods!(T);
}
queue_traits!(LifoQueue);
