//! What cannot be read in one way only is refused, the connection is closed, and nobody else
//! notices (RFC 9112 section 11; RFC 6585).
//!
//! Each row is sent on a connection of its own, with a good request behind it in the same write:
//! whoever repairs the bad one instead of closing answers twice.

use crate::counting::{Counting, with_defaults};
use greenway::{App, Engine, HttpError, Request, Response};
use greenway_tests::request::{get, with};
use greenway_tests::{TestServer, linted, on_green_and_threads};
use std::sync::atomic::Ordering;

on_green_and_threads!(
    request_lines,
    a_tls_hello_is_refused_before_its_line_ends,
    host_fields,
    fields,
    lengths,
    codings,
    expectations,
    heads_that_end_too_early,
    limits_on_the_request_line,
    limits_on_the_number_of_fields,
    limits_on_a_field,
    limits_on_the_whole_head,
    limits_can_be_set,
    paths_that_mean_nothing,
    response_fields_with_line_ends,
);

/// All of `heads` are refused with `status`, and afterwards the server is as good as before.
#[track_caller]
fn all_refused(engine: Engine, status: u16, heads: &[&[u8]]) {
    let server = with_defaults(engine);
    for head in heads {
        server.refuses_head(head, status);
    }
    server.still_serves();
}

/// RFC 9112 section 3; RFC 9110 sections 9.3.6 and 15.6.6.
fn request_lines(engine: Engine) {
    let bad: &[&str] = &[
        "GET",
        "GET /",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1",
        "GET / HTTP/1.",
        "GET / HTTP/1.1.1",
        "GET / HTTP/11.1",
        "GET / HTTP/1.10",
        "GET / HTTP/x.1",
        "GET / FTP/1.1",
        "GET / /x HTTP/1.1",
        "G@T / HTTP/1.1",
        "G(T / HTTP/1.1",
        "GET x HTTP/1.1",
        "GET example.org:80 HTTP/1.1",
        "GET ftp://example.org/ HTTP/1.1",
        "GET http:///path HTTP/1.1",
        "GET http://user@example.org/ HTTP/1.1",
        "GET /#fragment HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "GET /é HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET /a\rb HTTP/1.1",
        "GET * HTTP/1.1",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0",
        "\r\n\r\n\r\nGET / HTTP/1.1",
    ];
    let heads: Vec<_> = bad
        .iter()
        .map(|line| format!("{line}\r\nHost: test\r\n\r\n"))
        .collect();
    let heads: Vec<_> = heads.iter().map(String::as_bytes).collect();
    all_refused(engine, 400, &heads);
    all_refused(
        engine,
        505,
        &[
            b"GET / HTTP/2.0\r\nHost: test\r\n\r\n",
            b"PRI * HTTP/2.0\r\nHost: test\r\n\r\n", // not how HTTP/2 begins
        ],
    );
    all_refused(
        engine,
        501,
        &[b"CONNECT test:80 HTTP/1.1\r\nHost: test:80\r\n\r\n"],
    );
}

/// Who speaks TLS to a plain port sends no line end, and waits: it is told at once, and not by the
/// clock for heads.
fn a_tls_hello_is_refused_before_its_line_ends(engine: Engine) {
    let server = with_defaults(engine);
    let mut hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    hello.resize(517, 0x5a); // without a line end, with the keys' bytes of our choice
    let begun = std::time::Instant::now();
    server.refuses(&hello, 400);
    let waited = begun.elapsed();
    assert!(waited < std::time::Duration::from_secs(9), "{waited:?}"); // the clock is 10 s
    server.still_serves();
}

/// All of `lines` are refused with `status` as fields of a GET.
#[track_caller]
fn all_fields_refused(engine: Engine, status: u16, lines: &[&str]) {
    let heads: Vec<_> = lines
        .iter()
        .map(|line| with("GET", "/", &format!("{line}\r\n"), ""))
        .collect();
    let heads: Vec<_> = heads.iter().map(String::as_bytes).collect();
    all_refused(engine, status, &heads);
}

/// RFC 9112 section 3.2: none, more than one, or an invalid one is 400.
fn host_fields(engine: Engine) {
    all_refused(
        engine,
        400,
        &[
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a:x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: :80\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: [x]\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n",
            b"GET http://a/ HTTP/1.1\r\n\r\n",
        ],
    );
}

