//! Messages on their way out are compressed (RFC 7692 section 7.2.1).

use flate2::FlushCompress;

use super::pool::{Compressor, LendPool};
use super::{DeflateParameters, MIN_WINDOW_BITS};
use crate::websocket::Role;

/// Compresses our messages.
#[derive(Debug)]
pub(crate) struct Deflater {
    state: Option<Compressor>,
    pool: Option<LendPool>,
    bits: u8,
    level: u32,
    takeover: bool,
    threshold: usize,
}

impl Deflater {
    /// `None` if the peer asked for a window that is too small to compress with; a sender need
    /// not compress.
    pub(crate) fn new(role: Role, deflate: &DeflateParameters) -> Option<Self> {
        let (bits, reset) = match role {
            Role::Server => (deflate.server_bits, deflate.server_no_context_takeover),
            Role::Client => (deflate.client_bits, deflate.client_no_context_takeover),
        };
        (bits >= MIN_WINDOW_BITS).then_some(Self {
            state: None,
            pool: None,
            bits,
            level: deflate.level,
            takeover: !reset,
            threshold: deflate.threshold,
        })
    }

    pub(crate) fn set_pool(&mut self, pool: LendPool) {
        self.pool = Some(pool);
    }

    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.state.is_none()
    }

    /// Whether a message of this length is compressed.
    pub(crate) fn is_worth(&self, length: usize) -> bool {
        length >= self.threshold
    }

    /// Whether a message may be sent as it is after it was compressed: later messages must not
    /// refer to what the peer has not inflated.
    pub(crate) fn may_be_discarded(&self) -> bool {
        !self.takeover
    }

    /// Compresses the next piece of a message behind `out`, all of it, so that the peer can
    /// inflate it at once.
    pub(crate) fn push(&mut self, mut piece: &[u8], last: bool, out: &mut Vec<u8>) {
        let (pool, bits, level) = (self.pool, self.bits, self.level);
        let state = self
            .state
            .get_or_insert_with(|| Compressor::take(pool, bits, level));
        let start = out.len();
        loop {
            out.reserve(piece.len() / 4 + 64);
            let before = state.inner.total_in();
            state
                .inner
                .compress_vec(piece, out, FlushCompress::Sync)
                .expect("the state is never finished, so every input fits it");
            // Cannot truncate: it is at most the length of the piece.
            piece = &piece[(state.inner.total_in() - before) as usize..];
            if piece.is_empty() && out.len() < out.capacity() {
                break;
            }
        }
        if !last {
            return;
        }
        // RFC 7692 section 7.2.1: the end of the empty block that flushing adds is left out. After
        // nothing but flushed pieces there is no such block, and its start has to be made.
        match out[start..].strip_suffix(&[0x00, 0x00, 0xff, 0xff]) {
            Some(rest) => out.truncate(start + rest.len()),
            None => out.push(0x00),
        }
        if !self.takeover
            && let Some(state) = self.state.take()
        {
            state.put_back(self.pool);
        }
    }
}
