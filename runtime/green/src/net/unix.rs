//! Unix sockets: [`UnixStream`], [`UnixListener`] and [`UnixDatagram`].

use super::connect;
use super::methods::{listener, plumbing, stream, timeouts};
use super::socket::Socket;
use crate::scheduler::thread::deadline_in;
use crate::sys::{self, Interest};
use rustix::net::{SocketAddrAny, SocketAddrUnix};
use socket2::SockAddr;
use std::ffi::OsStr;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// A connection over a unix socket, with the methods of [`std::os::unix::net::UnixStream`].
///
/// Waits as a [`TcpStream`](super::TcpStream) does.
///
/// ```
/// use greenway_green::net::UnixStream;
/// use std::io::{Read, Write};
///
/// let (mut one, mut other) = UnixStream::pair()?;
/// one.write_all(b"hello")?;
/// let mut text = [0; 5];
/// other.read_exact(&mut text)?;
/// assert_eq!(&text, b"hello");
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct UnixStream {
    socket: Socket<net::UnixStream>,
}

plumbing!(UnixStream, net::UnixStream);
timeouts!(UnixStream);
stream!(UnixStream);

impl UnixStream {
    /// Connects to the socket at `path`. While the other side's queue of connections is full, it is
    /// asked again every few milliseconds, at most 50: the kernel does not tell when there is space.
    ///
    /// # Errors
    /// `NotFound`, `ConnectionRefused` when nobody listens (any more), `PermissionDenied`.
    pub fn connect<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        connect::unix(path.as_ref(), None).map(Self::connected)
    }

    /// As [`connect`](Self::connect), within `timeout`.
    ///
    /// # Errors
    /// `TimedOut`; otherwise as `connect`.
    pub fn connect_timeout<P: AsRef<Path>>(path: P, timeout: Duration) -> io::Result<Self> {
        connect::unix(path.as_ref(), deadline_in(timeout)).map(Self::connected)
    }

    /// Two sockets that are connected to one another.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = net::UnixStream::pair()?;
        Ok((one.into(), other.into()))
    }

    /// For a non-blocking one.
    fn connected(std: net::UnixStream) -> Self {
        Self {
            socket: Socket::new(std),
        }
    }

    /// The address of the other side; it has no name unless it was bound.
    ///
    /// # Errors
    /// Whatever the kernel reports.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.std().peer_addr()
    }

    /// The address of this side; it has no name unless it was bound.
    ///
    /// # Errors
    /// Whatever the kernel reports.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.std().local_addr()
    }
}

/// Waits for connections over a unix socket, with the methods of
/// [`std::os::unix::net::UnixListener`].
pub struct UnixListener {
    socket: Socket<net::UnixListener>,
}

plumbing!(UnixListener, net::UnixListener);
listener!(UnixListener, UnixStream, net::UnixStream, SocketAddr);

impl UnixListener {
    /// Makes a socket at `path` and listens on it. Whoever may write to the file may connect. The
    /// file stays when the listener is dropped.
    ///
    /// # Errors
    /// `AddrInUse` when there is a file already; `PermissionDenied`.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        net::UnixListener::bind(path).map(Self::from)
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// Whatever the kernel reports.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.std().local_addr()
    }
}

/// Messages between processes of this machine, with the methods of
/// [`std::os::unix::net::UnixDatagram`]. A message arrives whole or not at all; one that does
/// not fit into the buffer is cut.
///
/// Sending waits while the receiver's queue is full.
pub struct UnixDatagram {
    socket: Socket<net::UnixDatagram>,
}

plumbing!(UnixDatagram, net::UnixDatagram);
timeouts!(UnixDatagram);

impl UnixDatagram {
    /// Makes a socket at `path`. The file stays when the socket is dropped.
    ///
    /// # Errors
    /// `AddrInUse` when there is a file already; `PermissionDenied`.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        net::UnixDatagram::bind(path).map(Self::from)
    }

    /// A socket without a name.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn unbound() -> io::Result<Self> {
        net::UnixDatagram::unbound().map(Self::from)
    }

    /// Two sockets that are connected to one another.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = net::UnixDatagram::pair()?;
        Ok((one.into(), other.into()))
    }

    /// Where [`send`](Self::send) sends to, and where alone is received from.
    ///
    /// # Errors
    /// `NotFound`, `ConnectionRefused` when nobody has the socket any more.
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.socket.std().connect(path)
    }

    /// Waits for a message; gives its length.
    ///
    /// # Errors
    /// `TimedOut` at the read timeout.
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket
            .when(Interest::Readable, |std| sys::receive(std, buf))
    }

    /// As [`recv`](Self::recv), with the address of the sender.
    ///
    /// # Errors
    /// `TimedOut` at the read timeout.
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.when(Interest::Readable, |std| {
            let (length, from) = sys::receive_from(std, buf, false)?;
            Ok((length, unix_address(from)?))
        })
    }

    /// Sends a message to the other side.
    ///
    /// # Errors
    /// `TimedOut` at the write timeout; `NotConnected`; `ConnectionRefused` when nobody is there
    /// any more.
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.socket
            .when(Interest::Writable, |std| sys::send(std, buf))
    }

    /// Sends a message to the socket at `path`. While its queue is full, it is asked again every few
    /// milliseconds, at most 50: the kernel tells of free space only for the socket that one is connected
    /// to.
    ///
    /// # Errors
    /// `TimedOut` at the write timeout; `NotFound`, `ConnectionRefused`.
    pub fn send_to<P: AsRef<Path>>(&self, buf: &[u8], path: P) -> io::Result<usize> {
        let to = SockAddr::unix(path)?;
        self.socket.when_taken(|std| sys::send_to(std, buf, &to))
    }

    /// Ends one or both directions.
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.std().shutdown(how)
    }

    /// The address of this side; it has no name unless it was bound.
    ///
    /// # Errors
    /// Whatever the kernel reports.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.std().local_addr()
    }

    /// The address of the other side.
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.std().peer_addr()
    }
}

/// An address as std has it: a path, an abstract name, or neither.
fn unix_address(from: Option<SocketAddrAny>) -> io::Result<SocketAddr> {
    let from = from.and_then(|from| SocketAddrUnix::try_from(from).ok());
    if let Some(name) = from.as_ref().and_then(SocketAddrUnix::abstract_name) {
        return SocketAddr::from_abstract_name(name);
    }
    let path = from.as_ref().and_then(SocketAddrUnix::path);
    let path = path
        .as_deref()
        .map(|path| OsStr::from_bytes(path.to_bytes()));
    SocketAddr::from_pathname(path.unwrap_or_default())
}
