//! [`JoinableQueue`]: a queue that knows when all that was put has been dealt with.

use super::core::Core;
use super::{Closed, Empty, Peer, PutError, peer, queue_methods, queue_traits};
use crate::platform::Duration;
use crate::platform::sync::Arc;
use crate::scheduler::thread::deadline_in;
use crate::scheduler::timed_out::TimedOut;
use crate::sync::wait::sealed::{Watch, Watched};
use std::collections::VecDeque;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// A [`Queue`](super::Queue) for work: each item that was got is to be reported as done, and
/// [`join`](Self::join) waits until all are.
///
/// ```
/// use greenway_green::{JoinableQueue, spawn};
///
/// let queue = JoinableQueue::new(8);
/// let work = queue.clone();
/// spawn(move || {
///     while let Some(task) = work.next_task() {
///         assert!(*task < 3);
///         // It is done when it is dropped, whatever happens to this thread.
///     }
/// });
/// (0..3).for_each(|n| queue.put(n).unwrap());
/// queue.join();
/// assert_eq!(queue.unfinished(), 0);
/// queue.close();
/// ```
pub struct JoinableQueue<T> {
    core: Arc<Core<VecDeque<T>>>,
}

impl<T> JoinableQueue<T> {
    queue_methods!(T);

    /// As [`get`](Self::get), giving an item that reports itself as done when it is dropped.
    pub fn next_task(&self) -> Option<Task<T>> {
        let item = self.get()?;
        Some(Task {
            item: Some(item),
            queue: self.clone(),
        })
    }

    /// Reports one item that was got as done.
    ///
    /// # Panics
    /// When called more often than items were put, as gevent's raises a `ValueError`.
    pub fn task_done(&self) {
        assert!(
            self.core.task_done(),
            "task_done() was called more often than items were put"
        );
    }

    /// Items that were put and have not been reported as done.
    pub fn unfinished(&self) -> usize {
        self.core.unfinished()
    }

    /// Waits until all items that were put are done; comes back at once if the thread is unwinding.
    pub fn join(&self) {
        let _done_or_unwinding = self.core.wait_all_done(None);
    }

    /// Waits until all items that were put are done, at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`] when they are not by then.
    pub fn join_timeout(&self, timeout: Duration) -> Result<(), TimedOut> {
        self.core.wait_all_done(deadline_in(timeout))
    }
}
queue_traits!(JoinableQueue);

/// An item of a [`JoinableQueue`], which is done when this is dropped.
pub struct Task<T> {
    item: Option<T>, // `None` only while this is being dropped: the item goes first
    queue: JoinableQueue<T>,
}

impl<T> Deref for Task<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.item.as_ref().expect("there until it is dropped")
    }
}

impl<T> DerefMut for Task<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.item.as_mut().expect("there until it is dropped")
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.item = None;
        // False if somebody has called `task_done` for it as well; a destructor does not panic.
        self.queue.core.task_done();
    }
}

impl<T: fmt::Debug> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Task").field(&**self).finish()
    }
}
