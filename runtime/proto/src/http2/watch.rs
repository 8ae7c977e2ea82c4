//! Frames as they pass by: is a head under way, and does the peer send more of what costs it
//! nothing than anybody needs?
//!
//! Frame by frame everything here is allowed: a ping, an empty frame, a reset, one more octet of
//! window. In sum it keeps a server busy for nothing (CVE-2019-9511 to 9518, CVE-2023-44487,
//! CVE-2024-27316), and the crate that reads the frames bounds memory rather than work. So such
//! frames are counted, against a budget that time refills and real traffic does.
//!
//! What must stay true: the watch follows the frames whatever they hold and however they are cut.
//! It never decides what a frame means; a peer that breaks the framing is the reader's business.

/// Frames of no use that may come at once.
const BURST: u64 = 1000;
/// So many more in each second.
const PER_SECOND: u64 = 200;
/// A window update for so many bytes that were sent is of use.
const BYTES_PER_UPDATE: u64 = 256;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The length of a frame's head.
const FRAME_HEAD: usize = 9;

/// What a peer does too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misuse {
    /// Frames that ask for an answer, or say nothing: pings, settings, priorities, resets, empty
    /// data, types that nobody knows.
    Control,
    /// Window updates: much more of them than there was to be sent.
    Windows,
}

/// Follows the frames of one direction.
#[derive(Debug)]
pub struct FrameWatch {
    /// Bytes of the preface that are still to come.
    preface: usize,
    head: [u8; FRAME_HEAD],
    /// Bytes of `head` that have come.
    filled: usize,
    /// Bytes of the present frame's payload that are still to come.
    left: usize,
    in_head: bool,
    /// The present frame is the last one of a head.
    ends_head: bool,
    /// Heads that have begun.
    heads: u64,
    control: u64,
    updates: u64,
}

impl Default for FrameWatch {
    /// At the front of what a client sends.
    fn default() -> Self {
        Self {
            preface: super::PREFACE.len(),
            head: [0; FRAME_HEAD],
            filled: 0,
            left: 0,
            in_head: false,
            ends_head: false,
            heads: 0,
            control: 0,
            updates: 0,
        }
    }
}

impl FrameWatch {
    /// These bytes have come.
    pub fn came(&mut self, mut bytes: &[u8]) {
        let preface = self.preface.min(bytes.len());
        self.preface -= preface;
        bytes = &bytes[preface..];
        while !bytes.is_empty() {
            if self.left > 0 {
                let part = self.left.min(bytes.len());
                self.left -= part;
                bytes = &bytes[part..];
                self.end_head();
                continue;
            }
            let part = (FRAME_HEAD - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + part].copy_from_slice(&bytes[..part]);
            self.filled += part;
            bytes = &bytes[part..];
            if self.filled == FRAME_HEAD {
                self.filled = 0;
                self.frame();
                self.end_head();
            }
        }
    }

    /// Notes the end of a head, if what has come is that.
    fn end_head(&mut self) {
        if self.left == 0 && self.ends_head {
            self.in_head = false;
        }
    }

    /// The head of a frame is complete.
    fn frame(&mut self) {
        let [a, b, c, kind, flags, ..] = self.head;
        self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.ends_head = !matches!(kind, HEADERS | CONTINUATION) || flags & END_HEADERS != 0;
        match kind {
            HEADERS => {
                self.in_head = true;
                self.heads += 1;
            }
            CONTINUATION if self.left > 0 => {}
            DATA if self.left > 0 || flags & END_STREAM != 0 => {}
            WINDOW_UPDATE => self.updates += 1,
            _ => self.control += 1,
        }
        // Frames of other kinds say that the last head was whole.
        if !matches!(kind, HEADERS | CONTINUATION) {
            self.in_head = false;
        }
    }

    /// The number of the head of which a part has come and the end has not: 0 for the preface.
    #[must_use]
    pub fn head_under_way(&self) -> Option<u64> {
        (self.preface > 0 || self.in_head).then_some(self.heads)
    }

