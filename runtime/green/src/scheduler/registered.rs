//! [`Registered`]: a descriptor that `may`'s epoll watches for as long as it lives.

use crate::scheduler::thread::Io;
use may::io::CoIo;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

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
        Io::Green(&self.watch)
    }
}
