//! What every response has, and what none has (RFC 9110 sections 5, 6.6, 7.6, 8.6, 9.3.2, 15;
//! RFC 9112 sections 4, 6 and 9).

use greenway::{Body, Engine, Request, Response, Server};
use greenway_tests::request::{get, get_close, with};
use greenway_tests::{TestServer, on_green_and_threads};

on_green_and_threads!(
    every_response_names_date_and_server,
    the_date_is_an_imf_fixdate,
    head_has_the_length_that_get_would_have,
    the_applications_length_stands_in_head,
    statuses_without_a_body_have_none,
    reset_content_says_that_it_is_empty,
    an_interim_status_is_no_response,
    an_upgrade_is_ignored,
    fields_of_the_connection_are_the_servers,
    a_stream_is_framed_by_the_version,
    a_refusal_says_close,
    fields_with_many_values_stay_apart,
    nothing_of_a_request_is_reflected,
);

/// `/STATUS` with the body `Hello`; as a stream with the query `stream`.
fn serve(engine: Engine) -> TestServer {
    let app = |request: Request| {
        let body = match request.query_string() {
            "stream" => Body::iter(["He", "llo"]),
            _ => Body::full("Hello"),
        };
        let status: u16 = request.path()[1..].parse().unwrap_or(200);
        Response::new(body).with_status(status)
    };
    TestServer::start(Server::new(app).engine(engine))
}

/// RFC 9110 sections 6.6.1 and 10.2.4.
fn every_response_names_date_and_server(engine: Engine) {
    let server = serve(engine);
    for request in [
        get_close("/200"),
        get_close("/200?stream"),
        get_close("/404"),
        get_close("/503"),
        get_close("/%zz"),
        "GET / HTTP/1.0\r\n\r\n".into(),
        "GET / HTTP/1.1\r\n\r\n".into(),
        "nonsense\r\n\r\n".into(),
    ] {
        let reply = server.ask(&request);
        assert!(
            reply.head.field("date").is_some(),
            "{request:?}: {:?}",
            reply.head
        );
        assert_eq!(reply.head.field("server"), Some("greenway"), "{request:?}");
    }
}

/// RFC 9110 section 5.6.7: "a sender MUST generate those timestamps in the IMF-fixdate format".
fn the_date_is_an_imf_fixdate(engine: Engine) {
    let reply = serve(engine).get("/200");
    let date = reply.head.field("date").expect("every response has one");
    let shape: String = date
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    let (day, rest) = shape.split_at(3);
    assert!(
        ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].contains(&day),
        "{date}"
    );
    assert_eq!(
        (&rest[..5], &rest[8..]),
        (", 00 ", " 0000 00:00:00 GMT"),
        "{date}"
    );
}

/// RFC 9110 sections 8.6 and 9.3.2: the same fields as GET, and no content.
fn head_has_the_length_that_get_would_have(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    for (path, length) in [
        ("/200", Some(5)),
        ("/200?stream", None),
        ("/404", Some(5)),
        ("/304", None),
        ("/204", None),
    ] {
        let head = client.send(with("HEAD", path, "", "")).reply_to_head().head;
        assert_eq!(head.content_length(), length, "{path}");
        let get = client.send(get(path)).reply();
        assert_eq!(get.head.content_length(), length, "{path}");
        assert_eq!(get.head.status, head.status, "{path}");
    }
    client.finish_sending();
    client.end();
}

/// An application that answers HEAD itself gives the length and no body.
fn the_applications_length_stands_in_head(engine: Engine) {
    let app = |_: Request| Response::new(Body::full("")).with_header("content-length", "1234");
    let server = TestServer::start(Server::new(app).engine(engine));
    let mut client = server.connect();
    let reply = client.send(with("HEAD", "/", "", "")).reply_to_head();
    assert_eq!(reply.head.content_length(), Some(1234));
    let reply = client.send(get("/")).reply();
    assert_eq!(reply.head.content_length(), Some(0), "the truth");
}

/// RFC 9110 section 8.6, RFC 9112 sections 6.1 and 6.3.
fn statuses_without_a_body_have_none(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    for path in ["/204", "/204?stream", "/304", "/304?stream"] {
        let reply = client.send(get(path)).reply();
        assert!(reply.body.is_empty());
        assert_eq!(reply.head.field("content-length"), None, "{path}");
        assert_eq!(reply.head.field("transfer-encoding"), None, "{path}");
        assert!(!reply.head.says_close(), "{path}");
    }
    client.finish_sending();
    client.end();
}

/// RFC 9110 section 15.3.6: a 205 has no content.
fn reset_content_says_that_it_is_empty(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    for path in ["/205", "/205?stream"] {
        let reply = client.send(get(path)).reply();
        assert_eq!(
            (reply.summary(), reply.head.content_length()),
            ((205, String::new()), Some(0)),
            "{path}"
        );
    }
    client.finish_sending();
    client.end();
}

