//! TERM, INT and QUIT stop, USR1 and HUP open the logs anew (HUP reads certificates anew, too), USR2
//! logs what all green threads do. TTIN and TTOU are for a master; whoever sends them to a process
//! without one is told so, and does not stop it, as they would by default.

use crate::green::embed::unblock_signals;
use crate::service::ServiceThread;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2};
use signal_hook::iterator::{Handle, Signals};
use std::io;

/// What is acted on.
const SIGNALS: [i32; 8] = [
    SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGHUP, SIGTTIN, SIGTTOU,
];

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignalAction {
    /// TERM, INT or QUIT, for the n-th time, counted from 1.
    Stop(u32),
    /// USR1.
    Reopen,
    /// HUP.
    Reload,
    /// USR2.
    Show,
    /// TTIN or TTOU.
    Resize,
}

/// Acts on signals on a thread of its own, until the value is dropped.
pub(crate) struct OnSignal {
    handle: Handle,
    thread: Option<ServiceThread>,
}

impl std::fmt::Debug for OnSignal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnSignal")
    }
}

/// Signals that do not end the process any more, and wait for somebody to act on them.
#[derive(Debug)]
pub(crate) struct Caught(Signals);

/// Catches the signals from now on: before anybody can see that there is a server to signal.
///
/// # Errors
/// When the handlers cannot be installed.
pub(crate) fn catch_signals() -> io::Result<Caught> {
    Signals::new(SIGNALS).map(Caught)
}

impl OnSignal {
    /// Those that have come already count.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn new(
        caught: Caught,
        mut act: impl FnMut(SignalAction) + Send + 'static,
    ) -> io::Result<Self> {
        let Caught(mut signals) = caught;
        let handle = signals.handle();
        let mut stops = 0;
        let thread = ServiceThread::start("greenway-signals", move || {
            // Who has started us may have blocked them. One thread that takes them is enough.
            unblock_signals(&SIGNALS);
            for signal in signals.forever() {
                match signal {
                    SIGUSR1 => act(SignalAction::Reopen),
                    SIGHUP => act(SignalAction::Reload),
                    SIGUSR2 => act(SignalAction::Show),
                    SIGTTIN | SIGTTOU => act(SignalAction::Resize),
                    _ => {
                        stops += 1;
                        act(SignalAction::Stop(stops));
                    }
                }
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
        if let Some(thread) = self.thread.take() {
            thread.join();
        }
    }
}
