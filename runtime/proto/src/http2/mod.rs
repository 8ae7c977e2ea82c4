//! What HTTP/2 (RFC 9113) needs besides frames, header compression and flow control.
//!
//! Frames are the crate `h2`'s. Here is what that cannot know: how a request looks to an
//! application that was written for HTTP/1 ([`request_head`]), and what a peer may do that is
//! allowed frame by frame and wears the server out in sum ([`FrameWatch`]).
//!
//! What must stay true: an application cannot tell from a request's head by which version it has
//! come, but for the version itself. All limits of HTTP/1 hold.

mod head;
mod response;
mod watch;

pub use self::head::{Fields, read_again, request_head};
pub use self::response::{interim_fields, response_fields};
pub use self::watch::{FrameWatch, Misuse};

/// What a client sends first (RFC 9113 section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
