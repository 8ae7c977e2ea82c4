//! The system calls that the waits need.

use crate::platform::{BorrowedFd, Duration, OwnedFd};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    Readable,
    Writable,
}

pub fn coarse_ms() -> u64 {
    0
}

pub fn bell() -> OwnedFd {
    OwnedFd::default()
}

pub fn ring(bell: &OwnedFd) {
    bell.ring();
}

pub fn poll(_fds: &[(BorrowedFd<'_>, Interest)], bell: &OwnedFd, left: Option<Duration>) {
    assert!(left.is_none(), "polls here have no deadline");
    bell.hear();
}
