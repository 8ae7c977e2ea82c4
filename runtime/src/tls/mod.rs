//! TLS for what is no HTTP: sockets that speak it, for handlers and green threads.
//!
//! What [`Server`](crate::Server) serves has TLS by its flag `--certfile`, and needs nothing of this.
//! Here are [`Connector`], with which a handler connects to somebody else's server (and a WebSocket
//! to a `wss:` address), and [`Acceptor`], for a server of one's own on a
//! [`TcpListener`](crate::green::net::TcpListener). Both give a [`TlsStream`], which is `Read` and
//! `Write` and waits as everything here waits.
//!
//! Only with the feature `tls` of this crate. It is the crate `rustls` with the crypto of `ring`.
//!
//! # Implementation
//!
//! A server's connections have a session of their own kind below them, which keeps no buffers while
//! it is idle (`session`, `socket`, `handshake`, `line`); its certificates and what it remembers are
//! in `server` (`files`, `certificate`, `tickets`, `reload`, `info`).

mod acceptor;
mod certificate;
mod connector;
mod files;
mod handshake;
mod info;
mod line;
mod reload;
mod server;
mod session;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
mod tickets;

pub use acceptor::Acceptor;
pub use connector::Connector;
pub use stream::TlsStream;

pub(crate) use connector::server_name;
pub(crate) use files::Pair;
pub(crate) use handshake::{HandshakeError, accept, connect};
pub(crate) use info::info_of;
pub(crate) use server::{ClientCertificates, Oldest, Reloaded, ServerTls, Wanted};
pub(crate) use socket::{TlsHandle, TlsSocket};
