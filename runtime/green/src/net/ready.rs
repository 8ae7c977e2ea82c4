//! [`Ready`]: a descriptor's readiness as something to be waited for together with others.

use crate::scheduler::line::Lookout;
use crate::scheduler::line::Ticket;
use crate::scheduler::thread::Thread;
use crate::sync::wait::sealed::{Watch, Watched};
use crate::sys;
use crate::sys::Interest;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// A descriptor that can be read from, or written to, without a wait: something for
/// [`select`](crate::select) and [`wait`](crate::sync::wait).
///
/// Also ready when the other side has closed, or the descriptor has an error: the operation
/// would not wait then. Nothing is taken by the wait.
///
/// ```
/// use greenway_green::net::UnixStream;
/// use greenway_green::{Queue, select};
/// use std::io::Write;
///
/// let (mut one, other) = UnixStream::pair()?;
/// let orders = Queue::<u8>::new(1);
/// one.write_all(b"x")?;
/// assert_eq!(select(&[&orders, &other.readable()], None), Ok(1));
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Ready<'a> {
    fd: BorrowedFd<'a>,
    interest: Interest,
}

/// Ready when `fd` can be read from: any descriptor that epoll takes (sockets, pipes, inotify, a
/// pidfd), as gevent's `socket.wait_read`.
pub fn readable<F: AsFd + ?Sized>(fd: &F) -> Ready<'_> {
    Ready {
        fd: fd.as_fd(),
        interest: Interest::Readable,
    }
}

/// Ready when `fd` can be written to, as gevent's `socket.wait_write`.
pub fn writable<F: AsFd + ?Sized>(fd: &F) -> Ready<'_> {
    Ready {
        fd: fd.as_fd(),
        interest: Interest::Writable,
    }
}

impl Lookout for Ready<'_> {
    fn is_ready(&self) -> bool {
        sys::is_ready(self.fd, self.interest)
    }
    fn watch(&self, _: &Arc<Thread>) -> Ticket {
        Ticket::default() // the wait itself watches the descriptor
    }
    fn unwatch(&self, _: Ticket) {}
    fn descriptor(&self) -> Option<(BorrowedFd<'_>, Interest)> {
        Some((self.fd, self.interest))
    }
}

impl Watch for Ready<'_> {
    fn lookout(&self) -> Watched<'_> {
        Watched(self)
    }
}
