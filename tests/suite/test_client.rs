//! `greenway::testing` as users have it: the same scenarios in process and over sockets.

use greenway::green::{self, Queue};
use greenway::sse::{Event, Sse};
use greenway::testing::{Client, Live, TestServer, client_to};
use greenway::websocket::{CloseCode, Message, Options, Upgrade};
use greenway::{App, Body, Engine, Json, Request, Response, Server, abort, validate};
use greenway_tests::{DEADLINE, Drops};
use std::ops::ControlFlow;

/// What a scenario may ask for: a client without cookies, and the ends of handlers.
struct Given {
    client: Client,
    ended: Drops,
}

type Scenario = fn(Given);

const SCENARIOS: [(&str, Scenario); 13] = [
    ("a request arrives as it was made", arrives),
    ("cookies are kept", cookies),
    ("forms and files", forms),
    ("JSON both ways", json),
    ("redirects on demand", redirects),
    ("chunk by chunk", chunks),
    ("a stream that fails is cut off", cut),
    ("events", events),
    ("a panic is the 500 that users see", panics),
    (
        "a stream that is let go of ends its handler",
        leaving_a_stream,
    ),
    ("a WebSocket talks and is closed", websocket),
    ("a WebSocket is refused", refused),
    (
        "a WebSocket that is let go of ends its handler",
        leaving_a_websocket,
    ),
];

mod the_same_scenarios {
    use super::*;

    #[test]
    fn in_process() {
        let ended = Drops::new();
        let app = app(ended.clone());
        run(ended, || Client::new(app.clone()));
    }

    #[test]
    fn green() {
        on(Engine::Green);
    }

    #[test]
    fn threads() {
        on(Engine::Threads);
    }

    fn on(engine: Engine) {
        let ended = Drops::new();
        let server = TestServer::run(Server::new(app(ended.clone())).engine(engine));
        run(ended.clone(), || server.client());
        let url = format!("http://{}", server.addr());
        run(ended, || client_to(&url));
    }

    fn run(ended: Drops, client: impl Fn() -> Client) {
        for (name, scenario) in SCENARIOS {
            println!("{name}"); // shown if it fails
            scenario(Given {
                client: client(),
                ended: ended.clone(),
            });
        }
    }
}

type Shared = std::sync::Arc<dyn greenway::Application>;

fn app(ended: Drops) -> Shared {
    let mut app = App::new();
    app.any("/shown", |request: Request| {
        let body = request.body(1 << 20)?;
        let field = |name| request.header(name).unwrap_or("none").to_owned();
        Ok(format!(
            "{} {} {:?} {} {} {}",
            request.method(),
            request.target(),
            request.version(),
            field("x-a"),
            field("content-type"),
            String::from_utf8_lossy(&body),
        ))
    });
    app.get("/set", |_: Request| {
        Response::new("").with_header("set-cookie", "name=Ada; Path=/; HttpOnly")
    });
    app.get("/cookie", |request: Request| {
        request.header("cookie").unwrap_or("none").to_owned()
    });
    app.post("/form", |request: Request| {
        let form = request.form()?;
        let file = form
            .file("picture")
            .map(|file| (file.filename(), file.len()));
        Ok(format!("{:?} {file:?}", form.get("title")))
    });
    app.post("/sum", |request: Request| {
        let numbers: Vec<i64> = request.json()?;
        Ok(Json(numbers.iter().sum::<i64>()))
    });
    app.post("/see-other", |request: Request| {
        request.redirect("/shown?a=1")
    });
    app.post("/again", |request: Request| {
        request.redirect("/shown").with_status(307)
    });
    app.get("/absolute", |request: Request| {
        let host = request.host().unwrap_or_default();
        Response::redirect(format!("http://{host}/shown"), 302)
    });
    app.get("/away", |_: Request| {
        Response::redirect("http://example.org/", 302)
    });
    app.get("/three", |_: Request| Body::iter(["one", "two", "three"]));
    app.get("/endless", |_: Request| {
        Body::iter((1..).map(|n| n.to_string()))
    });
    app.get("/cut", |_: Request| {
        Body::stream(|out| {
            out.send("a")?;
            Err(greenway::BodyError::new("broken"))
        })
    });
    app.get("/events", |_: Request| {
        let events = Queue::new(2);
        for event in [Event::new("a").id("1"), Event::new("b\nc").name("news")] {
            let _room_for_both = events.try_put(event);
        }
        events.close();
        Sse::new(events)
    });
    app.get("/panic", |_: Request| -> () { panic!("boom") });
    let witness = ended.clone();
    app.get("/waits", move |_: Request| {
        let witness = witness.witness();
        Body::stream(move |out| {
            let _until_the_end = witness;
            out.send("a")?;
            green::sleep(DEADLINE * 10);
            out.send("b")
        })
    });
    app.get("/echo", |request: Request| {
        let options = Options::new().protocols(["chat"]);
        let Some(ws) = options.accept(&request)? else {
            abort(400, "Expected a WebSocket request.");
        };
        while let Some(message) = ws.receive()? {
            if message.as_text() == Some("close") {
                ws.close(CloseCode::from(4001), "as was asked for");
            } else {
                ws.send(message)?;
            }
        }
        Ok(())
    });
    app.get("/busy", move |request: Request| {
        let _until_the_end = ended.witness();
        let Some(ws) = request.websocket() else {
            abort(400, "Expected a WebSocket request.");
        };
        ws.send("busy")?;
        green::sleep(DEADLINE * 10);
        Ok(())
    });
    std::sync::Arc::new(validate(app))
}

