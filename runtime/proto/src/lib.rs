//! HTTP/1 and WebSocket as state machines over bytes.
//!
//! Everything that knows a wire format lives in this crate. It takes buffers and says what it
//! found in them; it does no I/O, looks at no clock and starts no thread, so that the server, its
//! tests and a fuzzer share one and the same protocol.

#![forbid(unsafe_code)]

pub mod http1;
pub mod websocket;
