//! [`Peer`]: a side of a queue, which closes the queue when it is gone.

use crate::platform::sync::Arc;
use std::fmt;
use std::ops::Deref;

/// Something with an end mark.
pub trait Close {
    /// Sets the end mark.
    fn close_for_good(&self);
}

/// One side of a queue, made by its `feeder` or `taker`: when the last clone of it is dropped,
/// the queue is closed, so that the other side does not wait for a peer that is gone.
///
/// ```
/// use greenway_green::{Queue, spawn};
///
/// let queue = Queue::new(1);
/// let feeder = queue.feeder();
/// spawn(move || {
///     feeder.put("first").unwrap();
///     panic!("and then it fails");
/// });
/// assert_eq!(queue.iter().collect::<Vec<_>>(), ["first"]);
/// ```
pub struct Peer<Q: Close> {
    shared: Arc<Owned<Q>>,
}

struct Owned<Q: Close>(Q);

impl<Q: Close> Drop for Owned<Q> {
    fn drop(&mut self) {
        self.0.close_for_good();
    }
}

impl<Q: Close> Peer<Q> {
    pub(super) fn new(queue: Q) -> Self {
        Self {
            shared: Arc::new(Owned(queue)),
        }
    }
}

impl<Q: Close> Clone for Peer<Q> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<Q: Close> Deref for Peer<Q> {
    type Target = Q;
    fn deref(&self) -> &Q {
        &self.shared.0
    }
}

impl<Q: Close + fmt::Debug> fmt::Debug for Peer<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Peer").field(&self.shared.0).finish()
    }
}
