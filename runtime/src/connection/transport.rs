//! What a connection needs of a socket, so that it can be tested without one.

use super::framed::Framed;
use crate::green::embed::{Handle, Stream, send_file, send_with_more, unsent};
use socket2::SockRef;
use std::fs::File;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// What a connection reads from and writes to; in tests and fuzzers, memory.
pub(crate) trait Transport: 'static {
    /// Shows what has come to `take`. 0 at the end; `TimedOut` at the deadline.
    fn read(&self, deadline: Option<Instant>, take: &mut dyn FnMut(&[u8])) -> io::Result<usize>;
    /// As `read`; 0 also when nothing is there and `stop` is set, whose setter wakes the thread.
    fn read_unless(
        &self,
        stop: &AtomicBool,
        deadline: Option<Instant>,
        take: &mut dyn FnMut(&[u8]),
    ) -> io::Result<usize>;
    /// Writes some of `bufs`; `TimedOut` at the deadline.
    fn write(&self, bufs: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize>;
    /// As `write`, without waiting: `WouldBlock` if there is no room.
    fn write_now(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Writes up to `n` bytes of a file, from its position on, without waiting.
    /// As [`write_now`](Self::write_now), of bytes that are to leave with what follows them.
    fn write_with_more(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write_now(&[IoSlice::new(bytes)])
    }
    fn send_file(&self, file: &File, n: usize) -> io::Result<usize> {
        let _no_socket = (file, n);
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Bytes that were written and that the client has not confirmed, if that is known.
    fn unsent(&self) -> Option<u64>;
    fn shutdown(&self, how: Shutdown);
    /// Makes the coming close a reset: the client is to see that something is missing.
    fn reset(&self);
    /// The descriptor whose peer can be watched, if there is one.
    fn socket(&self) -> Option<BorrowedFd<'_>>;
    /// Whether who serves it is a green thread: one that may wait for a slow client, and whose
    /// finished responses may be held back until it waits.
    fn is_green(&self) -> bool;
    /// As [`read`](Self::read), into `buf` and without waiting: `WouldBlock` if nothing is there.
    fn receive_now(&self, buf: &mut [u8]) -> io::Result<usize> {
        let _no_socket = buf;
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Waits until there may be something to read, or room to write, or `stop` is set, whose setter
    /// wakes the thread; `TimedOut` at the deadline.
    fn wait_any(&self, stop: &AtomicBool, deadline: Option<Instant>) -> io::Result<()> {
        let _no_socket = (stop, deadline);
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Another thread has used it: what is known of its state is old.
    fn came_back(&self) {}
    /// What it is besides a stream of bytes, where it marks the ends of messages itself.
    fn framed(&self) -> Option<&dyn Framed> {
        None
    }
    /// A way to the socket from other threads; a protocol that takes the place of HTTP needs it.
    fn handle(&self) -> Option<Arc<Handle>> {
        None
    }
}

impl Transport for Stream {
    fn read(&self, deadline: Option<Instant>, take: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
        Self::read(self, deadline, take)
    }
    fn read_unless(
        &self,
        stop: &AtomicBool,
        deadline: Option<Instant>,
        take: &mut dyn FnMut(&[u8]),
    ) -> io::Result<usize> {
        Self::read_unless(self, stop, deadline, take)
    }
    fn write(&self, bufs: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        self.write_vectored(bufs, deadline)
    }
    fn write_now(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        Self::write_now(self, bufs)
    }
    fn write_with_more(&self, bytes: &[u8]) -> io::Result<usize> {
        send_with_more(self.std().as_fd(), bytes)
    }
    fn send_file(&self, file: &File, n: usize) -> io::Result<usize> {
        send_file(self.std().as_fd(), file.as_fd(), n)
    }
    fn unsent(&self) -> Option<u64> {
        unsent(self.std().as_fd())
    }
    fn shutdown(&self, how: Shutdown) {
        Self::shutdown(self, how);
    }
    fn reset(&self) {
        // Fails only on a descriptor that is no socket.
        let _ = SockRef::from(self.std()).set_linger(Some(Duration::ZERO));
    }
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        Some(self.std().as_fd())
    }
    fn is_green(&self) -> bool {
        Self::is_green(self)
    }
    fn receive_now(&self, buf: &mut [u8]) -> io::Result<usize> {
        Self::receive_now(self, buf)
    }
    fn came_back(&self) {
        Self::came_back(self);
    }
    fn wait_any(&self, stop: &AtomicBool, deadline: Option<Instant>) -> io::Result<()> {
        Self::wait_any(self, stop, deadline)
    }
    fn handle(&self) -> Option<Arc<Handle>> {
        Some(Self::handle(self))
    }
}
