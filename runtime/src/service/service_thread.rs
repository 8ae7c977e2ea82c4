//! Threads of the server's own that must not die without a word.
//!
//! A server whose log, metrics, signals or watch over departed clients had silently ended would
//! go on serving and look healthy. So the body of such a thread is started again when it panics,
//! and each time the log says so.
//!
//! What must stay true: a body leaves what it works on fit to go on with, since it is called
//! again on the same values.

use crate::green::embed::{discard, panic_message};
use crate::green::is_interrupt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread::JoinHandle;
use std::time::Duration;

/// Before a body that has panicked is started again: one that always does must not spin.
const PAUSE: Duration = Duration::from_millis(100);

/// Runs `body` until it returns, and again when it panics, after a pause that `sleep` makes. An interrupt
/// of the thread is no panic, and ends it.
pub(crate) fn run_again(name: &str, sleep: fn(Duration), mut body: impl FnMut()) {
    // Unwind safety: see the module's documentation.
    while let Err(payload) = catch_unwind(AssertUnwindSafe(&mut body)) {
        if is_interrupt(&*payload) {
            resume_unwind(payload);
        }
        // The logger is the application's, and may be what panics.
        let told = catch_unwind(AssertUnwindSafe(|| {
            let why = panic_message(&*payload);
            log::error!("the thread {name} has panicked, and is started again: {why}");
        }));
        discard((payload, told));
        sleep(PAUSE);
    }
}

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
        body: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        let thread = std::thread::Builder::new().name(name.into());
        let handle = thread.spawn(move || run_again(name, std::thread::sleep, body))?;
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
    use crate::green;
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

    /// As an acceptor is, which a stop ends by an interrupt.
    #[test]
    fn a_green_thread_that_panics_is_started_again_until_it_is_interrupted() {
        let (arrived, arrivals) = crossbeam_channel::unbounded();
        let mut call = 0;
        let thread = green::spawn(move || {
            run_again("test", green::sleep, || {
                call += 1;
                arrived.send(call).unwrap();
                assert!(call > 2, "the first calls fail, as this test wants it");
                green::sleep(Duration::MAX);
            });
        });
        let long = Duration::from_secs(60);
        for call in 1..=3 {
            assert_eq!(arrivals.recv_timeout(long), Ok(call));
        }
        thread.kill();
        let ended = thread.join_timeout(long);
        assert!(matches!(ended, Some(Err(green::JoinError::Killed))));
        assert!(arrivals.try_recv().is_err());
    }
}
