//! OS threads of the server's own, which a stop can end at their wait.
//!
//! Most work of a server is done by green threads. Two kinds of work cannot be: what must go on
//! when all workers are held up (the metrics, which are looked at just then; the counts of the
//! error log), and what waits for something that has no descriptor. Such a thread waits with the
//! same functions as a green thread does, so that it has deadlines and can be interrupted, where a
//! thread of std's could only be waited for.
//!
//! What must stay true: [`OsThread::end`] returns, as long as the thread's body waits with the
//! functions of [`green`](crate::green) and not with others.

use crate::green::embed::{Interrupt, Thread, current, discard};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

/// A running OS thread that [`end`](Self::end) can interrupt.
///
/// Dropping it does not end the thread, which goes on alone.
#[derive(Debug)]
pub(crate) struct OsThread {
    /// The thread as those who interrupt it know it.
    control: Arc<Thread>,
    handle: JoinHandle<()>,
}

impl OsThread {
    /// Starts `body` on a thread of its own.
    ///
    /// # Errors
    /// When the process can have no more threads.
    pub(crate) fn start(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (send, receive) = crossbeam_channel::bounded(1);
        let handle = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                // The channel takes one value at once, and `start` holds its other end.
                let _infallible = send.send(current().handle());
                // `end` causes an unwind, which is the regular end of the thread. Any other panic
                // was printed by the panic hook.
                if let Err(payload) = catch_unwind(AssertUnwindSafe(body)) {
                    discard(payload);
                }
            })?;
        let control = receive
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
