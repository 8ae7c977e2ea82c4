//! Who may send forms.

use super::{Browser, app};
use crate::sessions::{Csrf, Sessions};
use crate::{HttpError, Request};

fn protected(csrf: Csrf) -> Browser {
    let mut app = app(Sessions::in_memory());
    app.install(csrf);
    app.post("/do", |request: Request| {
        let field = request.form()?.get("a").unwrap_or("done").to_owned();
        Ok::<_, HttpError>(field)
    });
    app.any("/any", |_: Request| "any");
    app.post("/hook", |_: Request| "hook").skip::<Csrf>();
    Browser::new(app)
}

#[test]
fn forms_need_a_token() {
    const FORM: &str = "application/x-www-form-urlencoded";
    const MULTIPART: &str = "multipart/form-data; boundary=b";
    let browser = protected(Csrf::new());
    let (one, two) = (browser.text("/token"), browser.text("/token"));
    assert_ne!(one, two, "another one each time");
    let post = |content_type: &'static str, body: String| {
        let post = browser
            .client
            .post("/do")
            .header("content-type", content_type);
        browser.send(post.body(body))
    };
    for token in [&one, &two] {
        assert_eq!(post(FORM, format!("a=1&csrf_token={token}")).text(), "1");
        let field = |name: &str, value: &str| {
            format!("--b\r\nContent-Disposition: form-data; name={name}\r\n\r\n{value}\r\n")
        };
        let form = field("a", "2") + &field("csrf_token", token) + "--b--";
        assert_eq!(post(MULTIPART, form).text(), "2");
        let script = browser
            .client
            .post("/do")
            .header("x-csrf-token", token.as_str());
        assert_eq!(browser.send(script).text(), "done");
    }
    let changed = |at: usize| {
        let mut changed = one.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(changed).unwrap()
    };
    let other = protected(Csrf::new()).text("/token");
    let bad = [
        String::new(),
        "x".into(),
        "é".into(),
        one[..85].into(),
        one.clone() + "A",
        other,
    ];
    for token in bad.into_iter().chain((0..86).map(changed)) {
        assert_eq!(
            post(FORM, format!("csrf_token={token}")).status(),
            403,
            "{token}"
        );
    }
    assert_eq!(
        post("text/plain", format!("csrf_token={one}")).status(),
        403
    );
    assert_eq!(browser.send(browser.client.post("/do")).status(), 403);
    let stranger = browser
        .client
        .post("/do")
        .header("x-csrf-token", one.as_str())
        .send();
    assert_eq!(stranger.status(), 403, "a token is of a session");
    browser.get("/login?user=Ada");
    assert_eq!(
        post(FORM, format!("csrf_token={one}")).status(),
        403,
        "of before the login"
    );
    assert_eq!(browser.send(browser.client.post("/hook")).text(), "hook");
}

#[test]
fn what_comes_from_elsewhere_is_refused() {
    let browser = protected(Csrf::by_origin().trust("https://sister.example"));
    // The cases of Go's CrossOriginProtection, whose rules these are.
    for (site, origin, status) in [
        ("same-origin", "", 200),
        ("none", "", 200),
        ("cross-site", "", 403),
        ("same-site", "", 403),
        ("", "", 200),
        ("", "https://localhost", 200),
        ("", "http://LOCALHOST", 200),
        ("", "https://localhost:8443", 403),
        ("", "https://evil.example", 403),
        ("", "https://localhost.evil.example", 403),
        ("", "null", 403),
        ("", "localhost", 403),
        ("odd", "", 403),
        ("same-origin", "https://evil.example", 200),
        ("cross-site", "https://localhost", 403),
        ("cross-site", "https://sister.example", 200),
        ("same-site", "https://sister.example", 200),
        ("", "https://sister.example", 200),
        ("cross-site", "http://sister.example", 403),
        ("cross-site", "https://sister.example.org", 403),
    ] {
        for (method, changes) in [
            ("POST", true),
            ("PUT", true),
            ("PATCH", true),
            ("DELETE", true),
            ("ODD", true),
            ("GET", false),
            ("HEAD", false),
            ("OPTIONS", false),
        ] {
            let method = method.parse().unwrap();
            let mut request = browser.client.request(method, "/any");
            for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
                if !value.is_empty() {
                    request = request.header(name, value);
                }
            }
            let expected = if changes { status } else { 200 };
            assert_eq!(
                request.send().status(),
                expected,
                "{site:?} {origin:?} {changes}"
            );
        }
    }
}

/// A body that must not be read.
struct Untouched;

impl crate::InputSource for Untouched {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        panic!("the body of a stranger was read")
    }
    fn consume(&mut self, _: usize) {}
    fn length(&self) -> Option<u64> {
        None
    }
}

#[test]
fn the_upload_of_a_stranger_is_not_taken_in() {
    let browser = protected(Csrf::new());
    let post = browser.client.post("/do");
    let post = post.header("content-type", "multipart/form-data; boundary=b");
    let reply = post.input(crate::Input::new(Box::new(Untouched))).send();
    assert_eq!(reply.status(), 403);
}

#[test]
fn both_rules_hold() {
    let browser = protected(Csrf::new());
    let token = browser.text("/token");
    let post = || {
        browser
            .client
            .post("/any")
            .header("x-csrf-token", token.as_str())
    };
    assert_eq!(browser.send(post()).status(), 200);
    assert_eq!(
        browser
            .send(post().header("sec-fetch-site", "cross-site"))
            .status(),
        403
    );
    assert_eq!(
        browser
            .send(post().header("origin", "https://evil.example"))
            .status(),
        403
    );
    let without = browser
        .client
        .post("/any")
        .header("sec-fetch-site", "same-origin");
    assert_eq!(browser.send(without).status(), 403);
}

#[test]
#[should_panic(expected = "is no origin")]
fn odd_origins_are_refused() {
    let _ = Csrf::new().trust("sister.example");
}

/// What is mistyped is told so, wherever it is, and no handler is reached without a token.
#[test]
fn what_no_route_wants_is_refused_as_that() {
    let mut inner = crate::App::new();
    inner.post("/there", |_: Request| "inner");
    let mut app = app(Sessions::in_memory());
    app.install(Csrf::new());
    app.get("/page", |_: Request| "page");
    app.post("/do", |_: Request| "done");
    app.mount("/inner", std::sync::Arc::new(inner));
    app.mount("/other", |_: Request| "any application");
    app.host("host.example", |_: Request| "host");
    let browser = Browser::new(app);
    for (method, target, status) in [
        ("POST", "/do", 403),
        ("POST", "/typo", 404),
        ("POST", "/page", 405),
        ("ODD", "/do", 405),
        ("POST", "/inner/there", 403),
        ("POST", "/inner/typo", 404),
        ("PUT", "/inner/there", 405),
        ("POST", "/other/anything", 403),
        ("POST", "http://host.example/anything", 403),
    ] {
        let method = method.parse().unwrap();
        let reply = browser.client.request(method, target).send();
        assert_eq!(reply.status(), status, "{target}");
    }
}
