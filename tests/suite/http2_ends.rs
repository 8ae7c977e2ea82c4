//! How requests and connections over HTTP/2 end before their time: by the client, by a handler that
//! fails, by a clock, and by a stop.

use super::http2::{LONG, patient, reason, start};
use bytes::Bytes;
use greenway::green::sleep;
use greenway::{App, Body, BodyError, Engine, Out, Request, Server};
use greenway_tests::http2::{Http2, request};
use greenway_tests::{Drops, Folder, Gate, TestServer, on_green_and_threads, until};
use h2::Reason;
use std::time::Duration;

on_green_and_threads!(
    a_reset_ends_a_handler_that_waits,
    a_reset_ends_a_stream,
    a_lost_connection_ends_its_handlers,
    a_handler_can_ask_for_its_client,
    every_handler_that_asks_is_told,
    a_panic_is_500_or_a_reset,
    a_handler_that_takes_too_long_is_504_or_a_reset,
    an_upload_that_pauses_is_408,
    a_client_that_takes_nothing_is_cut,
    a_stop_serves_what_runs,
    a_stop_ends_willing_streams_with_their_last_chunk,
    a_stop_cuts_what_does_not_end,
    an_idle_connection_is_told_goodbye,
);

const SHORT: Duration = Duration::from_millis(200);

/// A server whose handlers pass `entered`, then wait for ever, with a witness on their stack.
struct Waiting {
    server: TestServer,
    entered: Gate,
    ended: Drops,
}

impl Waiting {
    fn start(engine: Engine, change: impl FnOnce(Server) -> Server) -> Self {
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
            Body::stream(move |out: &mut Out<'_>| {
                let _witness = witness;
                out.send("begun")?;
                gate.open();
                sleep(Duration::MAX);
                Ok(())
            })
        });
        app.get("/quick", |_: Request| "quick");
        Self {
            server: TestServer::start(change(patient(engine, app))),
            entered,
            ended,
        }
    }
}

fn a_reset_ends_a_handler_that_waits(engine: Engine) {
    let folder = Folder::new(&format!("h2-499-{}", engine.name()));
    let log = folder.path("access.log");
    let path = log.to_str().expect("the name is ours").to_owned();
    let waiting = Waiting::start(engine, |server| {
        server.access_log(path).access_log_format("%(r)s %(s)s")
    });
    let mut client = Http2::connect(waiting.server.addr());
    let mut sent = client.send_get("/wait");
    waiting.entered.pass();
    sent.body.send_reset(Reason::CANCEL);
    client.turn();
    waiting.ended.wait();
    assert_eq!(client.get("/quick").text(), "quick");
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    until("two lines in the log", || read().lines().count() == 2);
    let lines = read();
    assert!(lines.contains("GET /wait HTTP/2 499\n"), "{lines}");
    assert!(lines.contains("GET /quick HTTP/2 200\n"), "{lines}");
}

fn a_reset_ends_a_stream(engine: Engine) {
    let waiting = Waiting::start(engine, |server| server);
    let mut client = Http2::connect(waiting.server.addr());
    let mut sent = client.send_get("/stream");
    let mut body = client.head(&mut sent).unwrap().into_body();
    assert_eq!(client.data(&mut body).unwrap().unwrap(), "begun");
    waiting.entered.pass();
    sent.body.send_reset(Reason::CANCEL);
    client.turn();
    waiting.ended.wait();
    assert_eq!(client.get("/quick").text(), "quick");
}

fn a_lost_connection_ends_its_handlers(engine: Engine) {
    let waiting = Waiting::start(engine, |server| server);
    let mut client = Http2::connect(waiting.server.addr());
    let sent: Vec<_> = (0..10).map(|_| client.send_get("/wait")).collect();
    waiting.entered.pass_times(10);
    drop((sent, client));
    for _ in 0..10 {
        waiting.ended.wait();
    }
    until("the connection is closed", || {
        waiting.server.connections() == 0
    });
}

fn a_handler_can_ask_for_its_client(engine: Engine) {
    let (entered, left) = (Gate::new(), Gate::new());
    let (arrived, gone) = (entered.clone(), left.clone());
    let server = start(engine, move |app| {
        app.get("/", move |request: Request| {
            let too_early = request.disconnected();
            arrived.open();
            if !too_early && request.wait_disconnected(LONG) {
                gone.open();
            }
            "nobody reads this"
        });
    });
    let mut client = Http2::connect(server.addr());
    let mut sent = client.send_get("/");
    entered.pass();
    sent.body.send_reset(Reason::CANCEL);
    client.turn();
    left.pass();
}

/// Whether the reset comes before the handler waits, or while it begins to: it is told of it, and
/// not ended by it.
fn every_handler_that_asks_is_told(engine: Engine) {
    let (entered, told) = (Gate::new(), Gate::new());
    let (arrived, gone) = (entered.clone(), told.clone());
    let server = start(engine, move |app| {
        app.get("/", move |request: Request| {
            arrived.open();
            if request.wait_disconnected(LONG) {
                gone.open();
            }
            "nobody reads this"
        });
    });
    for _ in 0..10 {
        // A connection may have so many requests that are given up at once.
        let mut client = Http2::connect(server.addr());
        for _ in 0..100 {
            let mut sent = client.send_get("/");
            entered.pass();
            sent.body.send_reset(Reason::CANCEL);
            client.turn();
            told.pass();
        }
    }
}