/// RFC 9110 section 15.2: a 1xx is not final, and "a server MUST NOT send a 1xx response to an
/// HTTP/1.0 client". A client would wait for the response behind it; so it is the handler's error.
fn an_interim_status_is_no_response(engine: Engine) {
    let server = serve(engine);
    for path in ["/100", "/102", "/103", "/199"] {
        for version in ["1.0", "1.1"] {
            let reply = server.ask(format!("GET {path} HTTP/{version}\r\nHost: test\r\n\r\n"));
            assert_eq!(reply.status(), 500, "{path} {version}");
        }
    }
}

/// RFC 9110 section 7.8: "A server MAY ignore a received Upgrade header field".
fn an_upgrade_is_ignored(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    for fields in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        "Connection: upgrade\r\nUpgrade: TLS/1.2, unknown/9\r\n",
        "Upgrade: h2c\r\n",
    ] {
        let reply = client.send(with("GET", "/200", fields, "")).reply();
        assert_eq!(reply.summary(), (200, "Hello".into()), "{fields:?}");
        assert_eq!(reply.head.field("upgrade"), None);
        assert_eq!(reply.head.field("connection"), None);
    }
}

/// RFC 9110 section 7.6.1; PEP 3333, "Other HTTP Features".
fn fields_of_the_connection_are_the_servers(engine: Engine) {
    let app = |_: Request| {
        Response::new(Body::iter(["He", "llo"]))
            .with_header("connection", "keep-alive, x-secret")
            .with_header("keep-alive", "timeout=900")
            .with_header("transfer-encoding", "gzip")
            .with_header("te", "trailers")
            .with_header("trailer", "x-t")
            .with_header("proxy-connection", "close")
    };
    let server = TestServer::start(Server::new(app).engine(engine));
    let mut client = server.connect();
    for _ in 0..2 {
        let reply = client.send(get("/")).reply();
        assert_eq!(reply.text(), "Hello");
        assert_eq!(
            reply.head.field("transfer-encoding"),
            Some("chunked"),
            "once, and ours"
        );
        for name in [
            "connection",
            "keep-alive",
            "te",
            "trailer",
            "proxy-connection",
        ] {
            assert_eq!(reply.head.field(name), None, "{name}");
        }
    }
}

/// RFC 9112 sections 6.1 and 6.3.
fn a_stream_is_framed_by_the_version(engine: Engine) {
    let server = serve(engine);
    let reply = server.get("/200?stream");
    assert!(reply.head.is_chunked() && reply.head.content_length().is_none());
    assert_eq!(reply.text(), "Hello");
    let mut client = server.connect();
    let reply = client
        .send("GET /200?stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        .reply();
    assert_eq!(
        (
            reply.head.field("transfer-encoding"),
            reply.head.content_length()
        ),
        (None, None)
    );
    assert!(reply.head.says_close());
    assert_eq!(reply.text(), "Hello");
    client.end();
}

/// RFC 9112 section 9.6: "A server that does not wish to continue SHOULD send the close option".
fn a_refusal_says_close(engine: Engine) {
    let server = serve(engine);
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "\0\0\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
    ] {
        let mut client = server.connect();
        let reply = client.send(request).reply();
        assert!(reply.head.says_close(), "{request:?}: {reply:?}");
        assert_eq!(reply.head.content_length(), Some(reply.body.len()));
        client.end();
    }
}

/// RFC 9110 section 5.3: `Set-Cookie` cannot be combined into one line.
fn fields_with_many_values_stay_apart(engine: Engine) {
    let app = |_: Request| {
        let mut response = Response::new("x");
        for value in ["a=1; Path=/", "b=2", "a=3"] {
            response
                .headers_mut()
                .append("set-cookie", value.parse().expect("visible ASCII"));
        }
        response
    };
    let reply = TestServer::start(Server::new(app).engine(engine)).get("/");
    let cookies: Vec<_> = reply.head.fields("set-cookie").collect();
    assert_eq!(cookies, ["a=1; Path=/", "b=2", "a=3"]);
}

/// A refusal quotes nothing: it may be shown in a browser.
fn nothing_of_a_request_is_reflected(engine: Engine) {
    let server = serve(engine);
    for request in [
        "GET /<script> HTTP/1.1\r\nHost: test\r\n\r\n",
        "<script> / HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: <script>\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\n<script>: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\nExpect: <script>\r\n\r\n",
    ] {
        let reply = server.ask(request);
        assert!(reply.status() >= 400, "{request:?}");
        assert!(!reply.text().contains("script"), "{request:?}: {reply:?}");
        assert_eq!(
            reply.head.field("content-type"),
            Some("text/plain; charset=utf-8")
        );
    }
}
