//! WebSockets that are ended from outside: handlers and clients that are killed, and the stop of a
//! server with five hundred of them.

use crate::websocket::{Report, connect, echo_handler, reporting, server};
use crate::websocket_ends::stopping;
use greenway::Engine;
use greenway::green::{Greenlet, JoinError, Queue, spawn, spawn_local};
use greenway::websocket::{self, CloseCode, ErrorKind, Options, SocketError};
use greenway_tests::websocket::{first, masked};
use greenway_tests::{Drops, Gate, TestServer, next, on_green_and_threads, raise_descriptor_limit};
use std::rc::Rc;
use std::time::{Duration, Instant};

on_green_and_threads!(
    a_stop_ends_one_whose_peer_does_not_answer,
    a_killed_client_says_that_it_goes,
);

/// It is in `receive`, where only an interrupt can reach it.
fn a_stop_ends_one_whose_peer_does_not_answer(engine: Engine) {
    let (entered, drops) = (Gate::new(), Drops::new());
    let (gate, witnesses) = (entered.clone(), drops.clone());
    let server = server(engine, move |ws| {
        let _witness = witnesses.witness();
        gate.open();
        while ws.receive()?.is_some() {}
        Ok(())
    });
    let mut socket = connect(&server);
    entered.pass();
    assert_eq!(server.stop_within(Duration::from_millis(50)).cut, 1);
    assert!(drops.wait().unwinding, "its destructors run");
    socket.next_close(1001);
    socket.end();
}

/// A client of ours in a green thread that is killed: the server learns it at once.
fn a_killed_client_says_that_it_goes(engine: Engine) {
    let (server, reports) = reporting(engine, Options::new());
    let url = format!("ws://{}/ws", server.addr());
    let drops = Drops::new();
    let witness = drops.witness();
    let client = spawn(move || {
        let _witness = witness;
        let ws = websocket::connect(&url).expect("it is accepted");
        ws.send("hello").expect("it is open");
        ws.receive().map(drop)
    });
    assert_eq!(next(&reports).0, Ok(Some("hello".into())));
    client.kill();
    assert!(matches!(client.join(), Err(JoinError::Killed)));
    assert!(drops.wait().unwinding);
    let told = next(&reports);
    assert_eq!(told, (Ok(None), Some(CloseCode::GOING_AWAY)));
    assert_eq!(next(&reports).0.unwrap_err().kind(), ErrorKind::Closed);
}

/// One who is killed in `receive` takes nothing with it, not even half a frame that it has read:
/// the next one receives, and the client sees no more of it than the handler tells.
#[test]
fn who_is_killed_in_receive_takes_nothing_with_it() {
    let (drops, greenlets, go_on) = (Drops::new(), Queue::new(1), Gate::new());
    let (witnesses, given, killed) = (drops.clone(), greenlets.clone(), go_on.clone());
    let server = server(Engine::Green, move |ws| {
        let ws = Rc::new(ws);
        for _ in 0..2 {
            let (shared, witness) = (ws.clone(), witnesses.witness());
            let echo = spawn_local(move || {
                let _witness = witness;
                while let Some(message) = shared.receive()? {
                    shared.send(message)?;
                }
                Ok::<_, SocketError>(())
            });
            let _ = given.put(echo);
            killed.pass();
        }
        Ok(())
    });
    let mut socket = connect(&server);
    let split = masked(first::TEXT, b"in two halves");
    let (one, other) = split.split_at(9);
    for (half, text) in [(one, "whole"), (other, "in two halves")] {
        let echo = next(&greenlets);
        match text {
            "whole" => socket.text(text).raw(half),
            _ => socket.raw(half),
        };
        assert_eq!(socket.next_text(), text);
        echo.kill();
        assert!(matches!(echo.join(), Err(JoinError::Killed)));
        assert!(drops.wait().unwinding, "its destructors run");
        go_on.open();
    }
    socket.next_close(1000);
    socket.close(1000).end();
}

/// How many clients a stop closes in these tests, and how many of them at a time.
const COUNT: usize = 500;
const BATCH: usize = 100;

/// Clients that are connected, each in a green thread, and what they are told at the end, and when.
struct Crowd {
    server: TestServer,
    clients: Vec<Greenlet<()>>,
    told: Queue<(Instant, Report)>,
}

impl Crowd {
    fn gather() -> Self {
        assert!(raise_descriptor_limit() >= 3 * COUNT as u64);
        let server = server(Engine::Green, echo_handler);
        let (told, talking) = (Queue::new(COUNT), Gate::new());
        let client = |_| {
            let url = format!("ws://{}/ws", server.addr());
            let (told, talking) = (told.clone(), talking.clone());
            spawn(move || {
                let ws = websocket::connect(&url).expect("it is accepted");
                ws.send("hello").expect("it is open");
                assert_eq!(ws.receive(), Ok(Some("hello".into())));
                talking.open();
                let end = ws.receive();
                let _ = told.put((Instant::now(), (end, ws.close_code())));
            })
        };
        let clients = (0..COUNT).map(client).collect();
        talking.pass_times(COUNT);
        Self {
            server,
            clients,
            told,
        }
    }

    /// When the next one was closed by the stop.
    #[track_caller]
    fn next(told: &Queue<(Instant, Report)>) -> Instant {
        let (at, report) = next(told);
        assert_eq!(report, (Ok(None), Some(CloseCode::GOING_AWAY)));
        at
    }
}

/// The grace period is so long that the second batch is never due in this test.
#[test]
fn a_stop_closes_the_first_batch_at_once_and_no_other() {
    let Crowd {
        server,
        clients,
        told,
    } = Crowd::gather();
    let ((), stopped) = stopping(server, Duration::from_secs(24 * 3600), || {
        for _ in 0..BATCH {
            Crowd::next(&told);
        }
        let still_there = clients.iter().filter(|client| !client.ready()).count();
        assert!(still_there >= COUNT - BATCH, "{still_there}");
        assert!(told.is_empty());
        clients.iter().for_each(Greenlet::kill); // all have left, so the stop is over
    });
    assert_eq!(stopped.cut, 0);
}

/// Clients that come back at once are not to come all at once, and none is to be cut.
#[test]
fn a_stop_closes_in_batches_over_its_grace() {
    const GRACE: Duration = Duration::from_secs(5);
    let Crowd { server, told, .. } = Crowd::gather();
    let begun = Instant::now();
    let (mut closed, stopped) = stopping(server, GRACE, || {
        (0..COUNT).map(|_| Crowd::next(&told)).collect::<Vec<_>>()
    });
    assert_eq!(stopped.cut, 0, "all have closed before the grace is over");
    closed.sort_unstable();
    for (batch, sockets) in closed.chunks(BATCH).enumerate().skip(1) {
        // 80 % of the grace in five parts, of which each may be half as long.
        let soonest = begun + GRACE * 8 * u32::try_from(batch).unwrap() / 100;
        assert!(
            sockets[0] >= soonest,
            "batch {batch} comes {:?} too early",
            soonest - sockets[0]
        );
    }
}
