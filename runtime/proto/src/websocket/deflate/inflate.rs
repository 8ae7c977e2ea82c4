//! Compressed messages as they arrive (RFC 7692 section 7.2.2).

use flate2::{FlushDecompress, Status};

use super::pool::{Decompressor, LendPool};
use super::{DeflateParameters, MIN_WINDOW_BITS};
use crate::websocket::Role;
use crate::websocket::failure::Failure;

/// What a sender takes off the end of each message: the end of an empty block.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// An empty block that is the last one.
const LAST_BLOCK: [u8; 5] = [0x01, 0x00, 0x00, 0xff, 0xff];

/// Inflates the peer's messages.
#[derive(Debug)]
pub(crate) struct Inflater {
    state: Option<Decompressor>,
    pool: Option<LendPool>,
    bits: u8,
    /// Whether the context of one message is needed for the next one.
    takeover: bool,
    /// Whether the data of this message end, so far, with a final block (RFC 1951: BFINAL).
    over: bool,
}

impl Inflater {
    pub(crate) fn new(role: Role, deflate: &DeflateParameters) -> Self {
        let (bits, reset) = match role {
            Role::Server => (deflate.client_bits, deflate.client_no_context_takeover),
            Role::Client => (deflate.server_bits, deflate.server_no_context_takeover),
        };
        Self {
            state: None,
            pool: None,
            // A larger window does no harm, and zlib has none for 8 bits.
            bits: bits.max(MIN_WINDOW_BITS),
            takeover: !reset,
            over: false,
        }
    }

    pub(crate) fn set_pool(&mut self, pool: LendPool) {
        self.pool = Some(pool);
    }

    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.state.is_none()
    }

    /// Inflates the next piece of a message behind `out`, which gets no longer than one chunk
    /// beyond `limit` before the message is refused. `check` sees what `out` holds, up to the
    /// limit, each time that it has grown.
    pub(crate) fn push(
        &mut self,
        piece: &[u8],
        ends: bool,
        out: &mut Vec<u8>,
        limit: usize,
        mut check: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (pool, bits) = (self.pool, self.bits);
        let state = self
            .state
            .get_or_insert_with(|| Decompressor::take(pool, bits));
        let mut feed = |input: &[u8]| inflate(state, input, out, limit, &mut check);
        if !piece.is_empty() {
            self.over = feed(piece)?;
        }
        if !ends {
            return Ok(());
        }
        let over = std::mem::take(&mut self.over);
        if !over {
            feed(&TAIL)?;
        }
        if self.takeover {
            return Ok(());
        }
        // Data that were cut off inside a block show here: to them, this is no final block but more
        // data, and whatever they make of it (too big a message, even) is none of the peer's.
        if !over && feed(&LAST_BLOCK) != Ok(true) {
            return Err(malformed());
        }
        if let Some(state) = self.state.take() {
            state.put_back(self.pool);
        }
        Ok(())
    }
}

/// Gives whether the input, which is not empty, ends with a final block.
fn inflate(
    state: &mut Decompressor,
    mut input: &[u8],
    out: &mut Vec<u8>,
    limit: usize,
    check: &mut impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    let mut over = false;
    loop {
        if out.len() == out.capacity() {
            // Most text becomes three to ten times as long. One byte over the limit tells.
            let likely = out.len().max(input.len().saturating_mul(4)).max(128);
            out.reserve_exact(likely.min(limit + 1 - out.len()));
        }
        let (consumed, produced) = (state.inner.total_in(), out.len());
        let status = state
            .inner
            .decompress_vec(input, out, FlushDecompress::None);
        // Cannot truncate: it is at most the length of the input.
        let consumed = (state.inner.total_in() - consumed) as usize;
        input = &input[consumed..];
        check(&out[..out.len().min(limit)])?;
        if out.len() > limit {
            return Err(Failure::too_big("message too big"));
        }
        let full = out.len() == out.capacity();
        match status {
            Err(_) => return Err(malformed()),
            // A sender may end the stream with each message (RFC 7692 section 7.2.3.4).
            Ok(Status::StreamEnd) => {
                state.inner.reset(false);
                over = true;
            }
            Ok(_) if consumed > 0 || out.len() > produced => over = false,
            Ok(_) if input.is_empty() || full => {}
            Ok(_) => return Err(malformed()),
        }
        if input.is_empty() && !full {
            return Ok(over);
        }
    }
}

fn malformed() -> Failure {
    Failure::data("compressed data are malformed")
}
