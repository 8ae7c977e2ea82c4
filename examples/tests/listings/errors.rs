//! The listings of the chapter "Errors".

use greenway::testing::Client;

#[test]
fn any_error_is_an_answer() {
    // ANCHOR: any
    use greenway::{App, HttpError, OrStatus, Request};

    fn note(request: Request) -> Result<String, HttpError> {
        let name = request.param("name");
        // No such file: 404. The author of the handler has said so.
        let text = std::fs::read(format!("/srv/notes/{name}")).or_status(404, "no such note")?;
        // Not UTF-8: 500. The client is told no more, the log has the error and this line.
        Ok(String::from_utf8(text)?)
    }

    let mut app = App::new();
    app.get("/note/<name>", note);
    app.get("/half/<n>", |request: Request| {
        let n: i64 = request.param_as("n")?; // 400, and what is wrong with it
        let half = (n % 2 == 0).then_some(n / 2).or_status(409, "it is odd")?;
        Ok(half.to_string())
    });
    // ANCHOR_END: any

    let client = Client::new(app);
    let get = |path| client.get(path).send().text();
    assert_eq!(get("/note/none"), "404 Not Found: no such note\n");
    assert_eq!(get("/half/8"), "4");
    assert_eq!(get("/half/7"), "409 Conflict: it is odd\n");
    assert_eq!(client.get("/half/x").send().status(), 400);
}

#[test]
fn pages_for_errors() {
    // ANCHOR: pages
    use greenway::{App, Html, HttpError, Request};
    use std::num::ParseIntError;

    let mut app = App::new();
    app.error(404, |request: &Request, _: &HttpError| {
        Html(format!(
            "<p>Nothing is here. <a href='{}/'>Home</a>",
            request.script_name()
        ))
    });
    app.error_for(|_: &Request, error: &ParseIntError| (400, format!("no number: {error}")));
    app.error_default(|_: &Request, error: &HttpError| format!("Sorry: {}", error.status()));
    // ANCHOR_END: pages
    app.get("/n/<n>", |request: Request| {
        let n: i64 = request.param("n").parse()?;
        Ok(n.to_string())
    });
    app.get("/panic", |_: Request| -> () { panic!("boom") });

    let client = Client::new(app);
    let get = |path| client.get(path).send().text();
    assert_eq!(get("/x"), "<p>Nothing is here. <a href='/'>Home</a>");
    assert_eq!(get("/n/x"), "no number: invalid digit found in string");
    assert_eq!(get("/panic"), "Sorry: 500 Internal Server Error");
}
