//! Brotli (RFC 7932).

use std::io::Write;

use brotli::CompressorWriter;

use super::whole;
use crate::{BodyEncoder, BodyError, Bytes};

/// Compresses better than gzip in about the same time; the highest, 11, takes fifty times as long.
const QUALITY: u32 = 5;

/// The window in bits: 256 KiB, as more of it is memory for each response.
const WINDOW: u32 = 18;

/// The most bytes of a meta-block that is not compressed and has the shortest header.
const STORED: usize = 1 << 16;

pub(super) struct Brotli {
    writer: Option<CompressorWriter<Vec<u8>>>,
    flush: bool,
    begun: bool,
}

impl Brotli {
    pub(super) fn new(flush: bool) -> Self {
        Self {
            writer: Some(CompressorWriter::new(Vec::new(), 4096, QUALITY, WINDOW)),
            flush,
            begun: false,
        }
    }
}

impl BodyEncoder for Brotli {
    fn encode(&mut self, chunk: Bytes) -> Result<Bytes, BodyError> {
        let Some(writer) = &mut self.writer else {
            return Ok(Bytes::new());
        };
        self.begun = true;
        writer.write_all(&chunk)?;
        if self.flush {
            writer.flush()?;
        }
        Ok(std::mem::take(writer.get_mut()).into())
    }

    fn finish(&mut self) -> Result<Bytes, BodyError> {
        let writer = self.writer.take();
        Ok(writer
            .map_or_else(Vec::new, CompressorWriter::into_inner)
            .into())
    }

    fn farewell(&mut self, last: &[u8]) -> Option<Bytes> {
        if !self.flush {
            return None;
        }
        if !self.begun {
            return whole(&mut Self::new(false), &Bytes::copy_from_slice(last)).ok();
        }
        // Meta-blocks that are not compressed (RFC 7932, 9.2): after a flush they begin at a byte.
        let mut out = Vec::new();
        for block in last.chunks(STORED) {
            // Not the last, four digits of length, the length less one, not compressed. 16 bits
            // are enough for the length.
            let length = u32::try_from(block.len() - 1).unwrap_or_default();
            let head = (length << 3) | (1 << 19);
            out.extend_from_slice(&head.to_le_bytes()[..3]);
            out.extend_from_slice(block);
        }
        out.push(0b11); // the last, and empty
        Some(out.into())
    }
}
