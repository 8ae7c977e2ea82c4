//! One connection after another request: persistence and pipelining (RFC 9112 section 9.3).

use greenway::{App, Engine, Request, Response, Server};
use greenway_tests::request::{get, get_close, with};
use greenway_tests::{Gate, TestServer, linted, on_green_and_threads};

on_green_and_threads!(
    a_connection_serves_many_requests,
    requests_may_come_byte_by_byte,
    pipelined_requests_are_answered_in_order,
    http_1_0_closes_unless_asked,
    http_1_0_gets_no_chunks,
    a_later_minor_version_is_served,
    close_is_obeyed_and_announced,
    the_application_may_close,
    a_finished_response_does_not_wait_for_the_next_handler,
    a_finished_response_does_not_wait_for_half_a_request,
    a_finished_response_does_not_wait_for_a_body,
    empty_lines_before_a_request_are_ignored,
    a_client_that_has_finished_sending_is_served,
    every_response_has_a_date,
);

fn serve(engine: Engine) -> TestServer {
    let mut app = App::new();
    app.any("/echo/<text>", |request: Request| {
        request.param("text").to_owned()
    });
    app.get("/stream", |_: Request| greenway::Body::iter(["A", "B"]));
    TestServer::start(linted(app).engine(engine))
}

fn a_connection_serves_many_requests(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    for n in 0..20 {
        let reply = client.send(get(&format!("/echo/{n}"))).reply();
        assert_eq!(reply.text(), n.to_string());
        assert!(!reply.head.says_close());
    }
}

fn requests_may_come_byte_by_byte(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    for _ in 0..2 {
        for byte in with(
            "POST",
            "/echo/slow",
            "Transfer-Encoding: chunked\r\n",
            "1\r\nx\r\n0\r\n\r\n",
        )
        .bytes()
        {
            client.send([byte]);
        }
        assert_eq!(client.reply().text(), "slow");
    }
}

fn pipelined_requests_are_answered_in_order(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    for _ in 0..2 {
        let requests: String = (0..50).map(|n| get(&format!("/echo/{n}"))).collect();
        client.send(requests);
        for n in 0..50 {
            assert_eq!(client.reply().text(), n.to_string());
        }
    }
}

