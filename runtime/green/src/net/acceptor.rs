//! [`Listener`]: where the server's acceptors wait; and what they get.

use crate::runtime;
use crate::scheduler::registered::Registered;
use crate::scheduler::thread::{Awaited, wait_for};
use crate::scheduler::timed_out::TimedOut;
use crate::scheduler::worker;
use crate::sys;
use crate::sys::Interest;
use socket2::SockRef;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};

/// A connection that was accepted: non-blocking, of whatever family the listener is of.
#[derive(Debug)]
pub struct Accepted {
    /// Its socket; a `TcpStream` is only what holds the descriptor of one of another family.
    pub stream: TcpStream,
    /// The client's end; `None` for a unix socket.
    pub peer: Option<SocketAddr>,
}

/// Waits for connections on the worker that it was made for.
pub struct Listener(Registered<TcpListener>);

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
    ///
    /// # Panics
    /// When called outside a green thread.
    pub fn new(listener: &TcpListener) -> io::Result<Self> {
        let here = worker::current().expect("a listener is made on a green thread");
        let copy = sys::dup_for_worker(listener.as_fd(), here.index(), runtime::workers().len())?;
        Registered::new(copy.into()).map(Self)
    }

    /// Waits until a connection comes.
    ///
    /// # Errors
    /// Whatever `accept` reports.
    pub fn accept(&self) -> io::Result<Accepted> {
        let result = wait_for(
            Awaited::Accept,
            None,
            self.0.io(Interest::Readable),
            |_, _| match accept_now(self.0.get()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
                done => Some(done),
            },
        );
        result.unwrap_or_else(|TimedOut| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Accepts a connection. Std's own `accept` throws away one whose address is not an internet
/// address, and gives one that has yet to be made non-blocking.
///
/// # Errors
/// Whatever `accept` reports; `WouldBlock` when nobody has come.
pub fn accept_now(listener: &TcpListener) -> io::Result<Accepted> {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let (stream, peer) = SockRef::from(listener).accept4(flags)?;
    Ok(Accepted {
        stream: stream.into(),
        peer: peer.as_socket(),
    })
}
