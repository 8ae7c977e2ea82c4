//! The whole connection without a socket.
//!
//! What the sockets' timing decides on a network is decided here by a generator: how a stream is
//! cut into reads, how much of a response is taken at a time, where the client leaves.

mod corpus;
mod memory;
mod properties;
mod table;