/// RFC 9112 section 9.3; the status line repeats the version, as Go's does.
fn http_1_0_closes_unless_asked(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    let reply = client.send("GET /echo/a HTTP/1.0\r\n\r\n").reply();
    assert_eq!(reply.head.status_line(), "HTTP/1.0 200 OK");
    assert_eq!(reply.text(), "a");
    client.end();

    let mut client = server.connect();
    let reply = client
        .send("GET /echo/a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
        .reply();
    assert_eq!(reply.head.field("connection"), Some("keep-alive"));
    let reply = client
        .send("GET /echo/b HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n")
        .reply();
    assert_eq!(reply.text(), "b");
    assert!(reply.head.says_close(), "close wins over keep-alive");
    client.end();
}

/// RFC 9112 section 6.1: "a server MUST NOT send a response containing Transfer-Encoding unless
/// the corresponding request indicates HTTP/1.1 (or later minor revisions)".
fn http_1_0_gets_no_chunks(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    let reply = client
        .send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        .reply();
    assert_eq!(reply.text(), "AB");
    assert_eq!(reply.head.field("transfer-encoding"), None);
    assert!(
        reply.head.says_close(),
        "the end of the body is the end of the connection"
    );
    client.end();
}

fn a_later_minor_version_is_served(engine: Engine) {
    let reply = serve(engine).ask("GET /echo/a HTTP/1.7\r\nHost: test\r\n\r\n");
    assert_eq!(
        reply.head.status_line(),
        "HTTP/1.1 200 OK",
        "RFC 9110 section 2.5"
    );
}

fn close_is_obeyed_and_announced(engine: Engine) {
    let server = serve(engine);
    for field in [
        "close",
        "Close",
        "x, close",
        "keep-alive, close",
        "x\r\nConnection: close",
    ] {
        let mut client = server.connect();
        client.send(
            with("GET", "/echo/a", &format!("Connection: {field}\r\n"), "") + &get("/echo/never"),
        );
        let reply = client.reply();
        assert!(reply.head.says_close(), "{field}");
        assert_eq!(reply.text(), "a");
        client.end();
    }
}

/// Though it is the server's header, and the contract's lint says so.
fn the_application_may_close(engine: Engine) {
    let mut app = App::new();
    app.get("/close", |_: Request| {
        Response::new("bye").with_header("connection", "close")
    });
    let server = TestServer::start(Server::new(app).engine(engine));
    let mut client = server.connect();
    client.send(get("/close") + &get("/echo/never"));
    let reply = client.reply();
    assert!(reply.head.says_close());
    client.end();
}

/// The second handler is inside and cannot end before the first response was read.
fn a_finished_response_does_not_wait_for_the_next_handler(engine: Engine) {
    let (entered, gate) = (Gate::new(), Gate::new());
    let (arrived, there) = (entered.clone(), gate.clone());
    let mut app = App::new();
    app.get("/fast", |_: Request| "fast");
    app.get("/blocked", move |_: Request| {
        arrived.open();
        there.pass();
        "blocked"
    });
    let server = TestServer::start(linted(app).engine(engine));
    let mut client = server.connect();
    client.send(get("/fast") + &get("/fast") + &get("/blocked") + &get("/fast"));
    entered.pass();
    assert_eq!(
        (client.reply().text(), client.reply().text()),
        ("fast".into(), "fast".into())
    );
    gate.open();
    assert_eq!(
        (client.reply().text(), client.reply().text()),
        ("blocked".into(), "fast".into())
    );
}

fn a_finished_response_does_not_wait_for_half_a_request(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    client.send(get("/echo/a") + "GET /echo/b HT");
    assert_eq!(client.reply().text(), "a");
    client.send("TP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.reply().text(), "b");
}

fn a_finished_response_does_not_wait_for_a_body(engine: Engine) {
    let app = |request: Request| request.body(1024);
    let server = TestServer::start(linted(app).engine(engine));
    let mut client = server.connect();
    let head = with("POST", "/", "Content-Length: 4\r\n", "");
    client.send(get("/") + &head + "bo");
    assert_eq!(client.reply().text(), "", "the response to the first");
    client.send("dy");
    assert_eq!(client.reply().text(), "body");
}

/// RFC 9112 section 2.2: some clients send one after a POST.
fn empty_lines_before_a_request_are_ignored(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    client.send("\r\n".to_owned() + &get("/echo/a") + "\r\n\r\n" + &get("/echo/b"));
    assert_eq!(
        (client.reply().text(), client.reply().text()),
        ("a".into(), "b".into())
    );
}

fn a_client_that_has_finished_sending_is_served(engine: Engine) {
    let gate = Gate::new();
    let there = gate.clone();
    let app = move |_: Request| {
        there.pass();
        "served"
    };
    let server = TestServer::start(linted(app).engine(engine));
    let mut client = server.connect();
    gate.open_for(2); // a handler that waits would have the client asked whether it is there
    client.send(get("/") + &get("/")).finish_sending();
    assert_eq!(
        (client.reply().text(), client.reply().text()),
        ("served".into(), "served".into())
    );
    client.end();
}

/// RFC 9110 section 6.6.1: an origin server with a clock MUST send it.
fn every_response_has_a_date(engine: Engine) {
    let server = serve(engine);
    for request in [
        get_close("/echo/a"),
        get_close("/stream"),
        get_close("/nowhere"),
        "bad\r\n\r\n".into(),
    ] {
        let reply = server.ask(&request);
        let date = reply.head.field("date").unwrap_or_default();
        assert!(
            date.len() == 29 && date.ends_with(" GMT"),
            "{request:?}: {:?}",
            reply.head
        );
    }
}
