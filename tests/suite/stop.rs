//! Stopping: who is served to the end, and who is cut. By signals: `stop_signals`.

use greenway::{Body, BodyError, Engine, Out, Request, green};
use greenway_tests::request::get;
use greenway_tests::{DEADLINE, Drops, Gate, TestServer, linted, on_green_and_threads, until};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

on_green_and_threads!(
    idle_connections_are_closed_at_once,
    requests_in_flight_are_served,
    a_stream_in_flight_is_finished,
    a_blocked_handler_is_unwound_after_the_grace_period,
    a_handler_that_refuses_to_end_cannot_wait_again,
    an_endless_stream_is_cut,
    a_willing_stream_is_ended_at_once,
    a_willing_long_poll_is_answered_at_once,
    a_willing_stream_in_old_http_ends_in_good_order,
    a_willing_stream_that_fails_is_cut,
    a_willing_stream_whose_client_is_behind_is_given_the_grace_period,
    what_follows_a_willing_stream_is_given_the_grace_period,
    what_was_sent_before_the_stop_is_answered,
    what_crosses_a_stop_on_its_way_is_answered,
    what_is_queued_when_the_grace_period_is_over_is_not_run,
    nobody_can_connect_afterwards,
);

/// Does not run out in a test.
const LONG: Duration = Duration::from_secs(600);

fn idle_connections_are_closed_at_once(engine: Engine) {
    let server = TestServer::start(linted(|_: Request| "Hello").engine(engine).keep_alive(LONG));
    let mut used = server.connect();
    assert_eq!(used.send(get("/")).reply().text(), "Hello");
    let mut unused = server.connect();
    until("both are admitted", || server.connections() == 2);
    let started = Instant::now();
    let stopped = server.stop_within(LONG);
    assert!(started.elapsed() < DEADLINE);
    assert_eq!(stopped.cut, 0);
    used.end();
    unused.end();
}

/// A server whose handler waits at a gate.
fn gated(engine: Engine) -> (TestServer, Gate, Gate) {
    let (entered, gate) = (Gate::new(), Gate::new());
    let (arrived, there) = (entered.clone(), gate.clone());
    let app = move |_: Request| {
        arrived.open();
        there.pass();
        "served"
    };
    (
        TestServer::start(linted(app).engine(engine).threads(20).timeout(LONG)),
        entered,
        gate,
    )
}

/// Stops the server from another thread, and calls `then` as soon as it takes no more connections.
fn while_stopping(server: &TestServer, grace: Duration, then: impl FnOnce()) -> usize {
    let addr = server.addr();
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| server.stop_within(grace));
        until("the port is closed", || TcpStream::connect(addr).is_err());
        then();
        stopping.join().expect("stopping does not panic").cut
    })
}

/// On the pool of 20 threads, 180 of them wait for a thread.
fn requests_in_flight_are_served(engine: Engine) {
    let (server, entered, gate) = gated(engine);
    let mut clients: Vec<_> = (0..200).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(get("/"));
    }
    entered.pass_times(if engine == Engine::Threads { 20 } else { 200 });
    let cut = while_stopping(&server, LONG, || gate.open_for(200));
    assert_eq!(cut, 0);
    for client in &mut clients {
        let reply = client.reply();
        assert_eq!(reply.text(), "served");
        client.end();
    }
}

fn a_stream_in_flight_is_finished(engine: Engine) {
    let gate = Gate::new();
    let there = gate.clone();
    let app = move |_: Request| {
        let gate = there.clone();
        Body::stream(move |out| {
            out.send("START")?;
            gate.pass();
            out.send("END")
        })
    };
    let server = TestServer::start(linted(app).engine(engine));
    let mut client = server.connect();
    client.send(get("/"));
    client.head();
    assert_eq!(client.chunk(), "START");
    assert_eq!(while_stopping(&server, LONG, || gate.open()), 0);
    assert_eq!(
        (client.chunk(), client.chunk()),
        ("END".into(), String::new())
    );
    client.end();
}

fn a_blocked_handler_is_unwound_after_the_grace_period(engine: Engine) {
    let (drops, entered) = (Drops::new(), Gate::new());
    let (there, arrived) = (drops.clone(), entered.clone());
    let app = move |_: Request| {
        let _witness = there.witness();
        arrived.open();
        green::sleep(Duration::MAX);
        "never"
    };
    let server = TestServer::start(linted(app).engine(engine).timeout(LONG));
    let mut clients = [server.connect(), server.connect(), server.connect()];
    for client in &mut clients {
        client.send(get("/"));
    }
    entered.pass_times(3);
    let stopped = server.stop_within(Duration::from_millis(50));
    assert_eq!(stopped.cut, 3);
    assert_eq!(drops.pending(), 3, "by the time that stop() returns");
    for client in &mut clients {
        assert!(drops.wait().unwinding);
        assert_eq!(
            client.reply().status(),
            503,
            "nothing was sent, so something can be said"
        );
        client.end();
    }
}

