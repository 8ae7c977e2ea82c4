//! What a request asks for: method, target and version (RFC 9112 section 3; RFC 9110 sections 4,
//! 7.1 and 9).

use greenway::{App, Engine, Request};
use greenway_tests::request::with;
use greenway_tests::{TestServer, linted, on_green_and_threads};

on_green_and_threads!(
    the_authority_of_the_target_wins,
    the_scheme_of_the_target_is_not_believed,
    an_empty_host_is_valid,
    http_1_0_needs_no_host,
    an_absolute_target_without_a_path_is_the_root,
    options_of_the_server_reach_the_application,
    an_unknown_method_is_the_applications_business,
    an_unknown_method_is_not_allowed_by_routes,
    methods_are_case_sensitive,
    trace_is_not_reflected,
    connect_opens_no_tunnel,
    percent_encoding_is_decoded_once,
    an_encoded_slash_is_data,
    a_malformed_path_is_refused,
    other_major_versions_are_refused,
);

/// Shows what the application sees.
fn show(engine: Engine) -> TestServer {
    let app = |request: Request| {
        let (method, path, raw) = (request.method(), request.path(), request.raw_path());
        format!("{method} {path} {raw} {:?}", request.host())
    };
    TestServer::start(linted(app).engine(engine))
}

/// RFC 9112 section 3.2.2: "the origin server MUST ignore the received Host header field (if any)
/// and instead use the host information of the request-target".
fn the_authority_of_the_target_wins(engine: Engine) {
    let server = show(engine);
    let reply =
        server.ask("GET http://target.example:81/a HTTP/1.1\r\nHost: field.example\r\n\r\n");
    assert_eq!(reply.text(), r#"GET /a /a Some("target.example:81")"#);
    let reply = server.ask("GET HTTPS://Target.example/a HTTP/1.1\r\nHost: field.example\r\n\r\n");
    assert_eq!(reply.text(), r#"GET /a /a Some("Target.example")"#);
}

/// RFC 9110 section 7.4: nobody becomes a secured client by saying so.
fn the_scheme_of_the_target_is_not_believed(engine: Engine) {
    let app = |request: Request| {
        format!(
            "{} {}",
            request.scheme(),
            &request.environ()["wsgi.url_scheme"]
        )
    };
    let server = TestServer::start(linted(app).engine(engine));
    for scheme in ["http", "https"] {
        let reply = server.ask(format!("GET {scheme}://a/ HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(reply.summary(), (200, "http http".into()), "{scheme}");
    }
}

/// RFC 9110 section 7.2: sent "with an empty field value" if the target has no authority.
fn an_empty_host_is_valid(engine: Engine) {
    let reply = show(engine).ask("GET / HTTP/1.1\r\nHost:\r\n\r\n");
    assert_eq!(reply.summary(), (200, r#"GET / / Some("")"#.into()));
}

fn http_1_0_needs_no_host(engine: Engine) {
    let server = show(engine);
    assert_eq!(
        server.ask("GET / HTTP/1.0\r\n\r\n").summary(),
        (200, "GET / / None".into())
    );
    assert_eq!(
        server.ask("GET / HTTP/1.0\r\nHost: a b\r\n\r\n").status(),
        400,
        "if there is one, it is valid"
    );
}

/// RFC 9110 section 4.2.3.
fn an_absolute_target_without_a_path_is_the_root(engine: Engine) {
    let server = show(engine);
    for target in ["http://a", "http://a/", "http://a?q"] {
        let reply = server.ask(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(reply.text(), r#"GET / / Some("a")"#, "{target}");
    }
}

/// RFC 9112 section 3.2.4.
fn options_of_the_server_reach_the_application(engine: Engine) {
    let server = show(engine);
    assert_eq!(
        server.ask(with("OPTIONS", "*", "", "")).text(),
        r#"OPTIONS * * Some("test")"#
    );
    assert_eq!(server.ask(with("GET", "*", "", "")).status(), 400);
}

/// RFC 9110 section 9.1: methods are an open set; 501 and 405 are for whoever knows the resource.
fn an_unknown_method_is_the_applications_business(engine: Engine) {
    let server = show(engine);
    for method in ["BREW", "M-SEARCH", "!#$%&'*+-.^_`|~", &"LONG".repeat(30)] {
        let reply = server.ask(with(method, "/", "", ""));
        assert_eq!(reply.text(), format!(r#"{method} / / Some("test")"#));
    }
}

fn routed(engine: Engine) -> TestServer {
    let mut app = App::new();
    app.get("/", |_: Request| "home");
    app.get("/file/<name>", |request: Request| {
        request.param("name").to_owned()
    });
    TestServer::start(linted(app).engine(engine))
}

/// RFC 9110 section 15.5.6: 405, and "the origin server MUST generate an Allow header field".
fn an_unknown_method_is_not_allowed_by_routes(engine: Engine) {
    let server = routed(engine);
    for method in ["BREW", "POST", "DELETE"] {
        let reply = server.ask(with(method, "/", "", ""));
        assert_eq!(
            (reply.status(), reply.head.field("allow")),
            (405, Some("GET, HEAD, OPTIONS")),
            "{method}"
        );
        assert_eq!(
            server.ask(with(method, "/nowhere", "", "")).status(),
            404,
            "{method}"
        );
    }
}

/// RFC 9110 section 9.1: "The method token is case-sensitive".
fn methods_are_case_sensitive(engine: Engine) {
    assert_eq!(routed(engine).ask(with("get", "/", "", "")).status(), 405);
}

/// RFC 9110 section 9.3.8: whoever answers TRACE must leave out credentials. Nobody answers it.
fn trace_is_not_reflected(engine: Engine) {
    let reply = routed(engine).ask(with("TRACE", "/", "Cookie: secret=1\r\n", ""));
    assert_eq!(reply.status(), 405);
    assert!(!reply.text().contains("secret"), "{reply:?}");
}

/// RFC 9110 section 9.3.6: an origin server need not implement it, and 501 is its status
/// (section 15.6.2).
fn connect_opens_no_tunnel(engine: Engine) {
    let server = show(engine);
    for target in ["example.org:443", "/", "*", "http://example.org/"] {
        let mut client = server.connect();
        let reply = client.send(with("CONNECT", target, "", "")).reply();
        assert_eq!(reply.status(), 501, "{target}");
        assert!(reply.head.says_close(), "{target}");
        client.end();
    }
}

/// RFC 3986 section 2.4: not more than once.
fn percent_encoding_is_decoded_once(engine: Engine) {
    let server = show(engine);
    for (raw, path) in [
        ("/a%20b", "/a b"),
        ("/%2525", "/%25"),
        ("/%C3%A9", "/é"),
        ("/%7euser", "/~user"),
        ("/a+b", "/a+b"),
        ("/%3Fx%23y", "/?x#y"),
        ("/%0D%0Aa", "/\r\na"),
        // Nothing is resolved: what ".." means is for those to say who open files.
        ("/a/../b/./c", "/a/../b/./c"),
        ("/%2e%2E/", "/../"),
        ("//a//b", "//a//b"),
    ] {
        let reply = server.ask(with("GET", raw, "", ""));
        assert_eq!(
            reply.summary(),
            (200, format!(r#"GET {path} {raw} Some("test")"#))
        );
    }
}

/// Decoded in `PATH_INFO`, as in all of WSGI; told apart where a route asks.
fn an_encoded_slash_is_data(engine: Engine) {
    assert_eq!(
        show(engine).ask(with("GET", "/a%2Fb%2fc", "", "")).text(),
        r#"GET /a/b/c /a%2Fb%2fc Some("test")"#
    );
    let server = routed(engine);
    assert_eq!(
        server.ask(with("GET", "/file/a%2Fb", "", "")).summary(),
        (200, "a/b".into())
    );
    assert_eq!(server.ask(with("GET", "/file/a/b", "", "")).status(), 404);
    assert_eq!(server.ask(with("GET", "/file%2Fa", "", "")).status(), 404);
}

/// The framing is beyond doubt, so the connection goes on.
fn a_malformed_path_is_refused(engine: Engine) {
    let server = show(engine);
    let mut client = server.connect();
    for path in [
        "/%00",
        "/a%00.txt",
        "/%",
        "/%4",
        "/%zz",
        "/%ff",
        "/%c0%af",
        "/%ed%a0%80",
    ] {
        let reply = client.send(with("GET", path, "", "")).reply();
        assert_eq!(reply.status(), 400, "{path}");
        assert!(!reply.head.says_close(), "{path}");
    }
    assert_eq!(client.send(with("GET", "/", "", "")).reply().status(), 200);
}

/// RFC 9110 section 15.6.6: 505, and say why.
fn other_major_versions_are_refused(engine: Engine) {
    let server = show(engine);
    for version in ["0.9", "2.0", "3.0", "9.9"] {
        let mut client = server.connect();
        let reply = client
            .send(format!("GET / HTTP/{version}\r\nHost: test\r\n\r\n"))
            .reply();
        assert_eq!(reply.status(), 505, "{version}");
        assert_eq!(
            reply.head.status_line(),
            "HTTP/1.1 505 HTTP Version Not Supported"
        );
        assert!(
            reply.text().contains("version"),
            "it describes why: {reply:?}"
        );
        client.end();
    }
    assert_eq!(
        server.ask("GET /\r\n\r\n").status(),
        400,
        "HTTP/0.9 in earnest"
    );
}
