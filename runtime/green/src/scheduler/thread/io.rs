//! [`Io`]: the descriptors that a wait is about.

use crate::platform::sync::atomic::{AtomicBool, Ordering};
use crate::platform::{BorrowedFd, WaitIo, WaitIoWaker};
use crate::sys::Interest;
use std::fmt;

/// A descriptor that a wait is about, besides its condition.
#[derive(Debug, Clone, Copy)]
pub enum Io<'a> {
    /// No descriptor.
    None,
    /// One that the worker watches for as long as it lives; its owner gives this.
    Registered(Watched<'a>),
    /// Any other. The worker watches it for as long as the wait lasts; an OS thread polls it.
    Poll(BorrowedFd<'a>, Interest),
    /// As `Poll`, for whichever is ready first.
    PollAny(&'a [(BorrowedFd<'a>, Interest)]),
}

/// A descriptor that `may`'s epoll watches, on the worker that its number gives.
///
/// `may` remembers one coroutine with a descriptor, and destroys it when a second one waits there:
/// stack, borrows and all. So who waits takes the place first, and one who finds it taken waits
/// another way.
#[derive(Clone, Copy)]
pub struct Watched<'a> {
    watch: &'a dyn DynWaitIo,
    /// Somebody has the place.
    taken: &'a AtomicBool,
    fd: BorrowedFd<'a>,
    interest: Interest,
}

impl<'a> Watched<'a> {
    pub(crate) fn new(
        watch: &'a impl WaitIo,
        taken: &'a AtomicBool,
        fd: BorrowedFd<'a>,
        interest: Interest,
    ) -> Self {
        Self {
            watch,
            taken,
            fd,
            interest,
        }
    }

    /// Takes the place of the one who waits; `None` if somebody has it. Called on the worker, where
    /// all who wait for the descriptor are, so one of them comes after the other.
    pub(crate) fn claim(self) -> Option<Claim<'a>> {
        // Without a read-modify-write, which each wait of a connection would pay for.
        if self.taken.load(Ordering::Relaxed) {
            return None;
        }
        self.taken.store(true, Ordering::Relaxed);
        Some(Claim(self))
    }

    /// What a wait is about that does not need the place: the worker's own epoll has room for all.
    pub(super) fn other_way(self) -> (BorrowedFd<'a>, Interest) {
        (self.fd, self.interest)
    }
}

/// The place of the one who waits for a descriptor, free again when dropped.
pub(crate) struct Claim<'a>(Watched<'a>);

impl Claim<'_> {
    /// Waits for news, and gives epoll's flags, or others if the waker has ended the wait; never 0.
    pub(crate) fn wait(&self) -> usize {
        self.0.watch.block()
    }

    pub(super) fn waker(&self) -> WaitIoWaker {
        self.0.watch.io_waker()
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Relaxed);
    }
}

impl fmt::Debug for Watched<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

/// `WaitIo` has generic functions and cannot be a trait object, so this names what is needed.
trait DynWaitIo {
    fn block(&self) -> usize;
    fn io_waker(&self) -> WaitIoWaker;
}

impl<T: WaitIo> DynWaitIo for T {
    fn block(&self) -> usize {
        self.wait_io()
    }
    fn io_waker(&self) -> WaitIoWaker {
        self.waker()
    }
}
