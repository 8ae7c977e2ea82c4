//! Threads of the server's own that must not die without a word.
//!
//! A server whose log, metrics, signals or watch over departed clients had silently ended would
//! go on serving and look healthy. So the body of such a thread is started again when it panics,
//! and each time the log says so.
//!
//! What must stay true: a body leaves what it works on fit to go on with, since it is called
//! again on the same values.

use crate::green::embed::{discard, panic_message};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::Duration;

/// Before a body that has panicked is started again: one that always does must not spin.
const PAUSE: Duration = Duration::from_millis(100);

/// A thread whose body is started again when it panics.
#[derive(Debug)]
pub(crate) struct ServiceThread(JoinHandle<()>);

impl ServiceThread {
    /// Starts `body` on a thread of its own. The thread ends when the body returns.
    ///
    /// # Errors
    /// When the process can have no more threads.
    pub(crate) fn start(
        name: &'static str,
        mut body: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        let thread = std::thread::Builder::new().name(name.into());
        let handle = thread.spawn(move || {
            // Unwind safety: see the module's documentation.
            while let Err(payload) = catch_unwind(AssertUnwindSafe(&mut body)) {
                let why = panic_message(&*payload);
                log::error!("the thread {name} has panicked, and is started again: {why}");
                discard(payload);
                std::thread::sleep(PAUSE);
            }
        })?;
        Ok(Self(handle))
    }

    /// Waits for the body to return, unless it is the thread itself that calls.
    pub(crate) fn join(self) {
        if self.0.thread().id() != std::thread::current().id() {
            let _it_cannot_panic = self.0.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_body_that_panics_is_started_again() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let thread = ServiceThread::start("test", move || {
            let call = counted.fetch_add(1, Ordering::SeqCst);
            assert!(call > 0, "the first call fails, as this test wants it");
        });
        thread.unwrap().join();
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }
}
