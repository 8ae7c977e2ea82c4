//! The listings of the chapter "Templates".

use greenway::testing::Client;

mod notes {
    // ANCHOR: notes
    use greenway::green::Lock;
    use greenway::sessions::{Csrf, Sessions};
    use greenway::templates::{Serde, context};
    use greenway::{App, HttpError, Request, Response};
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Serialize, Deserialize)]
    struct Note {
        title: String,
        text: String,
    }

    #[derive(Default)]
    struct Notes(Lock<Vec<Note>>);

    fn notes(request: Request) -> Result<Response, HttpError> {
        let notes = request.state::<Notes>().0.lock()?.clone();
        request.render("notes.html", context! { notes => Serde(notes) })
    }

    fn add(request: Request) -> Result<Response, HttpError> {
        let note: Note = request.form_as()?;
        request.state::<Notes>().0.lock()?.push(note);
        request.session()?.flash("good", "There it is.");
        Ok(Response::redirect(request.url_for("notes", &[]), 303))
    }

    pub(crate) fn app() -> App {
        let mut app = App::new();
        app.templates("templates").share(Notes::default());
        app.install(Sessions::in_memory()).install(Csrf::new());
        app.get("/", notes).name("notes").post("/", add).name("add");
        app.get("/note/<id:int>", |_: Request| "...").name("note");
        app
    }
    // ANCHOR_END: notes
}

#[test]
fn notes_are_shown() {
    let client = Client::new(notes::app()).with_cookies();
    let page = client.get("/").send().text();
    let (_, token) = page.split_once("name=\"csrf_token\" value=\"").unwrap();
    let token = token.split('"').next().unwrap();
    let post = client.post("/").header("x-csrf-token", token);
    let reply = post.form([("title", "A & B"), ("text", "<b>")]).send();
    assert_eq!(reply.status(), 303);
    let page = client.get("/").send().text();
    assert!(
        page.contains("<p class=\"good\">There it is.</p>"),
        "{page}"
    );
    let note = "<h2><a href=\"/note/1\">A &amp; B</a></h2>\n<p>&lt;b&gt;</p>";
    assert!(page.contains(note), "{page}");
}

#[test]
fn templates_are_configured() {
    use greenway::App;

    let mut app = App::new();
    // ANCHOR: configure
    use greenway::Templates;

    let templates = Templates::embedded([
        ("mail.txt", include_str!("../../templates/mail.txt")), // no file is read any more
    ]);
    app.templates(templates.configure(|env| {
        env.add_filter("shout", |text: String| text.to_uppercase());
        env.add_global("site", "example.org");
    }));
    // ANCHOR_END: configure

    app.get("/", |request: greenway::Request| {
        request.render("mail.txt", greenway::templates::context! { name => "Ada" })
    });
    let text = Client::new(app).get("/").send().text();
    assert_eq!(text, "HELLO ADA, example.org has news.");
}

#[test]
fn long_pages_are_streamed() {
    use greenway::{App, Request, Templates};

    #[derive(Clone)]
    struct Database;

    impl Database {
        fn rows(&self) -> impl Iterator<Item = u32> + Send + Sync + use<> {
            1..=3
        }
    }

    let database = Database;
    let page = "<h1>Log</h1>{{ flush() }}{% for row in rows %}<p>{{ row }}{% endfor %}";
    let mut app = App::new();
    app.templates(Templates::embedded([("log.html", page)]));
    // ANCHOR: stream
    use greenway::templates::{Value, context};

    app.get("/log", move |request: Request| {
        let database = database.clone();
        let rows = Value::make_iterable(move || database.rows()); // may wait for each row
        request.render_stream("log.html", context! { rows })
    });
    // ANCHOR_END: stream

    let reply = Client::new(app).get("/log").send();
    assert_eq!(reply.chunks(), ["<h1>Log</h1>\n", "<p>1<p>2<p>3"]);
}

#[test]
fn the_compiler_can_check_templates() {
    // ANCHOR: askama
    use askama::Template;
    use greenway::{Html, HttpError, Request};

    #[derive(Template)]
    #[template(source = "<p>Hello, {{ name }}!", ext = "html")] // or `path = "hello.html"`
    struct Hello<'a> {
        name: &'a str,
    }

    fn hello(request: Request) -> Result<Html<String>, HttpError> {
        let name = request.query("name").unwrap_or("you".into());
        Ok(Html(Hello { name: &name }.render()?))
    }
    // ANCHOR_END: askama

    let reply = Client::new(hello).get("/?name=%3CAda%3E").send();
    assert_eq!(
        reply.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(reply.text(), "<p>Hello, &#60;Ada&#62;!");
}
