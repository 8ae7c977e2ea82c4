//! Group 9: large messages, and many.

use super::*;

/// Messages of the cases 9.1 to 9.6 are larger than the default limit: the peer has to allow so
/// many bytes.
pub(crate) const LARGEST: usize = 16 << 20;

/// How many messages a case of many has; Autobahn has 1000.
const ROUNDS: usize = 100;

/// 9: large messages, many fragments, many writes.
pub(super) fn limits() -> impl Iterator<Item = Case> {
    fn pattern(opcode: u8, length: usize) -> Vec<u8> {
        let pattern: &[u8] = match opcode {
            TEXT => b"BAsd7&jh23",
            _ => b"\x00\xfe\x23\xfa\xf0",
        };
        let mut payload = pattern.repeat(length / pattern.len() + 1);
        payload.truncate(length);
        payload
    }
    fn byte(opcode: u8) -> u8 {
        if opcode == TEXT { b'*' } else { 0xfe }
    }
    /// Two groups that differ in the kind of message, of so many cases each.
    fn both(
        first: u8,
        count: u32,
        case: impl Fn(String, u8, u32) -> Case + Copy,
    ) -> impl Iterator<Item = Case> {
        [(first, TEXT), (first + 1, BINARY)]
            .into_iter()
            .flat_map(move |(group, opcode)| {
                (1..=count).map(move |at| case(format!("9.{group}.{at}"), opcode, at))
            })
    }
    let large = both(1, 6, |id, opcode, at| {
        let length = [64, 256, 1 << 10, 4 << 10, 8 << 10, 16 << 10][at as usize - 1];
        let what = format!("{} of {length} KiB", name(opcode));
        echo(id, what, opcode, pattern(opcode, length << 10))
    });
    let fragmented = both(3, 9, |id, opcode, at| {
        let (size, payload) = (16 << (2 * at), vec![byte(opcode); 4 << 20]);
        let what = format!("{} of 4 MiB in fragments of {size} bytes", name(opcode));
        let frames = fragments(opcode, &payload, size);
        let case = echo(id, what, opcode, payload);
        Case { frames, ..case }
    });
    let chopped = both(5, 6, |id, opcode, at| {
        let size = 32 << at;
        let what = format!("{} of 1 MiB in writes of {size} bytes", name(opcode));
        echo(id, what, opcode, pattern(opcode, 1 << 20)).cut(Cut::Every(size))
    });
    let rounds = both(7, 6, |id, opcode, at| {
        let length = [0, 16, 64, 256, 1024, 4096][at as usize - 1];
        let what = format!("{ROUNDS} messages of {length} bytes, {}", name(opcode));
        let one = echo(id, what, opcode, vec![byte(opcode); length]);
        Case {
            frames: vec![one.frames[0].clone(); ROUNDS],
            replies: vec![one.replies[0].clone(); ROUNDS],
            ..one
        }
    });
    let endless = once(()).map(|()| {
        let more = vec![rest([b'*'; 4096]).more(); LARGEST / 4096];
        let frames = once(text([b'*'; 4096]).more()).chain(more).collect();
        Case::new("9.9.1", "a text without an end", frames).fails(1009)
    });
    large
        .chain(fragmented)
        .chain(chopped)
        .chain(rounds)
        .chain(endless)
}
