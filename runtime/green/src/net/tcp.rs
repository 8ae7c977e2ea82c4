//! TCP: [`TcpStream`] and [`TcpListener`].

use super::connect;
use super::dns::ToSocketAddrs;
use super::methods::{listener, plumbing, stream, timeouts};
use super::socket::Socket;
use crate::scheduler::thread::deadline_in;
use crate::sys::{self, Interest};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{self, Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// A TCP connection, with the methods of [`std::net::TcpStream`].
///
/// Reads and writes wait for this thread alone. They end early when the thread is killed, its
/// [`Timeout`](crate::Timeout) is over, its client has left or its server stops; then
/// they unwind. See [the module](super) for what a wait costs.
///
/// `Read` and `Write` are there for `&TcpStream` too, so one green thread may read while another
/// writes, with an `Arc` around the stream or a clone for each.
///
/// ```
/// use greenway_green::net::{TcpListener, TcpStream};
/// use greenway_green::spawn;
/// use std::io::{Read, Write};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let addr = listener.local_addr()?;
/// let server = spawn(move || {
///     let (mut stream, _) = listener.accept()?;
///     stream.write_all(b"hello")
/// });
/// let mut text = String::new();
/// TcpStream::connect(addr)?.read_to_string(&mut text)?;
/// assert_eq!(text, "hello");
/// server.join().unwrap()?;
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct TcpStream {
    socket: Socket<net::TcpStream>,
}

plumbing!(TcpStream, net::TcpStream);
timeouts!(TcpStream);
stream!(TcpStream);

impl TcpStream {
    /// Connects to a [`SocketAddr`], a `(host, port)` or a `"host:port"`.
    ///
    /// A name is looked up (see [`resolve`](super::resolve)), and its addresses are tried as RFC
    /// 8305 says ("happy eyeballs"): IPv6 and IPv4 by turns, the next one when the last has failed
    /// or not answered for 250 ms; the first that answers wins, and the others are closed.
    ///
    /// Without a `Timeout` around it this may take as long as the kernel tries, two minutes and
    /// more.
    ///
    /// # Errors
    /// That of the first address that failed, with the address; or why the name is not known.
    pub fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        connect::tcp(&addr, None).map(Self::connected)
    }

    /// As [`connect`](Self::connect), within `timeout` altogether: the look-up and all attempts.
    ///
    /// # Errors
    /// `TimedOut`; otherwise as `connect`.
    pub fn connect_timeout<A: ToSocketAddrs>(addr: A, timeout: Duration) -> io::Result<Self> {
        connect::tcp(&addr, deadline_in(timeout)).map(Self::connected)
    }

    /// For a non-blocking one.
    fn connected(std: net::TcpStream) -> Self {
        Self {
            socket: Socket::new(std),
        }
    }

    /// Reads without taking, so that the next read gives the same.
    ///
    /// # Errors
    /// As a read.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket
            .when(Interest::Readable, |std| sys::peek(std, buf))
    }

    /// The address of the other side.
    ///
    /// # Errors
    /// `NotConnected` when the connection was reset.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.std().peer_addr()
    }

    /// The address of this side.
    ///
    /// # Errors
    /// Whatever the kernel reports.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.std().local_addr()
    }

    /// With `true`, the kernel does not hold small writes back for company (`TCP_NODELAY`).
    ///
    /// # Errors
    /// Whatever the kernel reports.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.std().set_nodelay(nodelay)
    }

    /// Whether [`set_nodelay`](Self::set_nodelay) is on.
    ///
    /// # Errors
    /// Whatever the kernel reports.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.socket.std().nodelay()
    }

    /// The most routers that a packet may pass.
    ///
    /// # Errors
    /// Whatever the kernel reports.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket.std().set_ttl(ttl)
    }

    /// The most routers that a packet may pass.
    ///
    /// # Errors
    /// Whatever the kernel reports.
    pub fn ttl(&self) -> io::Result<u32> {
        self.socket.std().ttl()
    }
}

/// Waits for TCP connections, with the methods of [`std::net::TcpListener`].
///
/// ```
/// use greenway_green::net::{TcpListener, TcpStream};
/// use std::time::Duration;
///
/// let listener = TcpListener::bind(("127.0.0.1", 0))?;
/// let early = listener.accept_timeout(Duration::from_millis(1)).unwrap_err();
/// assert_eq!(early.kind(), std::io::ErrorKind::TimedOut);
/// let client = TcpStream::connect(listener.local_addr()?)?;
/// let (_server, addr) = listener.accept()?;
/// assert_eq!(addr, client.local_addr()?);
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct TcpListener {
    socket: Socket<net::TcpListener>,
}

plumbing!(TcpListener, net::TcpListener);
listener!(TcpListener, TcpStream, net::TcpStream, SocketAddr);

impl TcpListener {
    /// Listens on the first of the addresses that can be had; port 0 lets the kernel choose. The
    /// kernel keeps up to 128 connections that nobody has accepted, as with std.
    ///
    /// # Errors
    /// When none can be had: in use, not of this machine, not permitted; or why the name is not
    /// known.
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        let addrs = super::dns::addresses(&addr, None)?;
        let std = net::TcpListener::bind(&addrs[..])?;
        Ok(Self {
            socket: Socket::take_over(std),
        })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// Whatever the kernel reports.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.std().local_addr()
    }

    /// The most routers that a packet may pass.
    ///
    /// # Errors
    /// Whatever the kernel reports.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket.std().set_ttl(ttl)
    }

    /// The most routers that a packet may pass.
    ///
    /// # Errors
    /// Whatever the kernel reports.
    pub fn ttl(&self) -> io::Result<u32> {
        self.socket.std().ttl()
    }
}
