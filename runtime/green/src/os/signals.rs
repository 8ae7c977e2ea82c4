//! Unix signals as something a green thread waits for.
//!
//! [`signal`] is gevent's `signal_handler`: a closure that runs in a green thread whenever the
//! signal comes, so it may do what any other may, and wait. [`Signals`] is the same as a queue.
//! Both work in programs without a server, and [`Signals`] in OS threads.
//!
//! ```
//! use greenway_green::signals::{SIGUSR2, signal};
//!
//! let counting = signal(SIGUSR2, || {
//!     println!("{} green threads", greenway_green::green_threads().len());
//! })?;
//! # counting.cancel();
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! All who want a signal get it: a server (`greenway::serve`) still stops at TERM and INT, opens its
//! logs at USR1 and HUP and tells what all do at USR2, whoever else listens. Once somebody has listened to a signal, it loses
//! its default action for the rest of the process's life, also when nobody listens any more.
//!
//! # Implementation
//!
//! The crate `signal-hook` notes a signal in a flag and writes to a socket pair, of which the
//! other end is waited for like any socket. Several signals of a number that come before they are
//! looked at are one, as in the kernel.

use crate::Greenlet;
use crate::scheduler::discard::discard;
use crate::scheduler::thread::{Awaited, Io, Unwind, deadline_in, wait_for};
use crate::sys::Interest;
use crate::task::spawn::Builder;
use signal_hook::consts::FORBIDDEN;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

pub use signal_hook::consts::signal::*;

/// The largest number that `signal-hook` takes.
const LARGEST: i32 = 127;

/// Signals of certain numbers, in the order in which they are seen. Dropping it ends that.
///
/// ```
/// use greenway_green::signals::{SIGUSR1, SIGUSR2, Signals};
/// use std::time::Duration;
///
/// let mut signals = Signals::new([SIGUSR1, SIGUSR2])?;
/// signal_hook::low_level::raise(SIGUSR2)?;
/// assert_eq!(signals.wait(), Some(SIGUSR2));
/// assert_eq!(signals.wait_timeout(Duration::from_millis(5)), None);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Signals {
    /// What `delivery` is woken by.
    bell: UnixStream,
    delivery: SignalDelivery<UnixStream, SignalOnly>,
    /// Seen, and not yet given.
    seen: VecDeque<i32>,
}

impl Signals {
    /// Listens to signals of these numbers from now on.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for one that cannot or must not be handled
    /// (KILL, STOP, SEGV, ILL, FPE) or does not exist; when the process is out of descriptors.
    pub fn new(signals: impl IntoIterator<Item = i32>) -> io::Result<Self> {
        let signals: Vec<_> = signals.into_iter().collect();
        for signal in &signals {
            if FORBIDDEN.contains(signal) || !(1..=LARGEST).contains(signal) {
                let why = format!("signal {signal} cannot be handled");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
        }
        let (read, write) = UnixStream::pair()?;
        Ok(Self {
            bell: read.try_clone()?,
            delivery: SignalDelivery::with_pipe(read, write, SignalOnly, signals)?,
            seen: VecDeque::new(),
        })
    }

    /// Waits for a signal, and gives its number. `None` only when the thread is unwinding.
    pub fn wait(&mut self) -> Option<i32> {
        self.wait_until(None)
    }

    /// Waits at most `timeout` for a signal, and gives its number.
    pub fn wait_timeout(&mut self, timeout: Duration) -> Option<i32> {
        self.wait_until(deadline_in(timeout))
    }

    /// A signal that has come already.
    pub fn try_wait(&mut self) -> Option<i32> {
        self.seen.extend(self.delivery.pending());
        self.seen.pop_front()
    }

    fn wait_until(&mut self, deadline: Option<Instant>) -> Option<i32> {
        let Self {
            bell,
            delivery,
            seen,
        } = self;
        let look = |_: &_, _| {
            seen.extend(delivery.pending()); // also empties the socket
            seen.pop_front()
        };
        let io = Io::Poll(bell.as_fd(), Interest::Readable);
        wait_for(Awaited::Signal, deadline, io, look).ok()
    }
}

/// Waits for each signal; does not end, unless the thread is unwinding.
impl Iterator for Signals {
    type Item = i32;

    fn next(&mut self) -> Option<i32> {
        self.wait()
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals")
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

/// Runs `handler` in a green thread whenever the signal comes; from the moment on that this
/// returns, and until it is [cancelled](SignalHandler::cancel).
///
/// The handler runs once at a time: signals that come while it runs make it run once more. A
/// panic in it is printed and changes nothing else.
///
/// # Errors
/// As [`Signals::new`].
pub fn signal(
    signal: i32,
    mut handler: impl FnMut() + Send + 'static,
) -> io::Result<SignalHandler> {
    let mut signals = Signals::new([signal])?;
    let name = format!("signal-{signal}");
    let thread = Builder::new().name(name).spawn(move || {
        while signals.wait().is_some() {
            // Unwind safety: what the handler has left half done is its own.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(&mut handler)) {
                if Unwind::of(&*payload).is_some() {
                    resume_unwind(payload);
                }
                discard(payload); // the panic hook has printed it
            }
        }
    });
    Ok(SignalHandler { thread })
}

/// A handler that [`signal`] has installed. Dropping it leaves the handler in place.
#[derive(Debug)]
pub struct SignalHandler {
    thread: Greenlet<()>,
}

impl SignalHandler {
    /// Takes the handler away. If it runs, it is ended at its wait.
    pub fn cancel(&self) {
        self.thread.kill();
    }
}
