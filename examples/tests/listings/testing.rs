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

// ANCHOR: chat
use greenway::green::{self, Event};
use greenway::websocket::Upgrade;
use greenway::{HttpError, abort};

fn chat(left: Event) -> App {
    let mut app = App::new();
    app.get("/echo", |request: Request| -> Result<(), HttpError> {
        let Some(ws) = request.websocket() else {
            abort(400, "Expected a WebSocket request.");
        };
        while let Some(message) = ws.receive()? {
            ws.send(message)?;
        }
        Ok(())
    });
    app.get("/wait", move |_: Request| {
        let left = Notice(left.clone());
        Body::stream(move |out| {
            let _left = left;
            out.send("waiting\n")?;
            green::sleep(std::time::Duration::from_secs(3600));
            out.send("done\n")
        })
    });
    app
}

/// Says that it was dropped.
struct Notice(Event);

impl Drop for Notice {
    fn drop(&mut self) {
        self.0.set();
    }
}
// ANCHOR_END: chat

#[test]
fn what_needs_a_connection() {
    use greenway::testing::Client;

    // ANCHOR: live
    use greenway::testing::Live;

    let left = Event::new();
    let client = Client::new(chat(left.clone()));

    let echo = client.websocket("/echo").connect();
    echo.send("Hello");
    assert_eq!(echo.receive_text(), "Hello");

    let mut stream = client.get("/wait").stream();
    assert_eq!(stream.next_chunk().unwrap(), "waiting\n");
    drop(stream); // the client leaves, and the handler's sleep is over
    assert!(left.wait_timeout(greenway::testing::PATIENCE).is_ok());
    // ANCHOR_END: live
}

#[test]
fn a_server() {
    // ANCHOR: server
    use greenway::testing::{Client, TestServer};
    use greenway::{Engine, Server};

    fn greets(client: &Client) {
        assert_eq!(client.get("/hello/Ada").send().text(), "Hello Ada");
        assert_eq!(client.post("/sum").json(&[1, 2]).send().json::<i64>(), 3);
    }

    greets(&Client::new(app()));
    greets(&TestServer::start(app()).client());
    greets(&TestServer::run(Server::new(app()).engine(Engine::Threads)).client());
    // ANCHOR_END: server
}
