//! [`Descriptor`]: any descriptor that can be polled, waited for by whoever uses it.
//!
//! It belongs to no worker: sockets, pipes and processes are made on one thread and used on
//! another, and by several at once. While it has something to give, it costs plain system calls
//! and nothing else. A wait is the worker's business (see [`watch`](crate::scheduler::watch)), or in an OS
//! thread that of `poll(2)`.

use crate::scheduler::thread::{Awaited, Io, wait_for};
use crate::scheduler::timed_out::TimedOut;
use crate::sys::Interest;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Instant;

/// A descriptor that does not block.
pub(crate) struct Descriptor<F>(F);

impl<F: AsFd> Descriptor<F> {
    /// Makes it one that does not block.
    pub(crate) fn new(fd: F) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self(fd))
    }

    /// For one that does not block already.
    pub(crate) fn nonblocking(fd: F) -> Self {
        Self(fd)
    }

    pub(crate) fn get(&self) -> &F {
        &self.0
    }

    /// The descriptor; it still does not block.
    pub(crate) fn into_inner(self) -> F {
        self.0
    }

    /// Does `attempt` now.
    ///
    /// # Errors
    /// `WouldBlock`, and whatever else `attempt` gives but `Interrupted`.
    pub(crate) fn now<T>(&self, mut attempt: impl FnMut(&F) -> io::Result<T>) -> io::Result<T> {
        loop {
            match attempt(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Waits until `attempt` does not say `WouldBlock`, at most until `deadline`.
    ///
    /// # Errors
    /// `TimedOut` at the deadline; what `attempt` gives.
    pub(crate) fn wait<T>(
        &self,
        interest: Interest,
        deadline: Option<Instant>,
        attempt: impl FnMut(&F) -> io::Result<T>,
    ) -> io::Result<T> {
        let what = match interest {
            Interest::Readable => Awaited::Readable,
            Interest::Writable => Awaited::Writable,
        };
        self.wait_as(what, interest, deadline, attempt)
    }

    /// As [`wait`](Self::wait), where task dumps show something more exact than "read".
    pub(crate) fn wait_as<T>(
        &self,
        what: Awaited,
        interest: Interest,
        deadline: Option<Instant>,
        mut attempt: impl FnMut(&F) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut attempt = || match self.now(&mut attempt) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            done => Some(done),
        };
        if let Some(done) = attempt() {
            return done;
        }
        let mut attempted = true;
        let result = wait_for(
            what,
            deadline,
            Io::Poll(self.0.as_fd(), interest),
            |_, _| {
                // Epoll reports what has become ready since then as well, so nothing is lost.
                if std::mem::take(&mut attempted) {
                    return None;
                }
                attempt()
            },
        );
        result.unwrap_or_else(|TimedOut| Err(TimedOut.into()))
    }
}

impl<F: AsFd> fmt::Debug for Descriptor<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fd {}", self.0.as_fd().as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::spawn;
    use std::fs::File;

    /// Epoll refuses regular files, as it does anything beyond the limit on watches.
    #[test]
    fn what_epoll_does_not_take_is_looked_at_again() {
        let waiting = || {
            let file = File::open("/proc/self/exe").unwrap();
            let mut left = 3;
            let attempt = |_: &File| {
                left -= 1;
                match left {
                    0 => Ok("done"),
                    _ => Err(io::ErrorKind::WouldBlock.into()),
                }
            };
            let waited = Descriptor::nonblocking(file).wait(Interest::Readable, None, attempt);
            assert_eq!(waited.unwrap(), "done");
        };
        spawn(waiting).join().unwrap();
        waiting();
    }
}
