//! WebSocket without I/O: bytes in, events out, and the way back (RFC 6455, RFC 7692).
//!
//! As with `http1`, everything that knows the wire format lives here and nowhere else, and it
//! knows no socket, no thread and no clock, so that server, client, tests and the fuzzer share
//! one and the same protocol.
//!
//! # What is where
//!
//! | File | Job |
//! |---|---|
//! | `receive` | [`Receiver`]: bytes off the wire become [`Event`]s, or a [`Failure`] |
//! | `encode` | [`Encoder`]: messages, pieces of messages and control frames become bytes |
//! | `deflate` | permessage-deflate: offers and answers, compressing and its bounds |
//! | `inflate` | the other way, and its bounds |
//! | `pool` | compressors that wait for the next message, shared by whom the caller likes |
//! | `extensions` | the grammar of `Sec-WebSocket-Extensions` |
//! | `mask` | masking, in bulk |
//!
//! # Use
//!
//! ```text
//!   bytes --> Receiver::next --None--> (read more bytes)
//!                 |  Message            to the application
//!                 |  Ping               Encoder::pong with the same payload
//!                 |  Pong               the peer lives
//!                 |  Close(frame)       Encoder::close with its code, then the connection ends
//!                 +- Err(Failure)       Encoder::close with the failure's code, then it ends
//! ```
//!
//! Receiver and encoder share nothing: one can wait for bytes while the other sends.
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
mod encode;
mod extensions;
mod inflate;
mod mask;
mod pool;
mod receive;

#[cfg(test)]
mod tests;

pub use self::deflate::Deflate;
pub use self::deflate::{MAX_BITS, MIN_BITS, Negotiated};
pub use self::encode::Encoder;
pub use self::extensions::{Extension, is_token, parse as parse_extensions};
pub use self::pool::{CompressorPool, LendPool};
pub use self::receive::{Event, Failure, Limits, Receiver};

/// Which end we are. It decides who masks: clients do, servers must not (RFC 6455 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Server,
    Client,
}

/// The most bytes of a control frame's payload (RFC 6455 section 5.5).
pub const MAX_CONTROL: usize = 125;
