//! The listings of the chapter "Forms, files and cookies".

use greenway::testing::{Client, Reply};
use greenway::{App, Request};

const FORM: &str = "application/x-www-form-urlencoded";

/// Sends a form to the one handler that there is.
fn post(handler: impl greenway::Application, content_type: &str, body: &str) -> Reply {
    let client = Client::new(handler);
    let post = client.post("/").header("content-type", content_type);
    post.body(body.to_owned()).send()
}

/// A multipart form with the boundary `b`.
fn upload(handler: impl greenway::Application, parts: &[(&str, &str)]) -> Reply {
    let part = |(head, data): &(&str, &str)| {
        format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{data}\r\n")
    };
    let body = parts.iter().map(part).collect::<String>() + "--b--\r\n";
    post(handler, "multipart/form-data; boundary=b", &body)
}

fn cookie(reply: &Reply) -> String {
    let line = reply.header("set-cookie").expect("it sets a cookie");
    line.split(';').next().unwrap_or_default().to_owned()
}

#[test]
fn a_form_is_read() {
    // ANCHOR: form
    use greenway::{HttpError, Request};

    fn order(request: Request) -> Result<String, HttpError> {
        let form = request.form()?;
        let dish = form
            .get("dish")
            .ok_or_else(|| HttpError::new(400, "which dish?"))?;
        let extras: Vec<&str> = form.get_all("extra").collect();
        Ok(format!("{dish} with {}\n", extras.join(" and ")))
    }
    // ANCHOR_END: form

    let reply = post(order, FORM, "dish=fish+pie&extra=salt&extra=ice");
    assert_eq!(reply.text(), "fish pie with salt and ice\n");
    let reply = upload(order, &[("name=dish", "soup"), ("name=extra", "salt")]);
    assert_eq!(reply.text(), "soup with salt\n");
    assert_eq!(post(order, FORM, "extra=salt").status(), 400);
    assert_eq!(post(order, "text/plain", "dish=soup").status(), 415);
}

mod again {
    // ANCHOR: again
    use greenway::forms::FormErrors;
    use greenway::templates::context;
    use greenway::{App, HttpError, Request, Response};

    #[derive(serde::Deserialize)]
    struct Ticket {
        title: String,
        seats: u8,
    }

    fn show(request: &Request, errors: &FormErrors) -> Result<Response, HttpError> {
        let status = if errors.is_empty() { 200 } else { 422 };
        let page = request.render("ticket.html", context! { errors => errors })?;
        Ok(page.with_status(status))
    }

    fn buy(request: Request) -> Result<Response, HttpError> {
        let ticket: Ticket = match request.form_or_errors()? {
            Ok(ticket) => ticket,
            Err(errors) => return show(&request, &errors),
        };
        let mut errors = FormErrors::new();
        if ticket.title.trim().is_empty() {
            errors.add("title", "must not be empty");
        }
        if ticket.seats == 0 || ticket.seats > 8 {
            errors.add("seats", "must be 1 to 8");
        }
        if !errors.is_empty() {
            return show(&request, &errors);
        }
        Ok(request.redirect("/thanks"))
    }

    fn app() -> App {
        let mut app = App::new();
        app.templates("templates");
        app.get("/", |request: Request| show(&request, &FormErrors::new()))
            .post("/", buy);
        app
    }
    // ANCHOR_END: again

