use super::*;
use crate::Response;
use crate::sessions::{Csrf, Sessions};

const LAYOUT: &str = "{% for flash in take_flashes() %}<p class={{ flash.category }}>\
    {{ flash.text }}</p>{% endfor %}{{ session.user() }} {{ session.cart }} \
    {{ session.get('cart') }}<form>{{ csrf_field() }}</form>";

fn visited(layout: &'static str) -> Client {
    let mut app = embedded(layout);
    app.install(Sessions::in_memory()).install(Csrf::new());
    app.get("/in", |request: Request| {
        let session = request.session()?;
        session.log_in("ann");
        session.set("cart", 3);
        session.flash("good", "<welcome>");
        Ok(Response::redirect("/page.html", 303))
    });
    app.post("/", |_: Request| "done");
    app.error(404, |request: &Request, _: &HttpError| {
        request.render("page.html", context! {})
    });
    app.get("/none", |_: Request| Err::<(), _>(HttpError::new(404, "")));
    Client::new(app).with_cookies()
}

#[test]
fn the_visitor_is_known() {
    let client = visited(LAYOUT);
    client.get("/in").send();
    let text = client.get("/page.html").send().text();
    let flash = "<p class=good>&lt;welcome&gt;</p>ann 3 3<form><input type=\"hidden\"";
    assert!(text.starts_with(flash), "{text}");
    let token = text.split('"').nth(5).unwrap();
    let form = "application/x-www-form-urlencoded";
    let post = || client.post("/").header("content-type", form);
    assert_eq!(
        post().body(format!("csrf_token={token}")).send().status(),
        200
    );
    assert_eq!(post().body("csrf_token=x").send().status(), 403);
    let text = client.get("/page.html").send().text();
    assert!(text.starts_with("ann 3 3<form>"), "taken once: {text}");
}

#[test]
fn who_is_not_asked_for_is_not_looked_up() {
    let client = visited("plain");
    let reply = client.get("/page.html").send();
    assert_eq!(
        (reply.header("vary"), reply.header("set-cookie")),
        (None, None)
    );
}

#[test]
fn the_page_of_an_error_may_have_the_layout_of_all() {
    let client = visited(LAYOUT);
    client.get("/in").send();
    let reply = client.get("/none").send();
    assert_eq!(reply.status(), 404);
    let token = r#"<form><input type="hidden" name="csrf_token" value=""></form>"#;
    assert_eq!(reply.text(), format!("ann 3 3{token}"));
    assert_eq!(reply.header("vary"), Some("Cookie"));
    let text = client.get("/page.html").send().text();
    assert!(
        text.contains("welcome"),
        "not taken by the error page: {text}"
    );
}

#[test]
fn without_sessions_it_says_what_to_do() {
    for name in [
        "take_flashes()",
        "csrf_token()",
        "session.user()",
        "session.x",
    ] {
        let text = format!("{{{{ {name} }}}}");
        let app = app(Templates::embedded([("page.html", text)]));
        let failure = failure(&app, "/page.html");
        assert!(
            failure.contains("app.install(Sessions::in_memory())"),
            "{name}: {failure}"
        );
    }
}

/// A page that is sent while it is rendered shows what is taken before that.
#[test]
fn a_streamed_page_knows_the_visitor() {
    let pages = [
        ("page.html", "{% extends 'layout.html' %}"),
        ("layout.html", "{% include \"visitor.html\" %}"),
        ("visitor.html", LAYOUT),
        ("plain.html", "{{ request.path }}"),
        ("late.html", "{% include 'vis' ~ 'itor.html' %}"),
    ];
    let mut app = App::new();
    app.templates(Templates::embedded(pages));
    app.install(Sessions::in_memory()).install(Csrf::new());
    app.get("/<name>", |request: Request| {
        request.render_stream(request.param("name"), context! {})
    });
    app.get("/in", |request: Request| {
        let session = request.session()?;
        session.log_in("ann");
        session.set("cart", 3);
        session.flash("good", "<welcome>");
        Ok("in")
    });
    app.post("/", |_: Request| "done");
    let client = Client::new(app).with_cookies();
    client.get("/in").send();
    let reply = client.get("/plain.html").send();
    assert_eq!(
        (reply.text().as_str(), reply.header("vary")),
        ("/plain.html", None)
    );
    let reply = client.get("/page.html").send();
    assert_eq!(reply.header("vary"), Some("Cookie"));
    let text = reply.text();
    let flash = "<p class=good>&lt;welcome&gt;</p>ann 3 3<form><input type=\"hidden\"";
    assert!(text.starts_with(flash), "{text}");
    let token = text.split('"').nth(5).unwrap();
    let post = client.post("/").header("x-csrf-token", token);
    assert_eq!(post.send().status(), 200, "the token was saved");
    let text = client.get("/page.html").send().text();
    assert!(text.starts_with("ann 3 3<form>"), "taken once: {text}");
    let late = client.get("/late.html").send();
    assert_eq!(late.status(), 500, "{}", late.text());
}
