//! Error pages: which one, for what, with which status and headers.

use std::io;

use crate::testing::Client;
use crate::{App, Body, BodyError, ConnectionInfo, HttpError, Next, Request, Response, abort};

fn page(text: &'static str) -> impl Fn(&Request, &HttpError) -> String {
    move |request, error| format!("{text}: {} {}", error.status().as_u16(), request.path())
}

#[test]
fn a_page_is_for_errors_however_they_come() {
    let mut app = App::new();
    app.error(404, page("own")).error_default(page("all"));
    app.get("/error", |_: Request| Err::<(), _>(HttpError::new(404, "")));
    app.get("/abort", |_: Request| -> () { abort(404, "") });
    app.get("/panic", |_: Request| -> () { panic!("boom") });
    app.get("/io", |_: Request| {
        Err(io::Error::other("secret"))?;
        Ok(())
    });
    app.get("/body", |_: Request| {
        Body::stream(|_| Err(BodyError::new("secret")))
    });
    app.get("/own", |_: Request| (404, "mine"));
    app.post("/", |_: Request| ());
    let client = Client::new(app);
    for (path, status, text) in [
        ("/error", 404, "own: 404 /error"),
        ("/abort", 404, "own: 404 /abort"),
        ("/none", 404, "own: 404 /none"),
        ("/panic", 500, "all: 500 /panic"),
        ("/io", 500, "all: 500 /io"),
        ("/body", 500, "all: 500 /body"),
        ("/own", 404, "mine"),
        ("/", 405, "all: 405 /"),
        ("/%zz", 400, "all: 400 *"),
    ] {
        let reply = client.get(path).send();
        assert_eq!(
            (reply.status().as_u16(), reply.text().as_str()),
            (status, text)
        );
    }
    assert_eq!(
        client.get("/").send().header("allow"),
        Some("OPTIONS, POST")
    );
}

#[test]
fn a_page_can_fail() {
    let mut app = App::new();
    app.error(404, |_: &Request, _: &HttpError| -> Result<(), HttpError> {
        Err(HttpError::new(503, "no template"))
    });
    app.error(405, |_: &Request, _: &HttpError| -> () { abort(502, "no") });
    app.error(400, |_: &Request, _: &HttpError| -> () { panic!("boom") });
    app.post("/", |_: Request| ());
    let client = Client::new(app);
    assert_eq!(
        client.get("/none").send().text(),
        "503 Service Unavailable: no template\n"
    );
    assert_eq!(client.get("/").send().text(), "502 Bad Gateway: no\n");
    let reply = client.get("/%zz").send();
    assert_eq!(
        reply.text(),
        "500 Internal Server Error: the handler failed\n"
    );
    assert_eq!(reply.panic(), Some("boom"));
}

#[test]
fn the_page_of_a_mounted_application_comes_first() {
    let mut inner = App::new();
    inner.error(404, |request: &Request, _: &HttpError| {
        request.url_for("home", &[])
    });
    inner.get("/", |_: Request| "").name("home");
    inner.get("/teapot", |_: Request| {
        Err::<(), _>(HttpError::new(418, ""))
    });
    let mut app = App::new();
    app.mount("/in", inner);
    app.error(404, page("outer")).error(418, page("outer"));
    app.group("/group", |group| {
        group.error(405, page("group"));
        group.post("/post", |_: Request| ());
    });
    let client = Client::new(app);
    assert_eq!(client.get("/in/none").send().text(), "/in/");
    assert_eq!(
        client.get("/in/teapot").send().text(),
        "outer: 418 /in/teapot"
    );
    assert_eq!(client.get("/none").send().text(), "outer: 404 /none");
    assert_eq!(
        client.get("/group/post").send().text(),
        "group: 405 /group/post"
    );
}

#[test]
fn middleware_may_answer_first() {
    let mut app = App::new();
    app.error(404, page("own"));
    app.install(|request: Request, next: Next<'_>| {
        let keep = request.query("keep").is_some();
        let mut response = next.run(request).with_header("x-m", "1");
        assert_eq!(
            response.error().map(|error| error.status().as_u16()),
            Some(404)
        );
        if keep {
            *response.body_mut() = Body::full("mine");
        }
        response
    });
    let client = Client::new(app);
    assert_eq!(client.get("/no").send().text(), "own: 404 /no");
    assert_eq!(client.get("/no").send().header("x-m"), Some("1"));
    assert_eq!(client.get("/no?keep").send().text(), "mine");
}

#[test]
fn an_error_of_a_type_is_found_below_others() {
    #[derive(Debug)]
    struct Outer(io::Error);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("outer")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let mut app = App::new();
    app.error_for(|_: &Request, error: &io::Error| (503, error.kind().to_string()));
    app.get("/", |_: Request| {
        Err(Outer(io::ErrorKind::NotFound.into()))?;
        Ok(())
    });
    let reply = Client::new(app).get("/").send();
    assert_eq!(
        (reply.status().as_u16(), reply.text().as_str()),
        (503, "entity not found")
    );
}