    #[test]
    fn a_form_is_shown_again() {
        let client = greenway::testing::Client::new(app());
        let page = client.get("/").send();
        assert_eq!(page.status(), 200, "{:?}", page.failure());
        assert!(page.text().contains("<input name=\"title\" value=\"\"> \n"));
        let post = |title: &str, seats: &str| {
            let form = [("title", title), ("seats", seats)];
            client.post("/").form(form).send()
        };
        for (title, seats, says) in [
            ("<b>", "many", r#"value="many"> must be a whole number"#),
            ("<b>", "300", r#"value="300"> is too large a number"#),
            ("<b>", "9", r#"value="9"> must be 1 to 8"#),
            (" ", "9", r#"value=" "> must not be empty"#),
        ] {
            let reply = post(title, seats);
            assert_eq!(reply.status(), 422);
            assert!(reply.text().contains(says), "{}", reply.text());
        }
        assert!(post("<b>", "x").text().contains(r#"value="&lt;b&gt;"> "#));
        assert_eq!(post("A", "2").status(), 303);
    }
}

#[test]
fn a_form_is_a_type() {
    // ANCHOR: typed
    use greenway::{HttpError, Request};
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Order {
        dish: String,
        count: u8,
        note: Option<String>,
        #[serde(default)]
        extra: Vec<String>,
    }

    fn order(request: Request) -> Result<String, HttpError> {
        let order: Order = request.form_as()?;
        let note = order.note.unwrap_or_default();
        Ok(format!(
            "{} {} {:?} {note}\n",
            order.count, order.dish, order.extra
        ))
    }
    // ANCHOR_END: typed

    let reply = post(order, FORM, "dish=soup&count=2&extra=salt&note=hot");
    assert_eq!(reply.text(), "2 soup [\"salt\"] hot\n");
    assert_eq!(
        post(order, FORM, "count=many").text(),
        "400 Bad Request: count: must be a whole number; dish: is missing\n"
    );
}

#[test]
fn json_is_read() {
    // ANCHOR: json
    use greenway::{HttpError, Request};
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Point {
        x: f64,
        y: f64,
    }

    fn length(request: Request) -> Result<String, HttpError> {
        let point: Point = request.json()?;
        Ok(format!("{}\n", point.x.hypot(point.y)))
    }
    // ANCHOR_END: json

    let reply = post(length, "application/json", r#"{"x": 3, "y": 4}"#);
    assert_eq!(reply.text(), "5\n");
    let reply = post(length, "application/json", r#"{"x": 3, "y": "four"}"#);
    assert!(
        reply
            .text()
            .starts_with("400 Bad Request: y: invalid type: string \"four\"")
    );
}

#[test]
fn files_are_saved() {
    // ANCHOR: save
    use greenway::{HttpError, Request};
    use std::io::ErrorKind;
    use std::path::Path;

    fn picture(request: Request, folder: &Path) -> Result<String, HttpError> {
        let Some(file) = request.file("picture")? else {
            return Err(HttpError::new(400, "a picture is missing"));
        };
        if file.content_type() != Some("image/png") {
            return Err(HttpError::new(415, "PNG, please"));
        }
        let path = file.save(folder).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => HttpError::new(409, "there is one of this name"),
            _ => error.into(), // a 500, and a line in the log
        })?;
        Ok(format!("{} bytes in {}\n", file.len(), path.display()))
    }
    // ANCHOR_END: save

    let folder = std::env::temp_dir().join(format!("greenway-listing-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let there = folder.clone();
    let app = move |request: Request| picture(request, &there);
    let png = "name=picture; filename=\"../../é t.png\"\r\nContent-Type: image/png";
    let text = upload(app.clone(), &[(png, "PNG")]).text();
    assert!(
        text.starts_with("3 bytes in ") && text.ends_with("/é-t.png\n"),
        "{text}"
    );
    assert_eq!(upload(app.clone(), &[(png, "PNG")]).status(), 409);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    assert_eq!(upload(app.clone(), &[]).status(), 400);
    let text = "name=picture; filename=a\r\nContent-Type: text/plain";
    assert_eq!(upload(app, &[(text, "x")]).status(), 415);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_upload_is_read_as_it_comes() {
    // ANCHOR: parts
    use greenway::{HttpError, Request};
    use std::io::BufRead;

    /// Counts the lines of each file, of whatever length, and keeps nothing.
    fn lines(request: Request) -> Result<String, HttpError> {
        let mut form = request.multipart()?;
        let mut answer = String::new();
        while let Some(part) = form.next_part()? {
            let name = part.filename();
            let lines = part.split(b'\n').try_fold(0, |n, line| line.map(|_| n + 1));
            answer += &format!("{name}: {}\n", lines?);
        }
        Ok(answer)
    }
    // ANCHOR_END: parts

    let parts = [
        ("name=a; filename=a.txt", "1\n2\n3"),
        ("name=b; filename=b.txt", ""),
    ];
    assert_eq!(upload(lines, &parts).text(), "a.txt: 3\nb.txt: 0\n");
}

#[test]
fn limits_are_set() {
    fn import(request: Request) -> Result<String, greenway::HttpError> {
        Ok(request.form()?.len().to_string())
    }
    let mut app = App::new();
    // ANCHOR: limits
    use greenway::Limits;

    app.share(Limits {
        parts: 100,
        ..Limits::default()
    });
    app.post("/import", import).body_limit(1 << 30).set(Limits {
        file: 1 << 30,
        ..Limits::default()
    });
    // ANCHOR_END: limits
    app.post("/other", import);
    let client = Client::new(app);
    let post = |path: &str| {
        let post = client.post(path).header("content-type", FORM);
        post.body("a=1&".repeat(200)).send().status().as_u16()
    };
    assert_eq!((post("/import"), post("/other")), (200, 413));
}

#[test]
fn cookies_are_set_and_read() {
    // ANCHOR: cookies
    use greenway::{Cookie, HttpError, Request, Response};
    use std::time::Duration;

    fn show(request: Request) -> String {
        let theme = request.cookie("theme");
        format!("theme: {}\n", theme.as_deref().unwrap_or("light"))
    }

    fn choose(request: Request) -> Result<Response, HttpError> {
        let theme = request.form()?.get("theme").unwrap_or("light").to_owned();
        let year = Duration::from_secs(365 * 24 * 60 * 60);
        let cookie = Cookie::new("theme", theme).max_age(year);
        Ok(Response::redirect("/", 303).with_cookie(cookie))
    }

    fn forget(_: Request) -> Response {
        Response::redirect("/", 303).delete_cookie("theme")
    }
    // ANCHOR_END: cookies

    let mut app = App::new();
    app.get("/", show).post("/", choose).post("/forget", forget);
    let client = Client::new(app);
    let post = client.post("/").header("content-type", FORM);
    let cookie = cookie(&post.body("theme=dark%3B").send());
    assert_eq!(cookie, "theme=dark%3B");
    let shown = client.get("/").header("cookie", cookie).send();
    assert_eq!(shown.text(), "theme: dark;\n");
    let gone = client.post("/forget").send();
    assert!(
        gone.header("set-cookie")
            .unwrap()
            .starts_with("theme=; Max-Age=0;")
    );
}

#[test]
fn cookies_are_signed() {
    fn secret(_: &str) -> String {
        "a secret of thirty-two bytes or more".to_owned()
    }
    // ANCHOR: keys
    use greenway::{App, Cookie, Keys, Request, Response};

    fn keys() -> Keys {
        Keys::new(secret("SECRET_KEY")).and_old(secret("OLD_SECRET_KEY"))
    }

    fn remember(request: Request) -> Response {
        let keys: &Keys = request.state();
        let cookie = keys.sign(Cookie::new("language", "cy"));
        Response::new("Croeso!\n").with_cookie(cookie)
    }

    fn recall(request: Request) -> String {
        let language = request.signed_cookie("language", request.state());
        language.unwrap_or_else(|| "en".to_owned())
    }

    fn app() -> App {
        let mut app = App::new();
        app.share(keys()).get("/", recall).post("/", remember);
        app
    }
    // ANCHOR_END: keys

    let client = Client::new(app());
    let cookie = cookie(&client.post("/").send());
    assert_eq!(client.get("/").header("cookie", cookie).send().text(), "cy");
    let made_up = client.get("/").header("cookie", "language=cy").send();
    assert_eq!(made_up.text(), "en");
}

mod visitors {
    use super::{FORM, cookie};
    use greenway::testing::Client;

    fn may(name: &str, password: &str) -> bool {
        (name, password) == ("Ada", "secret")
    }

    // ANCHOR: sessions
    use greenway::sessions::{Csrf, Sessions};
    use greenway::{App, Html, HttpError, Request, Response};

    fn app() -> App {
        let mut app = App::new();
        app.install(Sessions::in_memory()).install(Csrf::new());
        app.get("/", page)
            .post("/login", log_in)
            .post("/logout", log_out);
        app
    }

    fn page(request: Request) -> Result<Html<String>, HttpError> {
        let session = request.session()?;
        let messages = session.take_flashes().into_iter();
        let messages: String = messages.map(|m| format!("<p>{}</p>", m.text)).collect();
        let token = session.csrf_token();
        let form = match session.user::<String>() {
            Some(_) => "<form method=post action=/logout><button>Log out</button>",
            None => "<form method=post action=/login><input name=name><input name=password>",
        };
        let token = format!("<input type=hidden name=csrf_token value=\"{token}\"></form>");
        Ok(Html(format!("{messages}{form}{token}")))
    }

    fn log_in(request: Request) -> Result<Response, HttpError> {
        let form = request.form()?;
        let field = |name| form.get(name).unwrap_or_default();
        let session = request.session()?;
        if may(field("name"), field("password")) {
            session.log_in(field("name"));
            session.flash("success", "Welcome!");
        } else {
            session.flash("error", "That is not your password.");
        }
        Ok(Response::redirect("/", 303))
    }

    fn log_out(request: Request) -> Result<Response, HttpError> {
        request.session()?.log_out();
        Ok(Response::redirect("/", 303))
    }
    // ANCHOR_END: sessions

    #[test]
    fn log_in_and_out() {
        let client = Client::new(app());
        let first = client.get("/").send();
        let mut session = cookie(&first);
        let token = |text: &str| text.split("value=\"").nth(1).unwrap()[..86].to_owned();
        let mut last = token(&first.text());
        let mut post = |path: &str, data: &str| {
            let post = client.post(path).header("content-type", FORM);
            let post = post.header("cookie", session.as_str());
            let reply = post.body(format!("{data}&csrf_token={last}")).send();
            if reply.header("set-cookie").is_some() {
                session = cookie(&reply);
            }
            let page = client.get("/").header("cookie", session.as_str()).send();
            if page.header("set-cookie").is_some() {
                session = cookie(&page);
            }
            last = token(&page.text());
            (reply.status().as_u16(), page.text())
        };
        let (status, page) = post("/login", "name=Ada&password=wrong");
        assert_eq!(status, 303);
        assert!(
            page.starts_with("<p>That is not your password.</p><form"),
            "{page}"
        );
        let (_, page) = post("/login", "name=Ada&password=secret");
        assert!(
            page.starts_with("<p>Welcome!</p>") && page.contains("Log out"),
            "{page}"
        );
        let (_, page) = post("/logout", "a=b");
        assert!(
            page.starts_with("<form method=post action=/login>"),
            "{page}"
        );
        let without = client.post("/login").header("content-type", FORM);
        assert_eq!(
            without.body("name=Ada&password=secret").send().status(),
            403
        );
    }
}

#[test]
fn sessions_are_as_they_are_told() {
    let keys = greenway::Keys::random();
    let mut app = App::new();
    // ANCHOR: settings
    use greenway::sessions::Sessions;
    use greenway::{Cookie, SameSite};
    use std::time::Duration;

    let cookie = Cookie::new("__Host-session", "").same_site(SameSite::Strict);
    let sessions = Sessions::in_cookie(keys)
        .cookie(cookie)
        .lifetime(Duration::from_secs(60 * 60));
    app.install(sessions);
    // ANCHOR_END: settings
    app.get("/", |request: Request| {
        request.session().map(|session| session.set("a", 1))
    });
    let reply = Client::new(app).get("/").send();
    let line = reply.header("set-cookie").unwrap();
    assert!(line.starts_with("__Host-session="), "{line}");
    let attributes = "; Max-Age=3600; Path=/; SameSite=Strict; HttpOnly; Secure";
    assert!(line.ends_with(attributes), "{line}");
}
