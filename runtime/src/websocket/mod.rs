//! WebSockets (RFC 6455): the primer's last chapter.

// The sockets that stand on these are still to come.
#![allow(dead_code, unused_imports)]

mod encoded;
pub(crate) mod handshake;
mod message;
pub(crate) mod protocol;

pub use self::encoded::Encoded;
pub use self::handshake::Origins;
pub use self::message::{CloseCode, CloseFrame, Message};
pub use self::protocol::Deflate;
