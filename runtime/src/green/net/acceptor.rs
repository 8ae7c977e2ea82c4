//! [`Listener`]: where the server's acceptors wait.

use crate::green::registered::Registered;
use crate::green::sys;
use crate::green::thread::{Awaited, TimedOut, wait_for};
use crate::green::worker;
use socket2::SockRef;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};

/// Waits for connections on the worker that it was made for.
pub(crate) struct Listener(Registered<TcpListener>);

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Listener(fd {})", self.0.get().as_raw_fd())
    }
}

impl Listener {
    /// A listener of the worker that calls, which shares its queue of connections with `listener`.
    /// It may be of any family: a `TcpListener` is only what holds the descriptor.
    ///
    /// # Errors
    /// When the process is out of descriptors or epoll refuses.
    pub(crate) fn new(listener: &TcpListener) -> io::Result<Self> {
        let here = worker::current().expect("made on a green thread");
        let copy = sys::dup_for_worker(listener.as_fd(), here.index(), worker::workers().len())?;
        Registered::new(copy.into()).map(Self)
    }

    /// Waits until a connection comes.
    ///
    /// # Errors
    /// Whatever `accept` reports.
    pub(crate) fn accept(&self) -> io::Result<TcpStream> {
        let result = wait_for(Awaited::Accept, None, self.0.io(), |_, _| match accept_now(
            self.0.get(),
        ) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            done => Some(done),
        });
        result.unwrap_or_else(|TimedOut| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Accepts a connection of whatever family the listener is of. Std's own `accept` throws away
/// one whose address is not an internet address.
///
/// # Errors
/// Whatever `accept` reports; `WouldBlock` when nobody has come.
pub(crate) fn accept_now(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _address) = SockRef::from(listener).accept()?;
    Ok(stream.into())
}
