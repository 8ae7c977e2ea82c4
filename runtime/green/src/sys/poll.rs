//! `poll(2)`: what an OS thread waits with, and looks at descriptors without waiting.

use super::{Interest, timespec};
use rustix::event::{PollFd, PollFlags};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

fn flags(interest: Interest) -> PollFlags {
    match interest {
        Interest::Readable => PollFlags::IN | PollFlags::RDHUP,
        Interest::Writable => PollFlags::OUT,
    }
}

/// Waits for one of `fds` or for `bell`, at most `left`. Empties the bell.
pub(crate) fn poll(fds: &[(BorrowedFd<'_>, Interest)], bell: &OwnedFd, left: Option<Duration>) {
    let asked = fds.iter().map(|(fd, what)| PollFd::new(fd, flags(*what)));
    let mut polled: Vec<_> = std::iter::once(PollFd::new(bell, PollFlags::IN))
        .chain(asked)
        .collect();
    let left = left.map(timespec);
    // An error (EINTR) counts as an early return.
    let _ = rustix::event::poll(&mut polled, left.as_ref());
    if !polled[0].revents().is_empty() {
        let _emptied = rustix::io::read(bell, &mut [0u8; 8]);
    }
}

/// What poll says of a descriptor without waiting; nothing if it fails.
fn look(fd: BorrowedFd<'_>, flags: PollFlags) -> PollFlags {
    let mut polled = [PollFd::new(&fd, flags)];
    match rustix::event::poll(&mut polled, Some(&timespec(Duration::ZERO))) {
        Ok(_) => polled[0].revents(),
        Err(_) => PollFlags::empty(),
    }
}

/// Whether a descriptor is ready now: an operation would not wait, be it that it fails.
pub(crate) fn is_ready(fd: BorrowedFd<'_>, interest: Interest) -> bool {
    !look(fd, flags(interest)).is_empty()
}

/// What has become of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerNews {
    /// It has said that it will send nothing more (FIN).
    Finished,
    /// It has gone: a reset, or an error such as a dead peer's time-out.
    Gone,
}

impl PeerNews {
    pub(super) fn of(finished: bool, gone: bool) -> Option<Self> {
        match (gone, finished) {
            (true, _) => Some(Self::Gone),
            (false, true) => Some(Self::Finished),
            (false, false) => None,
        }
    }
}

/// What has become of the peer of a socket, if anything has.
pub fn peer_news(socket: BorrowedFd<'_>) -> Option<PeerNews> {
    let found = look(socket, PollFlags::RDHUP);
    PeerNews::of(
        found.contains(PollFlags::RDHUP),
        found.intersects(PollFlags::HUP | PollFlags::ERR),
    )
}
