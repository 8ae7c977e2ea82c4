//! The same application, hosted by the crate `may_minihttp`: what works there, and a clear answer
//! to what does not.

use greenway::green::sleep;
use greenway::{App, Body, Engine, HttpError, Request, Response, Server, abort};
use greenway_tests::request::{get, post, with};
use greenway_tests::{Gate, TestServer};
use std::time::Duration;

fn serve(app: App) -> TestServer {
    TestServer::start(Server::new(app).engine(Engine::MiniHttp))
}

fn app() -> App {
    let mut app = App::new();
    app.get("/hello/<name>", |request: Request| {
        format!("Hello {}!", request.param("name"))
    });
    app.post("/echo", |request: Request| request.body(1 << 20));
    app.get("/stream", |_: Request| Body::iter(["A", "B"]));
    app.get("/abort", |_: Request| -> &'static str {
        abort(409, "not now")
    });
    app.get("/error", |_: Request| {
        HttpError::new(418, "short and stout")
    });
    app.get("/panic", |_: Request| -> &'static str {
        panic!("swordfish")
    });
    app.get("/engine", |request: Request| request.connection().engine);
    app.get("/sleep", |_: Request| {
        sleep(Duration::from_millis(20));
        "slept"
    });
    app.get("/fields/<n:int>", |request: Request| {
        let mut response = Response::new("fields");
        for n in 0..request.int("n") {
            response = response.with_header(format!("x-{n}"), "y");
        }
        response
    });
    app
}

#[test]
fn handlers_are_served_on_one_connection() {
    let server = serve(app());
    let mut client = server.connect();
    assert_eq!(
        client.send(get("/hello/Ada")).reply().summary(),
        (200, "Hello Ada!".into())
    );
    assert_eq!(client.send(get("/engine")).reply().text(), "minihttp");
    assert_eq!(client.send(get("/sleep")).reply().text(), "slept");
    assert_eq!(client.send(get("/nowhere")).reply().status(), 404);
    let reply = client.send(get("/hello/Bob")).reply();
    assert_eq!(
        reply.head.field("content-type"),
        Some("text/plain; charset=utf-8")
    );
}

#[test]
fn bodies_by_length_are_read() {
    let server = serve(app());
    let mut client = server.connect();
    for size in [0, 1, 1000, 100_000] {
        let body = "x".repeat(size);
        assert!(
            client.send(post("/echo", &body)).reply().text() == body,
            "{size} bytes"
        );
    }
}

#[test]
fn a_stream_is_answered_with_501() {
    let server = serve(app());
    let mut client = server.connect();
    let reply = client.send(get("/stream")).reply();
    assert_eq!(reply.status(), 501);
    assert!(
        reply.text().contains("--engine green"),
        "it says what to do: {}",
        reply.text()
    );
    assert_eq!(
        client.send(get("/hello/Ada")).reply().status(),
        200,
        "the connection goes on"
    );
}

/// That server takes the body for a next request and closes; what it has answered before goes out
/// only if the body comes later.
#[test]
fn a_chunked_request_is_answered_with_501() {
    let server = serve(app());
    let mut client = server.connect();
    client.send(with("POST", "/echo", "Transfer-Encoding: chunked\r\n", ""));
    assert_eq!(client.reply().status(), 501);
    client.send("1\r\na\r\n0\r\n\r\n");
    assert_eq!(client.rest_or_reset().0, b"");
}

#[test]
fn errors_are_responses() {
    let server = serve(app());
    let mut client = server.connect();
    assert_eq!(
        client.send(get("/abort")).reply().summary(),
        (409, "409 Conflict: not now\n".into())
    );
    assert_eq!(
        client.send(get("/error")).reply().summary(),
        (418, "418 I'm a teapot: short and stout\n".into())
    );
    let reply = client.send(get("/panic")).reply();
    assert_eq!(reply.status(), 500);
    assert!(!reply.text().contains("swordfish"), "{reply:?}");
    assert_eq!(
        client.send(get("/hello/Ada")).reply().status(),
        200,
        "the connection goes on"
    );
}

#[test]
fn head_has_no_body() {
    let server = serve(app());
    let mut client = server.connect();
    assert_eq!(
        client
            .send(with("HEAD", "/hello/Ada", "", ""))
            .reply_to_head()
            .status(),
        200
    );
    assert_eq!(client.send(get("/hello/Bob")).reply().text(), "Hello Bob!");
}

#[test]
fn too_many_response_fields_are_answered_with_501() {
    let server = serve(app());
    assert_eq!(server.ask(get("/fields/10")).status(), 200);
    assert_eq!(server.ask(get("/fields/17")).status(), 501);
}

#[test]
fn an_interim_status_of_a_handler_is_an_error() {
    let mut app = app();
    for status in [100, 101, 103] {
        let respond = move |_: Request| Response::new("").with_status(status);
        app.get(&format!("/{status}"), respond);
    }
    let server = serve(app);
    let mut client = server.connect();
    for path in ["/100", "/101", "/103"] {
        assert_eq!(client.send(get(path)).reply().status(), 500);
        assert_eq!(client.send(get("/hello/Ada")).reply().text(), "Hello Ada!");
    }
}

#[test]
fn what_greenway_refuses_is_refused_here() {
    let server = serve(app());
    for request in [
        "GET /hello/Ada HTTP/1.1\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(server.ask(request).status(), 400, "{request:?}");
    }
}

/// A handler that waits holds up nobody, as with our own engine.
#[test]
fn handlers_may_wait_at_once() {
    let (entered, gate) = (Gate::new(), Gate::new());
    let (arrived, there) = (entered.clone(), gate.clone());
    let mut app = App::new();
    app.get("/", move |_: Request| {
        arrived.open();
        there.pass();
        "served"
    });
    let server = serve(app);
    let mut clients: Vec<_> = (0..100).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(get("/"));
    }
    entered.pass_times(100);
    gate.open_for(100);
    for client in &mut clients {
        assert_eq!(client.reply().text(), "served");
    }
}