/// RFC 9112 sections 2.2 and 5; RFC 9110 section 5.
fn fields(engine: Engine) {
    all_fields_refused(
        engine,
        400,
        &[
            "X : space before the colon",
            "X\t: tab before the colon",
            " X: space before the name",
            "X: folded\r\n line",
            "X: folded\r\n\tline",
            ": no name",
            "no colon",
            "(X): not a token",
            "X\0Y: NUL in the name",
            "Xé: not ASCII",
            "X: NUL\0 in the value",
            "X: bare\rCR",
            "X: bare\nY: LF",
            "X: escape \u{1b} in the value",
            "X: delete \u{7f} in the value",
        ],
    );
    all_refused(
        engine,
        400,
        &[
            b"GET / HTTP/1.1\nHost: test\n\n",
            b"GET / HTTP/1.1\r\nHost: test\n\r\n",
            b"GET / HTTP/1.1\r\nHost: test\r\n\n",
            b"GET / HTTP/1.1\r\n Host: test\r\n\r\n",
        ],
    );
}

/// RFC 9112 section 6.3, item 5, by its strict side: whatever two readers could read in two ways.
fn lengths(engine: Engine) {
    let values = [
        "",
        "x",
        "+1",
        "-1",
        "1 1",
        "1, 1",
        "1,",
        ",1",
        "0x1",
        "1.0",
        "1e1",
        "१",
        "18446744073709551616",
        "1;1",
        "\u{b}1",
    ];
    let mut lines: Vec<_> = values
        .iter()
        .map(|value| format!("Content-Length: {value}"))
        .collect();
    lines.push("Content-Length: 1\r\nContent-Length: 1".into());
    lines.push("Content-Length: 1\r\ncontent-length: 2".into());
    lines.push("Content-Length: 0\r\nContent-Length: 0".into());
    lines.push("Content-Length: 1\r\nTransfer-Encoding: chunked".into());
    lines.push("Transfer-Encoding: chunked\r\nContent-Length: 0".into());
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    all_fields_refused(engine, 400, &lines);
}

