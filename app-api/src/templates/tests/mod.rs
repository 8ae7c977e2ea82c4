#[cfg(feature = "sessions")]
mod sessions;
mod stream;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::{Serde, Templates, context};
use crate::testing::Client;
use crate::{App, Application, Failure, Head, HttpError, Input, Method, Request, Version};

/// A directory with these files.
fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::new().unwrap();
    for (name, text) in files {
        write(directory.path(), name, text);
    }
    directory
}

fn write(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// An application with these templates, that renders the one that is asked for.
fn app(templates: impl Into<Templates>) -> App {
    let mut app = App::new();
    app.templates(templates);
    app.get("/<name:path>", |request: Request| {
        request.render(request.param("name"), context! { text => "<&>" })
    })
    .name("page");
    app
}

fn embedded(page: &'static str) -> App {
    app(Templates::embedded([("page.html", page)]))
}

/// What the log says of a page that fails, of which the client hears nothing.
fn failure(app: &App, path: &str) -> String {
    let head = Head::build(Method::GET, path, Version::HTTP_11, std::iter::empty());
    let request = Request::new(head, Input::empty(), Arc::default()).unwrap();
    let response = app.call(request);
    assert_eq!(response.status(), 500);
    let failure = response.extensions().get::<Failure>().unwrap().to_string();
    let body = response.into_parts().1.into_full().unwrap();
    assert_eq!(body, "500 Internal Server Error\n");
    failure
}

/// The text of the one page.
fn page(app: App) -> String {
    let reply = Client::new(app).get("/page.html").send();
    assert_eq!(reply.status(), 200, "{}", reply.text());
    reply.text()
}

#[test]
fn content_types_and_escapes_are_those_of_the_ending() {
    const HTML: (&str, &str) = ("text/html; charset=utf-8", "&lt;&amp;&gt;");
    for (name, (content_type, text)) in [
        ("a.html", HTML),
        ("a.html.j2", HTML),
        ("b/a.htm", HTML),
        ("a.xml", ("text/xml; charset=utf-8", HTML.1)),
        ("a.svg", ("image/svg+xml", HTML.1)),
        ("a.atom", ("application/atom+xml", HTML.1)),
        ("a.xhtml", ("application/xhtml+xml", HTML.1)),
        ("a.json", ("application/json", r#""<&>""#)),
        ("a.js", ("text/javascript; charset=utf-8", r#""<&>""#)),
        ("a.txt", ("text/plain; charset=utf-8", "<&>")),
        ("a.csv", ("text/csv; charset=utf-8", "<&>")),
        ("a", ("text/plain; charset=utf-8", "<&>")),
    ] {
        let client = Client::new(app(Templates::embedded([(name, "{{ text }}")])));
        let reply = client.get(&format!("/{name}")).send();
        assert_eq!(reply.header("content-type"), Some(content_type), "{name}");
        assert_eq!(reply.text(), text, "{name}");
    }
}

#[test]
fn html_is_escaped_but_for_what_is_said_to_be_safe() {
    let text = r#"{{ "<'/" }} {{ '<'|safe }} {{ ['"'] }} {{ 1 }}{{ none_such }}"#;
    assert_eq!(page(embedded(text)), "&lt;&#39;/ < [&#x27;&quot;&#x27;] 1");
}

#[test]
fn what_is_in_the_directory_has_a_name_and_nothing_else() {
    let outside = directory(&[("secret.html", "secret")]);
    let files = [
        ("a.html", "a"),
        ("in/b.html", "b"),
        (".c.html", "c"),
        (".git/d.html", "d"),
    ];
    let inside = directory(&files);
    fs::write(inside.path().join("picture.html"), [0xff, 0xfe]).unwrap();
    let client = Client::new(app(inside.path()));
    let status = |name: &str| client.get(&format!("/{name}")).send().status().as_u16();
    assert_eq!((status("a.html"), status("in/b.html")), (200, 200));
    let out = format!("{}/secret.html", outside.path().display());
    let secret = outside
        .path()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    for name in [
        ".c.html",
        ".git/d.html",
        "in/../a.html",
        "./a.html",
        "/a.html",
        "picture.html",
        &out,
        &format!("../{secret}/secret.html"),
        &format!("in%2F..%2F..%2F{secret}%2Fsecret.html"),
    ] {
        assert_eq!(status(name), 500, "{name}");
    }
}

#[test]
fn a_template_that_is_not_there_is_told_to_the_log_alone() {
    let failure = failure(&embedded("x"), "/no.html");
    let expected = "no template is named \"no.html\"; there are: page.html";
    assert!(failure.contains(expected), "{failure}");
    assert!(failure.contains("templates/tests/mod.rs:"), "{failure}");
}

#[test]
fn a_mistake_is_told_with_template_and_line() {
    let broken = "a\n{% include 'part.html' %}";
    let part = "b\nc\n{{ text.nothing.more }}";
    let app = app(Templates::embedded([
        ("page.html", broken),
        ("part.html", part),
    ]));
    let failure = failure(&app, "/page.html");
    assert!(failure.contains("part.html:3"), "{failure}");
    assert!(failure.contains("templates/tests/mod.rs:"), "{failure}");
}

#[test]
#[should_panic(expected = "in b/page.html:2")]
fn a_mistake_of_syntax_ends_the_start() {
    let directory = directory(&[("a.html", "fine"), ("b/page.html", "\n{% if %}")]);
    App::new().templates(directory.path());
}

#[test]
#[should_panic(expected = "/no/such/directory: No such file")]
fn a_directory_that_is_not_there_ends_the_start() {
    App::new().templates("/no/such/directory");
}

#[test]
#[should_panic(expected = "app.templates(")]
fn an_application_without_templates_is_told_so() {
    let app = |request: Request| request.render("a.html", context! {});
    let reply = Client::new(app).get("/").send();
    panic!("{}", reply.panic().unwrap());
}

#[test]
fn changes_are_seen_while_debugging_and_only_then() {
    let files = directory(&[
        ("page.html", "old {% include 'part.html' %}"),
        ("part.html", "1"),
    ]);
    for (debug, expected) in [(false, "old 1"), (true, "new 2")] {
        write(files.path(), "page.html", "old {% include 'part.html' %}");
        write(files.path(), "part.html", "1");
        let mut app = app(files.path());
        app.debug(debug);
        let client = Client::new(app);
        let get = || client.get("/page.html").send();
        assert_eq!(get().text(), "old 1");
        write(files.path(), "page.html", "new {% include 'part.html' %}");
        write(files.path(), "part.html", "2");
        assert_eq!(get().text(), expected);
        write(files.path(), "page.html", "{% if %}");
        assert_eq!(get().status(), if debug { 500 } else { 200 });
    }
}

#[test]
fn routes_have_urls() {
    let page_of = |text| page(embedded(text));
    let url = r#"{{ url_for("page", name="a b/c", q="1&2", x=nothing, y=none)|safe }}"#;
    assert_eq!(page_of(url), "/a%20b/c?q=1%262");
    let failure = failure(&embedded("{{ url_for('none') }}"), "/page.html");
    assert!(failure.contains("no route is named \"none\""), "{failure}");
    assert!(failure.contains("page.html:1"), "{failure}");
}

#[test]
fn a_mounted_application_has_its_own_urls_and_templates() {
    let text = "{{ url_for('home') }} {{ url_for('page', name='x') }} {{ request.script_name }}";
    let mut outer = App::new();
    outer.templates(Templates::embedded([("page.html", "outer")]));
    outer.get("/", |_: Request| "").name("home");
    outer.mount("/in", embedded(text));
    let mut bare = App::new();
    bare.get("/", |request: Request| {
        request.render("page.html", context! {})
    });
    outer.mount("/bare", bare);
    let client = Client::new(outer);
    assert_eq!(client.get("/in/page.html").send().text(), "/ /in/x /in");
    assert_eq!(client.get("/bare/").send().text(), "outer");
}

#[test]
fn the_request_is_there() {
    let text = "{{ request.method }} {{ request.path }} {{ request.query.q }} \
        {{ request.query.none }}{{ request.params.name }} {{ request.route }} \
        {{ request.host }} {{ request.scheme }} {{ request.query_string }}";
    let reply = Client::new(embedded(text))
        .get("/page.html?q=%3C&q=2")
        .send();
    assert_eq!(
        reply.text(),
        "GET /page.html &lt; page.html page localhost http q=%3C&amp;q=2"
    );
}

#[test]
fn a_text_can_be_made_of_a_template() {
    let mut app = App::new();
    app.templates(Templates::embedded([(
        "mail.txt",
        "Dear {{ name }}, {{ url_for('home') }}",
    )]));
    app.get("/", |request: Request| {
        let mail = request.render_to_string("mail.txt", context! { name => "Ada" })?;
        Ok(mail.to_uppercase())
    })
    .name("home");
    assert_eq!(Client::new(app).get("/").send().text(), "DEAR ADA, /");
}

#[test]
fn values_of_the_handler_come_first() {
    let mut app = App::new();
    app.templates(Templates::embedded([(
        "a.txt",
        "{{ request }} {{ url_for }} {{ n.x }}",
    )]));
    app.get("/", |request: Request| {
        #[derive(serde::Serialize)]
        struct Named {
            x: u8,
        }
        let values = context! { request => "mine", url_for => "too", n => Serde(Named { x: 1 }) };
        request.render("a.txt", values)
    });
    assert_eq!(Client::new(app).get("/").send().text(), "mine too 1");
}

#[test]
fn an_environment_is_configured_for_both_ways() {
    for debug in [false, true] {
        let files = directory(&[("page.html", "{{ 'a'|shout }} {{ site }}")]);
        let templates = Templates::new(files.path()).configure(|env| {
            env.add_filter("shout", |text: String| text.to_uppercase());
            env.add_global("site", "S");
        });
        let mut app = app(templates);
        app.debug(debug);
        assert_eq!(page(app), "A S");
    }
}

/// What is imported, included or inherited sees ours as well.
#[test]
fn ours_are_there_everywhere() {
    let parts = [
        (
            "base.html",
            "{% block body %}{% endblock %}|{{ url_for('page', name='base') }}",
        ),
        (
            "macros.html",
            "{% macro link(to) %}{{ url_for('page', name=to) }}{% endmacro %}",
        ),
        ("part.html", "{{ url_for('page', name='part') }}"),
        (
            "page.html",
            "{% extends 'base.html' %}{% block body %}{% from 'macros.html' import link %}\
             {{ link('macro') }} {% include 'part.html' %} {{ url_for('page', name='x') }}\
             {% endblock %}",
        ),
    ];
    assert_eq!(
        page(app(Templates::embedded(parts))),
        "/macro /part /x|/base"
    );
}

#[test]
fn a_page_for_an_error_can_be_a_template() {
    let mut app = embedded("{{ request.path }} {{ url_for('page', name='a') }}");
    app.error(404, |request: &Request, _: &HttpError| {
        request.render("page.html", context! {})
    });
    app.get("/none", |_: Request| Err::<(), _>(HttpError::new(404, "")));
    let reply = Client::new(app).get("/none").send();
    assert_eq!(
        (reply.status().as_u16(), reply.text().as_str()),
        (404, "/none /a")
    );
}

#[test]
fn the_page_for_the_author_shows_the_lines() {
    let mut app = embedded("one\n{{ text.no.more }}\nthree");
    app.debug(true);
    let text = Client::new(app).get("/page.html").send().text();
    for part in ["page.html:2", "three", "<&>"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
