//! [`Io`]: the descriptors that a wait is about.

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
#[derive(Clone, Copy)]
pub struct Watched<'a>(&'a dyn DynWaitIo);

impl<'a> Watched<'a> {
    pub(crate) fn new(watch: &'a impl WaitIo) -> Self {
        Self(watch)
    }

    /// Waits for news, and gives epoll's flags; 0 if the waker has ended the wait.
    pub(super) fn wait(self) -> usize {
        self.0.block()
    }

    pub(super) fn waker(self) -> WaitIoWaker {
        self.0.io_waker()
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
