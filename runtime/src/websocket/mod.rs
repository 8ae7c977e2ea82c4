//! WebSockets (RFC 6455): the primer's last chapter.

mod client;
mod core;
mod encoded;
mod error;
mod frame_buffer;
mod heartbeat;
mod options;
mod outbox;
mod pool;
mod sender;
mod socket;

pub use self::client::{ConnectError, connect};
pub use self::encoded::Encoded;
pub use self::error::{ErrorKind, SocketError};

/// What the handler of a WebSocket may return as its error: `?` makes it of a [`SocketError`], as of
/// any other. The name of 0.1, whose handlers returned the socket's own error.
pub type WebSocketError = greenway_app::HttpError;

pub use self::options::{Options, Upgrade};
pub use self::sender::{Pieces, Sender, ToSend};
pub use self::socket::{Messages, Receiver, WebSocket};
pub use greenway_proto::websocket::Deflate;
pub use greenway_proto::websocket::Origins;
pub use greenway_proto::websocket::{CloseCode, CloseFrame, Message};