fn arrives(given: Given) {
    let client = &given.client;
    let reply = client
        .put("/shown?q=1")
        .header("x-a", "b")
        .header("content-type", "text/plain")
        .body("body")
        .send();
    assert_eq!(reply.text(), "PUT /shown?q=1 HTTP/1.1 b text/plain body");
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!((reply.panic(), reply.error().is_none()), (None, true));
    // More than the sockets' buffers hold, in both directions.
    let long = "x".repeat(1 << 20);
    let reply = client.post("/shown").body(long.clone()).send();
    assert!(reply.text().ends_with(&long));
    let head = client.head("/shown").send();
    assert_eq!((head.status().as_u16(), head.text().as_str()), (200, ""));
    assert_eq!(client.get("/none").send().status(), 404);
    assert_eq!(client.get("/%zz").send().status(), 400);
}

fn cookies(given: Given) {
    let client = given.client.with_cookies();
    assert_eq!(client.get("/cookie").send().text(), "none");
    client.get("/set").send();
    assert_eq!(client.get("/cookie").send().text(), "name=Ada");
    assert_eq!(client.cookie("name").as_deref(), Some("Ada"));
    client.forget_cookies();
    assert_eq!(client.get("/set").stream().status(), 200);
    assert_eq!(client.get("/cookie").send().text(), "name=Ada");
}

fn forms(given: Given) {
    let client = given.client;
    let plain = client.post("/form").form([("title", "Zoë")]).send();
    assert_eq!(plain.text(), "Some(\"Zoë\") None");
    let upload = client
        .post("/form")
        .field("title", "Cat")
        .file("picture", "cat.png", "image/png", vec![7; 300_000])
        .send();
    assert_eq!(upload.text(), "Some(\"Cat\") Some((\"cat.png\", 300000))");
}

fn json(given: Given) {
    let reply = given.client.post("/sum").json(&[1, 2, 3]).send();
    assert_eq!(reply.json::<i64>(), 6);
    let wrong = given.client.post("/sum").json("text").send();
    assert_eq!(wrong.status(), 400);
}

fn redirects(given: Given) {
    let client = given.client;
    let post = |path| client.post(path).header("x-a", "b").body("x");
    assert_eq!(post("/see-other").send().status(), 303);
    let seen = post("/see-other").follow().send().text();
    assert_eq!(seen, "GET /shown?a=1 HTTP/1.1 b none ");
    let again = post("/again").follow().send().text();
    assert_eq!(again, "POST /shown HTTP/1.1 b none x");
    assert_eq!(client.get("/absolute").follow().send().status(), 200);
    assert_eq!(client.get("/away").follow().send().status(), 302);
}

