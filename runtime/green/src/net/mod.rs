//! Sockets that wait as green threads do: `std::net` and `std::os::unix::net`, name by name.
//!
//! | For | there is |
//! |---|---|
//! | TCP | [`TcpStream`], [`TcpListener`] |
//! | UDP | [`UdpSocket`] |
//! | unix sockets | [`UnixStream`], [`UnixListener`], [`UnixDatagram`] |
//! | names | [`resolve`], [`resolve_timeout`], [`ToSocketAddrs`] |
//! | several at once | [`Ready`], [`readable`], [`writable`] |
//!
//! Types and methods are std's, with std's traits, so code that is generic over `Read + Write`
//! (TLS, WebSocket, HTTP and database clients) works over them. What differs:
//!
//! - A wait holds up nobody else of the worker. In an OS thread it blocks that thread, as std does.
//! - A wait ends when its thread is killed, an enclosing [`Timeout`](crate::Timeout) is over, the
//!   client has left or the server stops: the thread unwinds from it.
//! - A timeout of the socket's own is the error `TimedOut`, where std says `WouldBlock`.
//! - `connect` and `bind` look names up on OS threads, and `connect` tries the addresses side by
//!   side.
//! - [`From`] leads to std's type and back.
//!
//! A socket belongs to no worker: it may be sent to another thread, used from several at once, or
//! sit in an `Arc`.
//!
//! # Cost
//!
//! What need not wait is the plain system call. A wait in a green thread costs two more, to
//! enter the socket into its worker's epoll and to take it out, and one for the readiness of all
//! that became ready together. The connections that the server serves do not pay that: they stay
//! on their worker.

mod acceptor;
mod connect;
pub(crate) mod dns;
pub(crate) mod handle;
pub(crate) mod idle_poller;
mod methods;
mod ready;
mod socket;
mod stream;
mod tcp;
mod udp;
mod unix;

pub use acceptor::{Accepted, Listener, accept_now};
pub use dns::{ToSocketAddrs, resolve, resolve_timeout};

pub use ready::{Ready, readable, writable};
pub use stream::Stream;
pub use tcp::{TcpListener, TcpStream};
pub use udp::UdpSocket;
pub use unix::{UnixDatagram, UnixListener, UnixStream};
