//! Request bodies: where they end, and what is thrown away with their framing (RFC 9112 sections
//! 6 and 7; RFC 9110 sections 6.5, 9.3.1 and 10.1.1).

use greenway::{Body, Engine, Request};
use greenway_tests::request::{get, get_close, with};
use greenway_tests::{Client, TestServer, as_it_comes, linted, on_green_and_threads};

on_green_and_threads!(
    any_method_may_have_a_body,
    a_request_without_framing_has_no_body,
    large_chunk_sizes_are_not_believed,
    chunk_extensions_are_ignored,
    chunk_extensions_are_bounded,
    trailers_are_dropped,
    trailers_are_not_fields,
    a_stream_that_reads_a_malformed_body_is_refused,
    a_body_that_comes_with_its_expectation_keeps_the_connection,
    an_expectation_without_a_body_is_met_already,
    an_unknown_expectation_is_refused_before_the_body,
    http_1_0_has_no_expectations,
);

/// Answers with method, body and the fields `X-T` and `Content-Length`; `/stream` gives the body
/// back as it comes, `/unread` does not read it.
fn serve(engine: Engine) -> TestServer {
    let app = |mut request: Request| -> Result<Body, greenway::HttpError> {
        match request.path() {
            "/unread" => Ok(Body::full("unread")),
            "/stream" => Ok(as_it_comes(request.take_input())),
            _ => {
                let body = request.body(1 << 20)?;
                let text = String::from_utf8_lossy(&body);
                let (method, trailer) = (request.method(), request.header("x-t"));
                Ok(Body::full(format!("{method} {text} {trailer:?}")))
            }
        }
    };
    TestServer::start(linted(app).engine(engine))
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// RFC 9112 section 6: "Request message framing is independent of method semantics".
fn any_method_may_have_a_body(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    for method in ["GET", "DELETE", "OPTIONS", "PUT", "BREW"] {
        let expected = format!("{method} abc None");
        assert_eq!(
            client
                .send(with(method, "/", "Content-Length: 3\r\n", "abc"))
                .reply()
                .text(),
            expected
        );
        assert_eq!(
            client
                .send(with(method, "/", CHUNKED, "3\r\nabc\r\n0\r\n\r\n"))
                .reply()
                .text(),
            expected
        );
    }
    let reply = client
        .send(with("HEAD", "/", "Content-Length: 3\r\n", "abc"))
        .reply_to_head();
    assert_eq!(reply.head.content_length(), Some("HEAD abc None".len()));
    assert_eq!(
        client.send(get("/")).reply().text(),
        "GET  None",
        "the connection goes on"
    );
}

/// RFC 9112 section 6.3, item 7.
fn a_request_without_framing_has_no_body(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    client.send(with("POST", "/", "", "") + &with("PUT", "/", "", ""));
    assert_eq!(client.reply().text(), "POST  None");
    assert_eq!(client.reply().text(), "PUT  None");
}

/// RFC 9112 section 7.1: "recipients MUST anticipate potentially large hexadecimal numerals and
/// prevent parsing errors". A chunk may be announced that no memory holds; it is not refused, and
/// costs nothing until it comes.
fn large_chunk_sizes_are_not_believed(engine: Engine) {
    let server = serve(engine);
    for size in ["7fffffffffffffff", "ffffffffffffffff", "FFFFFFFF"] {
        let mut client = server.connect();
        client.send(with("POST", "/stream", CHUNKED, &format!("{size}\r\nabc")));
        assert_eq!(client.head().status, 200, "{size}");
        assert_eq!(client.chunk(), "abc", "{size}");
        client.reset();
    }
    for size in [
        "10000000000000000",
        "00000000000000001",
        "fffffffffffffffffffffffffffffffff",
    ] {
        let reply = server.ask(with("POST", "/", CHUNKED, &format!("{size}\r\nabc")));
        assert_eq!(reply.status(), 400, "{size}");
    }
}

/// RFC 9112 section 7.1.1: "A recipient MUST ignore unrecognized chunk extensions".
fn chunk_extensions_are_ignored(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    for extension in [
        ";a",
        ";a=b",
        ";a=\"b;c\"",
        " ; a = b",
        "\t;a;b=1;c",
        ";a=\"\\\"\"",
    ] {
        let body = format!("3{extension}\r\nabc\r\n0{extension}\r\n\r\n");
        assert_eq!(
            client
                .send(with("POST", "/", CHUNKED, &body))
                .reply()
                .text(),
            "POST abc None",
            "{extension:?}"
        );
    }
}

/// Same section: "a server ought to limit the total length of chunk extensions".
fn chunk_extensions_are_bounded(engine: Engine) {
    let server = serve(engine);
    let extended = format!("1;{}\r\nx\r\n", "e".repeat(200));
    let some = extended.repeat(50) + "0\r\n\r\n";
    assert_eq!(server.ask(with("POST", "/", CHUNKED, &some)).status(), 200);
    let many = extended.repeat(100) + "0\r\n\r\n";
    assert_eq!(server.ask(with("POST", "/", CHUNKED, &many)).status(), 400);
}

/// RFC 9112 section 7.1.2: may be discarded, and must not be merged unread.
fn trailers_are_dropped(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    for trailer in [
        "X-T: 1\r\n",
        "X-T: 1\r\nX-T: 2\r\nY:\r\n",
        "Trailer: X-T\r\n",
    ] {
        let body = format!("3\r\nabc\r\n0\r\n{trailer}\r\n");
        let reply = client
            .send(with(
                "POST",
                "/",
                &format!("Trailer: X-T\r\n{CHUNKED}"),
                &body,
            ))
            .reply();
        assert_eq!(reply.text(), "POST abc None", "{trailer:?}");
    }
}

/// RFC 9110 section 6.5.1: nothing in a trailer section changes framing, routing or persistence.
fn trailers_are_not_fields(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    for trailer in [
        "Content-Length: 50",
        "Transfer-Encoding: gzip",
        "Connection: close",
        "Host: other",
        "Expect: x",
    ] {
        let body = format!("3\r\nabc\r\n0\r\n{trailer}\r\n\r\n");
        let reply = client.send(with("POST", "/", CHUNKED, &body)).reply();
        assert_eq!(reply.text(), "POST abc None", "{trailer:?}");
        assert!(!reply.head.says_close(), "{trailer:?}");
    }
}

/// The body of the response owns that of the request, and reads before its head is sent.
fn a_stream_that_reads_a_malformed_body_is_refused(engine: Engine) {
    let server = serve(engine);
    for body in ["x\r\n", "1\nx\r\n", "10000000000000000\r\n"] {
        let mut client = server.connect();
        let reply = client
            .send(with("POST", "/stream", CHUNKED, body) + &get("/"))
            .reply();
        assert_eq!(reply.status(), 400, "{body:?}");
        assert!(reply.head.says_close(), "{body:?}");
        client.end();
    }
    // Later than that it can only be cut.
    let mut client = server.connect();
    client.send(with("POST", "/stream", CHUNKED, "1\r\na\r\n"));
    client.head();
    assert_eq!(client.chunk(), "a");
    client.send("x\r\n");
    let (rest, _) = client.rest_or_reset();
    assert!(
        rest.is_empty(),
        "no last chunk: {:?}",
        String::from_utf8_lossy(&rest)
    );
}

fn until_final(client: &mut Client) -> (u16, bool, String) {
    let mut head = client.head();
    while head.status == 100 {
        head = client.head();
    }
    let body = client.take(
        head.content_length()
            .expect("the tests ask for whole bodies"),
    );
    (
        head.status,
        head.says_close(),
        String::from_utf8(body).expect("the tests send text"),
    )
}

/// RFC 9112 section 9.3: a body that was read to its end leaves nothing in doubt.
fn a_body_that_comes_with_its_expectation_keeps_the_connection(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    for _ in 0..3 {
        client.send(with(
            "POST",
            "/",
            "Content-Length: 3\r\nExpect: 100-continue\r\n",
            "abc",
        ));
        assert_eq!(
            until_final(&mut client),
            (200, false, "POST abc None".into())
        );
    }
}

/// RFC 9110 section 10.1.1: it is for requests that include content.
fn an_expectation_without_a_body_is_met_already(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    for framing in ["", "Content-Length: 0\r\n"] {
        client.send(with(
            "GET",
            "/",
            &format!("Expect: 100-continue\r\n{framing}"),
            "",
        ));
        let reply = client.reply();
        assert_eq!(
            reply.summary(),
            (200, "GET  None".into()),
            "no 100 before it"
        );
        assert!(!reply.head.says_close());
    }
}

/// RFC 9110 section 10.1.1: 417 for what is not understood, whatever the method.
fn an_unknown_expectation_is_refused_before_the_body(engine: Engine) {
    let server = serve(engine);
    for fields in [
        "Expect: 103-hints\r\n",
        "Expect: 100-continue\r\nExpect: x=y\r\n",
    ] {
        let mut client = server.connect();
        let reply = client
            .send(with(
                "PUT",
                "/",
                &format!("{fields}Content-Length: 9\r\n"),
                "",
            ))
            .reply();
        assert_eq!(reply.status(), 417, "{fields:?}");
        assert!(reply.head.says_close());
        client.end();
    }
}

/// RFC 9110 section 10.1.1: "A server that receives a 100-continue expectation in an HTTP/1.0
/// request MUST ignore that expectation".
fn http_1_0_has_no_expectations(engine: Engine) {
    let server = serve(engine);
    for value in ["100-continue", "something"] {
        let request = format!("POST / HTTP/1.0\r\nExpect: {value}\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(
            server.ask(request).summary(),
            (200, "POST abc None".into()),
            "{value}"
        );
    }
    assert_eq!(server.ask(get_close("/unread")).text(), "unread");
}
