//! What a handler is told about its request, as a real connection tells it (PEP 3333, "environ
//! Variables"; RFC 3875).

use greenway::{App, Engine, Request};
use greenway_tests::request::{get, with};
use greenway_tests::{TestServer, linted, on_green_and_threads};

on_green_and_threads!(
    the_environ_describes_the_request,
    the_environ_knows_both_ends,
    what_was_not_sent_is_absent,
    underscores_do_not_forge_variables,
    the_query_is_decoded,
    wildcards_are_decoded,
    the_engine_is_named,
    a_request_target_may_be_absolute,
    options_of_the_whole_server,
);

/// Answers with the variables that the query names, one to a line.
fn serve_environ(engine: Engine) -> TestServer {
    let app = |request: Request| {
        let environ = request.environ();
        let show = |name| {
            environ
                .get(name)
                .map_or(format!("{name} is absent\n"), |value| {
                    format!("{name}={value}\n")
                })
        };
        // The query is a list of names here.
        request
            .query_string()
            .split('&')
            .map(show)
            .collect::<String>()
    };
    TestServer::start(linted(app).engine(engine))
}

#[track_caller]
fn assert_environ(server: &TestServer, request: &str, expected: &[(&str, &str)]) {
    let names: Vec<_> = expected.iter().map(|(name, _)| *name).collect();
    let request = request.replace("NAMES", &names.join("&"));
    let reply = server.ask(&request);
    let lines: String = expected
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect();
    assert_eq!(reply.summary(), (200, lines), "{request}");
}

