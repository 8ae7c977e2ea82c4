//! Bodies that cannot be read, end too early or are too large: refused as in `bad_input`, and the
//! connection is closed (RFC 9112 section 7.1; RFC 9110 section 15.5.14).

use crate::counting::{Counting, with_defaults};
use greenway::Engine;
use greenway_tests::on_green_and_threads;
use greenway_tests::request::{get, post, with};
use std::sync::atomic::Ordering;

on_green_and_threads!(
    chunked_bodies,
    chunked_bodies_that_nobody_reads,
    bodies_that_end_too_early,
    bodies_that_are_too_large,
);

/// What is wrong in a chunked body (RFC 9112 section 7.1).
const BAD_CHUNKS: &[&str] = &[
    "\r\nx\r\n0\r\n\r\n",
    "x\r\n",
    "-1\r\nx\r\n0\r\n\r\n",
    "+1\r\nx\r\n0\r\n\r\n",
    "0x1\r\nx\r\n0\r\n\r\n",
    " 1\r\nx\r\n0\r\n\r\n",
    "1 \r\nx\r\n0\r\n\r\n",
    "1 1\r\nx\r\n0\r\n\r\n",
    "1\nx\r\n0\r\n\r\n",
    "1\rx\r\n0\r\n\r\n",
    "1\r\nx\n0\r\n\r\n",
    "1\r\nxy\r\n0\r\n\r\n",
    "2\r\nx\r\n0\r\n\r\n",
    "1\r\nx0\r\n\r\n",
    "1\r\nx\r\n0\n\r\n",
    "1;\nx\r\nx\r\n0\r\n\r\n",
    "1;a\rb\r\nx\r\n0\r\n\r\n",
    "1;a\0b\r\nx\r\n0\r\n\r\n",
    "00000000000000001\r\nx\r\n0\r\n\r\n",
    "10000000000000000\r\nx\r\n0\r\n\r\n",
    "fffffffffffffffff\r\nx\r\n0\r\n\r\n",
    "1\r\nx\r\n0\r\nnot a field\r\n\r\n",
    "1\r\nx\r\n0\r\nX : y\r\n\r\n",
    "1\r\nx\r\n0\r\nX: y\n\r\n",
    "1\r\nx\r\n0\r\n X: y\r\n\r\n",
];

fn chunked_bodies(engine: Engine) {
    let server = with_defaults(engine);
    let head = with("POST", "/read", "Transfer-Encoding: chunked\r\n", "");
    for body in BAD_CHUNKS {
        server.refuses(format!("{head}{body}{}", get("/")), 400);
    }
    server.refuses(
        format!("{head}1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(300)),
        400,
    );
    server.refuses(format!("{head}1{}", ";e".repeat(1000)), 400);
    server.refuses(format!("{head}0\r\n{}\r\n", "X: y\r\n".repeat(101)), 431);
    server.refuses(format!("{head}0\r\nX: {}\r\n\r\n", "y".repeat(9000)), 431);
    server.still_serves();
}

/// The handler knows nothing of it, so its response stands; nothing behind it is a request.
fn chunked_bodies_that_nobody_reads(engine: Engine) {
    let server = with_defaults(engine);
    for body in BAD_CHUNKS {
        let mut client = server.server.connect();
        client
            .send(with("POST", "/unread", "Transfer-Encoding: chunked\r\n", body) + &get("/trap"));
        assert_eq!(client.reply().summary(), (200, "unread".into()), "{body:?}");
        client.finish_sending();
        client.end();
    }
    server.still_serves();
}

fn bodies_that_end_too_early(engine: Engine) {
    let server = with_defaults(engine);
    let by_length = with("POST", "/read", "Content-Length: 5\r\n", "");
    let chunked = with("POST", "/read", "Transfer-Encoding: chunked\r\n", "");
    let mut cases = vec![by_length.clone(), by_length + "1234"];
    for part in [
        "",
        "5",
        "5\r",
        "5\r\n",
        "5\r\n1234",
        "5\r\n12345",
        "5\r\n12345\r\n",
        "5\r\n12345\r\n0\r\n",
    ] {
        cases.push(chunked.clone() + part);
    }
    for case in cases {
        let mut client = server.server.connect();
        client.send(&case).finish_sending();
        let reply = client.reply();
        assert_eq!(reply.status(), 400, "{case:?}");
        client.end();
    }
    server.still_serves();
}

/// RFC 9110 section 15.5.14.
fn bodies_that_are_too_large(engine: Engine) {
    let server = Counting::start(engine, |server| server.limit_request_body(1000));
    assert_eq!(
        server.server.ask(post("/read", &"x".repeat(1000))).status(),
        200,
        "as large as it may be"
    );
    let before = server.calls.load(Ordering::SeqCst);
    server.refuses(post("/read", &"x".repeat(1001)) + &get("/"), 413);
    // Nothing of the body needs to come for that.
    server.refuses(with("POST", "/read", "Content-Length: 1001\r\n", ""), 413);
    server.refuses(
        with(
            "POST",
            "/read",
            "Content-Length: 18446744073709551615\r\n",
            "x",
        ),
        413,
    );
    server.refuses(
        with(
            "POST",
            "/read",
            "Content-Length: 1001\r\nExpect: 100-continue\r\n",
            "",
        ),
        413,
    );
    assert_eq!(
        server.calls.load(Ordering::SeqCst),
        before,
        "the application was not called"
    );

    let chunked = |chunks: &[&str]| greenway_tests::request::post_chunked("/read", chunks);
    let (half, one) = ("x".repeat(500), "x");
    assert_eq!(
        server.server.ask(chunked(&[&half, &half])).status(),
        200,
        "as large as it may be"
    );
    server.refuses(chunked(&[&half, &half, one]) + &get("/"), 413);
    let endless = with(
        "POST",
        "/read",
        "Transfer-Encoding: chunked\r\n",
        "fffffff\r\n",
    ) + &"x".repeat(2000);
    server.refuses(endless, 413);
    server.still_serves();
}
