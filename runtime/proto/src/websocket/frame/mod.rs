//! Frames (RFC 6455 section 5): off the wire and onto it.
//!
//! `tungstenite` gives the header of a frame, its opcodes and its bytes for the way out. Reading is
//! written here, because `tungstenite` reads whole frames from a stream that it owns; a server has
//! bytes as they come, wants to refuse a frame by its header or in its middle, and keeps no buffer
//! for a connection on which nothing happens. Masking is written here because theirs is private
//! and for whole frames.

mod encode;
mod mask;
mod receive;

pub use self::encode::Encoder;
pub use self::receive::{Event, Limits, Receiver};
