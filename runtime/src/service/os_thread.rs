//! An OS thread for work that must go on when all workers are held up, or that has no descriptor
//! a worker could watch. It waits as green threads do, so it can be ended at its wait.

use crate::green::embed::{Interrupt, Thread, current, discard};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

/// A thread that [`end`](Self::end) can end. Dropping the handle lets it go on.
#[derive(Debug)]
pub(crate) struct OsThread {
    control: Arc<Thread>,
    handle: JoinHandle<()>,
}

impl OsThread {
    /// Starts `body` on a thread of its own.
    ///
    /// # Errors
    /// When the process can have no more threads.
    pub(crate) fn start(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (tell, told) = crossbeam_channel::bounded(1);
        let handle = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                // There is room for it, and `start` holds the other end.
                let _ = tell.send(current().handle());
                // The unwind that `end` causes is the good end. The hook has printed any other.
                if let Err(payload) = catch_unwind(AssertUnwindSafe(body)) {
                    discard(payload);
                }
            })?;
        let control = told
            .recv()
            .map_err(|_| io::Error::other("the thread ended before it began"))?;
        Ok(Self { control, handle })
    }

    /// Ends the thread at its present or next wait, and waits for that.
    pub(crate) fn end(self) {
        self.control.interrupt(Interrupt::Stop);
        let _its_panic_was_printed = self.handle.join();
    }
}
