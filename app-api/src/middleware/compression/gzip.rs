//! gzip (RFC 1952) around raw deflate (RFC 1951). The frame is written here, since only so can the
//! end of a stream be foretold: deflate's own state cannot be copied, but a flushed stream goes on
//! with bytes that are not compressed just as well.

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use crate::{BodyEncoder, BodyError, Bytes};

/// No name, no time, an unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// The most bytes of a block that is not compressed.
const STORED: usize = 0xffff;

pub(super) struct Gzip {
    deflate: Compress,
    sum: Crc,
    flush: bool,
    begun: bool,
}

impl Gzip {
    pub(super) fn new(flush: bool) -> Self {
        Self {
            deflate: Compress::new(Compression::default(), false),
            sum: Crc::new(),
            flush,
            begun: false,
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            out.extend_from_slice(&HEADER);
        }
    }

    fn deflate(
        &mut self,
        mut bytes: &[u8],
        flush: FlushCompress,
        out: &mut Vec<u8>,
    ) -> Result<(), BodyError> {
        loop {
            // Room for the mark of a flush, which would be repeated if it did not fit.
            out.reserve(64 + bytes.len() / 2);
            let before = self.deflate.total_in();
            let status = self.deflate.compress_vec(bytes, out, flush)?;
            let taken = self.deflate.total_in() - before;
            bytes = &bytes[usize::try_from(taken).unwrap_or(bytes.len())..];
            let has_room = out.len() < out.capacity();
            match status {
                Status::StreamEnd => return Ok(()),
                Status::BufError if has_room => return Ok(()),
                Status::Ok if has_room && bytes.is_empty() && flush != FlushCompress::Finish => {
                    return Ok(());
                }
                _ => {}
            }
        }
    }
}

fn trailer(sum: &Crc, out: &mut Vec<u8>) {
    out.extend_from_slice(&sum.sum().to_le_bytes());
    out.extend_from_slice(&sum.amount().to_le_bytes());
}

impl BodyEncoder for Gzip {
    fn encode(&mut self, chunk: Bytes) -> Result<Bytes, BodyError> {
        let mut out = Vec::new();
        self.begin(&mut out);
        self.sum.update(&chunk);
        let flush = if self.flush {
            FlushCompress::Sync
        } else {
            FlushCompress::None
        };
        self.deflate(&chunk, flush, &mut out)?;
        Ok(out.into())
    }

    fn finish(&mut self) -> Result<Bytes, BodyError> {
        let mut out = Vec::new();
        self.begin(&mut out);
        self.deflate(&[], FlushCompress::Finish, &mut out)?;
        trailer(&self.sum, &mut out);
        Ok(out.into())
    }

    fn farewell(&mut self, last: &[u8]) -> Option<Bytes> {
        if !self.flush {
            return None;
        }
        let mut out = Vec::new();
        if !self.begun {
            out.extend_from_slice(&HEADER);
        }
        // Blocks that are not compressed (RFC 1951, 3.2.4): after a flush they begin at a byte.
        let mut rest = last;
        loop {
            let block;
            (block, rest) = rest.split_at(rest.len().min(STORED));
            // `STORED` fits.
            let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
            out.push(u8::from(rest.is_empty()));
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(&(!length).to_le_bytes());
            out.extend_from_slice(block);
            if rest.is_empty() {
                break;
            }
        }
        let mut sum = Crc::new();
        sum.combine(&self.sum);
        sum.update(last);
        trailer(&sum, &mut out);
        Some(out.into())
    }
}
