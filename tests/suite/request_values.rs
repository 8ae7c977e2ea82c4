//! A `Local` in a handler is a value of the request: nothing of it reaches the next one (issue 4,
//! item 4).

use greenway::green::{Local, sleep};
use greenway::{App, Body, Engine, Request};
use greenway_tests::request::get;
use greenway_tests::{DEADLINE, Drops, Gate, TestServer, Witness, linted, on_green_and_threads};
use std::cell::Cell;
use std::cell::RefCell;
use std::time::Duration;

on_green_and_threads!(
    each_request_begins_without_values,
    a_body_sees_the_values_of_its_handler,
    values_are_dropped_when_the_response_is_sent,
    values_are_dropped_however_the_request_ends,
);

static SEEN: Local<Cell<u32>> = Local::new(|| Cell::new(0));

fn count() -> String {
    SEEN.with(|seen| {
        seen.set(seen.get() + 1);
        seen.get().to_string()
    })
}

fn serve(engine: Engine, app: App) -> TestServer {
    // One thread, so that all requests of the threads engine meet on it.
    let server = linted(app).engine(engine).threads(1);
    TestServer::start(server.timeout(DEADLINE))
}

fn each_request_begins_without_values(engine: Engine) {
    let mut app = App::new();
    app.get("/", |_: Request| count());
    let server = serve(engine, app);
    let mut client = server.connect();
    for _ in 0..3 {
        assert_eq!(client.send(get("/")).reply().text(), "1");
    }
    client.send(get("/").repeat(3)); // one behind the other
    for _ in 0..3 {
        assert_eq!(client.reply().text(), "1");
    }
    assert_eq!(server.get("/").text(), "1");
}

#[test]
fn each_request_begins_without_values_on_minihttp() {
    let mut app = App::new();
    app.get("/", |_: Request| count());
    let server = TestServer::start(linted(app).engine(Engine::MiniHttp));
    let mut client = server.connect();
    for _ in 0..3 {
        assert_eq!(client.send(get("/")).reply().text(), "1");
    }
}

fn a_body_sees_the_values_of_its_handler(engine: Engine) {
    let mut app = App::new();
    app.get("/", |_: Request| {
        let first = count();
        Body::stream(move |out| {
            out.send(first)?;
            sleep(Duration::from_millis(1)); // others run
            out.send(count())
        })
    });
    let server = serve(engine, app);
    let mut client = server.connect();
    for _ in 0..2 {
        assert_eq!(client.send(get("/")).reply().text(), "12");
    }
}

fn values_are_dropped_when_the_response_is_sent(engine: Engine) {
    static HELD: Local<RefCell<Option<Witness>>> = Local::new(RefCell::default);
    let drops = Drops::new();
    let witnesses = drops.clone();
    let mut app = App::new();
    app.get("/hold", move |_: Request| {
        let thread = std::thread::current().id();
        HELD.set(RefCell::new(Some(witnesses.witness())));
        format!("{thread:?}")
    });
    let server = serve(engine, app);
    let mut client = server.connect();
    let thread = client.send(get("/hold")).reply().text();
    // The connection is open and idle.
    let dropped = drops.wait();
    assert_eq!(format!("{:?}", dropped.thread), thread);
    assert!(!dropped.unwinding);
}

fn values_are_dropped_however_the_request_ends(engine: Engine) {
    static HELD: Local<RefCell<Option<Witness>>> = Local::new(RefCell::default);
    let (drops, entered) = (Drops::new(), Gate::new());
    let (witnesses, tell) = (drops.clone(), entered.clone());
    let mut app = App::new();
    app.get("/<how>", move |request: Request| -> Body {
        HELD.with(|held| held.replace(Some(witnesses.witness())));
        match request.param("how") {
            "panic" => panic!("as the test wants it"),
            "body" => Body::stream(|_| panic!("as the test wants it")),
            _leave => {
                tell.open();
                sleep(Duration::MAX);
                unreachable!("it is ended at its wait")
            }
        }
    });
    let server = serve(engine, app);
    for how in ["/panic", "/body"] {
        assert_eq!(server.get(how).status(), 500);
        drops.wait();
    }
    let mut client = server.connect();
    client.send(get("/leave"));
    entered.pass();
    client.reset();
    drops.wait();
}
