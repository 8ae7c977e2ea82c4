//! Middleware, hooks and groups: who sees what, and in which order.

use super::*;
use crate::{Body, Bytes, HttpError, abort};

/// Writes its name down on the way in and on the way out.
fn mark(name: &'static str) -> impl Middleware {
    move |mut request: Request, next: Next<'_>| {
        let way = request.extensions().get::<Way>().cloned();
        let mut way = way.unwrap_or_default();
        way.0.push(name);
        request.extensions_mut().insert(way);
        let mut response = next.run(request);
        let header = response.headers().get("x-back").map(|value| value.to_str());
        let back = format!("{}{name} ", header.map_or("", |text| text.unwrap()));
        let back = back.trim_start().parse().unwrap();
        response.headers_mut().insert("x-back", back);
        response
    }
}

#[derive(Clone, Default)]
struct Way(Vec<&'static str>);

#[allow(clippy::needless_pass_by_value)]
fn way(request: Request) -> String {
    let way = request.extensions().get::<Way>().cloned();
    way.unwrap_or_default().0.join(" ")
}

fn there_and_back(client: &Client, path: &str) -> (String, String) {
    let reply = client.get(path).send();
    let back = reply.header("x-back").unwrap_or_default();
    (reply.text(), back.trim_end().to_owned())
}

fn pair(there: &str, back: &str) -> (String, String) {
    (there.to_owned(), back.to_owned())
}

#[test]
fn the_order_is_application_group_route() {
    let mut app = App::new();
    app.get("/early", way).apply(mark("r1")).apply(mark("r2"));
    app.install(mark("a1")).install(mark("a2"));
    app.group("/g", |group| {
        group.get("/x", way).apply(mark("rx"));
        group.install(mark("g1"));
        group.group("/h", |inner| {
            inner.install(mark("h1"));
            inner.get("", way).apply(mark("rh"));
        });
        group.install(mark("g2"));
    });
    let client = Client::new(app);
    for (path, there, back) in [
        ("/early", "a1 a2 r1 r2", "r2 r1 a2 a1"),
        ("/g/x", "a1 a2 g1 g2 rx", "rx g2 g1 a2 a1"),
        ("/g/h", "a1 a2 g1 g2 h1 rh", "rh h1 g2 g1 a2 a1"),
    ] {
        assert_eq!(there_and_back(&client, path), pair(there, back), "{path}");
    }
    let missing = client.get("/g/none").send();
    assert_eq!(
        (missing.status().as_u16(), missing.header("x-back")),
        (404, Some("a2 a1 "))
    );
    let options = client.options("/g/x").send();
    assert_eq!(
        (options.status().as_u16(), options.header("x-back")),
        (204, Some("a2 a1 "))
    );
}

struct Typed;

impl Middleware for Typed {
    fn call(&self, request: Request, next: Next<'_>) -> Response {
        next.run(request).with_header("x-typed", "1")
    }
}

#[test]
fn routes_do_without_what_they_skip() {
    let mut app = App::new();
    app.install(Typed).install_named("log", mark("log"));
    app.get("/", way)
        .get("/untyped", way)
        .skip::<Typed>()
        .get("/silent", way)
        .skip_named("log")
        .get("/bare", way)
        .apply(mark("own"))
        .skip_all()
        .get("/none-of-that", way)
        .skip_named("");
    let client = Client::new(app);
    for (path, typed, there) in [
        ("/", true, "log"),
        ("/untyped", false, "log"),
        ("/silent", true, ""),
        ("/bare", false, ""),
        ("/none-of-that", true, "log"),
    ] {
        let reply = client.get(path).send();
        assert_eq!(reply.header("x-typed").is_some(), typed, "{path}");
        assert_eq!(reply.text(), there, "{path}");
    }
}

#[test]
fn what_is_uninstalled_is_gone() {
    let mut app = App::new();
    app.install(Typed).uninstall::<Typed>().get("/", way);
    assert_eq!(Client::new(app).get("/").send().header("x-typed"), None);
}

#[test]
fn middleware_answers_itself_changes_bodies_and_sees_aborts() {
    let shout = |request: Request, next: Next<'_>| {
        let mut response = next.run(request);
        let body = std::mem::take(response.body_mut());
        *response.body_mut() = body.map_chunks(|chunk| Bytes::from(chunk.to_ascii_uppercase()));
        response
    };
    let gate = |request: Request, next: Next<'_>| {
        if request.query("no").is_some() {
            return Err(HttpError::new(403, "no"));
        }
        if request.query("stop").is_some() {
            abort(418, "teapot");
        }
        let response = next.run(request);
        Ok(response.with_header("x-gate", "passed"))
    };
    let mut app = App::new();
    app.install(shout).install(gate);
    app.get("/", |_: Request| Body::iter(["a", "b"]));
    app.get("/abort", |_: Request| -> () { abort(409, "later") });
    let client = Client::new(app);
    assert_eq!(client.get("/").send().chunks(), ["A", "B"]);
    assert_eq!(client.get("/?no").send().text(), "403 FORBIDDEN: NO\n");
    assert_eq!(
        client.get("/?stop").send().text(),
        "418 I'M A TEAPOT: TEAPOT\n"
    );
    let aborted = client.get("/abort").send();
    assert_eq!(
        (aborted.status().as_u16(), aborted.header("x-gate")),
        (409, Some("passed"))
    );
}

