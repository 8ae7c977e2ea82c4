//! [`Registered`]: a descriptor that `may`'s epoll watches for as long as it lives.

use super::config;
use super::thread::{Claim, Io, Watched};
use super::worker;
use crate::sys::Interest;
use may::io::{CoIo, WaitIo};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::AtomicBool;

/// Epoll's flag for "readable", as `wait_io` reports it.
const READABLE: usize = libc::EPOLLIN as usize;

/// A descriptor of the worker that its number gives, in that worker's epoll.
///
/// Any number of threads may wait for it at once, in both directions and anywhere: the first on that
/// worker has `may`'s own watch, all others wait in the epoll of their worker, or poll.
pub(crate) struct Registered<T> {
    // A `CoIo` that owned the descriptor would close it before it takes it out of the epoll: another
    // thread may get the number in between, and lose its own registration. This one holds the
    // number only, and is dropped before the owner.
    watch: CoIo<RawFd>,
    /// A green thread waits in `watch`.
    taken: AtomicBool,
    /// The worker that watches it.
    home: usize,
    owner: T,
}

impl<T: AsFd + AsRawFd> Registered<T> {
    /// Makes it non-blocking, and watches it.
    ///
    /// # Errors
    /// When epoll does not take it: the kernel's limit on watches.
    pub(crate) fn new(owner: T) -> io::Result<Self> {
        let workers = config::in_effect().map_or(1, |config| config.workers);
        Ok(Self {
            watch: CoIo::new(owner.as_raw_fd()).map_err(io::Error::from)?,
            taken: AtomicBool::new(false),
            home: owner.as_raw_fd() as usize % workers,
            owner,
        })
    }

    pub(crate) fn get(&self) -> &T {
        &self.owner
    }

    /// Whether the caller is on the worker that watches it.
    pub(crate) fn is_here(&self) -> bool {
        worker::current().is_some_and(|here| here.index() == self.home)
    }

    /// For a wait of the thread that calls.
    pub(crate) fn io(&self, interest: Interest) -> Io<'_> {
        if self.is_here() {
            Io::Registered(self.watched(interest))
        } else {
            Io::Poll(self.owner.as_fd(), interest)
        }
    }

    fn watched(&self, interest: Interest) -> Watched<'_> {
        Watched::new(&self.watch, &self.taken, self.owner.as_fd(), interest)
    }

    /// Waits for news of it in one of the worker's residents, which have no control block. True if
    /// there is something to read; false if it was [woken](Self::wake).
    pub(super) fn wait(&self) -> bool {
        let place = self.watched(Interest::Readable).claim();
        place.as_ref().map(Claim::wait).expect("one resident each") & READABLE != 0
    }

    /// Ends the wait of a resident, on its worker.
    pub(super) fn wake(&self) {
        self.watch.waker().wakeup();
    }
}
