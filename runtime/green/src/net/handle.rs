//! Reaching a stream's socket from any thread.
//!
//! A [`Stream`] belongs to one thread: only its worker's epoll watches it. Some system calls need
//! no watching (writing what the kernel takes at once, shutting down), and any thread may make
//! them, as long as the descriptor is the same socket's: that is what a [`Handle`] sees to. It
//! costs no descriptor of its own.

use crate::net::Stream;
use crate::runtime;
use crate::scheduler::lock::{Locked, lock};
use crate::scheduler::worker;
use crate::sys;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex};

/// A socket, until the stream that it belongs to is closed.
#[derive(Debug)]
pub struct Handle(Mutex<Option<RawFd>>);

/// The stream's side: when it is dropped, handles reach nothing.
#[derive(Debug)]
pub(crate) struct Opened(Arc<Handle>);

impl Opened {
    /// For an open descriptor whose owner drops this before closing it.
    pub(crate) fn new(fd: RawFd) -> Self {
        Self(Arc::new(Handle(Mutex::new(Some(fd)))))
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.0
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

impl Handle {
    fn lock(&self) -> Locked<'_, Option<RawFd>> {
        // `f` of `with` may panic; that changes nothing here.
        lock(&self.0)
    }

    /// Calls `f` with the socket, which stays open meanwhile: it must not wait. `None` if the
    /// stream is closed.
    pub fn with<R>(&self, f: impl FnOnce(BorrowedFd<'_>) -> R) -> Option<R> {
        let open = self.lock();
        // SAFETY: the descriptor's owner drops `Opened` before closing it, and dropping waits for
        // the lock that is held here, so it is open while it is borrowed.
        let fd = open.map(|fd| unsafe { BorrowedFd::borrow_raw(fd) })?;
        Some(f(fd))
    }

    /// Another stream of the same socket, for the thread that calls: it can wait on its own.
    ///
    /// # Errors
    /// `NotConnected` if the stream is closed; when the process is out of descriptors, or epoll
    /// refuses.
    pub fn stream_here(&self) -> io::Result<Stream> {
        let copy = self.with(|fd| match worker::current() {
            Some(here) => sys::dup_for_worker(fd, here.index(), runtime::workers().len()),
            None => fd.try_clone_to_owned(),
        });
        let copy: OwnedFd = copy.unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into()))?;
        Stream::new(copy.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    fn stream() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        near.set_nonblocking(true).unwrap();
        (Stream::new(near).unwrap(), listener.accept().unwrap().0)
    }

    #[test]
    fn a_handle_reaches_its_socket_and_nothing_afterwards() {
        let (stream, _far) = stream();
        let handle = stream.handle();
        let number = stream.std().as_raw_fd();
        assert_eq!(handle.with(|fd| fd.as_raw_fd()), Some(number));
        let copy = handle.stream_here().unwrap();
        assert_ne!(copy.std().as_raw_fd(), number);
        drop(stream);
        assert!(handle.with(|_| ()).is_none());
        assert!(handle.stream_here().is_err());
    }

    #[test]
    fn a_handle_does_not_follow_a_socket_that_goes_on_elsewhere() {
        let (stream, _far) = stream();
        let handle = stream.handle();
        let _plain = stream.into_plain().expect("this is an OS thread");
        assert!(handle.with(|_| ()).is_none());
    }
}
