//! Generated streams on a real connection. Over memory, with many more of them and with cuts that
//! are kept to the byte, the server's own tests do the same.

use greenway_fuzz_checks::{Cuts, check_connection, cookies, serve};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Pieces of requests, right and wrong: random bytes alone never get past the first line.
const PIECES: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "HEAD /drip HTTP/1.1\r\nHost: h\r\n",
    "POST /stream HTTP/1.1\r\nHost: h\r\n",
    "POST /echo HTTP/1.1\r\nHost: h\r\n",
    "GET /drip HTTP/1.0\r\n",
    "Content-Length: 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Expect: 100-continue\r\n",
    "Connection: close\r\n",
    "\r\n",
    "abc",
    "3\r\nabc\r\n",
    "0\r\n\r\n",
    "G\r\n",
];

/// Pieces of Range headers.
const RANGES: &[&str] = &[
    "0-0",
    "0-",
    "-1",
    "-0",
    "1-3",
    "3-1",
    "5-9",
    "-5",
    "16-",
    "9999999-",
    "0-99999999999999999999",
    "18446744073709551615-",
    "-18446744073709551616",
    ",",
    ", ",
    " ",
    "\t",
    "-",
    "=",
    "bytes=",
    "x",
    "7",
    "\u{661}",
];

/// Pieces of Cookie headers.
const COOKIES: &[&str] = &[
    "a",
    "=",
    "; ",
    ";",
    "\"",
    "\"1\"",
    " ",
    "\t",
    "%",
    "%41",
    "%C3%A9",
    "%ff",
    "%0d%0a",
    "é",
    ",",
    "\\",
    "__Host-",
    "__Secure-",
    "$Path",
    "\n",
    "b=2",
    "(",
    "+",
];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Right and wrong, in any order: the rules of the fuzz target.
    #[test]
    fn the_cuts_do_not_matter(pieces in vec(select(PIECES), 0..14), cuts in any::<u8>()) {
        check_connection(serve, pieces.concat().as_bytes(), Cuts(cuts));
    }

    /// Range headers of all kinds, and what stands between them.
    #[test]
    fn ranges_mean_what_the_grammar_says(
        length in any::<[u8; 3]>(),
        short in any::<bool>(),
        pieces in vec(select(RANGES), 0..12),
    ) {
        let length = if short { [length[0] % 16, 0, 0] } else { length };
        let value = format!("bytes={}", pieces.concat());
        greenway_fuzz_checks::ranges(&[&length[..], value.as_bytes()].concat());
        greenway_fuzz_checks::ranges(&[&length[..], pieces.concat().as_bytes()].concat());
    }

    /// Read as a second reader does, and set as a browser would keep them.
    #[test]
    fn cookies_go_round(pieces in vec(select(COOKIES), 0..20)) {
        cookies(pieces.concat().as_bytes());
    }

    #[test]
    fn any_bytes_are_cookies(bytes in vec(any::<u8>(), 0..60)) {
        cookies(&bytes);
    }
}
