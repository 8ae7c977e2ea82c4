//! Pages for errors as clients over sockets see them: also where the server itself refuses.

use greenway::{App, Body, BodyError, Engine, HttpError, Request, Response, abort, blocking};
use greenway_tests::request::{get, post, with};
use greenway_tests::{DEADLINE, Gate, TestServer, linted, on_green_and_threads};
use std::io;
use std::time::Duration;

on_green_and_threads!(
    the_applications_page_is_for_all_errors,
    what_comes_too_slowly_has_a_page,
    what_finds_no_room_has_a_page,
    a_route_has_a_time_of_its_own,
    a_mount_keeps_its_pages,
    a_reset_of_another_connection_is_no_departure,
    a_page_that_panics_leaves_a_plain_answer,
    a_client_gets_what_it_accepts,
    a_panic_is_shown_in_debug_mode,
);

fn app() -> App {
    let mut app = App::new();
    app.error_default(|request: &Request, error: &HttpError| {
        let status = error.status().as_u16();
        Response::new(format!("{status} at {}", request.path())).with_header("x-page", "ours")
    });
    app.get("/abort", |_: Request| -> () { abort(409, "") });
    app.get("/panic", |_: Request| -> () { panic!("boom") });
    app.get("/body", |_: Request| {
        Body::stream(|_| Err(BodyError::new("secret")))
    });
    app.get("/slow", |_: Request| greenway::green::sleep(DEADLINE));
    app.post("/small", |request: Request| request.body(2))
        .body_limit(2);
    app.post("/any", |request: Request| request.body(1 << 30));
    app
}

fn server(app: App, engine: Engine) -> TestServer {
    let server = linted(app).engine(engine);
    TestServer::start(
        server
            .limit_request_body(1000)
            .timeout(Duration::from_millis(500)),
    )
}

fn the_applications_page_is_for_all_errors(engine: Engine) {
    let server = server(app(), engine);
    let many = "x: y\r\n".repeat(1000);
    let long = format!("/{}", "a".repeat(8000));
    for (request, status, path) in [
        (get("/abort"), 409, "/abort"),
        (get("/none"), 404, "/none"),
        (get("/panic"), 500, "/panic"),
        (get("/body"), 500, "/body"),
        (get("/slow"), 504, "/slow"),
        (post("/small", "abc"), 413, "/small"),
        (post("/any", &"a".repeat(1001)), 413, "/any"),
        (get("/%zz"), 400, "*"),
        (with("GET", "/", &many, ""), 431, "*"),
        (get(&long), 414, "*"),
        ("NONSENSE\r\n\r\n".to_owned(), 400, "*"),
    ] {
        let reply = server.ask(&request);
        assert_eq!(reply.status(), status, "{path}");
        assert_eq!(reply.text(), format!("{status} at {path}"));
        assert_eq!(reply.head.field("x-page"), Some("ours"));
    }
}

/// The server's own: with a request whose head has come, the page sees it.
fn what_comes_too_slowly_has_a_page(engine: Engine) {
    let moment = Duration::from_millis(200);
    let server = linted(app()).engine(engine);
    let server = TestServer::start(server.header_timeout(moment).body_timeout(moment));
    for (half, page) in [
        ("GET /none HTTP/1.1\r\nHost: t\r\n", "408 at *"),
        (
            "POST /any HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nhalf",
            "408 at /any",
        ),
    ] {
        let reply = server.ask(half);
        assert_eq!((reply.status(), reply.text().as_str()), (408, page));
        assert_eq!(reply.head.field("x-page"), Some("ours"));
    }
}

fn what_finds_no_room_has_a_page(engine: Engine) {
    let (inside, leave) = (Gate::new(), Gate::new());
    let mut app = app();
    let (entered, left) = (inside.clone(), leave.clone());
    app.get("/waits", move |_: Request| {
        entered.open();
        left.pass();
    });
    let server = linted(app).engine(engine).limit_handlers(1);
    let server = TestServer::start(server);
    let mut first = server.connect();
    first.send(get("/waits"));
    inside.pass();
    let reply = server.get("/any");
    assert_eq!(
        (reply.status(), reply.text().as_str()),
        (503, "503 at /any")
    );
    assert_eq!(reply.head.field("retry-after"), Some("1"));
    assert_eq!(reply.head.field("x-page"), Some("ours"));
    leave.open();
    assert_eq!(first.reply().status(), 200);
}