/// Code that swallows the unwinding cannot block again.
fn a_handler_that_refuses_to_end_cannot_wait_again(engine: Engine) {
    let entered = Gate::new();
    let arrived = entered.clone();
    let app = move |_: Request| {
        arrived.open();
        let mut swallowed = 0;
        while swallowed < 3 {
            let sleep = std::panic::AssertUnwindSafe(|| green::sleep(Duration::MAX));
            swallowed += u32::from(std::panic::catch_unwind(sleep).is_err());
        }
        "stubborn"
    };
    let server = TestServer::start(linted(app).engine(engine).timeout(LONG));
    let mut client = server.connect();
    client.send(get("/"));
    entered.pass();
    server.stop();
    assert_eq!(server.connections(), 0);
}

/// One that never waits, and whose client reads as fast as it is sent.
fn an_endless_stream_is_cut(engine: Engine) {
    let drops = Drops::new();
    let there = drops.clone();
    let app = move |_: Request| {
        let witness = there.witness();
        Body::stream(move |out| {
            let _witness = witness;
            loop {
                out.send("x")?;
            }
        })
    };
    let server = TestServer::start(linted(app).engine(engine));
    let mut client = server.connect();
    client.send(get("/"));
    client.head();
    // Reads until the end, or leaves: a server that does not stop is not to send for ever.
    let reader = std::thread::spawn(move || {
        let (started, mut last) = (Instant::now(), String::from("x"));
        while started.elapsed() < DEADLINE + DEADLINE / 2 {
            match client.try_chunk() {
                Some(chunk) => last = chunk,
                None => break,
            }
        }
        last
    });
    server.stop();
    drops.wait();
    assert_eq!(reader.join().unwrap(), "x", "no last chunk");
}