#[test]
fn pages_are_for_those_who_understand_them_and_nothing_in_them_is_live() {
    let mut app = App::new();
    app.get("/", |_: Request| {
        Err::<(), _>(HttpError::new(400, "<b>\"\\\n"))
    });
    app.get("/own", |_: Request| {
        let error = HttpError::new(400, "{}").with_header("content-type", "application/json");
        Err::<(), _>(error)
    });
    let client = Client::new(app);
    let get = |accept: &'static str| client.get("/").header("accept", accept).send();
    let html = get("text/html");
    assert_eq!(
        html.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(html.header("vary"), Some("accept"));
    assert!(
        html.text().contains("<p>&lt;b&gt;&quot;\\\n</p>"),
        "{}",
        html.text()
    );
    let json = get("application/json").text();
    assert_eq!(
        json,
        r#"{"title":"Bad Request","status":400,"detail":"<b>\"\\\u000a"}"#
    );
    assert_eq!(get("text/plain").text(), "400 Bad Request: <b>\"\\\n\n");
    let own = client.get("/own").header("accept", "text/html").send();
    assert_eq!(own.header("content-type"), Some("application/json"));
}

#[test]
fn a_server_in_debug_mode_shows_it_for_all_its_applications() {
    fn fails(_: Request) -> Result<Response, HttpError> {
        Err(io::Error::other("a secret"))?
    }
    let mut app = App::new();
    app.get("/", fails);
    let debug = || ConnectionInfo::default().with_debug(true);
    let page = |client: Client| client.get("/").header("accept", "text/html").send().text();
    assert!(page(Client::new(app).with_connection(debug())).contains("a secret"));
    assert!(page(Client::new(fails).with_connection(debug())).contains("a secret"));
    assert!(!page(Client::new(fails)).contains("a secret"));
}

#[test]
fn what_went_wrong_is_shown_in_debug_mode_only() {
    let app = |debug| {
        let mut app = App::new();
        app.debug(debug);
        app.get("/file/<name>", |request: Request| {
            let name = request.param("name");
            Err(io::Error::other(format!("<secret> of {name}")))?;
            Ok(Response::default())
        });
        Client::new(app)
    };
    let get = |client: &Client, accept: &'static str| {
        client
            .get("/file/a?b=<i>")
            .header("accept", accept)
            .send()
            .text()
    };
    for accept in ["text/html", "*/*", "application/json"] {
        assert!(!get(&app(false), accept).contains("secret"));
    }
    let page = get(&app(true), "text/html");
    for part in [
        "GET /file/a?b=&lt;i&gt;",
        "/file/&lt;name&gt;",
        "&lt;secret&gt; of a",
        "errors.rs",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(get(&app(true), "*/*").contains("<secret> of a"));
    assert!(
        app(true)
            .get("/none")
            .send()
            .text()
            .starts_with("404 Not Found")
    );
}

#[test]
fn pages_are_whole_and_take_no_cookie_away() {
    let mut app = App::new();
    app.error(404, |request: &Request, _: &HttpError| {
        let seen = ["range", "if-none-match", "If-Modified-Since", "x-own"];
        let seen: Vec<_> = seen
            .iter()
            .filter_map(|name| request.header(name))
            .collect();
        Response::new(seen.join(" "))
            .with_header("set-cookie", "page=1")
            .with_header("vary", "x-own")
            .with_header("x-from", "page")
    });
    app.after_request(|response| {
        for (name, value) in [
            ("set-cookie", "id=1"),
            ("vary", "cookie"),
            ("x-from", "hook"),
        ] {
            response.headers_mut().append(name, value.parse().unwrap());
        }
    });
    let client = Client::new(app);
    let get = client
        .get("/none")
        .header("range", "bytes=0-1")
        .header("x-own", "own");
    let get = get
        .header("If-None-Match", "*")
        .header("if-modified-since", "never");
    let reply = get.send();
    assert_eq!(reply.text(), "own");
    let all = |name| reply.headers().get_all(name).iter().collect::<Vec<_>>();
    assert_eq!(all("set-cookie"), ["id=1", "page=1"]);
    assert_eq!(all("vary"), ["cookie", "x-own"]);
    assert_eq!(all("x-from"), ["page"]);
}

#[test]
fn a_page_that_fails_hides_nothing_from_the_log() {
    let mut app = App::new();
    app.error_default(|_: &Request, _: &HttpError| -> Result<&str, HttpError> {
        Err(HttpError::from("the page's own"))
    });
    app.get("/broken", |_: Request| -> Result<&str, HttpError> {
        Err(HttpError::from("no such file"))
    });
    app.get("/said", |_: Request| -> Result<&str, HttpError> {
        Err(HttpError::new(500, "said before"))
    });
    let client = Client::new(app);
    for (path, first) in [
        ("/broken", "500 Internal Server Error: no such file (at "),
        ("/said", "500 Internal Server Error: said before; "),
        ("/none", "404 Not Found: nothing is at /none; "),
    ] {
        let reply = client.get(path).send();
        assert_eq!(reply.status(), 500, "{path}");
        assert_eq!(reply.text(), "500 Internal Server Error\n", "{path}");
        let failure = reply.failure().unwrap();
        assert!(failure.starts_with(first), "{failure}");
        let of_page = "; and its error page has failed: 500 Internal Server Error: the page's own";
        assert!(failure.contains(of_page), "{failure}");
    }
}
