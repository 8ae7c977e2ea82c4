//! Pages for errors as clients over sockets see them: also where the server itself refuses.

use greenway::{App, Body, BodyError, Engine, HttpError, Request, Response, Server, abort};
use greenway_tests::request::{get, post, with};
use greenway_tests::{DEADLINE, TestServer, on_green_and_threads};
use std::time::Duration;

on_green_and_threads!(
    the_applications_page_is_for_all_errors,
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
    let server = Server::new(app).engine(engine);
    TestServer::start(
        server
            .limit_request_body(1000)
            .timeout(Duration::from_millis(500)),
    )
}

fn the_applications_page_is_for_all_errors(engine: Engine) {
    let server = server(app(), engine);
    let many = "x: y\r\n".repeat(1000);
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
        ("NONSENSE\r\n\r\n".to_owned(), 400, "*"),
    ] {
        let reply = server.ask(&request);
        assert_eq!(reply.status(), status, "{path}");
        assert_eq!(reply.text(), format!("{status} at {path}"));
        assert_eq!(reply.head.field("x-page"), Some("ours"));
    }
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
