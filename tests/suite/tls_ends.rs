//! How connections with TLS end: what is said of the end, what is cut off, and what a stop waits for.

use super::tls::{Served, serve, serve_with};
use greenway::green::{Queue, sleep};
use greenway::{Body, Engine, HalfClose, Request};
use greenway_tests::request::{get, get_close, post};
use greenway_tests::tls::rustls::version::{TLS12, TLS13};
use greenway_tests::{DEADLINE, Drops, Gate, linted, on_green_and_threads, until};
use std::io::ErrorKind;
use std::time::Duration;

on_green_and_threads!(
    the_end_is_said,
    a_cut_response_has_no_end,
    a_request_that_is_cut_off_is_not_served,
    a_client_that_has_finished_sending_is_served,
    a_client_that_leaves_ends_its_handler,
    a_client_that_says_goodbye_has_finished,
    a_goodbye_behind_unread_bytes_is_seen,
    a_stop_waits_for_what_was_begun,
    a_handshake_that_crosses_a_stop_is_served,
);

fn the_end_is_said(engine: Engine) {
    let served = serve(engine);
    let mut client = served.connect();
    client.send(get_close("/info"));
    client.reply();
    client.end(); // fails without a close_notify
    let mut client = served.connect();
    client.send("GET /stream HTTP/1.0\r\n\r\n");
    assert_eq!(client.reply().text(), "AB");
    let mut client = served.connect();
    assert_eq!(client.send("nonsense\r\n\r\n").reply().head.status, 400);
    client.end();
    // One that is idle for too long.
    let served = serve_with(engine, |server| {
        server.keep_alive(Duration::from_millis(20))
    });
    served.connect().end();
}

/// Whose end is the end of the body (RFC 9112 section 9.8).
fn a_cut_response_has_no_end(engine: Engine) {
    let app = |_: Request| {
        Body::stream(|out| {
            out.send("begun")?;
            Err(std::io::Error::other("the handler has failed").into())
        })
    };
    let served = Served::of(linted(app).engine(engine));
    let mut client = served.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let mut ended = Ok(());
    while let Ok(()) = ended {
        ended = client.try_read();
    }
    let kind = ended.unwrap_err().kind();
    assert!(
        matches!(kind, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset),
        "{kind:?}"
    );
}

/// The connection ends within a body, or what comes of it was altered.
fn a_request_that_is_cut_off_is_not_served(engine: Engine) {
    let (read, entered) = (Queue::new(8), Gate::new());
    let (results, inside) = (read.clone(), entered.clone());
    let app = move |request: Request| {
        inside.open();
        let body = request.body(1000).map(|body| body.len());
        results.put(body.is_ok()).expect("the test listens");
        "read"
    };
    let served = Served::of(linted(app).engine(engine).threads(4));
    let request = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel";
    for altered in [false, true] {
        let mut client = served.connect();
        client.send(request);
        entered.pass(); // what comes now comes to one who reads the body
        if altered {
            let mut record = client.encrypted("lo\r\n0\r\n\r\n");
            *record.last_mut().expect("it is not empty") ^= 1;
            client.send_below(&record);
        } else {
            client.stream().shutdown(std::net::Shutdown::Write).unwrap();
        }
        assert_eq!(
            read.get_timeout(DEADLINE).ok(),
            Some(Some(false)),
            "{altered}"
        );
    }
    let mut client = served.connect();
    client.send(request).send("lo\r\n0\r\n\r\n");
    assert_eq!(client.reply().text(), "read");
    assert_eq!(read.get_timeout(DEADLINE).ok(), Some(Some(true)));
}

fn waiting(engine: Engine, half_close: HalfClose) -> (Served, Gate, Drops) {
    let (entered, ended) = (Gate::new(), Drops::new());
    let (gate, drops) = (entered.clone(), ended.clone());
    let app = move |_: Request| {
        let _witness = drops.witness();
        gate.open();
        sleep(Duration::MAX);
        "never"
    };
    let server = linted(app).engine(engine).half_close(half_close);
    let server = server.timeout(Duration::from_secs(600));
    (Served::of(server), entered, ended)
}

