//! WebSocket without I/O (RFC 6455, RFC 7692): bytes in, events out, and the way back.
//!
//! # What is where
//!
//! | Module | Job |
//! |---|---|
//! | [`handshake`] | a request becomes a WebSocket: the server's side and the client's |
//! | `frame` | [`Receiver`]: bytes become [`Event`]s, or a [`Failure`]; [`Encoder`]: messages become bytes |
//! | `deflate` | permessage-deflate: offers and answers, compressing and its bounds, the pool |
//! | `extensions` | the grammar of `Sec-WebSocket-Extensions` |
//! | `message` | [`Message`], [`CloseCode`] and [`CloseFrame`] |
//! | `failure` | [`Failure`]: the peer broke a rule |
//!
//! # The way of a connection
//!
//! ```text
//!   request --> handshake::server::accept --None--> an ordinary request
//!                 |  Err                 the response that says what is wrong
//!                 |  Accepted            101 with its headers, and then frames:
//!                 v
//!   bytes --> Receiver::next --None--> (read more bytes)
//!                 |  Message             to the application
//!                 |  Ping                Encoder::pong with the same payload
//!                 |  Pong                the peer lives
//!                 |  Close(frame)        Encoder::close with its code, then the connection ends
//!                 +- Err(Failure)        Encoder::close with the failure's code, then it ends
//! ```
//!
//! Receiver and encoder share nothing: one can wait for bytes while the other sends.
//!
//! ```
//! use bytes::BytesMut;
//! use greenway_proto::websocket::{Encoder, Event, Limits, Receiver, Role};
//!
//! // A client's "Hello", masked (RFC 6455 section 5.7).
//! let wire = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
//! let mut receiver = Receiver::new(Role::Server, Limits::default(), None);
//! let mut buf = BytesMut::from(&wire[..4]);
//! assert_eq!(receiver.next(&mut buf)?, None);
//! buf.extend_from_slice(&wire[4..]);
//! assert_eq!(receiver.next(&mut buf)?, Some(Event::Message("Hello".into())));
//!
//! let (mut encoder, mut out) = (Encoder::new(Role::Server, None), Vec::new());
//! encoder.message(&"Hello".into(), &mut out);
//! assert_eq!(out, b"\x81\x05Hello");
//! # Ok::<(), greenway_proto::websocket::Failure>(())
//! ```
//!
//! # What is `tungstenite`'s, and what is not
//!
//! From `tungstenite` come the handshake's keys, the headers of frames with their opcodes, and the
//! table of close codes; the tests use it as a second opinion. Its connection is not used: it owns
//! the stream, reads whole frames into a buffer that every connection keeps, and knows no
//! compression. `frame` and `deflate` say more.
//!
//! # What must stay true
//!
//! 1. **The same events however the bytes arrive.** What is found depends on the stream alone. A
//!    property test and the fuzzer hold it to that, failures included.
//! 2. **Nothing is allocated on a promise.** Limits are decided from the header, before a byte of
//!    the payload is buffered, and buffers grow with what has arrived. Inflating stops at the
//!    limit, however small the compressed bytes are.
//! 3. **Nothing is kept while nothing happens.** Between messages receiver and encoder own no
//!    buffer, and a compressor only where its context was asked for.
//! 4. **Bad bytes fail at once**, in the middle of a frame too, and the failure names the close
//!    code for the peer.

mod deflate;
mod extensions;
mod failure;
mod frame;
pub mod handshake;
mod message;

#[cfg(test)]
mod tests;

pub use self::deflate::{
    CompressorPool, Deflate, DeflateParameters, LendPool, MAX_WINDOW_BITS, MIN_WINDOW_BITS,
};
pub use self::extensions::{Extension, parse_extensions};
pub use self::failure::Failure;
pub use self::frame::{Encoder, Event, Limits, Receiver};
pub use self::handshake::Origins;
pub use self::message::{CloseCode, CloseFrame, Message, MessageKind};

/// Which end we are. It decides who masks: clients do, servers must not (RFC 6455 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The end that was connected to.
    Server,
    /// The end that has connected.
    Client,
}

/// The most bytes of a control frame's payload (RFC 6455 section 5.5).
pub const MAX_CONTROL: usize = 125;
