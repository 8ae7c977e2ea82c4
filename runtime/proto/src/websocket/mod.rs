//! WebSocket without I/O (RFC 6455, RFC 7692): the handshake, frames and messages.

pub mod handshake;
pub mod message;
pub mod protocol;
