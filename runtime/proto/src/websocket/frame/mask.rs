//! Masking (RFC 6455 section 5.3), in bulk.
//!
//! tungstenite has the same for whole frames and keeps it private; here a frame is unmasked piece
//! by piece as it arrives.

/// A mask, turned so that its first byte is for the next byte of the payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mask([u8; 4]);

impl Mask {
    pub(super) fn new(key: [u8; 4]) -> Self {
        Self(key)
    }

    /// Masks or unmasks the next bytes of a payload.
    pub(super) fn apply(&mut self, bytes: &mut [u8]) {
        let [a, b, c, d] = self.0;
        let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        // The compiler makes vector instructions of this.
        let (words, rest) = bytes.as_chunks_mut::<8>();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
        for (byte, key) in rest.iter_mut().zip([a, b, c, d, a, b, c]) {
            *byte ^= key;
        }
        // As a number: to turn a slice takes more stack than all else that a message needs.
        let turned = u32::from_be_bytes(self.0).rotate_left(8 * (rest.len() % 4) as u32);
        self.0 = turned.to_be_bytes();
    }
}

/// Masks for a client's frames, from the system's random numbers: who makes a client send chosen
/// bytes must not be able to foresee its masks (RFC 6455 section 10.3).
///
/// They are fetched here, in a crate that otherwise gets all it needs from its caller: a mask that
/// the caller passed in would sooner or later be a constant. Random numbers are no I/O that waits.
#[derive(Debug)]
pub(super) struct Masks {
    /// Fetched by the dozen, for each fetch is a system call.
    bytes: [u8; 48],
    used: usize,
}

impl Masks {
    pub(super) fn new() -> Self {
        Self {
            bytes: [0; 48],
            used: 48,
        }
    }

    pub(super) fn next(&mut self) -> [u8; 4] {
        if self.used == self.bytes.len() {
            getrandom::fill(&mut self.bytes).expect("the system has random numbers");
            self.used = 0;
        }
        let (keys, _) = self.bytes.as_chunks();
        let key = keys[self.used / 4];
        self.used += 4;
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_masked_as_the_whole() {
        let key = [1, 2, 3, 4];
        let plain: Vec<u8> = (0..64u8).map(|i| i.wrapping_mul(7)).collect();
        let expected: Vec<u8> = plain
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key)
            .collect();
        for first in 0..40 {
            for second in first..64 {
                let (mut mask, mut bytes) = (Mask::new(key), plain.clone());
                mask.apply(&mut bytes[..first]);
                mask.apply(&mut bytes[first..second]);
                mask.apply(&mut bytes[second..]);
                assert_eq!(bytes, expected, "{first} {second}");
            }
        }
    }

    #[test]
    fn masks_differ() {
        let mut masks = Masks::new();
        let mut seen: Vec<_> = (0..100).map(|_| masks.next()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() > 95, "random numbers repeat themselves");
    }
}
