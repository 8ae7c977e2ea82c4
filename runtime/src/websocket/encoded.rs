//! A message for many peers.

use super::pool;
use bytes::Bytes;
use std::fmt;
use std::sync::OnceLock;

use greenway_proto::websocket::Message;
use greenway_proto::websocket::{
    DeflateParameters, Encoder, MAX_WINDOW_BITS, MIN_WINDOW_BITS, Role,
};

/// A message that is encoded once for all the sockets it goes to.
///
/// Servers do not mask, so the frame is the same for every client; only those that agreed on
/// compression get another one, made when the first of them asks. Clients that keep a compression
/// context from message to message get the frame without compression: a shared frame cannot fit
/// the context of each.
///
/// ```
/// use greenway::websocket::Encoded;
///
/// let news = Encoded::new("to all");
/// assert_eq!(news.message().as_text(), Some("to all"));
/// ```
pub struct Encoded {
    message: Message,
    plain: OnceLock<Bytes>,
    /// By window bits, the smallest first.
    deflated: [OnceLock<Bytes>; (MAX_WINDOW_BITS - MIN_WINDOW_BITS + 1) as usize],
}

impl Encoded {
    /// Nothing is encoded yet.
    #[must_use]
    pub fn new(message: impl Into<Message>) -> Self {
        Self {
            message: message.into(),
            plain: OnceLock::new(),
            deflated: [const { OnceLock::new() }; (MAX_WINDOW_BITS - MIN_WINDOW_BITS + 1) as usize],
        }
    }

    /// What was to be sent.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The frame for a client with whom this was agreed. Cheap after the first call.
    pub(crate) fn frame(&self, deflate: Option<&DeflateParameters>) -> &Bytes {
        let shared = deflate.filter(|deflate| {
            deflate.server_no_context_takeover && self.message.len() >= deflate.threshold
        });
        let slot = match shared {
            Some(deflate) => &self.deflated[usize::from(deflate.server_bits - MIN_WINDOW_BITS)],
            None => &self.plain,
        };
        slot.get_or_init(|| {
            let mut out = Vec::new();
            Encoder::new(Role::Server, shared)
                .with_pool(pool::lend)
                .message(&self.message, &mut out);
            out.into()
        })
    }
}

impl<M: Into<Message>> From<M> for Encoded {
    fn from(message: M) -> Self {
        Self::new(message)
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoded")
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}
