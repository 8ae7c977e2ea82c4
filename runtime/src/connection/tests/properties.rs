//! Properties of every stream. The checks are those of the fuzz targets.

use super::memory::serve;
use greenway_fuzz_checks::{self as checks, Cuts, Replies, Session, check_connection_to_the_byte};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// A good request with its method, and what an application makes of it: `None` where the
/// response has no body.
fn request() -> impl Strategy<Value = (String, &'static str, Option<String>)> {
    let method = select(&["GET", "HEAD", "POST", "DELETE", "BREW"][..]);
    let path = select(&["/", "/echo", "/stream", "/none", "/drip"][..]);
    (method, path, "[ -~]{0,40}", 0..4u8, any::<bool>()).prop_map(
        |(method, path, body, framing, expect)| {
            let expect = if expect {
                "Expect: 100-continue\r\n"
            } else {
                ""
            };
            let start = format!("{method} {path} HTTP/1.1\r\nHost: h\r\n");
            let length = body.len();
            let (wire, body) = match framing {
                0 => (format!("{start}\r\n"), String::new()),
                1 => (
                    format!("{start}{expect}Content-Length: {length}\r\n\r\n{body}"),
                    body,
                ),
                _ => (
                    format!(
                        "{start}{expect}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
                        chunks(&body, framing)
                    ),
                    body,
                ),
            };
            let answer = match path {
                _ if method == "HEAD" => None,
                "/none" => None,
                "/" => Some("unread".to_owned()),
                "/drip" => Some("abc".to_owned()),
                _ => Some(body),
            };
            (wire, method, answer)
        },
    )
}

fn chunks(body: &str, size: u8) -> String {
    let pieces = body.as_bytes().chunks(usize::from(size) * 3);
    pieces
        .map(|piece| {
            format!(
                "{:x}\r\n{}\r\n",
                piece.len(),
                String::from_utf8_lossy(piece)
            )
        })
        .collect()
}

/// Pieces of requests, right and wrong: random bytes alone never get past the first line.
const PIECES: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n",
    "HEAD /drip HTTP/1.1\r\nHost: h\r\n",
    "POST /stream HTTP/1.1\r\nHost: h\r\n",
    "POST /echo HTTP/1.1\r\nHost: h\r\n",
    "POST /first HTTP/1.0\r\nConnection: keep-alive\r\n",
    "GET /drip HTTP/1.0\r\n",
    "PUT / HTTP/1.1\r\nHost: h\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: h\r\n",
    "Content-Length: 3\r\n",
    "Content-Length: 99999999999\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Expect: 100-continue\r\n",
    "Expect: x\r\n",
    "Connection: close\r\n",
    "\r\n",
    "\n",
    "abc",
    "3\r\nabc\r\n",
    "0\r\n\r\n",
    "0\r\nx: y\r\n\r\n",
    "G\r\n",
];

/// Whether a client that expects `100 Continue` has waited for it depends on the cuts. A body without
/// bytes is the same body.
#[test]
fn an_expectation_of_an_empty_body_is_met_by_its_end() {
    let head = "POST /stream HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n";
    let body = "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let stream = [head, body, PIECES[0]].concat();
    for cuts in 0..=u8::MAX {
        check_connection_to_the_byte(serve, stream.as_bytes(), Cuts(cuts));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// As many responses as requests, each with what its request deserves.
    #[test]
    fn good_requests_are_all_answered(requests in vec(request(), 0..6), cuts in any::<u8>()) {
        let stream: String = requests.iter().map(|(wire, ..)| wire.as_str()).collect();
        let methods: Vec<_> = requests.iter().map(|&(_, method, _)| method).collect();
        let served = serve(Session::new(stream.as_bytes()).cut(Cuts(cuts)));
        let replies = Replies::parse(&served.output, &methods).all;
        // One that was told to wait for `100 Continue`, and was not asked for its body, closes.
        let closes = replies.last().is_some_and(|reply| reply.close);
        prop_assert_eq!(served.calls, replies.len());
        prop_assert!(replies.len() == requests.len() || closes);
        for (reply, (_, _, answer)) in replies.iter().zip(&requests) {
            prop_assert_eq!(&reply.body[..], answer.as_deref().unwrap_or("").as_bytes());
            prop_assert!(reply.complete);
        }
    }

    /// Right and wrong, in any order: the rules that the fuzz targets check.
    #[test]
    fn the_cuts_do_not_matter(pieces in vec(select(PIECES), 0..14), cuts in any::<u8>()) {
        check_connection_to_the_byte(serve, pieces.concat().as_bytes(), Cuts(cuts));
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(stream in vec(any::<u8>(), 0..200), cuts in any::<u8>()) {
        check_connection_to_the_byte(serve, &stream, Cuts(cuts));
    }

    #[test]
    fn the_other_fuzz_targets_hold(pieces in vec(select(PIECES), 0..14), cuts in any::<u8>()) {
        let mut input = vec![cuts];
        input.extend_from_slice(pieces.concat().as_bytes());
        checks::head(&input);
        checks::chunked(&input);
    }
}
