//! The known families of request smuggling, as one table.
//!
//! Each payload is what one of two parsers that disagree would read as two requests, the second
//! one for `/smuggled`. That handler must never run, unless the payload says so openly.

use greenway::{App, Engine, Request};
use greenway_tests::{TestServer, linted, on_green_and_threads};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

on_green_and_threads!(nothing_is_smuggled);

const HIDDEN: &str = "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";

/// Family, what stands between the request line and the body, the body.
const TABLE: &[(&str, &str, &str)] = &[
    (
        "CL.TE",
        "Content-Length: 44\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n",
    ),
    (
        "TE.CL",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "28\r\n",
    ),
    (
        "TE.TE",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "0\r\n\r\n",
    ),
    (
        "TE.TE",
        "Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n",
        "0\r\n\r\n",
    ),
    (
        "TE.TE: space before the colon",
        "Transfer-Encoding : chunked\r\nContent-Length: 5\r\n",
        "0\r\n\r\n",
    ),
    (
        "TE.TE: tab before the value",
        "Transfer-Encoding:\tchunked\r\nContent-Length: 5\r\n",
        "0\r\n\r\n",
    ),
    (
        "TE.TE: vertical tab",
        "Transfer-Encoding:\u{b}chunked\r\nContent-Length: 5\r\n",
        "0\r\n\r\n",
    ),
    (
        "TE.TE: folded",
        "Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n",
        "0\r\n\r\n",
    ),
    (
        "TE.TE: folded name",
        "X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "0\r\n\r\n",
    ),
    (
        "TE.TE: quoted",
        "Transfer-Encoding: \"chunked\"\r\nContent-Length: 5\r\n",
        "0\r\n\r\n",
    ),
    (
        "TE.TE: parameter",
        "Transfer-Encoding: chunked;x=y\r\nContent-Length: 5\r\n",
        "0\r\n\r\n",
    ),
    (
        "TE.TE: list",
        "Transfer-Encoding: identity, chunked\r\nContent-Length: 5\r\n",
        "0\r\n\r\n",
    ),
    (
        "TE.TE: bare CR",
        "X: y\rTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "0\r\n\r\n",
    ),
    (
        "TE.TE: bare LF",
        "X: y\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "0\r\n\r\n",
    ),
    (
        "TE.TE: NUL",
        "Transfer-Encoding: chunked\0\r\nContent-Length: 5\r\n",
        "0\r\n\r\n",
    ),
    (
        "TE.TE: CRLF twice",
        "X: y\r\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n",
    ),
    (
        "TE alone, not chunked",
        "Transfer-Encoding: identity\r\n",
        "",
    ),
    (
        "TE alone, trailing comma",
        "Transfer-Encoding: chunked,\r\n",
        "0\r\n\r\n",
    ),
    ("CL.CL", "Content-Length: 0\r\nContent-Length: 40\r\n", ""),
    ("CL.CL: list", "Content-Length: 0, 40\r\n", ""),
    ("CL: sign", "Content-Length: +0\r\n", ""),
    ("CL: negative", "Content-Length: -1\r\n", ""),
    ("CL: space inside", "Content-Length: 4 0\r\n", ""),
    ("CL: hexadecimal", "Content-Length: 0x0\r\n", ""),
    (
        "CL: overflow to 0",
        "Content-Length: 18446744073709551616\r\n",
        "",
    ),
    (
        "CL: overflow of 32 bits",
        "Content-Length: 4294967296\r\n",
        "",
    ),
    ("CL: space before the colon", "Content-Length : 40\r\n", ""),
    ("CL: folded", "Content-Length:\r\n 0\r\n", ""),
    ("bare LF ends the head", "X: y\r\n\n", ""),
    ("bare CR ends the head", "X: y\r\n\r", ""),
    (
        "chunk size overflows",
        "Transfer-Encoding: chunked\r\n",
        "10000000000000000\r\n\r\n",
    ),
    (
        "chunk size: sign",
        "Transfer-Encoding: chunked\r\n",
        "-0\r\n\r\n",
    ),
    (
        "chunk size: 0x",
        "Transfer-Encoding: chunked\r\n",
        "0x0\r\n\r\n",
    ),
    (
        "chunk size: bare LF",
        "Transfer-Encoding: chunked\r\n",
        "0\n\r\n",
    ),
    (
        "chunk size: bare CR",
        "Transfer-Encoding: chunked\r\n",
        "0\r\r\n\r\n",
    ),
    (
        "chunk end: bare LF",
        "Transfer-Encoding: chunked\r\n",
        "1\r\nx\n0\r\n\r\n",
    ),
    (
        "chunk end: missing",
        "Transfer-Encoding: chunked\r\n",
        "1\r\nx0\r\n\r\n",
    ),
    (
        "chunk end: other bytes",
        "Transfer-Encoding: chunked\r\n",
        "1\r\nxyz0\r\n\r\n",
    ),
    (
        "chunk extension with LF (TERM.EXT)",
        "Transfer-Encoding: chunked\r\n",
        "1;\n\r\nx\r\n0\r\n\r\n",
    ),
    (
        "chunk extension with CR (EXT.TERM)",
        "Transfer-Encoding: chunked\r\n",
        "1;\rx\r\n0\r\n\r\n",
    ),
    (
        "last chunk: bare LF",
        "Transfer-Encoding: chunked\r\n",
        "0\r\n\n",
    ),
    (
        "trailer: bare LF",
        "Transfer-Encoding: chunked\r\n",
        "0\r\nX: y\n\r\n",
    ),
];

fn nothing_is_smuggled(engine: Engine) {
    let smuggled = Arc::new(AtomicUsize::new(0));
    let counter = smuggled.clone();
    let mut app = App::new();
    app.post("/", |request: Request| request.body(1 << 20));
    app.post("/unread", |_: Request| "");
    app.get("/", |_: Request| "");
    app.any("/smuggled", move |_: Request| {
        counter.fetch_add(1, Ordering::SeqCst);
        "smuggled"
    });
    let server = TestServer::start(linted(app).engine(engine));
    for (family, fields, body) in TABLE {
        for line in ["POST / HTTP/1.1", "POST /unread HTTP/1.1", "GET / HTTP/1.1"] {
            let mut client = server.connect();
            client
                .send(format!(
                    "{line}\r\nHost: test\r\n{fields}\r\n{body}{HIDDEN}"
                ))
                .finish_sending();
            let status = client.head().status;
            client.rest();
            // Where the body is what is wrong, a handler that does not read it has answered.
            let unread = line != "POST / HTTP/1.1" && matches!(status, 200);
            assert!(
                matches!(status, 400 | 413 | 501) || unread,
                "{family}, {line}: {status}"
            );
            assert_eq!(smuggled.load(Ordering::SeqCst), 0, "{family}, {line}");
        }
    }
    // The trap works.
    assert_eq!(server.ask(HIDDEN).text(), "smuggled");
    assert_eq!(smuggled.load(Ordering::SeqCst), 1);
}
