//! HTTP/1 without I/O: requests out of bytes, and responses into bytes (RFC 9110, RFC 9112).
//!
//! Everything that decides where one message ends and the next one begins
//! lives in this module and nowhere else. The crate's documentation has an example.
//!
//! # What is where
//!
//! | File | Job |
//! |---|---|
//! | `head` | a request head off the front of a buffer, with limits |
//! | `target` | the four forms of a request target, and what may stand in `Host` |
//! | `fields` | the fields that a server must understand: framing, persistence, expectations |
//! | `decode` | where the body is: by length or by chunks |
//! | `encode` | how a response is framed, and its head as bytes |
//! | `exchange` | where a connection is, as a table: which request, which response, what next |
//! | `date` | `Server` and `Date`, formatted once a second |
//! | `line` | lines that end in CRLF, and the character classes |
//! | `response_head` | a response's head off the front of a buffer, for clients |
//! | `reject` | the one error: the status to answer with, and the reason |
//!
//! # One exchange
//!
//! ```text
//!   bytes --> HeadReader::read --None--> (read more bytes)
//!                  |
//!             RequestHead ---- body: BodyLength ----> Decoder::next
//!                  |                                   |  Data(n)  -> take n bytes
//!             the application answers                  |  NeedMore -> read more bytes
//!                  |                                   |  End      -> the next head follows
//!             plan --> write_head --> body bytes, framed as `Framing` says
//! ```
//!
//! # What must stay true
//!
//! 1. **One reading.** Whoever stands in front of us (a proxy, a cache) must
//!    find the same message boundaries in the same bytes. Input that two honest
//!    parsers could read in two ways is refused and the connection closed,
//!    never repaired (RFC 9112 section 11.2).
//! 2. **The same answer however the bytes arrive.** What is found depends on
//!    the stream alone, not on how it was cut into reads. A property test
//!    holds every file of this module to it.
//! 3. **Nothing unbounded.** Each line, each count and each sum has a limit,
//!    and a limit is noticed before the bytes beyond it are asked for.
//! 4. **Linear cost.** A head or a chunk line that arrives byte by byte costs
//!    as many steps as it has bytes, give or take a constant factor.

pub(crate) mod date;
mod decode;
pub(crate) mod encode;
pub mod exchange;
pub(crate) mod fields;
mod head;
pub(crate) mod line;
mod reject;
mod response_head;
pub(crate) mod target;

#[cfg(test)]
mod tests;

pub use self::date::{Date, DateCache};
pub use self::decode::{Decoder, Step};
pub use self::encode::{
    CHUNK_END, CONTINUE, ChunkHead, Framing, LAST_CHUNK, LengthMismatch, Plan, RequestInfo,
    chunk_head, error_response, plan, write_head, write_interim,
};
pub use self::fields::BodyLength;
pub use self::head::{HeadLimits, HeadReader, RequestHead};
pub(crate) use self::line::is_token;
pub use self::reject::Reject;
pub use self::response_head::ResponseHead;
