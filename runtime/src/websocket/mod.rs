//! WebSockets (RFC 6455): the primer's last chapter.

mod client;
mod encoded;
mod error;
pub(crate) mod handshake;
mod heart;
mod message;
mod options;
mod outbox;
pub(crate) mod protocol;
mod sender;
mod shared;
mod socket;
mod sockets;
mod spare;

pub use self::client::{ConnectError, connect};
pub use self::encoded::Encoded;
pub use self::error::{ErrorKind, WebSocketError};
pub use self::handshake::Origins;
pub use self::message::{CloseCode, CloseFrame, Message};
pub use self::options::{Options, Upgrade};
pub use self::protocol::Deflate;
pub use self::sender::{Pieces, Sender, ToSend};
pub use self::socket::{Messages, Receiver, WebSocket};
pub(crate) use self::sockets::{Closed, Sockets};
