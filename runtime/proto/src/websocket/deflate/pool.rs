//! Compressors and decompressors between two messages.
//!
//! Making one costs more than a short message is worth: a compressor has some 330 KB to be
//! cleared. Without context takeover none belongs to a socket for longer than a message, so
//! sockets can share a few. Who owns the pool decides who shares: a server has one for each OS
//! thread, and lends it by a function. What is taken out is a value, so nothing of the pool is
//! borrowed while a handler waits.

use flate2::{Compress, Compression, Decompress};

/// So many of each kind are kept.
const MOST: usize = 2;

/// Compressors that wait for the next message, at most two for each direction: up to 660 KB for
/// compressing and 100 KB for inflating.
///
/// ```
/// use greenway_proto::websocket::{CompressorPool, Deflate, Encoder, Role};
/// use std::cell::RefCell;
///
/// thread_local!(static POOL: RefCell<CompressorPool> = RefCell::default());
///
/// fn lend(use_it: &mut dyn FnMut(&mut CompressorPool)) {
///     POOL.with_borrow_mut(|pool| use_it(pool));
/// }
///
/// let (agreed, _) = Deflate::new()
///     .accept(&greenway_proto::websocket::parse_extensions("permessage-deflate").unwrap())
///     .unwrap();
/// let mut out = Vec::new();
/// let mut encoder = Encoder::new(Role::Server, Some(&agreed)).with_pool(lend);
/// encoder.message(&"as short as possible ".repeat(20).into(), &mut out);
/// assert!(out.len() < 50);
/// ```
#[derive(Debug, Default)]
pub struct CompressorPool {
    compressors: Vec<Compressor>,
    decompressors: Vec<Decompressor>,
}

/// Calls its argument once, with the pool that is to be used here and now. A thread-local one is
/// lent this way; so encoders and receivers can move between threads, and use the pool of the
/// thread that they are on.
pub type LendPool = fn(&mut dyn FnMut(&mut CompressorPool));

/// A compressor, and what it was made for.
#[derive(Debug)]
pub(super) struct Compressor {
    bits: u8,
    level: u32,
    pub(super) inner: Compress,
}

impl Compressor {
    /// One without context, from the pool if it has one that fits.
    pub(super) fn take(pool: Option<LendPool>, bits: u8, level: u32) -> Self {
        let fits = |spare: &Self| (spare.bits, spare.level) == (bits, level);
        let mut spare = None;
        if let Some(lend) = pool {
            lend(&mut |pool| spare = take(&mut pool.compressors, fits));
        }
        spare.unwrap_or_else(|| Self {
            bits,
            level,
            inner: Compress::new_with_window_bits(Compression::new(level), false, bits),
        })
    }

    /// Leaves it to the next message. Without a pool it is freed.
    pub(super) fn put_back(mut self, pool: Option<LendPool>) {
        let Some(lend) = pool else {
            return;
        };
        self.inner.reset();
        let mut spare = Some(self);
        lend(&mut |pool| put(&mut pool.compressors, &mut spare));
    }
}

/// A decompressor, and what it was made for.
#[derive(Debug)]
pub(super) struct Decompressor {
    bits: u8,
    pub(super) inner: Decompress,
}

impl Decompressor {
    /// One without context, from the pool if it has one that fits.
    pub(super) fn take(pool: Option<LendPool>, bits: u8) -> Self {
        let mut spare = None;
        if let Some(lend) = pool {
            lend(&mut |pool| spare = take(&mut pool.decompressors, |spare| spare.bits == bits));
        }
        spare.unwrap_or_else(|| Self {
            bits,
            inner: Decompress::new_with_window_bits(false, bits),
        })
    }

    /// Leaves it to the next message. Without a pool it is freed.
    pub(super) fn put_back(mut self, pool: Option<LendPool>) {
        let Some(lend) = pool else {
            return;
        };
        self.inner.reset(false);
        let mut spare = Some(self);
        lend(&mut |pool| put(&mut pool.decompressors, &mut spare));
    }
}

fn take<T>(spares: &mut Vec<T>, fits: impl FnMut(&T) -> bool) -> Option<T> {
    let at = spares.iter().position(fits)?;
    Some(spares.swap_remove(at))
}

/// Keeps the latest: what was asked for last is asked for next.
fn put<T>(spares: &mut Vec<T>, spare: &mut Option<T>) {
    let Some(spare) = spare.take() else {
        return;
    };
    if spares.len() == MOST {
        spares.remove(0);
    }
    spares.push(spare);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    thread_local!(static POOL: RefCell<CompressorPool> = RefCell::default());

    fn lend(use_it: &mut dyn FnMut(&mut CompressorPool)) {
        POOL.with_borrow_mut(|pool| use_it(pool));
    }

    fn kept() -> Vec<u8> {
        POOL.with_borrow(|pool| pool.compressors.iter().map(|spare| spare.bits).collect())
    }

    #[test]
    fn the_latest_are_kept_and_what_fits_is_used_again() {
        for bits in [9, 10, 11] {
            Compressor::take(Some(lend), bits, 6).put_back(Some(lend));
        }
        assert_eq!(kept(), [10, 11]);
        let again = Compressor::take(Some(lend), 10, 6);
        assert_eq!(kept(), [11]);
        again.put_back(Some(lend));
        // Another level is another compressor, and without a pool nothing is kept.
        Compressor::take(Some(lend), 10, 1).put_back(None);
        assert_eq!(kept(), [11, 10]);
        Decompressor::take(Some(lend), 15).put_back(Some(lend));
        assert_eq!(POOL.with_borrow(|pool| pool.decompressors.len()), 1);
        drop(Decompressor::take(Some(lend), 15));
        assert_eq!(POOL.with_borrow(|pool| pool.decompressors.len()), 0);
    }
}