fn the_environ_describes_the_request(engine: Engine) {
    let request = "POST /a%20b/%C3%A9?NAMES HTTP/1.1\r\nHost: example.org:8088\r\n\
        Content-Type: text/x-thing\r\nContent-Length: 2\r\nX-Twice: one\r\nx-twice: two\r\n\
        Cookie: a=1\r\nCookie: b=2\r\nUser-Agent:  \tspaced  \r\n\r\nhi";
    assert_environ(
        &serve_environ(engine),
        request,
        &[
            ("REQUEST_METHOD", "POST"),
            ("SCRIPT_NAME", ""),
            ("PATH_INFO", "/a b/é"),
            ("SERVER_NAME", "example.org"),
            ("SERVER_PORT", "8088"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("CONTENT_TYPE", "text/x-thing"),
            ("CONTENT_LENGTH", "2"),
            ("HTTP_HOST", "example.org:8088"),
            ("HTTP_X_TWICE", "one,two"),
            ("HTTP_COOKIE", "a=1; b=2"),
            ("HTTP_USER_AGENT", "spaced"),
            ("wsgi.version", "1.0"),
            ("wsgi.url_scheme", "http"),
            ("wsgi.run_once", "false"),
            ("wsgi.multiprocess", "false"),
            // Two requests may be in the application at once, on two OS threads, in both engines.
            ("wsgi.multithread", "true"),
            ("wsgi.input_terminated", "true"),
        ],
    );
}

fn the_environ_knows_both_ends(engine: Engine) {
    let server = serve_environ(engine);
    let mut client = server.connect();
    let port = client.stream().local_addr().unwrap().port();
    let reply = client.send(get("/?REMOTE_ADDR&REMOTE_PORT")).reply();
    assert_eq!(
        reply.text(),
        format!("REMOTE_ADDR=127.0.0.1\nREMOTE_PORT={port}\n")
    );
    // Without Host, the address that was connected to.
    let reply = server.ask("GET /?SERVER_NAME&SERVER_PORT&SERVER_PROTOCOL HTTP/1.0\r\n\r\n");
    let port = server.addr().port();
    assert_eq!(
        reply.text(),
        format!("SERVER_NAME=127.0.0.1\nSERVER_PORT={port}\nSERVER_PROTOCOL=HTTP/1.0\n")
    );
}

fn what_was_not_sent_is_absent(engine: Engine) {
    let reply = serve_environ(engine).get("/?CONTENT_TYPE&CONTENT_LENGTH&HTTP_COOKIE");
    assert_eq!(
        reply.text(),
        "CONTENT_TYPE is absent\nCONTENT_LENGTH is absent\nHTTP_COOKIE is absent\n"
    );
}

fn underscores_do_not_forge_variables(engine: Engine) {
    let fields =
        "X-Real-Ip: 10.0.0.1\r\nX_Real_Ip: 6.6.6.6\r\nContent_Length: 7\r\nProxy: http://evil/\r\n";
    let request = with(
        "GET",
        "/?HTTP_X_REAL_IP&CONTENT_LENGTH&HTTP_CONTENT_LENGTH&HTTP_PROXY",
        fields,
        "",
    );
    assert_eq!(
        serve_environ(engine).ask(request).text(),
        "HTTP_X_REAL_IP=10.0.0.1\nCONTENT_LENGTH is absent\nHTTP_CONTENT_LENGTH is absent\nHTTP_PROXY is absent\n"
    );
}

fn the_query_is_decoded(engine: Engine) {
    let app = |request: Request| {
        let pairs: Vec<_> = request.query_pairs().collect();
        format!(
            "{:?} {pairs:?} {:?}",
            request.query("a"),
            request.query_string()
        )
    };
    let server = TestServer::start(linted(app).engine(engine));
    let reply = server.get("/?a=1+2&b=%C3%A9%26&a=3&c");
    assert_eq!(
        reply.text(),
        r#"Some("1 2") [("a", "1 2"), ("b", "é&"), ("a", "3"), ("c", "")] "a=1+2&b=%C3%A9%26&a=3&c""#
    );
    assert_eq!(server.get("/").text(), r#"None [] """#);
}

fn wildcards_are_decoded(engine: Engine) {
    let mut app = App::new();
    app.get("/hello/<name>", |request: Request| {
        let rule = request.route().map(|route| route.rule());
        format!("{} by {rule:?}", request.param("name"))
    });
    app.get("/sum/<a:int>/<b:int>", |request: Request| {
        (request.int("a") + request.int("b")).to_string()
    });
    let server = TestServer::start(linted(app).engine(engine));
    assert_eq!(
        server.get("/hello/Ada%20L%2FK").text(),
        r#"Ada L/K by Some("/hello/<name>")"#
    );
    assert_eq!(server.get("/sum/40/2").text(), "42");
    assert_eq!(server.get("/sum/40/x").status(), 404);
    let reply = server.ask(with("DELETE", "/sum/1/2", "", ""));
    assert_eq!(
        (reply.status(), reply.head.field("allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
}

fn the_engine_is_named(engine: Engine) {
    let app = |request: Request| request.connection().engine;
    let server = TestServer::start(linted(app).engine(engine));
    assert_eq!(server.get("/").text(), engine.name());
}

/// RFC 9112 section 3.2.2: "a server MUST accept the absolute-form in requests", and its
/// authority wins over Host.
fn a_request_target_may_be_absolute(engine: Engine) {
    let request = "GET http://other.example:81/path?NAMES HTTP/1.1\r\nHost: test\r\n\r\n";
    let expected = [
        ("PATH_INFO", "/path"),
        ("SERVER_NAME", "other.example"),
        ("SERVER_PORT", "81"),
        ("HTTP_HOST", "other.example:81"),
    ];
    assert_environ(&serve_environ(engine), request, &expected);
}

/// RFC 9112 section 3.2.4.
fn options_of_the_whole_server(engine: Engine) {
    let mut app = App::new();
    app.get("/", |_: Request| "");
    app.post("/", |_: Request| "");
    let server = TestServer::start(linted(app).engine(engine));
    let reply = server.ask(with("OPTIONS", "*", "", ""));
    assert_eq!(
        (reply.status(), reply.head.field("allow")),
        (204, Some("GET, HEAD, OPTIONS, POST"))
    );
}
