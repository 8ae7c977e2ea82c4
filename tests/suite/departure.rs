//! A client that leaves ends its handler at its wait; one that has only finished sending does
//! not (issue 3, item 4). And what a client can be told before the response.

use greenway::green::{Queue, sleep};
use greenway::{App, Body, Engine, HalfClose, HeaderMap, HeaderValue, HttpError, Request};
use greenway_tests::request::get;
use greenway_tests::{
    Client, DEADLINE, Drops, Gate, TestServer, linted, on_green_and_threads, until,
};
use std::time::{Duration, Instant};

on_green_and_threads!(
    a_reset_ends_a_handler_that_waits,
    a_close_ends_a_handler_that_waits,
    a_close_ends_a_stream_that_waits,
    a_close_ends_a_second_request_as_well,
    whatever_a_handler_says_whose_client_has_left_it_has_left,
    half_close_is_served,
    half_close_can_mean_leaving,
    half_close_can_mean_staying,
    a_handler_can_ask,
    a_handler_can_wait_for_it,
    early_hints_come_before_the_response,
    early_hints_are_bounded,
);

/// A server whose handlers pass `entered`, then wait for ever, with a witness on their stack.
struct Waiting {
    server: TestServer,
    entered: Gate,
    ended: Drops,
}

impl Waiting {
    fn start(engine: Engine, half_close: HalfClose) -> Self {
        let (entered, ended) = (Gate::new(), Drops::new());
        let mut app = App::new();
        let (gate, drops) = (entered.clone(), ended.clone());
        app.get("/wait", move |_: Request| {
            let _witness = drops.witness();
            gate.open();
            sleep(Duration::MAX);
            "never"
        });
        let (gate, drops) = (entered.clone(), ended.clone());
        app.get("/stream", move |_: Request| {
            let (gate, witness) = (gate.clone(), drops.witness());
            Body::stream(move |out| {
                let _witness = witness;
                out.send("begun")?;
                gate.open();
                sleep(Duration::MAX);
                Ok(())
            })
        });
        app.get("/quick", |_: Request| "quick");
        let server = linted(app)
            .engine(engine)
            .half_close(half_close)
            .timeout(Duration::from_secs(600));
        Self {
            server: TestServer::start(server),
            entered,
            ended,
        }
    }

    /// A client whose handler waits.
    fn client(&self, path: &str) -> Client {
        let mut client = self.server.connect();
        client.send(get(path));
        self.entered.pass();
        client
    }

    fn all_over(&self) {
        self.ended.wait();
        until("the connection is closed", || {
            self.server.connections() == 0
        });
    }
}

fn a_reset_ends_a_handler_that_waits(engine: Engine) {
    let waiting = Waiting::start(engine, HalfClose::Serve);
    waiting.client("/wait").reset();
    waiting.all_over();
}

fn a_close_ends_a_handler_that_waits(engine: Engine) {
    let waiting = Waiting::start(engine, HalfClose::Auto);
    drop(waiting.client("/wait"));
    waiting.all_over();
}

fn a_close_ends_a_stream_that_waits(engine: Engine) {
    let waiting = Waiting::start(engine, HalfClose::Auto);
    let mut client = waiting.client("/stream");
    client.head();
    assert_eq!(client.chunk(), "begun");
    drop(client);
    waiting.all_over();
}

/// The registration of a connection outlives its requests.
fn a_close_ends_a_second_request_as_well(engine: Engine) {
    let waiting = Waiting::start(engine, HalfClose::Auto);
    let mut client = waiting.server.connect();
    assert_eq!(client.send(get("/quick")).reply().text(), "quick");
    client.send(get("/wait"));
    waiting.entered.pass();
    drop(client);
    waiting.all_over();
}

/// One that catches what ends its wait, and one whose call tells the end as an error, have nobody to
/// answer, and have not failed.
fn whatever_a_handler_says_whose_client_has_left_it_has_left(engine: Engine) {
    let name = format!("greenway-left-{}-{}", engine.name(), std::process::id());
    let log = std::env::temp_dir().join(name);
    let entered = Gate::new();
    let gate = entered.clone();
    let wait = move || {
        gate.open();
        std::panic::catch_unwind(|| sleep(Duration::MAX)).is_ok()
    };
    let mut app = App::new();
    let (answer, error, body) = (wait.clone(), wait.clone(), wait);
    app.get(
        "/answer",
        move |_: Request| if answer() { "slept" } else { "woken" },
    );
    app.get("/error", move |_: Request| match error() {
        true => Ok("slept"),
        false => Err(HttpError::from("Operation canceled")),
    });
    app.get("/body", move |_: Request| {
        let body = body.clone();
        Body::stream(move |out| match body() {
            true => out.send("slept"),
            false => Err(std::io::Error::other("Operation canceled").into()),
        })
    });
    let server = linted(app)
        .engine(engine)
        .timeout(Duration::from_secs(600))
        .access_log(log.to_str().expect("the name is ours"))
        .access_log_format("%(U)s %(s)s");
    let server = TestServer::start(server);
    for (at, path) in ["/answer", "/error", "/body"].into_iter().enumerate() {
        let mut client = server.connect();
        client.send(get(path));
        entered.pass();
        client.reset();
        let line = || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            text.lines().nth(at).map(str::to_owned)
        };
        until("the request is in the log", || line().is_some());
        assert_eq!(line().as_deref(), Some(&*format!("{path} 499")));
    }
    let _cleaned = std::fs::remove_file(&log);
}