#[test]
fn hooks_are_around_everything() {
    let mut app = App::new();
    app.install(mark("m"));
    app.before_request(|request| {
        assert!(request.route().is_none(), "not routed yet");
        if request.query("stop").is_some() {
            abort(400, "stopped");
        }
        request.extensions_mut().insert(Way(vec!["before"]));
    });
    for name in ["first", "second"] {
        app.after_request(move |response| {
            response
                .headers_mut()
                .append("x-after", name.parse().unwrap());
        });
    }
    app.get("/", way);
    let client = Client::new(app);
    assert_eq!(client.get("/").send().text(), "before m");
    for path in ["/", "/none", "/?stop"] {
        let reply = client.get(path).send();
        let after: Vec<_> = reply.headers().get_all("x-after").iter().collect();
        assert_eq!(after, ["second", "first"], "{path}");
    }
    assert_eq!(
        client.get("/?stop").send().text(),
        "400 Bad Request: stopped\n"
    );
}

#[test]
fn hooks_of_a_group_are_for_the_group() {
    let mut app = App::new();
    app.get("/", way);
    app.group("/g", |group| {
        group.before_request(|request| {
            let rule = request.route().map(Route::rule);
            assert_eq!(rule, Some("/g/x"), "it is routed already");
            request.extensions_mut().insert(Way(vec!["hook"]));
        });
        group.after_request(|response| *response.status_mut() = StatusCode::ACCEPTED);
        group.get("/x", way).skip_all().skip_named("");
    });
    let client = Client::new(app);
    assert_eq!(
        (
            client.get("/").send().text(),
            client.get("/").send().status().as_u16()
        ),
        (String::new(), 200)
    );
    assert_eq!(
        (
            client.get("/g/x").send().text(),
            client.get("/g/x").send().status().as_u16()
        ),
        ("hook".to_owned(), 202)
    );
    assert_eq!(client.get("/g/none").send().status(), 404);
}

#[test]
fn settings_are_seen() {
    let mut app = App::new();
    app.route(&[Method::PUT, Method::PATCH], "/x", |request: Request| {
        let route = request.route().unwrap();
        assert_eq!(route.name(), None);
        format!(
            "{route:?} {:?} {:?} {:?} {:?}",
            route.timeout(),
            route.body_limit(),
            route.setting::<u8>(),
            route.setting::<u16>()
        )
    })
    .timeout(std::time::Duration::from_secs(7))
    .body_limit(9)
    .set(1_u8)
    .set(2_u8);
    assert_eq!(
        Client::new(app).put("/x").send().text(),
        "PUT,PATCH /x Some(7s) Some(9) Some(2) None"
    );
}

#[test]
fn a_route_limits_its_bodies() {
    let mut app = App::new();
    app.post("/", |request: Request| request.body(100))
        .body_limit(4)
        .post("/other", |request: Request| request.body(100));
    app.post("/read", |mut request: Request| {
        let mut text = String::new();
        let result = std::io::Read::read_to_string(request.input(), &mut text);
        assert_eq!(text, "abcd", "all that is allowed is given");
        result.map(|_| text).map_err(HttpError::from)
    })
    .body_limit(4);
    let client = Client::new(app);
    let too_large = "413 Payload Too Large: the body exceeds 4 bytes\n";
    assert_eq!(client.post("/").body("abcd").send().text(), "abcd");
    assert_eq!(client.post("/").body("abcde").send().text(), too_large);
    assert_eq!(client.post("/other").body("abcde").send().text(), "abcde");
    // A body that does not say how long it is.
    struct Endless;
    impl crate::InputSource for Endless {
        fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
            Ok(b"abcdefgh")
        }
        fn consume(&mut self, _: usize) {}
        fn length(&self) -> Option<u64> {
            None
        }
    }
    for path in ["/", "/read"] {
        let input = crate::Input::new(Box::new(Endless));
        assert_eq!(
            client.post(path).input(input).send().text(),
            too_large,
            "{path}"
        );
    }
}

#[test]
fn a_group_panics_as_the_rules_in_it_do() {
    let message = panic_message(|| {
        App::new().group("g", |_| {});
    });
    assert_eq!(message, "group \"g\": the prefix must start with a slash");
    let message = panic_message(|| {
        App::new().group("/g/", |group| define(group.get("/<a", way)));
    });
    assert!(message.starts_with("route \"/g/<a\": "), "{message}");
    let message = panic_message(|| {
        let mut app = App::new();
        app.get("/g/x", way);
        app.group("/g", |group| define(group.get("/x", way)));
    });
    assert_eq!(message, "route \"/g/x\": it is there already for GET");
}
