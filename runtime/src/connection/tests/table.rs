//! Streams whose responses are known.

use super::memory::serve;
use greenway_fuzz_checks::{Cuts, Replies, Reply, Session};

/// The responses to `stream`, which must be the same for every way to cut it that is tried, and
/// the number of calls of the application.
fn replies(stream: &str, methods: &[&str]) -> (Vec<Reply>, usize) {
    let whole = serve(Session::new(stream.as_bytes()));
    assert!(whole.shut, "the connection is closed in the end");
    let replies = Replies::parse(&whole.output, methods).all;
    for cuts in [0x00, 0x01, 0x10, 0x3f, 0xf4, 0xfe].map(Cuts) {
        let cut = serve(Session::new(stream.as_bytes()).cut(cuts));
        assert_eq!(
            replies,
            Replies::parse(&cut.output, methods).all,
            "{cuts:?}"
        );
        assert_eq!(whole.calls, cut.calls, "{cuts:?}");
    }
    (replies, whole.calls)
}

/// Status, body, and whether the connection ends, of each response.
fn summary(stream: &str) -> Vec<(u16, String, bool)> {
    let (replies, _) = replies(stream, &[]);
    let show = |reply: Reply| {
        let text = String::from_utf8(reply.body).expect("the tests ask for text");
        (reply.status, text, reply.close)
    };
    replies.into_iter().map(show).collect()
}

fn ok(body: &str) -> (u16, String, bool) {
    (200, body.to_owned(), false)
}

const HOST: &str = "Host: h\r\n";

#[test]
fn nothing_is_answered_with_nothing() {
    for stream in ["", "\r\n", "\r\n\r\n"] {
        let served = serve(Session::new(stream.as_bytes()));
        assert_eq!((served.output.len(), served.calls), (0, 0), "{stream:?}");
    }
}

#[test]
fn every_way_to_treat_a_body() {
    let chunked = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nt: u\r\n\r\n";
    let length = "Content-Length: 5\r\n\r\nabcde";
    for body in [chunked, length] {
        let post = |path: &str| format!("POST {path} HTTP/1.1\r\n{HOST}{body}");
        let stream =
            post("/echo") + &post("/stream") + &post("/") + &post("/first") + &post("/none");
        let expected = [
            ok("abcde"),
            ok("abcde"),
            ok("unread"),
            ok("Some(97)"),
            (204, String::new(), false),
        ];
        assert_eq!(summary(&stream), expected);
    }
}

/// Whether the body comes with the head or after it must make no difference to what follows.
#[test]
fn an_expectation_that_is_met_keeps_the_connection() {
    let post =
        format!("POST /echo HTTP/1.1\r\n{HOST}Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi");
    let get = format!("GET / HTTP/1.1\r\n{HOST}\r\n");
    assert_eq!(summary(&(post + &get)), [ok("hi"), ok("unread")]);
}

#[test]
fn what_comes_after_the_end_is_not_served() {
    let get = format!("GET / HTTP/1.1\r\n{HOST}\r\n");
    for last in [
        format!("GET / HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"),
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
        format!("GET /close HTTP/1.1\r\n{HOST}\r\n"),
    ] {
        let (replies, calls) = replies(&(get.clone() + &last + &get), &[]);
        assert_eq!((replies.len(), calls), (2, 2), "{last:?}");
        assert!(!replies[0].close && replies[1].close, "{last:?}");
    }
}

#[test]
fn a_refusal_is_the_last_response() {
    let get = format!("GET / HTTP/1.1\r\n{HOST}\r\n");
    for (bad, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: h\r\n\r\n", 400),
        ("GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505),
        ("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n", 417),
    ] {
        let (replies, calls) = replies(&(get.clone() + bad + &get), &[]);
        assert_eq!((replies.len(), calls), (2, 1), "{bad:?}");
        assert_eq!(
            (replies[1].status, replies[1].close),
            (status, true),
            "{bad:?}"
        );
    }
    // A stream that ends within a head, too, is told so.
    let (replies, calls) = replies(&get[..get.len() - 1], &[]);
    assert_eq!((replies[0].status, replies[0].close, calls), (400, true, 0));
}

/// A response that has no body is not followed by one.
#[test]
fn head_has_no_body() {
    let request = |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\n{HOST}\r\n");
    let stream = request("HEAD", "/") + &request("HEAD", "/drip") + &request("GET", "/drip");
    let (replies, calls) = replies(&stream, &["HEAD", "HEAD", "GET"]);
    let bodies: Vec<_> = replies.iter().map(|reply| &reply.body[..]).collect();
    assert_eq!(bodies, [&b""[..], b"", b"abc"]);
    assert_eq!(calls, 3);
}

#[test]
fn a_body_without_end_is_not_followed_by_a_request() {
    let get = format!("GET / HTTP/1.1\r\n{HOST}\r\n");
    for body in [
        "Content-Length: 100\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nx\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n0\r\n",
    ] {
        for path in ["/", "/echo", "/stream", "/first"] {
            let stream = format!("POST {path} HTTP/1.1\r\n{HOST}{body}{get}");
            let (replies, calls) = replies(&stream, &[]);
            assert_eq!((replies.len(), calls), (1, 1), "{stream:?}");
        }
    }
}
