//! TERM and INT.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use std::io;
use std::thread::JoinHandle;

/// Calls `act` with 1 at the first TERM or INT, with 2 at the second, and so on, on a thread of
/// its own, until the value is dropped.
pub(crate) struct OnSignal {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for OnSignal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnSignal")
    }
}

impl OnSignal {
    /// # Errors
    /// When the handlers cannot be installed or the thread cannot be started.
    pub(crate) fn new(mut act: impl FnMut(u32) + Send + 'static) -> io::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        let handle = signals.handle();
        let thread = std::thread::Builder::new()
            .name("greenway-signals".into())
            .spawn(move || {
                for (count, _) in (1..).zip(signals.forever()) {
                    act(count);
                }
            })?;
        Ok(Self {
            handle,
            thread: Some(thread),
        })
    }
}

impl Drop for OnSignal {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _its_panic_was_printed = thread.join();
        }
    }
}