/// RFC 9112 sections 6.1 and 6.3: 501 where chunked comes last and something unknown before it;
/// 400 where it does not come last, or somebody may take for `chunked` what is not.
fn codings(engine: Engine) {
    let lines = |values: &[&str]| -> Vec<_> {
        values
            .iter()
            .map(|value| format!("Transfer-Encoding: {value}"))
            .collect()
    };
    let bad = lines(&[
        "",
        "gzip",
        "identity",
        "cow",
        "chunked, gzip",
        "chunked, chunked",
        "chunked, identity",
        "chunked,",
        "xchunked",
        "chunkedx",
        "chunked;q=1",
        "\"chunked\"",
        "\u{b}chunked",
        "chunked\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: identity",
        "identity\r\nTransfer-Encoding: chunked",
    ]);
    all_fields_refused(
        engine,
        400,
        &bad.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    let unknown = lines(&["gzip, chunked", "identity, chunked", "cow, gzip, chunked"]);
    all_fields_refused(
        engine,
        501,
        &unknown.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    all_refused(
        engine,
        400,
        &[b"POST /read HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    );
}

/// RFC 9110 section 10.1.1.
fn expectations(engine: Engine) {
    all_fields_refused(
        engine,
        417,
        &["Expect: 200-ok", "Expect: 100-continue, more"],
    );
}

fn heads_that_end_too_early(engine: Engine) {
    let server = with_defaults(engine);
    let whole = get("/");
    for length in 1..whole.len() {
        let mut client = server.server.connect();
        client.send(&whole[..length]).finish_sending();
        let reply = client.reply();
        assert_eq!(reply.status(), 400, "after {:?}", &whole[..length]);
        client.end();
    }
    let mut client = server.server.connect();
    client.finish_sending();
    client.end();
    assert_eq!(server.calls.load(Ordering::SeqCst), 0);
    server.still_serves();
}

/// RFC 9112 section 3: 414. The line counts without its CRLF, as gunicorn's does.
fn limits_on_the_request_line(engine: Engine) {
    let server = with_defaults(engine);
    let line = |length: usize| {
        format!(
            "GET /?{} HTTP/1.1",
            "x".repeat(length - "GET /? HTTP/1.1".len())
        )
    };
    let reply = server
        .server
        .ask(format!("{}\r\nHost: test\r\n\r\n", line(8000)));
    assert_eq!(
        reply.summary(),
        (200, "fine".into()),
        "as long as it may be"
    );
    server.refuses_head(format!("{}\r\nHost: test\r\n\r\n", line(8001)), 414);
    server.refuses("GET /".to_owned() + &"x".repeat(8001), 414);
    server.refuses("GET /".to_owned() + &"x".repeat(300_000), 414);
    server.still_serves();
}

/// RFC 6585 section 5: 431.
fn limits_on_the_number_of_fields(engine: Engine) {
    let server = with_defaults(engine);
    let head = |count: usize| with("GET", "/", &"X: y\r\n".repeat(count - 1), "");
    assert_eq!(
        server.server.ask(head(100)).status(),
        200,
        "as many as there may be"
    );
    server.refuses_head(head(101), 431);
    server.refuses_head(head(5000), 431);
    server.refuses(
        "GET / HTTP/1.1\r\n".to_owned() + &"X: y\r\n".repeat(101),
        431,
    );
    server.still_serves();
}

fn limits_on_a_field(engine: Engine) {
    let server = with_defaults(engine);
    let head = |length: usize| {
        with(
            "GET",
            "/",
            &format!("X: {}\r\n", "y".repeat(length - 3)),
            "",
        )
    };
    assert_eq!(
        server.server.ask(head(8190)).status(),
        200,
        "as long as it may be"
    );
    server.refuses_head(head(8191), 431);
    server.refuses("GET / HTTP/1.1\r\nX: ".to_owned() + &"y".repeat(8190), 431);
    server.refuses("GET / HTTP/1.1\r\n".to_owned() + &"Y".repeat(300_000), 431);
    server.still_serves();
}

fn limits_on_the_whole_head(engine: Engine) {
    let server = with_defaults(engine);
    let head = |fields: usize| {
        with(
            "GET",
            "/",
            &format!("X: {}\r\n", "y".repeat(7000)).repeat(fields),
            "",
        )
    };
    assert_eq!(server.server.ask(head(9)).status(), 200);
    server.refuses_head(head(10), 431);
    server.still_serves();
}

fn limits_can_be_set(engine: Engine) {
    let server = Counting::start(engine, |server| {
        server
            .limit_request_line(20)
            .limit_request_fields(2)
            .limit_request_field_size(30)
            .limit_request_body(5)
    });
    server.refuses_head(get("/1234567"), 414);
    server.refuses_head(with("GET", "/", "A: 1\r\nB: 2\r\n", ""), 431);
    server.refuses_head(
        with("GET", "/", "A: 2345678901234567890123456789\r\n", ""),
        431,
    );
    assert_eq!(
        server
            .server
            .ask(with(
                "GET",
                "/123456",
                "A: 345678901234567890123456789\r\n",
                ""
            ))
            .status(),
        404
    );
    server.refuses(
        "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n123456",
        413,
    );
    server.still_serves();
}

/// RFC 3986 section 2.1. A path is text for handlers, and NUL has no business in it.
fn paths_that_mean_nothing(engine: Engine) {
    let server = with_defaults(engine);
    for path in ["/%", "/%1", "/%zz", "/%ff", "/%c3%28", "/%00", "/a%00b"] {
        let reply = server.server.get(path);
        assert_eq!(reply.status(), 400, "{path}");
    }
    assert_eq!(
        server.calls.load(Ordering::SeqCst),
        0,
        "the application was not called"
    );
    server.still_serves();
}

/// A response cannot be split: the handler fails instead, and nothing of the value goes out.
fn response_fields_with_line_ends(engine: Engine) {
    let mut app = App::new();
    app.get("/header", |request: Request| {
        let value = request.query("v").unwrap_or_default().into_owned();
        Response::new("sent").with_header("x-value", value)
    });
    app.get("/try", |request: Request| {
        let value = request.query("v").unwrap_or_default().into_owned();
        Response::new("sent").try_with_header("x-value", value)
    });
    app.get("/name", |request: Request| {
        let name = request.query("v").unwrap_or_default().into_owned();
        Response::new("sent").with_header(name, "value")
    });
    app.get(
        "/error",
        |request: Request| -> Result<&'static str, HttpError> {
            let value = request.query("v").unwrap_or_default().into_owned();
            Err(HttpError::new(404, "").with_header("x-value", value))
        },
    );
    app.get("/redirect", |request: Request| {
        Response::redirect(request.query("v").unwrap_or_default(), 303)
    });
    let server = TestServer::start(linted(app).engine(engine));
    for path in ["/header", "/try", "/name", "/error"] {
        for value in [
            "a%0d%0aX-Evil:%201",
            "a%0d%0a%0d%0aX-Evil",
            "a%0aX-Evil:%201",
            "a%0dX-Evil:%201",
            "a%00X-Evil",
        ] {
            let mut client = server.connect();
            client.send(
                get(&format!("{path}?v={value}")) + &greenway_tests::request::get_close("/nowhere"),
            );
            let reply = client.reply();
            assert_eq!(reply.status(), 500, "{path} {value}: {reply:?}");
            assert_eq!(reply.head.field("x-evil"), None);
            assert!(
                !format!("{reply:?}").contains("X-Evil"),
                "{path} {value}: {reply:?}"
            );
            assert_eq!(client.reply().status(), 404, "the connection goes on");
            client.end();
        }
    }
    // A location is a URI, in which such bytes have an encoding.
    let reply = server.get("/redirect?v=/a%0d%0aX-Evil:%201");
    assert_eq!(reply.status(), 303);
    assert_eq!(reply.head.field("location"), Some("/a%0D%0AX-Evil:%201"));
    assert_eq!(reply.head.field("x-evil"), None);
}