/// A server whose body may be ended at once, and waits for ever after it has done `first`.
fn willing(
    engine: Engine,
    first: impl Fn(&mut Out<'_>) -> Result<(), BodyError> + Clone + Send + Sync + 'static,
) -> (TestServer, Drops, Gate) {
    let (drops, entered) = (Drops::new(), Gate::new());
    let (there, arrived) = (drops.clone(), entered.clone());
    let app = move |_: Request| {
        let (witness, arrived, first) = (there.witness(), arrived.clone(), first.clone());
        Body::stream(move |out| {
            let _witness = witness;
            out.end_at_stop("FAREWELL")?;
            first(out)?;
            arrived.open();
            green::sleep(Duration::MAX);
            out.send("never")
        })
    };
    let server = TestServer::start(linted(app).engine(engine).timeout(LONG));
    (server, drops, entered)
}

fn a_willing_stream_is_ended_at_once(engine: Engine) {
    let (server, drops, entered) = willing(engine, |out| out.send("START"));
    let mut clients = [server.connect(), server.connect()];
    for client in &mut clients {
        client.send(get("/"));
        client.head();
        assert_eq!(client.chunk(), "START");
    }
    entered.pass_times(2);
    assert_eq!(server.stop_within(LONG).cut, 0);
    assert_eq!(drops.pending(), 2, "by the time that stop() returns");
    for client in &mut clients {
        assert!(drops.wait().unwinding);
        assert_eq!(client.chunk(), "FAREWELL");
        assert_eq!(client.chunk(), "", "the response is whole");
        client.end();
    }
}

fn a_willing_long_poll_is_answered_at_once(engine: Engine) {
    let (server, _, entered) = willing(engine, |_| Ok(()));
    let mut client = server.connect();
    client.send(get("/"));
    entered.pass();
    assert_eq!(server.stop_within(LONG).cut, 0);
    let reply = client.reply();
    assert_eq!(reply.summary(), (200, "FAREWELL".to_owned()));
    assert!(reply.head.says_close());
    client.end();
}

fn a_willing_stream_in_old_http_ends_in_good_order(engine: Engine) {
    let (server, _, entered) = willing(engine, |out| out.start());
    let mut client = server.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    client.head();
    entered.pass();
    assert_eq!(server.stop_within(LONG).cut, 0);
    assert_eq!(client.rest(), b"FAREWELL");
}

/// Willing to be ended is one thing, to have failed another.
fn a_willing_stream_that_fails_is_cut(engine: Engine) {
    let (server, _, _) = willing(engine, |out| {
        out.send("START")?;
        Err(BodyError::new("out of ideas"))
    });
    let mut client = server.connect();
    client.send(get("/"));
    client.head();
    assert_eq!(client.chunk(), "START");
    client.is_cut_short();
}

/// Half a chunk cannot be followed by a farewell.
fn a_willing_stream_whose_client_is_behind_is_given_the_grace_period(engine: Engine) {
    const SIZE: usize = 16_000_000; // more than the kernel keeps for a connection
    let (server, _, _) = willing(engine, |out| out.send(vec![b'x'; SIZE]));
    let mut client = server.connect();
    client.send(get("/"));
    client.head();
    let cut = while_stopping(&server, LONG, || {
        assert_eq!(client.chunk().len(), SIZE);
        assert_eq!(client.chunk(), "FAREWELL");
        assert_eq!(client.chunk(), "");
    });
    assert_eq!(cut, 0);
    client.end();
}

fn what_follows_a_willing_stream_is_given_the_grace_period(engine: Engine) {
    let (entered, gate) = (Gate::new(), Gate::new());
    let (arrived, there) = (entered.clone(), gate.clone());
    let app = move |request: Request| {
        if request.path() == "/stream" {
            return Body::stream(|out| {
                out.end_at_stop("FAREWELL")?;
                out.send("all")
            });
        }
        arrived.open();
        there.pass();
        Body::full("served")
    };
    let server = TestServer::start(linted(app).engine(engine).timeout(LONG));
    let mut client = server.connect();
    client.send(get("/stream") + &get("/"));
    assert_eq!(client.reply().text(), "all");
    entered.pass();
    assert_eq!(while_stopping(&server, LONG, || gate.open()), 0);
    assert_eq!(client.reply().text(), "served");
    client.end();
}

/// Whether a request is being served, waits for a thread, lies in the kernel's buffer or came
/// with a connection that was not accepted yet: it was sent, so it is answered.
fn what_was_sent_before_the_stop_is_answered(engine: Engine) {
    let app = |request: Request| {
        green::sleep(Duration::from_millis(2));
        request.path().to_owned()
    };
    let server = TestServer::start(linted(app).engine(engine).timeout(LONG).keep_alive(LONG));
    let mut clients: Vec<_> = (0..200).map(|_| server.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        if number % 2 == 0 {
            assert_eq!(client.send(get("/first")).reply().text(), "/first"); // it is idle now
        }
    }
    clients.extend((0..50).map(|_| server.connect()));
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(get(&format!("/{number}")));
    }
    assert_eq!(server.stop_within(LONG).cut, 0);
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.reply().text(), format!("/{number}"));
        client.end();
    }
}

/// On the pool: nobody would be there to end them.
/// One who asks again and again is told with an answer that it was the last one, and never finds the
/// connection closed in the middle of asking.
fn what_crosses_a_stop_on_its_way_is_answered(engine: Engine) {
    const CLIENTS: usize = 16;
    for _ in 0..4 {
        let server = TestServer::start(linted(|_: Request| "served").engine(engine));
        let begun = Gate::new();
        let ask = || {
            let mut client = server.connect();
            begun.open();
            loop {
                let reply = client.send(get("/")).reply();
                assert_eq!(reply.text(), "served");
                if reply.head.says_close() {
                    return client.end();
                }
            }
        };
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
            begun.pass_times(CLIENTS);
            assert_eq!(server.stop_within(LONG).cut, 0);
            for client in clients {
                client.join().expect("it is told that this was the last");
            }
        });
    }
}

fn what_is_queued_when_the_grace_period_is_over_is_not_run(engine: Engine) {
    let entered = Gate::new();
    let arrived = entered.clone();
    let app = move |_: Request| {
        arrived.open();
        green::sleep(Duration::MAX);
    };
    let server = TestServer::start(linted(app).engine(engine).threads(1).timeout(LONG));
    let mut clients: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(get("/"));
    }
    entered.pass();
    assert_eq!(server.stop().cut, 3);
    assert_eq!(server.connections(), 0);
    for client in &mut clients {
        assert_eq!(client.reply().status(), 503);
    }
    if engine == Engine::Threads {
        assert_eq!(entered.waiting(), 0, "one was run, the others were not");
    }
}

fn nobody_can_connect_afterwards(engine: Engine) {
    let server = TestServer::start(linted(|_: Request| "Hello").engine(engine));
    let addr = server.addr();
    server.stop();
    assert!(TcpStream::connect(addr).is_err());
    assert_eq!(server.stop().cut, 0, "a second stop() does nothing");
    let _port_is_free = TcpListener::bind(addr).unwrap();
}
