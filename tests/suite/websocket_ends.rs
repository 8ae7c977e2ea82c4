//! How WebSockets end: closed by either side, failed, lost, or by the stop of the server.

use crate::websocket::{
    app, closed_with, connect, echo_handler, lost_with, reporting, server, server_with,
};
use greenway::green::{Queue, sleep};
use greenway::websocket::{CloseCode, ErrorKind, Options};
use greenway::{Engine, abort};
use greenway_tests::websocket::{first, masked};
use greenway_tests::{
    DEADLINE, Drops, Gate, TestServer, linted, next, on_green_and_threads, until,
};
use std::time::Duration;

on_green_and_threads!(
    the_peer_closes,
    the_handler_closes,
    a_handler_that_returns_closes_with_1000,
    a_handler_that_fails_closes_with_1011,
    a_close_that_is_not_answered_is_cut,
    broken_rules_are_told,
    limits_are_told,
    a_lost_connection_is_1006,
    a_stop_closes_with_1001,
    a_stop_has_the_code_that_was_asked_for,
    a_stop_ends_what_does_not_end,
);

fn the_peer_closes(engine: Engine) {
    let (server, reports) = reporting(engine, Options::new());
    for (payload, code) in [(&[0x0f, 0xa0, b'b', b'y', b'e'][..], 4000), (&[], 1005)] {
        let mut socket = connect(&server);
        socket.text("last").send(first::CLOSE, payload);
        let answer = socket.frame();
        assert_eq!(answer.first, first::CLOSE);
        assert_eq!(answer.payload, payload[..payload.len().min(2)]);
        socket.end();
        assert_eq!(next(&reports).0, Ok(Some("last".into())));
        closed_with(&reports, code);
    }
}

fn the_handler_closes(engine: Engine) {
    let results = Queue::new(8);
    let told = results.clone();
    let server = server(engine, move |ws| {
        ws.close(CloseCode::from(4001), "enough");
        let _ = told.put(ws.send("more").map(|()| None));
        for _ in 0..3 {
            let _ = told.put(ws.receive());
        }
        Ok(())
    });
    let mut socket = connect(&server);
    assert_eq!(socket.next_close(4001), "enough");
    let error = next(&results).unwrap_err();
    assert_eq!(
        (error.kind(), error.code().as_u16()),
        (ErrorKind::Closed, 4001)
    );
    // What was under way when we closed still comes.
    socket.text("crossed").close(4001);
    socket.end();
    assert_eq!(next(&results), Ok(Some("crossed".into())));
    assert_eq!(next(&results), Ok(None));
    assert!(next(&results).is_err());
}

fn a_handler_that_returns_closes_with_1000(engine: Engine) {
    let server = server(engine, |ws| {
        ws.send("hello")?;
        Ok(())
    });
    let mut socket = connect(&server);
    assert_eq!(socket.next_text(), "hello");
    socket.next_close(1000);
    socket.text("unread").close(1000).end();
    until("the connection is closed", || server.connections() == 0);
}

fn a_handler_that_fails_closes_with_1011(engine: Engine) {
    let server = server(engine, |ws| match ws.receive()? {
        Some(message) if message.as_text() == Some("panic") => panic!("as was asked for"),
        Some(message) if message.as_text() == Some("abort") => abort(500, "as was asked for"),
        _ => Ok(()),
    });
    for what in ["panic", "abort"] {
        let mut socket = connect(&server);
        socket.text(what).next_close(1011);
        socket.close(1011).end();
    }
}

fn a_close_that_is_not_answered_is_cut(engine: Engine) {
    let brief = Options::new().close_timeout(Duration::from_millis(50));
    let (server, reports) = reporting(engine, brief.clone());
    drop(server);
    let told = reports.clone();
    let server = server_with(engine, brief, move |ws| {
        ws.close(CloseCode::NORMAL, "");
        let _ = told.put((ws.receive(), None));
        let _ = told.put((ws.receive(), None));
        Ok(())
    });
    let mut socket = connect(&server);
    socket.next_close(1000);
    lost_with(&reports, ErrorKind::Lost, 1006);
    let _ended_in_whatever_way = socket.client().rest_or_reset();
    until("the connection is closed", || server.connections() == 0);
}