fn half_close_is_served(engine: Engine) {
    let gate = Gate::new();
    let held = gate.clone();
    let app = move |_: Request| {
        held.pass();
        "served"
    };
    let server = TestServer::start(linted(app).engine(engine));
    let mut client = server.connect();
    client.send(get("/")).finish_sending();
    // The client is asked whether it is there, and stays.
    assert_eq!(client.head().status_line(), "HTTP/1.1 100 Continue");
    gate.open();
    assert_eq!(client.reply().text(), "served");
    client.end();
}

fn half_close_can_mean_leaving(engine: Engine) {
    let waiting = Waiting::start(engine, HalfClose::Leave);
    let mut client = waiting.client("/wait");
    client.finish_sending();
    waiting.all_over();
}

fn half_close_can_mean_staying(engine: Engine) {
    let gate = Gate::new();
    let held = gate.clone();
    let app = move |_: Request| {
        let held = held.clone();
        Body::stream(move |out| {
            out.send("one")?;
            held.pass();
            out.send("two")
        })
    };
    let server = TestServer::start(linted(app).engine(engine).half_close(HalfClose::Serve));
    let mut client = server.connect();
    client.send(get("/")).head();
    assert_eq!(client.chunk(), "one");
    client.finish_sending();
    gate.open();
    assert_eq!(client.chunk(), "two");
}

fn a_handler_can_ask(engine: Engine) {
    let (entered, answers) = (Gate::new(), Queue::new(1));
    let (gate, answer) = (entered.clone(), answers.clone());
    let app = move |req: Request| {
        assert!(!req.disconnected());
        gate.open();
        // One who computes instead of waiting: nothing ends it, so it asks.
        let deadline = Instant::now() + DEADLINE;
        while !req.disconnected() && Instant::now() < deadline {
            std::hint::spin_loop();
        }
        answer.put(req.disconnected()).unwrap();
        "nobody reads this"
    };
    let server = TestServer::start(linted(app).engine(engine));
    let mut client = server.connect();
    client.send(get("/"));
    entered.pass();
    client.reset();
    assert_eq!(answers.get_timeout(DEADLINE), Ok(Some(true)));
}

fn a_handler_can_wait_for_it(engine: Engine) {
    let (entered, answers) = (Gate::new(), Queue::new(1));
    let (gate, answer) = (entered.clone(), answers.clone());
    let app = move |req: Request| {
        let too_early = req.wait_disconnected(Duration::from_millis(5));
        gate.open();
        answer
            .put((too_early, req.wait_disconnected(DEADLINE)))
            .unwrap();
        "nobody reads this"
    };
    let server = TestServer::start(linted(app).engine(engine));
    let mut client = server.connect();
    client.send(get("/"));
    entered.pass();
    drop(client);
    assert_eq!(answers.get_timeout(DEADLINE), Ok(Some((false, true))));
}

fn hint() -> HeaderMap {
    let mut hints = HeaderMap::new();
    hints.insert(
        "link",
        HeaderValue::from_static("</style.css>; rel=preload"),
    );
    hints.insert("content-length", HeaderValue::from_static("7")); // never in an interim response
    hints
}

/// RFC 8297; RFC 9110 section 15.2 for HTTP/1.0.
fn early_hints_come_before_the_response(engine: Engine) {
    let gate = Gate::new();
    let held = gate.clone();
    let app = move |req: Request| {
        req.early_hints(&hint()).unwrap();
        held.pass();
        "the page"
    };
    let server = TestServer::start(linted(app).engine(engine));
    let mut client = server.connect();
    let head = client.send(get("/")).head();
    assert_eq!(head.status_line(), "HTTP/1.1 103 Early Hints");
    assert_eq!(head.field("link"), Some("</style.css>; rel=preload"));
    assert_eq!(head.content_length(), None);
    gate.open();
    assert_eq!(client.reply().text(), "the page");

    gate.open();
    let mut old = server.connect();
    old.send("GET / HTTP/1.0\r\n\r\n");
    assert!(
        old.head().status_line().ends_with("200 OK"),
        "no hints for HTTP/1.0"
    );
}

fn early_hints_are_bounded(engine: Engine) {
    let app = |req: Request| {
        for _ in 0..1000 {
            req.early_hints(&hint()).unwrap();
        }
        Body::stream(move |out| {
            out.send("begun")?;
            req.early_hints(&hint())?; // too late: it would end up in the body
            Ok(())
        })
    };
    let server = TestServer::start(linted(app).engine(engine));
    let mut client = server.connect();
    client.send(get("/"));
    let hints = std::iter::from_fn(|| Some(client.head()))
        .take_while(|head| head.status_line().starts_with("HTTP/1.1 103"))
        .count();
    assert_eq!(hints, 8);
    assert_eq!(client.chunk(), "begun");
    assert_eq!(client.try_chunk().as_deref(), Some(""), "the last chunk");
}

/// 5,000 handlers whose clients are gone unwind together; none is forgotten.
#[test]
fn five_thousand_departed_clients_are_noticed() {
    const CLIENTS: usize = 5000;
    let waiting = Waiting::start(Engine::Green, HalfClose::Auto);
    let mut clients = Vec::with_capacity(CLIENTS);
    for _ in 0..CLIENTS {
        let mut client = waiting.server.connect();
        client.send(get("/wait"));
        clients.push(client);
    }
    waiting.entered.pass_times(CLIENTS);
    drop(clients);
    for _ in 0..CLIENTS {
        waiting.ended.wait();
    }
    until("all connections are closed", || {
        waiting.server.connections() == 0
    });
}
