//! [`UdpSocket`].

use super::dns::{ToSocketAddrs, addresses};
use super::methods::{plumbing, timeouts};
use super::socket::Socket;
use crate::sys::{self, Interest};
use socket2::SockAddr;
use std::fmt;
use std::io;
use std::net::{self, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// A UDP socket, with the methods of [`std::net::UdpSocket`].
///
/// A message arrives whole or not at all, and one that does not fit into the buffer is cut. Who
/// waits for an answer that may be lost needs a time limit.
///
/// ```
/// use greenway_green::net::UdpSocket;
/// use std::time::Duration;
///
/// let (one, other) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
/// other.set_read_timeout(Some(Duration::from_secs(5)))?;
/// one.send_to(b"hello", other.local_addr()?)?;
/// let mut text = [0; 16];
/// let (length, sender) = other.recv_from(&mut text)?;
/// assert_eq!((&text[..length], sender), (&b"hello"[..], one.local_addr()?));
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct UdpSocket {
    socket: Socket<net::UdpSocket>,
}

plumbing!(UdpSocket, net::UdpSocket);
timeouts!(UdpSocket);

impl UdpSocket {
    /// A socket at the first of the addresses that can be had; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// When none can be had; or why the name is not known.
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Self> {
        let addrs = addresses(&addr, None)?;
        net::UdpSocket::bind(&addrs[..]).map(Self::from)
    }

    /// Where [`send`](Self::send) sends to, and where alone is received from. Nothing is sent yet.
    ///
    /// # Errors
    /// When there is no way to any of the addresses; or why the name is not known.
    pub fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        let addrs = addresses(&addr, None)?;
        self.socket.std().connect(&addrs[..])
    }

    /// Waits for a message; gives its length and where it came from.
    ///
    /// # Errors
    /// `TimedOut` at the read timeout.
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket
            .when(Interest::Readable, |std| received(std, buf, false))
    }

    /// As [`recv_from`](Self::recv_from), without taking it.
    ///
    /// # Errors
    /// `TimedOut` at the read timeout.
    pub fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket
            .when(Interest::Readable, |std| received(std, buf, true))
    }

    /// Sends a message to the first of the addresses.
    ///
    /// # Errors
    /// When it is too long (about 64 KiB) or cannot be sent there; or why the name is not known.
    pub fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], addr: A) -> io::Result<usize> {
        let addrs = addresses(&addr, None)?;
        let Some(addr) = addrs.first() else {
            let why = "no address to send to";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        };
        let addr = SockAddr::from(*addr);
        self.socket
            .when(Interest::Writable, |std| sys::send_to(std, buf, &addr))
    }

    /// As [`recv_from`](Self::recv_from), from whom the socket is connected to.
    ///
    /// # Errors
    /// `TimedOut` at the read timeout; `ConnectionRefused` when the machine there has said that
    /// nobody has the port.
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket
            .when(Interest::Readable, |std| sys::receive(std, buf))
    }

    /// As [`recv`](Self::recv), without taking it.
    ///
    /// # Errors
    /// As `recv`.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket
            .when(Interest::Readable, |std| sys::peek(std, buf))
    }

    /// Sends a message to whom the socket is connected to.
    ///
    /// # Errors
    /// `ConnectionRefused` when the machine there has said of an earlier one that nobody has the
    /// port; when it is too long.
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.socket
            .when(Interest::Writable, |std| sys::send(std, buf))
    }

    /// The address that it is connected to.
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.std().peer_addr()
    }
}

/// Receives a message, and tells where it came from; with `peek`, it stays.
fn received(std: &net::UdpSocket, buf: &mut [u8], peek: bool) -> io::Result<(usize, SocketAddr)> {
    let (length, from) = sys::receive_from(std, buf, peek)?;
    let from = from.and_then(|from| SocketAddr::try_from(from).ok());
    let unknown = || io::Error::other("a datagram without an address");
    Ok((length, from.ok_or_else(unknown)?))
}

/// Those that only pass on what std does.
macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $Type:ty),*) -> $Result:ty;)*) => {
        impl UdpSocket {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// Whatever the kernel reports.
            pub fn $name(&self, $($argument: $Type),*) -> io::Result<$Result> {
                self.socket.std().$name($($argument),*)
            }
        )*}
    };
}

settings! {
    /// The address of this side.
    local_addr() -> SocketAddr;
    /// Whether messages may go to broadcast addresses.
    set_broadcast(broadcast: bool) -> ();
    /// Whether messages may go to broadcast addresses.
    broadcast() -> bool;
    /// The most routers that a message may pass.
    set_ttl(ttl: u32) -> ();
    /// The most routers that a message may pass.
    ttl() -> u32;
    /// Whether what is sent to a group of IPv4 comes back to this machine.
    set_multicast_loop_v4(back: bool) -> ();
    /// Whether what is sent to a group of IPv4 comes back to this machine.
    multicast_loop_v4() -> bool;
    /// The most routers that a message to a group of IPv4 may pass.
    set_multicast_ttl_v4(ttl: u32) -> ();
    /// The most routers that a message to a group of IPv4 may pass.
    multicast_ttl_v4() -> u32;
    /// Whether what is sent to a group of IPv6 comes back to this machine.
    set_multicast_loop_v6(back: bool) -> ();
    /// Whether what is sent to a group of IPv6 comes back to this machine.
    multicast_loop_v6() -> bool;
    /// Joins a group, on the interface with this address.
    join_multicast_v4(group: &Ipv4Addr, interface: &Ipv4Addr) -> ();
    /// Joins a group, on the interface with this number.
    join_multicast_v6(group: &Ipv6Addr, interface: u32) -> ();
    /// Leaves a group.
    leave_multicast_v4(group: &Ipv4Addr, interface: &Ipv4Addr) -> ();
    /// Leaves a group.
    leave_multicast_v6(group: &Ipv6Addr, interface: u32) -> ();
}
