//! The listings of the chapter "Testing".

// ANCHOR: app
use greenway::{App, Body, Json, Request, validate};

fn app() -> App {
    let mut app = App::new();
    app.get("/hello/<name>", |request: Request| {
        format!("Hello {}", request.param("name"))
    });
    app.post("/login", |request: Request| {
        request
            .redirect("/me")
            .with_header("set-cookie", "user=Ada; Path=/; HttpOnly")
    });
    app.get("/me", |request: Request| {
        request.header("cookie").unwrap_or("nobody").to_owned()
    });
    app.post("/sum", |request: Request| {
        let numbers: Vec<i64> = request.json()?;
        Ok(Json(numbers.iter().sum::<i64>()))
    });
    app.get("/ticks", |_: Request| {
        Body::iter((1..).map(|n| format!("data: {n}\n\n")))
    });
    app
}
// ANCHOR_END: app

#[test]
fn the_chapter() {
    // ANCHOR: client
    use greenway::testing::Client;

    let client = Client::new(validate(app())).with_cookies();
    assert_eq!(client.get("/hello/Ada").send().text(), "Hello Ada");
    assert_eq!(client.get("/nowhere").send().status(), 404);

    // The redirect is followed, and the cookie that came with it is sent.
    assert_eq!(client.post("/login").follow().send().text(), "user=Ada");

    assert_eq!(client.post("/sum").json(&[1, 2, 3]).send().json::<i64>(), 6);
    // ANCHOR_END: client

    // ANCHOR: stream
    use std::ops::ControlFlow;

    let reply = client.get("/ticks").send_each(|chunk| {
        if chunk.starts_with(b"data: 3") {
            ControlFlow::Break(()) // the client leaves
        } else {
            ControlFlow::Continue(())
        }
    });
    let events = reply.events();
    assert_eq!(events.len(), 3);
    assert_eq!(events[2].data, "3");
    // ANCHOR_END: stream
}