    /// What the peer does too much of, this many seconds after it has connected and with so many
    /// bytes sent to it.
    #[must_use]
    pub fn misuse(&self, seconds: u64, sent: u64) -> Option<Misuse> {
        let budget = BURST.saturating_add(seconds.saturating_mul(PER_SECOND));
        if self.control > budget {
            return Some(Misuse::Control);
        }
        let updates = budget.saturating_add(sent / BYTES_PER_UPDATE);
        (self.updates > updates).then_some(Misuse::Windows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let size = u32::try_from(length).unwrap().to_be_bytes();
        let mut frame = vec![size[1], size[2], size[3], kind, flags, 0, 0, 0, 1];
        frame.resize(FRAME_HEAD + length, 0);
        frame
    }

    /// A watch behind the preface, fed with these frames in pieces of this size.
    fn watch(frames: &[Vec<u8>], piece: usize) -> FrameWatch {
        let mut watch = FrameWatch::default();
        let bytes = [super::super::PREFACE, &frames.concat()].concat();
        for piece in bytes.chunks(piece) {
            watch.came(piece);
        }
        watch
    }

    #[test]
    fn a_head_is_within_until_its_last_frame_is_whole() {
        for piece in [1, 2, 7, 9, 1000] {
            let whole = [frame(4, 0, 0), frame(HEADERS, END_HEADERS, 30)];
            assert!(watch(&whole, piece).head_under_way().is_none(), "{piece}");
            let open = [frame(HEADERS, 0, 30), frame(CONTINUATION, 0, 30)];
            assert!(watch(&open, piece).head_under_way().is_some(), "{piece}");
            let closed = [&open[..], &[frame(CONTINUATION, END_HEADERS, 1)]].concat();
            assert!(watch(&closed, piece).head_under_way().is_none(), "{piece}");
        }
        assert!(FrameWatch::default().head_under_way().is_some());
        let mut part = watch(&[], 100);
        assert!(part.head_under_way().is_none());
        part.came(&frame(HEADERS, END_HEADERS, 30)[..38]);
        assert!(part.head_under_way().is_some());
    }

    #[test]
    fn each_head_has_a_number_and_ends_with_its_last_byte() {
        let mut all = watch(&[frame(HEADERS, END_HEADERS, 30)], 100);
        all.came(&frame(HEADERS, END_HEADERS, 30)[..3]);
        assert_eq!(
            all.head_under_way(),
            None,
            "less than a frame's head has come"
        );
        all.came(&frame(HEADERS, END_HEADERS, 30)[3..20]);
        assert_eq!(all.head_under_way(), Some(2));
        all.came(&frame(HEADERS, END_HEADERS, 30)[20..]);
        all.came(&frame(HEADERS, 0, 0));
        assert_eq!(all.head_under_way(), Some(3));
        all.came(&frame(CONTINUATION, END_HEADERS, 0));
        assert_eq!(all.head_under_way(), None);
    }

    #[test]
    fn idle_frames_have_a_budget_that_time_refills() {
        for (kind, length) in [(6, 8), (4, 0), (2, 5), (3, 4), (DATA, 0), (CONTINUATION, 0)] {
            let frames = vec![frame(kind, 0, length); BURST as usize];
            let mut watch = watch(&frames, 4096);
            assert_eq!(watch.misuse(0, u64::MAX), None);
            watch.came(&frame(kind, 0, length));
            assert_eq!(watch.misuse(0, u64::MAX), Some(Misuse::Control), "{kind}");
            assert_eq!(watch.misuse(1, 0), None);
        }
    }

    #[test]
    fn window_updates_are_of_use_where_something_is_sent() {
        let frames = vec![frame(WINDOW_UPDATE, 0, 4); 2 * BURST as usize];
        let watch = watch(&frames, 4096);
        assert_eq!(watch.misuse(0, 0), Some(Misuse::Windows));
        assert_eq!(watch.misuse(0, BURST * BYTES_PER_UPDATE), None);
    }

    #[test]
    fn requests_and_bodies_cost_nothing() {
        let mut frames = vec![frame(HEADERS, END_HEADERS | END_STREAM, 20); 5000];
        frames.extend(vec![frame(DATA, 0, 100); 5000]);
        frames.extend(vec![frame(DATA, END_STREAM, 0); 5000]);
        assert_eq!(watch(&frames, 4096).misuse(0, 0), None);
    }
}