fn chunks(given: Given) {
    let client = given.client;
    let reply = client.get("/three").send();
    assert_eq!(reply.chunks(), ["one", "two", "three"]);
    let mut stream = client.get("/three").stream();
    let chunks: Vec<_> = std::iter::from_fn(|| stream.next_chunk()).collect();
    assert_eq!(chunks, ["one", "two", "three"]);
    assert!(stream.error().is_none());
    assert_eq!(stream.status(), 200);
    for reply in [
        client.get("/endless").leave_after(3).send(),
        client.get("/endless").send_each(|chunk| match &chunk[..] {
            b"3" => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }),
    ] {
        assert_eq!(reply.text(), "123");
        assert!(reply.error().unwrap().is_gone());
    }
}

fn cut(given: Given) {
    let reply = given.client.get("/cut").send();
    assert_eq!((reply.status().as_u16(), reply.text().as_str()), (200, "a"));
    assert!(!reply.error().unwrap().is_gone());
    let mut stream = given.client.get("/cut").stream();
    assert_eq!(stream.next_chunk().unwrap(), "a");
    assert_eq!(stream.next_chunk(), None);
    assert!(stream.error().is_some());
}

fn events(given: Given) {
    let reply = given.client.get("/events").send().events();
    let mut stream = given.client.get("/events").stream();
    let streamed: Vec<_> = std::iter::from_fn(|| stream.next_event()).collect();
    for events in [reply, streamed] {
        assert_eq!((&*events[0].id, &*events[0].data), ("1", "a"));
        assert_eq!((&*events[1].name, &*events[1].data), ("news", "b\nc"));
        assert_eq!(events.len(), 2);
    }
}

fn panics(given: Given) {
    let reply = given.client.get("/panic").send();
    assert_eq!(
        reply.text(),
        "500 Internal Server Error: the handler failed\n"
    );
    assert_eq!(given.client.get("/panic").stream().status(), 500);
}

fn leaving_a_stream(given: Given) {
    let mut stream = given.client.get("/waits").stream();
    assert_eq!(stream.next_chunk().unwrap(), "a");
    assert_eq!(given.ended.pending(), 0);
    drop(stream);
    assert!(given.ended.wait().unwinding);
    // By itself, a reply is over when its client has left.
    let reply = given.client.get("/waits").leave_after(1).send();
    assert_eq!(reply.text(), "a");
    given.ended.wait();
}

fn websocket(given: Given) {
    let client = given.client;
    let socket = client.websocket("/echo").connect();
    socket.send("Hello");
    assert_eq!(socket.receive_text(), "Hello");
    socket.send(Message::Binary(vec![0, 255].into()));
    assert_eq!(socket.receive(), Some(Message::Binary(vec![0, 255].into())));
    socket.close(CloseCode::NORMAL, "");
    assert_eq!(socket.receive(), None);
    assert_eq!(socket.close_code(), Some(CloseCode::NORMAL));

    let options = Options::new().protocols(["other", "chat"]);
    let socket = client.websocket("/echo").connect_with(&options).unwrap();
    assert_eq!(socket.websocket().protocol(), Some("chat"));
    socket.send("close");
    assert_eq!(socket.receive(), None);
    assert_eq!(socket.close_code(), Some(CloseCode::from(4001)));
}

fn refused(given: Given) {
    let client = given.client;
    let foreign = client
        .websocket("/echo")
        .header("origin", "http://example.org");
    let reply = foreign.connect_with(&Options::new()).unwrap_err();
    assert_eq!(reply.status(), 403);
    // As any other request, too.
    let foreign = client
        .websocket("/echo")
        .header("origin", "http://example.org");
    assert_eq!(foreign.send().text(), reply.text());
    let none = client.websocket("/none").connect_with(&Options::new());
    assert_eq!(none.unwrap_err().status(), 404);
    let plain = client.get("/echo").send();
    assert_eq!(
        plain.text(),
        "400 Bad Request: Expected a WebSocket request.\n"
    );
}

fn leaving_a_websocket(given: Given) {
    let socket = given.client.websocket("/busy").connect();
    assert_eq!(socket.receive_text(), "busy");
    drop(socket);
    assert!(given.ended.wait().unwinding);
}
