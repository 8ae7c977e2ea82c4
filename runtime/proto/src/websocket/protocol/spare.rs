//! Compressors and decompressors between two messages.
//!
//! Making one costs more than a short message is worth: a compressor has some 330 KB to be
//! cleared. Without context takeover none belongs to a socket for longer than a message, so the
//! sockets of a thread share a few. They are values that are taken out and put back; nothing is
//! borrowed from the thread while a handler waits.

use flate2::{Compress, Compression, Decompress};
use std::cell::RefCell;

/// So many of each kind are kept for each thread.
const MOST: usize = 2;

#[derive(Default)]
struct Spares {
    compressors: Vec<Compressor>,
    decompressors: Vec<Decompressor>,
}

thread_local! {
    static SPARES: RefCell<Spares> = RefCell::default();
}

/// A compressor, and what it was made for.
#[derive(Debug)]
pub(super) struct Compressor {
    bits: u8,
    level: u32,
    pub(super) inner: Compress,
}

impl Compressor {
    /// One without context.
    pub(super) fn take(bits: u8, level: u32) -> Self {
        let spare = SPARES.with_borrow_mut(|spares| {
            let fits = |spare: &Self| (spare.bits, spare.level) == (bits, level);
            take(&mut spares.compressors, fits)
        });
        spare.unwrap_or_else(|| Self {
            bits,
            level,
            inner: Compress::new_with_window_bits(Compression::new(level), false, bits),
        })
    }

    pub(super) fn put_back(mut self) {
        self.inner.reset();
        SPARES.with_borrow_mut(|spares| put(&mut spares.compressors, self));
    }
}

/// A decompressor, and what it was made for.
#[derive(Debug)]
pub(super) struct Decompressor {
    bits: u8,
    pub(super) inner: Decompress,
}

impl Decompressor {
    /// One without context.
    pub(super) fn take(bits: u8) -> Self {
        let spare = SPARES.with_borrow_mut(|spares| {
            take(&mut spares.decompressors, |spare: &Self| spare.bits == bits)
        });
        spare.unwrap_or_else(|| Self {
            bits,
            inner: Decompress::new_with_window_bits(false, bits),
        })
    }

    pub(super) fn put_back(mut self) {
        self.inner.reset(false);
        SPARES.with_borrow_mut(|spares| put(&mut spares.decompressors, self));
    }
}

fn take<T>(spares: &mut Vec<T>, fits: impl FnMut(&T) -> bool) -> Option<T> {
    let at = spares.iter().position(fits)?;
    Some(spares.swap_remove(at))
}

/// Keeps the latest: what was asked for last is asked for next.
fn put<T>(spares: &mut Vec<T>, spare: T) {
    if spares.len() == MOST {
        spares.remove(0);
    }
    spares.push(spare);
}