/// Shorter and longer than the server's.
fn a_route_has_a_time_of_its_own(engine: Engine) {
    let mut app = app();
    app.get("/brief", |_: Request| greenway::green::sleep(DEADLINE))
        .timeout(Duration::from_millis(50));
    app.get("/patient", |_: Request| {
        greenway::green::sleep(Duration::from_millis(400));
        "done"
    })
    .timeout(DEADLINE);
    let app = std::sync::Arc::new(app);
    let server = |timeout| {
        let server = linted(app.clone()).engine(engine);
        TestServer::start(server.timeout(timeout))
    };
    let reply = server(DEADLINE).get("/brief");
    assert_eq!(
        (reply.status(), reply.text().as_str()),
        (504, "504 at /brief")
    );
    let impatient = server(Duration::from_millis(50));
    assert_eq!(impatient.get("/patient").text(), "done");
    assert_eq!(impatient.get("/slow").status(), 504);
}

fn a_mount_keeps_its_pages(engine: Engine) {
    let inner = || {
        let mut inner = App::new();
        inner.error_default(|request: &Request, error: &HttpError| {
            let status = error.status().as_u16();
            format!("{status} within, at {}", request.path())
        });
        inner.post("/small", |request: Request| request.body(100));
        inner
    };
    let mut app = app();
    app.mount("/limited", inner()).body_limit(2);
    app.mount("/blocking", blocking(inner()));
    let server = server(app, engine);
    for (request, page) in [
        (post("/limited/none", ""), "404 within, at /none"),
        (post("/limited/small", "abc"), "413 within, at /small"),
        (post("/blocking/none", ""), "404 within, at /none"),
        (post("/outer", "abc"), "404 at /outer"),
    ] {
        assert_eq!(server.ask(request).text(), page);
    }
}

/// Of a server that the handler talks to, say. The client is there, and is told.
fn a_reset_of_another_connection_is_no_departure(engine: Engine) {
    let mut app = app();
    app.get("/upstream", |_: Request| {
        Body::stream(|_| Err(io::Error::from(io::ErrorKind::ConnectionReset).into()))
    });
    let server = server(app, engine);
    let reply = server.get("/upstream");
    assert_eq!(
        (reply.status(), reply.text().as_str()),
        (500, "500 at /upstream")
    );
}

fn a_page_that_panics_leaves_a_plain_answer(engine: Engine) {
    let mut app = App::new();
    app.error_default(|_: &Request, _: &HttpError| -> () { panic!("in the page") });
    app.get("/panic", |_: Request| -> () { panic!("in the handler") });
    let server = server(app, engine);
    for (request, status) in [
        (get("/panic"), "500 Internal Server Error\n"),
        (get("/none"), "500 Internal Server Error\n"),
        ("NONSENSE\r\n\r\n".to_owned(), "400 Bad Request\n"),
    ] {
        assert_eq!(server.ask(&request).text(), status);
    }
}

fn a_client_gets_what_it_accepts(engine: Engine) {
    let server = server(App::new(), engine);
    let ask = |accept: &str| {
        let reply = server.ask(with("GET", "/none", &format!("accept: {accept}\r\n"), ""));
        assert_eq!(reply.status(), 404);
        reply
            .head
            .field("content-type")
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(ask("text/html,*/*;q=0.8"), "text/html; charset=utf-8");
    assert_eq!(ask("application/json"), "application/problem+json");
    assert_eq!(ask("*/*"), "text/plain; charset=utf-8");
}

fn a_panic_is_shown_in_debug_mode(engine: Engine) {
    let mut app = App::new();
    app.get("/panic/<what>", |request: Request| -> () {
        panic!("boom: {}", request.param("what"))
    });
    app.debug(true);
    let server = server(app, engine);
    let text = server.get("/panic/it").text();
    for part in [
        "GET /panic/it",
        "route: GET /panic/<what>",
        "boom: it",
        "error_pages.rs",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
