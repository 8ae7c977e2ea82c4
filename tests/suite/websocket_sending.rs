//! Sending and receiving at once, by many, and to those who do not read.

use crate::websocket::{MUCH, connect, echo_handler, server, server_with};
use greenway::Engine;
use greenway::green::{Queue, sleep, spawn};
use greenway::websocket::{CloseCode, Encoded, ErrorKind, Options, SocketError};
use greenway_tests::websocket::first;
use greenway_tests::{Drops, Gate, next, on_green_and_threads, until};
use std::time::Duration;

on_green_and_threads!(
    sending_does_not_wait_for_receiving,
    receiving_does_not_wait_for_sending,
    frames_of_many_senders_do_not_mix,
    a_message_in_pieces_is_not_interrupted,
    an_unfinished_message_closes,
    a_full_queue_is_told_and_kept_in_order,
    a_peer_that_reads_nothing_is_given_up,
    a_departed_client_ends_a_handler_that_waits_elsewhere,
    a_handler_that_knows_of_the_end_is_not_interrupted,
    senders_outlive_their_handler_in_vain,
);

fn sending_does_not_wait_for_receiving(engine: Engine) {
    let (sending, sent) = (Gate::new(), Gate::new());
    let (begun, ended) = (sending.clone(), sent.clone());
    let server = server(engine, move |ws| {
        let sender = ws.sender();
        let (begun, ended) = (begun.clone(), ended.clone());
        spawn(move || {
            begun.open();
            sender.send(vec![7; MUCH])?;
            sender.send("behind it")?;
            ended.open();
            Ok::<_, SocketError>(())
        });
        echo_handler(ws)
    });
    let mut socket = connect(&server);
    sending.pass();
    // The handler is in `receive` all the while.
    let frame = socket.frame();
    assert_eq!(frame.payload.len(), MUCH);
    sent.pass();
    assert_eq!(socket.next_text(), "behind it");
    socket.text("echo");
    assert_eq!(socket.next_text(), "echo");
}

fn receiving_does_not_wait_for_sending(engine: Engine) {
    let received = Queue::new(8);
    let got = received.clone();
    let sent = Gate::new();
    let ended = sent.clone();
    let server = server(engine, move |ws| {
        let sender = ws.sender();
        let ended = ended.clone();
        spawn(move || {
            sender.send(vec![7; MUCH])?;
            sender.send("behind it")?; // waits until the first has left
            ended.open();
            Ok::<_, SocketError>(())
        });
        while let Some(message) = ws.receive()? {
            let _ = got.put(message);
        }
        Ok(())
    });
    let mut socket = connect(&server);
    // The client reads nothing, so the senders are stuck.
    for text in ["one", "two"] {
        socket.text(text);
        assert_eq!(next(&received).as_text(), Some(text));
    }
    assert_eq!(sent.waiting(), 0, "the client has read nothing");
    assert_eq!(socket.frame().payload.len(), MUCH);
    assert_eq!(socket.next_text(), "behind it");
    sent.pass();
}

fn frames_of_many_senders_do_not_mix(engine: Engine) {
    const SENDERS: usize = 8;
    const MESSAGES: usize = 40;
    let server = server(engine, |ws| {
        for number in 0..SENDERS {
            let sender = ws.sender();
            let work = move || {
                for n in 0..MESSAGES {
                    let filler =
                        ["", &"x".repeat(200), &"y".repeat(90_000)][(n + number) % 3].to_owned();
                    let text = format!("{number} {n} {filler}");
                    if number % 4 == 3 {
                        let mut pieces = sender.begin_text().unwrap();
                        for piece in text.as_bytes().chunks(40_000) {
                            pieces.send(piece).unwrap();
                        }
                        pieces.finish().unwrap();
                    } else {
                        sender.send(text).unwrap();
                    }
                }
            };
            if number % 2 == 0 {
                spawn(work);
            } else {
                std::thread::spawn(work);
            }
        }
        echo_handler(ws)
    });
    let mut socket = connect(&server);
    let mut expected = [0; SENDERS];
    let mut text = String::new();
    while expected.iter().sum::<usize>() < SENDERS * MESSAGES {
        let frame = socket.frame();
        text += std::str::from_utf8(&frame.payload).unwrap();
        if frame.first & 0x80 == 0 {
            continue;
        }
        let mut words = text.split(' ');
        let [number, n] = [(); 2].map(|()| words.next().unwrap().parse::<usize>().unwrap());
        assert_eq!(n, expected[number], "those of each are in order");
        expected[number] += 1;
        let filler = words.next().unwrap();
        assert_eq!(filler.len(), [0, 200, 90_000][(n + number) % 3]);
        text.clear();
    }
}

