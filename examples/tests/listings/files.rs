//! The listings of the chapter on static files.

use greenway::testing::Client;

// ANCHOR: program
use greenway::{App, HttpError, Request, Response, StaticFile, StaticFiles};

fn app() -> App {
    let mut app = App::new();
    // /pages/chat.html is pages/chat.html, /pages/ is pages/index.html if there is one.
    app.static_files("/pages", "pages").name("pages");
    // The same with settings.
    let kept = StaticFiles::new("pages").cache_control("public, max-age=3600");
    app.static_files("/kept", kept);
    app.get("/about", about);
    app.get("/report/<name>", report);
    app
}

// ANCHOR: one
fn about(request: Request) -> Result<Response, HttpError> {
    request.static_file("tour.html", "pages")
}

fn report(request: Request) -> Result<Response, HttpError> {
    // Whatever the name is: what is not below the root is not found.
    let name = format!("{}.html", request.param("name"));
    StaticFile::new(name, "pages")
        .download("Bericht für Zoë.html")
        .respond(&request)
}
// ANCHOR_END: one
// ANCHOR_END: program

#[test]
fn files_are_served_and_downloaded() {
    let client = Client::new(greenway::validate(app()));
    for path in [
        "/pages/chat.html",
        "/kept/chat.html",
        "/about",
        "/report/chat",
    ] {
        let reply = client.get(path).send();
        assert_eq!(reply.status(), 200, "{path}");
        assert_eq!(
            reply.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        let again = client.get(path);
        let again = again.header("if-none-match", reply.header("etag").unwrap());
        assert_eq!(again.send().status(), 304, "{path}");
    }
    let reply = client.get("/kept/chat.html").send();
    assert_eq!(reply.header("cache-control"), Some("public, max-age=3600"));
    let reply = client.get("/report/chat").send();
    let disposition = reply.header("content-disposition").unwrap();
    assert!(disposition.starts_with("attachment; "), "{disposition}");
    for path in ["/pages/", "/pages/../Cargo.toml", "/report/..%2FCargo"] {
        assert_eq!(client.get(path).send().status(), 404, "{path}");
    }
}
