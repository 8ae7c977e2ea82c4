//! Wakers that wake threads, green or not.

use crate::green::embed::{Thread, lock};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Wake;

/// The threads that wait for news of a stream. The state machine remembers one waker for each
/// direction; a handler, the one it has given its WebSocket to, and the watch over the client may
/// all wait at once, so the waker is theirs together.
#[derive(Debug, Default)]
pub(super) struct Waiters(Mutex<Vec<Arc<Thread>>>);

impl Waiters {
    /// This thread is woken by the next news.
    pub(super) fn add(&self, thread: &Arc<Thread>) {
        let mut waiting = lock(&self.0);
        if !waiting.iter().any(|other| Arc::ptr_eq(other, thread)) {
            waiting.push(thread.clone());
        }
    }
}

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let waiting = std::mem::take(&mut *lock(&self.0));
        for thread in waiting {
            thread.wake();
        }
    }
}

/// The thread of a connection, and whether it has to look at its state machine again.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) thread: Arc<Thread>,
    pub(super) woken: AtomicBool,
}

impl Driver {
    pub(super) fn new(thread: Arc<Thread>) -> Self {
        Self {
            thread,
            woken: AtomicBool::new(false),
        }
    }
}

impl Wake for Driver {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::SeqCst) {
            self.thread.wake();
        }
    }
}