fn a_message_in_pieces_is_not_interrupted(engine: Engine) {
    let (go_on, begun) = (Gate::new(), Gate::new());
    let (passed, told) = (go_on.clone(), begun.clone());
    let server = server(engine, move |ws| {
        let mut pieces = ws.begin_text()?;
        pieces.send("be")?;
        ws.try_send("posted")?;
        let sender = ws.sender();
        let other = spawn(move || sender.send("waiting"));
        told.open();
        passed.pass();
        ws.ping(b"!")?;
        pieces.send("gin")?;
        pieces.finish()?;
        other.join().unwrap()?;
        echo_handler(ws)
    });
    let mut socket = connect(&server);
    begun.pass();
    let frame = socket.frame();
    assert_eq!((frame.first, &frame.payload[..]), (0x01, &b"be"[..]));
    go_on.open();
    assert_eq!(socket.frame().first, first::PING);
    let frame = socket.frame();
    assert_eq!((frame.first, &frame.payload[..]), (0x00, &b"gin"[..]));
    assert_eq!(socket.frame().first, 0x80);
    let mut texts = [socket.next_text(), socket.next_text()];
    texts.sort();
    assert_eq!(texts, ["posted", "waiting"]);
}

fn an_unfinished_message_closes(engine: Engine) {
    let server = server(engine, |ws| {
        drop(ws.begin_binary()?);
        assert_eq!(ws.send("x").unwrap_err().kind(), ErrorKind::Closed);
        Ok(())
    });
    let mut socket = connect(&server);
    socket.next_close(1011);
}

fn a_full_queue_is_told_and_kept_in_order(engine: Engine) {
    let options = Options::new().queue(4, usize::MAX);
    let results = Queue::new(1);
    let told = results.clone();
    let server = server_with(engine, options, move |ws| {
        ws.send(vec![0; MUCH])?;
        let news = Encoded::new("news");
        let mut taken = 0;
        let error = loop {
            match ws.try_send(&news) {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
            assert!(taken < 100, "a client that reads nothing takes all");
        };
        let _ = told.put((taken, error));
        echo_handler(ws)
    });
    let mut socket = connect(&server);
    let (taken, error) = next(&results);
    assert_eq!((taken, error.kind()), (3, ErrorKind::Full)); // and the rest of the first
    assert!(error.is_open());
    assert_eq!(socket.frame().payload.len(), MUCH);
    for _ in 0..taken {
        assert_eq!(socket.next_text(), "news");
    }
    socket.text("and now?");
    assert_eq!(socket.next_text(), "and now?");
}

fn a_peer_that_reads_nothing_is_given_up(engine: Engine) {
    let options = Options::new().write_timeout(Duration::from_millis(100));
    let results = Queue::new(2);
    let told = results.clone();
    let server = server_with(engine, options, move |ws| {
        // Until there is no room and has been none for a while. In small pieces: the clock for a
        // long one is longer.
        let stuck = loop {
            if let Err(error) = ws.send(vec![0; 4096]) {
                break error;
            }
        };
        let _ = told.put(Err(stuck));
        let _ = told.put(ws.receive());
        Ok(())
    });
    let socket = connect(&server);
    for _ in 0..2 {
        let error = next(&results).unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::TooSlow, CloseCode::ABNORMAL)
        );
    }
    until("the connection is closed", || server.connections() == 0);
    drop(socket);
}

fn a_departed_client_ends_a_handler_that_waits_elsewhere(engine: Engine) {
    let (entered, drops) = (Gate::new(), Drops::new());
    let (gate, witnesses) = (entered.clone(), drops.clone());
    let server = server(engine, move |ws| {
        let _witness = witnesses.witness();
        let _ws = ws;
        gate.open();
        sleep(Duration::MAX);
        Ok(())
    });
    for how in ["reset", "close"] {
        let socket = connect(&server);
        entered.pass();
        match how {
            "reset" => socket.reset(),
            _ => drop(socket),
        }
        drops.wait();
    }
    until("the connections are closed", || server.connections() == 0);
}

fn a_handler_that_knows_of_the_end_is_not_interrupted(engine: Engine) {
    let (farewell, done) = (Gate::new(), Gate::new());
    let (may_go, went) = (farewell.clone(), done.clone());
    let server = server(engine, move |ws| {
        while let Ok(Some(_)) = ws.receive() {}
        may_go.pass(); // as long as it takes to say good-bye
        went.open();
        Ok(())
    });
    let mut socket = connect(&server);
    socket.close(1000).next_close(1000);
    socket.end(); // although the handler is not over
    drop(socket);
    connect(&server).reset();
    farewell.open_for(2);
    done.pass_times(2);
}

fn senders_outlive_their_handler_in_vain(engine: Engine) {
    let senders = Queue::new(1);
    let given = senders.clone();
    let server = server(engine, move |ws| {
        let _ = given.put(ws.sender());
        Ok(())
    });
    let mut socket = connect(&server);
    let sender = next(&senders);
    socket.next_close(1000);
    socket.close(1000).end();
    until("the connection is closed", || server.connections() == 0);
    assert!(sender.is_closed());
    assert_eq!(sender.send("x").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(sender.try_send("x").unwrap_err().kind(), ErrorKind::Closed);
}
