//! HTTP/2 (RFC 9113): many exchanges at once on one connection, for the same handlers.
//!
//! Frames, header compression and flow control are the crate `h2`'s, whose state machine is driven
//! by one green thread for each connection ([`serve`]): a waker is a wake of that thread, and what
//! it reads and writes is the connection's own transport. Each request is an exchange of a
//! [`Connection`](crate::connection::Connection) of its own, whose transport is the stream
//! ([`RequestStream`]). So all that HTTP/1 does for a request (the application's call, clocks, error pages,
//! departures, logs, counters) is done by the same code.
//!
//! What must stay true:
//! - The connection's thread never waits for a handler, and never runs one.
//! - Whatever a peer does, a connection holds bounded memory: streams, their windows in both
//!   directions, heads. What it does too much of ends the connection (GOAWAY with
//!   `ENHANCE_YOUR_CALM`).
//! - No more requests of a connection run at once than it may have streams, also when the client
//!   resets them as fast as it sends them (CVE-2023-44487).
//! - A connection ends after its last handler.

mod drive;
mod polled_io;
mod request;
mod running;
mod stream;
mod waiters;

pub(crate) use drive::serve;
pub(crate) use stream::RequestStream;