fn broken_rules_are_told(engine: Engine) {
    let (server, reports) = reporting(engine, Options::new());
    for (bytes, code) in [
        (vec![0x81, 0x01, b'a'], 1002),       // not masked
        (masked(0xc1, b"a"), 1002),           // a reserved bit
        (masked(first::TEXT, &[0xff]), 1007), // not UTF-8
        (masked(first::CLOSE, &[3]), 1002),   // half a code
        (masked(0x80, b"nothing to continue"), 1002),
    ] {
        let mut socket = connect(&server);
        socket.raw(&bytes).next_close(code);
        socket.end();
        lost_with(&reports, ErrorKind::Protocol, code);
    }
}

fn limits_are_told(engine: Engine) {
    let options = Options::new().max_message(1000).max_frame(800);
    let (server, reports) = reporting(engine, options);
    for (bytes, code) in [
        (masked(first::TEXT, &[b'x'; 801]), 1009),
        (
            [masked(0x01, &[b'x'; 600]), masked(0x80, &[b'x'; 401])].concat(),
            1009,
        ),
        // A promise of much, of which little comes.
        (
            vec![0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5],
            1009,
        ),
    ] {
        let mut socket = connect(&server);
        socket.raw(&bytes).next_close(code);
        socket.end();
        lost_with(&reports, ErrorKind::Protocol, code);
    }
    let mut socket = connect(&server);
    let fits = [masked(0x01, &[b'x'; 600]), masked(0x80, &[b'x'; 400])].concat();
    socket.raw(&fits).close(1000).next_close(1000);
    assert_eq!(next(&reports).0.unwrap().unwrap().len(), 1000);
}

fn a_lost_connection_is_1006(engine: Engine) {
    let (server, reports) = reporting(engine, Options::new());
    connect(&server).reset();
    lost_with(&reports, ErrorKind::Lost, 1006);
    let mut socket = connect(&server);
    socket.client().finish_sending();
    lost_with(&reports, ErrorKind::Lost, 1006);
}

/// Stops the server while `ask` runs, and gives what `ask` has found.
pub(crate) fn stopping<R: Send + 'static>(
    server: TestServer,
    grace: Duration,
    ask: impl FnOnce() -> R,
) -> (R, greenway::Stopped) {
    let stop = std::thread::spawn(move || server.stop_within(grace));
    let result = ask();
    (result, stop.join().expect("the stop ends"))
}

fn a_stop_closes_with_1001(engine: Engine) {
    let (server, reports) = reporting(engine, Options::new());
    let mut sockets: Vec<_> = (0..3).map(|_| connect(&server)).collect();
    for socket in &mut sockets {
        socket.send(first::PING, b"");
        assert_eq!(socket.frame().first, first::PONG, "the handler has begun");
    }
    let ((), stopped) = stopping(server, DEADLINE, move || {
        for socket in &mut sockets {
            socket.next_close(1001);
            socket.close(1001).end();
        }
    });
    for _ in 0..3 {
        assert_eq!(next(&reports).0, Ok(None));
        assert!(next(&reports).0.is_err());
    }
    assert_eq!(stopped.cut, 0);
}

fn a_stop_has_the_code_that_was_asked_for(engine: Engine) {
    let app = app(Options::new(), echo_handler);
    let server = linted(app)
        .engine(engine)
        .websocket_stop_code(CloseCode::SERVICE_RESTART);
    let server = TestServer::start(server);
    let mut socket = connect(&server);
    socket.text("hi");
    socket.next_text();
    let ((), stopped) = stopping(server, DEADLINE, move || {
        socket.next_close(1012);
        socket.close(1012).end();
    });
    assert_eq!(stopped.cut, 0);
}

fn a_stop_ends_what_does_not_end(engine: Engine) {
    let (entered, drops) = (Gate::new(), Drops::new());
    let (gate, witnesses) = (entered.clone(), drops.clone());
    let server = server(engine, move |ws| {
        let _witness = witnesses.witness();
        ws.send("hello")?;
        gate.open();
        sleep(Duration::MAX);
        Ok(())
    });
    let mut socket = connect(&server);
    entered.pass();
    assert_eq!(server.stop_within(Duration::from_millis(50)).cut, 1);
    drops.wait();
    assert_eq!(socket.next_text(), "hello");
    socket.next_close(1001);
}
