//! Groups 12 and 13: sizes, contents and parameters of permessage-deflate.

use super::*;

/// The sizes of the messages of each group of 12 and 13, and the size of their fragments, 0 for
/// none.
pub(crate) const COMPRESSED: [(usize, usize); 18] = [
    (16, 0),
    (64, 0),
    (256, 0),
    (1024, 0),
    (4096, 0),
    (8192, 0),
    (16384, 0),
    (32768, 0),
    (65536, 0),
    (131_072, 0),
    (8192, 256),
    (16384, 256),
    (32768, 256),
    (65536, 256),
    (131_072, 256),
    (131_072, 1024),
    (131_072, 4096),
    (131_072, 32768),
];

/// The kinds of content of 12.1 to 12.5: as much to compress as in JSON, in a picture, in prose,
/// in HTML and in a file that is compressed already.
pub(crate) const CONTENTS: [(&str, u8); 5] = [
    ("JSON", TEXT),
    ("a picture", BINARY),
    ("prose", BINARY),
    ("HTML", TEXT),
    ("a compressed file", BINARY),
];

/// So many bytes of a kind of content; ASCII where it is text.
pub(crate) fn content(kind: usize, length: usize) -> Vec<u8> {
    // Marsaglia's xorshift: the same on each run.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let words = [
        "Faust", "Geist", "und", "der", "nicht", "Teufel", "Welt", "ich",
    ];
    let mut bytes = Vec::with_capacity(length + 64);
    while bytes.len() < length {
        let random = next();
        let word = words[random as usize % words.len()];
        match kind {
            0 => bytes.extend_from_slice(
                format!("{{\"id\": {}, \"name\": \"{word}\"}},\n", random % 1000).as_bytes(),
            ),
            1 => bytes.extend((0..16).map(|at| 100 + ((random >> at) as u8 & 3))),
            2 => bytes.extend_from_slice(format!("{word} ").as_bytes()),
            3 => bytes.extend_from_slice(format!("<li class=\"{word}\">{word}</li>\n").as_bytes()),
            _ => bytes.extend_from_slice(&random.to_le_bytes()),
        }
    }
    bytes.truncate(length);
    bytes
}

/// The offers of 13.1 to 13.7, as Autobahn's client makes them, and the settings of a server that
/// takes them as its counterpart does: whether it asks for windows without context, and for which
/// size.
pub(crate) const OFFERS: [(&str, bool, u8); 7] = [
    ("permessage-deflate; client_max_window_bits", false, 15),
    (
        "permessage-deflate; client_max_window_bits; server_no_context_takeover",
        true,
        15,
    ),
    (
        "permessage-deflate; client_max_window_bits; server_max_window_bits=9",
        false,
        9,
    ),
    (
        "permessage-deflate; client_max_window_bits; server_max_window_bits=15",
        false,
        15,
    ),
    (
        "permessage-deflate; client_max_window_bits; server_no_context_takeover; server_max_window_bits=9",
        true,
        9,
    ),
    (
        "permessage-deflate; client_max_window_bits; server_no_context_takeover; server_max_window_bits=15",
        true,
        15,
    ),
    (
        "permessage-deflate; client_max_window_bits; server_no_context_takeover; server_max_window_bits=9, \
         permessage-deflate; client_max_window_bits; server_no_context_takeover, \
         permessage-deflate; client_max_window_bits",
        true,
        9,
    ),
];
