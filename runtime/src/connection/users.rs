//! Who else uses a connection's buffered I/O: an `Input` of its request, wherever the handler has
//! put that.

use crate::green::embed::{Awaited, Io, Thread, TimedOut, current, wait_for};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Those who use a connection's I/O through a lease. All of them are on the connection's thread
/// or on green threads of its worker, one of which may wait in here when the request ends.
#[derive(Debug, Default)]
pub(super) struct Users {
    count: Cell<usize>,
    /// Who waits for the client in here.
    waiting: RefCell<Vec<Arc<Thread>>>,
    /// Set while they are to leave.
    leave: AtomicBool,
    /// Who waits for that.
    last_one_wakes: RefCell<Option<Arc<Thread>>>,
}

impl Users {
    /// Does `wait`, which gives up when the flag that it is given is set.
    pub(super) fn waiting<R>(&self, wait: impl FnOnce(&AtomicBool) -> R) -> R {
        /// Takes itself off the list, also when the wait unwinds.
        struct Listed<'a>(&'a Users, u64);
        impl Drop for Listed<'_> {
            fn drop(&mut self) {
                let mut waiting = self.0.waiting.borrow_mut();
                if let Some(at) = waiting.iter().position(|thread| thread.id() == self.1) {
                    waiting.swap_remove(at);
                }
            }
        }
        let me = current();
        let _listed = Listed(self, me.id());
        self.waiting.borrow_mut().push(me.handle());
        wait(&self.leave)
    }

    /// Makes all of them leave, and waits until they have. The request of their lease must be over,
    /// so that they do not come back.
    pub(super) fn send_away(&self) {
        if self.count.get() > 0 {
            self.send_away_and_wait();
        }
    }

    #[cold]
    #[inline(never)] // a leaked `Input` is rare, and the frame of those who have none stays small
    fn send_away_and_wait(&self) {
        self.leave.store(true, Ordering::SeqCst);
        for thread in &*self.waiting.borrow() {
            thread.wake();
        }
        // Each is at its client's mercy for one write at most, which has a clock of its own.
        let waited = wait_for(
            Awaited::Other("connections to end"),
            None,
            Io::None,
            |me, _| {
                if self.count.get() == 0 {
                    return Some(());
                }
                *self.last_one_wakes.borrow_mut() = Some(me.clone());
                None
            },
        );
        let (Ok(()) | Err(TimedOut)) = waited;
        self.leave.store(false, Ordering::SeqCst);
    }

    pub(super) fn enter(&self) {
        self.count.set(self.count.get() + 1);
    }

    pub(super) fn exit(&self) {
        self.count.set(self.count.get() - 1);
        if self.count.get() == 0
            && let Some(thread) = self.last_one_wakes.take()
        {
            thread.wake();
        }
    }
}