fn a_client_that_has_finished_sending_is_served(engine: Engine) {
    let gate = Gate::new();
    let held = gate.clone();
    let app = move |_: Request| {
        held.pass();
        "served"
    };
    let served = Served::of(linted(app).engine(engine));
    let mut client = served.connect();
    client.send(get("/")).finish_sending();
    // It is asked whether it is there, within TLS, and stays.
    assert_eq!(client.head().status_line(), "HTTP/1.1 100 Continue");
    gate.open();
    assert_eq!(client.reply().text(), "served");
    client.end();
}

fn a_client_that_leaves_ends_its_handler(engine: Engine) {
    let (served, entered, ended) = waiting(engine, HalfClose::Auto);
    let connect = || {
        let mut client = served.connect();
        client.send(get("/"));
        entered.pass();
        client
    };
    connect().reset();
    ended.wait();
    drop(connect());
    ended.wait();
    until("the connections are closed", || {
        served.server.connections() == 0
    });
}

/// The word of TLS that nothing more comes is as a FIN, also without one.
fn a_client_that_says_goodbye_has_finished(engine: Engine) {
    let (served, entered, ended) = waiting(engine, HalfClose::Leave);
    for version in [&TLS12, &TLS13] {
        let config = served.made.client_with(&[version], None);
        let mut client = served.connect_with(&config);
        client.send(get("/"));
        entered.pass();
        client.say_goodbye();
        ended.wait();
        client.end();
    }
    // Who sends its next request meanwhile has not.
    let gate = Gate::new();
    let held = gate.clone();
    let app = move |_: Request| {
        held.pass();
        "served"
    };
    let server = linted(app).engine(engine).half_close(HalfClose::Leave);
    let served = Served::of(server);
    let mut client = served.connect();
    client.send(get("/"));
    for byte in get("/").bytes() {
        client.send([byte]); // each in a record that is as small as the word would be
    }
    gate.open_for(2);
    assert_eq!(client.reply().text(), "served");
    assert_eq!(client.reply().text(), "served");
}

/// As a FIN behind such bytes is.
fn a_goodbye_behind_unread_bytes_is_seen(engine: Engine) {
    let (served, entered, ended) = waiting(engine, HalfClose::Leave);
    for version in [&TLS12, &TLS13] {
        let config = served.made.client_with(&[version], None);
        for unread in [1, 100, 20_000] {
            let mut client = served.connect_with(&config);
            client.send(get("/"));
            entered.pass();
            client.send("x".repeat(unread));
            client.say_goodbye();
            ended.wait();
        }
    }
}

fn a_stop_waits_for_what_was_begun(engine: Engine) {
    let (gate, begun) = (Gate::new(), Gate::new());
    let (held, entered) = (gate.clone(), begun.clone());
    let app = move |_: Request| {
        entered.open();
        held.pass();
        "served"
    };
    let served = Served::of(linted(app).engine(engine));
    let mut client = served.connect();
    let mut idle = served.connect();
    let mut silent = served.server.connect();
    client.send(get("/"));
    begun.pass();
    std::thread::scope(|scope| {
        scope.spawn(|| served.server.stop_within(DEADLINE));
        idle.end();
        silent.rest_or_reset();
        gate.open();
        assert_eq!(client.reply().text(), "served");
        client.end();
    });
}

/// A client that has just connected is about to send its hello: the stop does not hang up on it.
fn a_handshake_that_crosses_a_stop_is_served(engine: Engine) {
    let served = serve(engine);
    let client = served.server.connect();
    until("it is accepted", || served.server.connections() == 1);
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| served.server.stop_within(DEADLINE));
        until("the port is closed", || {
            std::net::TcpStream::connect(served.server.addr()).is_err()
        });
        let mut client = client.secure(&served.client, "localhost").unwrap();
        let reply = client.send(post("/echo", "in time")).reply();
        assert_eq!(reply.text(), "in time");
        assert!(reply.head.says_close());
        client.end();
        assert_eq!(stopping.join().unwrap().cut, 0);
    });
}
