//! What a connection needs of a socket, so that it can be tested without one.

use super::framed::Framed;
use super::shared_socket::SharedSocket;
use crate::green::embed::{PeerNews, peer_news};
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// What a connection reads from and writes to; in tests and fuzzers, memory.
pub(crate) trait Transport: 'static {
    /// Shows what has come to `take`, in one or several pieces. 0 at the end; `TimedOut` at the
    /// deadline.
    fn read(&self, deadline: Option<Instant>, take: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
        static NEVER: AtomicBool = AtomicBool::new(false);
        self.read_unless(&NEVER, deadline, take)
    }
    /// As `read`; 0 also when nothing is there and `stop` is set, whose setter wakes the thread.
    fn read_unless(
        &self,
        stop: &AtomicBool,
        deadline: Option<Instant>,
        take: &mut dyn FnMut(&[u8]),
    ) -> io::Result<usize>;
    /// Writes some of `bufs`; `TimedOut` at the deadline.
    fn write(&self, bufs: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize>;
    /// As `write`, without waiting: `WouldBlock` if there is no room. Then the next write has to
    /// bring the same bytes first: with TLS they may be encrypted already.
    fn write_now(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;
    /// As [`write_now`](Self::write_now), of bytes that are to leave with what follows them.
    fn write_with_more(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write_now(&[IoSlice::new(bytes)])
    }
    /// Writes up to `n` bytes of a file, from its position on, without waiting. `Unsupported` where
    /// the kernel cannot.
    fn send_file(&self, file: &File, n: usize) -> io::Result<usize> {
        let _no_socket = (file, n);
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Bytes that were written and that the client has not confirmed, if that is known.
    fn unsent(&self) -> Option<u64>;
    /// Ends the sending direction, behind all that was written. False if there is no room for what
    /// has to be said then; it is to be called again.
    fn finish(&self) -> bool;
    /// Ends both directions.
    fn shutdown(&self);
    /// Makes the coming close a reset: the client is to see that something is missing.
    fn reset(&self);
    /// The descriptor whose peer can be watched, if there is one.
    fn socket(&self) -> Option<BorrowedFd<'_>>;
    /// Whether the end of what the peer sends is among what it sends.
    fn says_end(&self) -> bool {
        false
    }
    /// What has become of the peer, if anything has.
    fn peer_news(&self) -> Option<PeerNews> {
        peer_news(self.socket()?)
    }
    /// Whether who serves it is a green thread: one that may wait for a slow client, and whose
    /// finished responses may be held back until it waits.
    fn is_green(&self) -> bool;
    /// As [`read`](Self::read), without waiting: `WouldBlock` if nothing is there.
    #[cfg(feature = "http2")]
    fn receive_now(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
        let _no_socket = take;
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Waits until there may be something to read, or room to write, or `stop` is set, whose setter
    /// wakes the thread; `TimedOut` at the deadline.
    #[cfg(feature = "http2")]
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
    fn shared(&self) -> Option<Arc<dyn SharedSocket>> {
        None
    }
}
