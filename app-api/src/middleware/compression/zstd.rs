//! Zstandard (RFC 8878).

use std::io::{self, Write};

use zstd::stream::raw::CParameter;
use zstd::stream::write::Encoder;

use super::whole;
use crate::{BodyEncoder, BodyError, Bytes};

/// The library's own default.
const LEVEL: i32 = 3;

/// The window in bits: 256 KiB, as more of it is memory for each response.
const WINDOW: u32 = 18;

/// The most bytes of a block of any frame.
const STORED: usize = 64 * 1024;

pub(super) struct Zstd {
    writer: Option<Encoder<'static, Vec<u8>>>,
    flush: bool,
    begun: bool,
}

impl Zstd {
    pub(super) fn new(flush: bool) -> io::Result<Self> {
        let mut writer = Encoder::new(Vec::new(), LEVEL)?;
        writer.set_parameter(CParameter::WindowLog(WINDOW))?;
        Ok(Self {
            writer: Some(writer),
            flush,
            begun: false,
        })
    }
}

impl BodyEncoder for Zstd {
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
        match self.writer.take() {
            Some(writer) => Ok(writer.finish()?.into()),
            None => Ok(Bytes::new()),
        }
    }

    fn farewell(&mut self, last: &[u8]) -> Option<Bytes> {
        if !self.flush {
            return None;
        }
        if !self.begun {
            return whole(&mut Self::new(false).ok()?, &Bytes::copy_from_slice(last)).ok();
        }
        // Raw blocks (RFC 8878, 3.1.1.2), which follow any others.
        let mut out = Vec::new();
        let mut rest = last;
        loop {
            let block;
            (block, rest) = rest.split_at(rest.len().min(STORED));
            // The size, type 0, and whether it is the last. `STORED` fits.
            let size = u32::try_from(block.len()).unwrap_or_default();
            let head = (size << 3) | u32::from(rest.is_empty());
            out.extend_from_slice(&head.to_le_bytes()[..3]);
            out.extend_from_slice(block);
            if rest.is_empty() {
                return Some(out.into());
            }
        }
    }
}
