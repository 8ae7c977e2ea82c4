//! Streams of server-sent events on the wire.

use greenway::green::Queue;
use greenway::sse::{self, Event, Sse};
use greenway::{App, Engine, Request};
use greenway_tests::request::get;
use greenway_tests::{Client, TestServer, linted, on_green_and_threads, until};
use std::time::Duration;

on_green_and_threads!(
    the_head_comes_before_the_first_event,
    events_come_as_they_are_put,
    a_client_that_leaves_closes_the_queue,
    silence_is_filled_and_outlives_the_handlers_clock,
    the_last_id_comes_back,
    a_stop_does_not_wait_for_streams
);

fn start(engine: Engine, app: impl FnOnce(&mut App)) -> TestServer {
    let mut routes = App::new();
    app(&mut routes);
    TestServer::start(linted(routes).engine(engine))
}

/// A server whose stream is fed by the queue.
fn stream_of(engine: Engine, events: &Queue<Event>) -> TestServer {
    let events = events.clone();
    start(engine, move |app| {
        app.get("/events", move |_: Request| Sse::new(events.clone()));
    })
}

/// Connects and reads the head and the time to wait, which come before there is any event.
#[track_caller]
fn listen(server: &TestServer) -> Client {
    let mut client = server.connect();
    let head = client.send(get("/events")).head();
    assert_eq!(head.status, 200);
    assert!(client.chunk().starts_with("retry: "));
    client
}

fn the_head_comes_before_the_first_event(engine: Engine) {
    let never = Queue::<Event>::new(1);
    let waits = never.clone();
    let server = start(engine, move |app| {
        app.get("/queue", move |_: Request| Sse::new(waits.clone()));
        app.get("/body", |_: Request| sse::response(Queue::<Event>::new(1)));
    });
    for path in ["/queue", "/body"] {
        let mut client = server.connect();
        let head = client.send(get(path)).head();
        assert_eq!(head.status, 200);
        assert_eq!(head.field("content-type"), Some("text/event-stream"));
        assert_eq!(head.field("cache-control"), Some("no-store"));
        assert_eq!(head.field("x-accel-buffering"), Some("no"));
        assert!(head.is_chunked());
    }
}

fn events_come_as_they_are_put(engine: Engine) {
    let events = Queue::new(4);
    let server = stream_of(engine, &events);
    let mut client = listen(&server);
    events.put(Event::new("one").id("1")).unwrap();
    assert_eq!(client.chunk(), "id: 1\ndata: one\n\n");
    events.put(Event::new("two\r\nlines").name("n")).unwrap();
    assert_eq!(client.chunk(), "event: n\ndata: two\ndata: lines\n\n");
    events.close();
    assert_eq!(client.chunk(), "", "the response ends");
}

fn a_client_that_leaves_closes_the_queue(engine: Engine) {
    let events = Queue::new(1);
    let server = stream_of(engine, &events);
    drop(listen(&server));
    until("the queue is closed", || events.is_closed());
}

/// Each heartbeat gives the handler new time, so a stream lives longer than `--timeout`.
fn silence_is_filled_and_outlives_the_handlers_clock(engine: Engine) {
    let pause = Duration::from_millis(100);
    let app = move |_: Request| Sse::new(Queue::new(1)).heartbeat(pause);
    let server = TestServer::start(linted(app).engine(engine).timeout(10 * pause));
    let mut client = listen(&server);
    for _ in 0..15 {
        assert_eq!(client.chunk(), sse::HEARTBEAT);
    }
}

fn the_last_id_comes_back(engine: Engine) {
    let server = start(engine, |app| {
        app.get("/events", |request: Request| {
            let last = sse::last_event_id(&request).unwrap_or("nothing");
            let events = Queue::new(1);
            events.try_put(Event::new(last)).expect("it is empty");
            Sse::new(events)
        });
    });
    let mut client = server.connect();
    client.send("GET /events HTTP/1.1\r\nHost: test\r\nLast-Event-ID: ä-7\r\n\r\n");
    client.head();
    assert!(client.chunk().starts_with("retry: "));
    assert_eq!(client.chunk(), "data: ä-7\n\n");
}

/// Its clients are told when to come again, and for them the response is whole.
fn a_stop_does_not_wait_for_streams(engine: Engine) {
    let long = Duration::from_secs(600);
    let server = start(engine, |app| {
        app.get("/events", |_: Request| {
            Sse::new(Queue::new(1)).reconnect_after(Duration::from_secs(60))
        });
        app.get("/body", |_: Request| sse::response(Queue::<Event>::new(1)));
    });
    let mut clients: Vec<_> = (0..5).map(|_| listen(&server)).collect();
    let mut plain = server.connect();
    plain.send(get("/body")).head();
    let stopped = server.stop_within(long);
    assert_eq!(stopped.cut, 0);
    for client in &mut clients {
        let farewell = client.chunk();
        let pause = farewell.strip_prefix("retry: ").map(str::trim_end);
        let pause = pause.and_then(|pause| pause.parse().ok());
        assert!(pause.is_some_and(|ms: u64| ms >= 60_000), "{farewell:?}");
        assert_eq!(client.chunk(), "", "the end of the response");
        client.end();
    }
    assert_eq!(plain.chunk(), "");
}
