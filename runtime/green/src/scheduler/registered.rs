//! [`Registered`]: a descriptor that `may`'s epoll watches for as long as it lives.

use super::thread::{Io, Watched};
use may::io::{CoIo, WaitIo};
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// Epoll's flag for "readable", as `wait_io` reports it.
const READABLE: usize = libc::EPOLLIN as usize;

/// A descriptor of the worker that its number gives, in that worker's epoll. One thread at a
/// time may wait for it, on that worker.
pub(crate) struct Registered<T> {
    // A `CoIo` that owned the descriptor would close it before it takes it out of the epoll: another
    // thread may get the number in between, and lose its own registration. This one holds the
    // number only, and is dropped before the owner.
    watch: CoIo<RawFd>,
    owner: T,
}

impl<T: AsRawFd> Registered<T> {
    /// Makes it non-blocking, and watches it.
    ///
    /// # Errors
    /// When epoll does not take it: the kernel's limit on watches.
    pub(crate) fn new(owner: T) -> io::Result<Self> {
        Ok(Self {
            watch: CoIo::new(owner.as_raw_fd()).map_err(io::Error::from)?,
            owner,
        })
    }

    pub(crate) fn get(&self) -> &T {
        &self.owner
    }

    /// For a wait of a green thread of its worker.
    pub(crate) fn io(&self) -> Io<'_> {
        Io::Registered(Watched::new(&self.watch))
    }

    /// Waits for news of it in one of the worker's residents, which have no control block. True if
    /// there is something to read; false if it was [woken](Self::wake).
    pub(super) fn wait(&self) -> bool {
        self.watch.wait_io() & READABLE != 0
    }

    /// Ends the wait of a resident, on its worker.
    pub(super) fn wake(&self) {
        self.watch.waker().wakeup();
    }
}