fn a_panic_is_500_or_a_reset(engine: Engine) {
    let server = start(engine, |app| {
        app.get("/early", |_: Request| -> &'static str {
            panic!("as this test wants it")
        });
        app.get("/late", |_: Request| {
            Body::stream(|out: &mut Out<'_>| -> Result<(), BodyError> {
                out.send("begun")?;
                panic!("as this test wants it")
            })
        });
    });
    let mut client = Http2::connect(server.addr());
    assert_eq!(client.get("/early").status, 500);
    let sent = client.send_get("/late");
    let error = client.whole(sent).unwrap_err();
    assert_eq!(reason(&error), Some(Reason::INTERNAL_ERROR));
}

fn a_handler_that_takes_too_long_is_504_or_a_reset(engine: Engine) {
    let waiting = Waiting::start(engine, |server| server.timeout(SHORT));
    let mut client = Http2::connect(waiting.server.addr());
    assert_eq!(client.get("/wait").status, 504);
    let sent = client.send_get("/stream");
    let error = client.whole(sent).unwrap_err();
    assert_eq!(reason(&error), Some(Reason::INTERNAL_ERROR));
}

fn an_upload_that_pauses_is_408(engine: Engine) {
    let mut app = App::new();
    app.post("/", |request: Request| request.body(1000));
    let server = TestServer::start(patient(engine, app).body_timeout(SHORT));
    let mut client = Http2::connect(server.addr());
    let mut sent = client.send(request("POST", "/"), false);
    client
        .upload_some(&mut sent, &Bytes::from_static(b"half"))
        .unwrap();
    assert_eq!(client.whole(sent).unwrap().status, 408);
}

/// One whose window stays closed, and one whose socket is full.
fn a_client_that_takes_nothing_is_cut(engine: Engine) {
    let ended = Drops::new();
    let drops = ended.clone();
    let mut app = App::new();
    app.get("/", move |_: Request| {
        let witness = drops.witness();
        Body::stream(move |out: &mut Out<'_>| {
            let _witness = &witness;
            loop {
                out.send(vec![b'x'; 16_384])?;
            }
        })
    });
    let server = TestServer::start(patient(engine, app).write_timeout(SHORT));
    let mut client = Http2::connect(server.addr());
    let mut sent = client.send_get("/");
    let _body_that_is_not_read = client.head(&mut sent).unwrap().into_body();
    while ended.pending() == 0 {
        client.turn();
        std::thread::yield_now();
    }
    let mut deaf = h2::client::Builder::new();
    deaf.initial_window_size(1 << 30)
        .initial_connection_window_size(1 << 30);
    let mut client = Http2::with(server.addr(), &deaf);
    let _sent = client.send_get("/"); // and never reads again
    ended.wait();
    ended.wait();
}

fn gated(engine: Engine) -> (TestServer, Gate, Gate) {
    let (entered, gate) = (Gate::new(), Gate::new());
    let (arrived, there) = (entered.clone(), gate.clone());
    let server = start(engine, move |app| {
        app.get("/", move |_: Request| {
            arrived.open();
            there.pass();
            "served"
        });
    });
    (server, entered, gate)
}

fn a_stop_serves_what_runs(engine: Engine) {
    let (server, entered, gate) = gated(engine);
    let mut client = Http2::connect(server.addr());
    let sent: Vec<_> = (0..5).map(|_| client.send_get("/")).collect();
    entered.pass_times(5);
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| server.stop_within(LONG));
        until("the port is closed", || {
            std::net::TcpStream::connect(server.addr()).is_err()
        });
        gate.open_for(5);
        for sent in sent {
            assert_eq!(client.whole(sent).unwrap().text(), "served");
        }
        assert!(client.end().is_ok());
        assert_eq!(stopping.join().unwrap().cut, 0);
    });
}

fn a_stop_ends_willing_streams_with_their_last_chunk(engine: Engine) {
    let entered = Gate::new();
    let arrived = entered.clone();
    let server = start(engine, move |app| {
        app.get("/", move |_: Request| {
            let arrived = arrived.clone();
            Body::stream(move |out: &mut Out<'_>| {
                out.end_at_stop("goodbye")?;
                out.send("begun ")?;
                arrived.open();
                sleep(Duration::MAX);
                Ok(())
            })
        });
    });
    let mut client = Http2::connect(server.addr());
    let sent = client.send_get("/");
    // The client has to answer the ping that a good end begins with.
    client.turn();
    entered.pass();
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| server.stop_within(LONG));
        assert_eq!(client.whole(sent).unwrap().text(), "begun goodbye");
        assert!(client.end().is_ok());
        assert_eq!(stopping.join().unwrap().cut, 0);
    });
}

fn a_stop_cuts_what_does_not_end(engine: Engine) {
    let waiting = Waiting::start(engine, |server| server);
    let mut client = Http2::connect(waiting.server.addr());
    let sent = client.send_get("/wait");
    waiting.entered.pass();
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| waiting.server.stop_within(Duration::from_millis(50)));
        assert_eq!(client.whole(sent).unwrap().status, 503);
        assert_eq!(stopping.join().unwrap().cut, 1);
    });
    waiting.ended.wait();
}

fn an_idle_connection_is_told_goodbye(engine: Engine) {
    let server = TestServer::start(patient(engine, |_: Request| "Hello").keep_alive(SHORT));
    let mut client = Http2::connect(server.addr());
    assert_eq!(client.get("/").text(), "Hello");
    assert!(client.end().is_ok(), "in good order");
    until("it is closed", || server.connections() == 0);
}
