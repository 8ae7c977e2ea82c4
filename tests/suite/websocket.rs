//! WebSockets over real sockets (issue 5): the handshake, both directions at once, and every end.

use greenway::green::{Queue, sleep, spawn};
use greenway::websocket::{
    self, CloseCode, Encoded, ErrorKind, Message, Options, Origins, Upgrade, WebSocket,
    WebSocketError,
};
use greenway::{App, Engine, HttpError, Request, Server, abort};
use greenway_tests::websocket::{first, handshake, masked};
use greenway_tests::{
    DEADLINE, Drops, Gate, RawSocket, TestServer, next, on_green_and_threads, request, until,
};
use std::time::Duration;

on_green_and_threads!(
    echo,
    a_plain_request_is_answered_by_the_handler,
    faulty_handshakes_have_their_status,
    what_comes_behind_the_handshake_is_the_first_message,
    options_are_agreed_on,
    the_peer_closes,
    the_handler_closes,
    a_handler_that_returns_closes_with_1000,
    a_handler_that_fails_closes_with_1011,
    a_close_that_is_not_answered_is_cut,
    broken_rules_are_told,
    limits_are_told,
    a_lost_connection_is_1006,
    a_receive_with_a_timeout_can_be_repeated,
    no_clock_of_http_counts,
    pings_are_answered,
    pings_are_answered_also_where_nobody_receives,
    a_silent_peer_is_given_up,
    a_silent_peer_is_given_up_also_where_nobody_receives,
    an_idle_peer_is_closed,
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
    a_stop_closes_with_1001,
    a_stop_has_the_code_that_was_asked_for,
    a_stop_ends_what_does_not_end,
    a_client_talks_to_a_server,
    a_client_is_refused,
    tungstenite_understands_it,
);

type Handled = Result<(), WebSocketError>;

/// A server with one route, whose handler has a WebSocket.
fn server(
    engine: Engine,
    handler: impl Fn(WebSocket) -> Handled + Send + Sync + 'static,
) -> TestServer {
    server_with(engine, Options::new(), handler)
}

fn server_with(
    engine: Engine,
    options: Options,
    handler: impl Fn(WebSocket) -> Handled + Send + Sync + 'static,
) -> TestServer {
    TestServer::start(Server::new(app(options, handler)).engine(engine))
}

fn app(options: Options, handler: impl Fn(WebSocket) -> Handled + Send + Sync + 'static) -> App {
    let mut app = App::new();
    app.get("/ws", move |request: Request| -> Result<(), HttpError> {
        let Some(ws) = options.accept(&request)? else {
            abort(400, "Expected a WebSocket request.");
        };
        Ok(handler(ws)?)
    });
    app
}

fn echo_handler(ws: WebSocket) -> Handled {
    while let Some(message) = ws.receive()? {
        ws.send(message)?;
    }
    Ok(())
}

fn connect(server: &TestServer) -> RawSocket {
    RawSocket::connect(server.addr(), "/ws")
}

fn echo(engine: Engine) {
    let server = server(engine, echo_handler);
    let mut socket = connect(&server);
    for text in ["Hello", "", "äöü", &"x".repeat(70_000)] {
        socket.text(text);
        assert_eq!(socket.next_text(), text);
    }
    socket.send(first::BINARY, [0, 255]);
    assert_eq!(socket.frame().payload, [0, 255]);
    socket.close(1000).next_close(1000);
    socket.end();
}

fn a_plain_request_is_answered_by_the_handler(engine: Engine) {
    let server = server(engine, echo_handler);
    let reply = server.get("/ws");
    assert_eq!(reply.head.status, 400);
    assert!(
        reply.text().contains("Expected a WebSocket"),
        "{}",
        reply.text()
    );
    // And one that asks for a WebSocket where there is none is a plain request.
    let mut app = App::new();
    app.get("/plain", |_: Request| "plain");
    let server = TestServer::start(Server::new(app).engine(engine));
    let mut client = server.connect();
    assert_eq!(client.send(handshake("/plain", "")).reply().text(), "plain");
    assert_eq!(
        client.send(request::get_close("/plain")).reply().text(),
        "plain"
    );
}

fn faulty_handshakes_have_their_status(engine: Engine) {
    let server = server(engine, echo_handler);
    let good = handshake("/ws", "");
    for (from, to, status) in [
        ("GET /ws HTTP/1.1", "POST /ws HTTP/1.1", 405),
        ("Connection: Upgrade\r\n", "", 400),
        (
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Key: short",
            400,
        ),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", 426),
        (
            "\r\n\r\n",
            "\r\nOrigin: http://elsewhere.example\r\n\r\n",
            403,
        ),
        ("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nhi", 400),
    ] {
        let reply = server.ask(good.replace(from, to));
        assert_eq!(reply.head.status, status, "{to}");
        if status == 426 {
            assert_eq!(reply.head.field("sec-websocket-version"), Some("13"));
        }
    }
}

fn what_comes_behind_the_handshake_is_the_first_message(engine: Engine) {
    let server = server(engine, echo_handler);
    let mut bytes = handshake("/ws", "").into_bytes();
    bytes.extend(masked(first::TEXT, b"one"));
    let two = masked(first::TEXT, b"two");
    bytes.extend(&two[..4]);
    let mut client = server.connect();
    client.send(&bytes);
    let mut socket = RawSocket::upgrade(client, "");
    assert_eq!(socket.next_text(), "one");
    socket.raw(&two[4..]);
    assert_eq!(socket.next_text(), "two");
}

fn options_are_agreed_on(engine: Engine) {
    let options = Options::new()
        .protocols(["b", "a"])
        .origins(Origins::Any)
        .header("x-room", "7");
    let server = server_with(engine, options, |ws| {
        ws.send(ws.protocol().unwrap_or("none"))?;
        echo_handler(ws)
    });
    let fields = "Sec-WebSocket-Protocol: a, b\r\nOrigin: http://elsewhere.example\r\n";
    let mut socket = RawSocket::upgrade(server.connect(), &handshake("/ws", fields));
    assert_eq!(socket.head.field("sec-websocket-protocol"), Some("b"));
    assert_eq!(
        socket.head.field("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        "RFC 6455 section 1.3"
    );
    assert_eq!(socket.head.field("x-room"), Some("7"));
    assert_eq!(socket.next_text(), "b");
    assert_eq!(connect(&server).next_text(), "none");
}

/// A server whose handler reports what `receive` gives, until it has told of the end twice.
fn reporting(engine: Engine, options: Options) -> (TestServer, Queue<Report>) {
    let reports = Queue::new(64);
    let told = reports.clone();
    let server = server_with(engine, options, move |ws| {
        let mut left = 2;
        while left > 0 {
            let received = ws.receive();
            left -= usize::from(!matches!(received, Ok(Some(_))));
            let _ = told.put((received, ws.close_code()));
        }
        Ok(())
    });
    (server, reports)
}

type Report = (Result<Option<Message>, WebSocketError>, Option<CloseCode>);

/// The end was told as `None` once, and then as an error with this code.
#[track_caller]
fn closed_with(reports: &Queue<Report>, code: u16) {
    let code = CloseCode::from(code);
    assert_eq!(next(reports), (Ok(None), Some(code)));
    let error = next(reports).0.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Closed, code));
}

/// The end was told as an error, and then again.
#[track_caller]
fn lost_with(reports: &Queue<Report>, kind: ErrorKind, code: u16) {
    for _ in 0..2 {
        let error = next(reports).0.unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, code.into()), "{error}");
    }
}

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

fn a_receive_with_a_timeout_can_be_repeated(engine: Engine) {
    let server = server(engine, |ws| {
        let error = ws.receive_timeout(Duration::from_millis(1)).unwrap_err();
        assert!(error.is_open() && error.kind() == ErrorKind::TimedOut);
        ws.send("now")?;
        echo_handler(ws)
    });
    let mut socket = connect(&server);
    assert_eq!(socket.next_text(), "now");
    socket.text("after");
    assert_eq!(socket.next_text(), "after");
}

fn no_clock_of_http_counts(engine: Engine) {
    let brief = Duration::from_millis(20);
    let app = app(Options::new(), echo_handler);
    let server = Server::new(app)
        .engine(engine)
        .timeout(brief)
        .keep_alive(brief)
        .header_timeout(brief)
        .body_timeout(brief);
    let server = TestServer::start(server);
    let mut socket = connect(&server);
    // Nothing else can be waited for: that nothing happens. Ten times as long as any clock.
    assert!(socket.client().is_silent_for(brief * 10));
    socket.text("still here");
    assert_eq!(socket.next_text(), "still here");
}

fn pings_are_answered(engine: Engine) {
    let server = server(engine, echo_handler);
    let mut socket = connect(&server);
    socket.send(first::PING, b"are you there?");
    let pong = socket.frame();
    assert_eq!(
        (pong.first, &pong.payload[..]),
        (first::PONG, &b"are you there?"[..])
    );
}

/// A handler that never receives, until its gate is opened.
fn deaf(engine: Engine, options: Options) -> (TestServer, Gate, Queue<Report>) {
    let (gate, reports) = (Gate::new(), Queue::new(8));
    let (opened, told) = (gate.clone(), reports.clone());
    let server = server_with(engine, options, move |ws| {
        opened.pass();
        for _ in 0..2 {
            let _ = told.put((ws.receive(), None));
        }
        Ok(())
    });
    (server, gate, reports)
}

fn pings_are_answered_also_where_nobody_receives(engine: Engine) {
    let options = Options::new().heartbeat(Some(Duration::from_millis(20)));
    let (server, gate, reports) = deaf(engine, options);
    let mut socket = connect(&server);
    socket.send(first::PING, b"?").text("kept");
    let mut pinged = false;
    loop {
        let frame = socket.frame();
        match frame.first {
            first::PING => {
                pinged = true;
                socket.send(first::PONG, frame.payload);
            }
            first::PONG => break,
            _ => panic!("{frame:?}"),
        }
    }
    // A message that nobody takes is no reason to give the peer up.
    while !pinged {
        pinged = socket.frame().first == first::PING;
    }
    gate.open();
    assert_eq!(next(&reports).0, Ok(Some("kept".into())));
    socket.close(1000);
    assert_eq!(next(&reports).0, Ok(None));
}

fn a_silent_peer_is_given_up(engine: Engine) {
    let options = Options::new().heartbeat(Some(Duration::from_millis(20)));
    let (server, reports) = reporting(engine, options);
    let mut socket = connect(&server);
    for _ in 0..2 {
        assert_eq!(socket.frame().first, first::PING);
    }
    lost_with(&reports, ErrorKind::Silent, 1006);
    let (rest, _) = socket.client().rest_or_reset();
    assert!(rest.is_empty(), "two pings, no more: {rest:?}");
}

fn a_silent_peer_is_given_up_also_where_nobody_receives(engine: Engine) {
    let options = Options::new().heartbeat(Some(Duration::from_millis(20)));
    let (server, gate, reports) = deaf(engine, options);
    let mut socket = connect(&server);
    for _ in 0..2 {
        assert_eq!(socket.frame().first, first::PING);
    }
    let (rest, _) = socket.client().rest_or_reset();
    assert!(rest.is_empty(), "two pings, no more: {rest:?}");
    gate.open();
    drop((server, reports));
}

fn an_idle_peer_is_closed(engine: Engine) {
    let options = Options::new()
        .heartbeat(Some(Duration::from_millis(10)))
        .idle_timeout(Some(Duration::from_millis(100)));
    let (server, reports) = reporting(engine, options);
    let mut socket = connect(&server);
    loop {
        let frame = socket.frame();
        match frame.first {
            first::PING => drop(socket.send(first::PONG, frame.payload)),
            first::CLOSE => break assert_eq!(&frame.payload[2..], b"idle"),
            _ => panic!("{frame:?}"),
        }
    }
    socket.close(1000).end();
    closed_with(&reports, 1000);
}

/// More than all buffers between two sockets of this machine hold.
const MUCH: usize = 24 * 1024 * 1024;

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
            Ok::<_, WebSocketError>(())
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
            Ok::<_, WebSocketError>(())
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

/// Stops the server while `ask` runs, and gives what `ask` has found.
fn stopping<R: Send + 'static>(
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
    let server = Server::new(app)
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

/// The ways to be a client: in a green thread and in an OS thread.
fn both(work: impl Fn() + Clone + Send + 'static) {
    let green = spawn(work.clone());
    std::thread::spawn(work).join().expect("the work is done");
    green.join().expect("the work is done");
}

fn a_client_talks_to_a_server(engine: Engine) {
    let (server, reports) = reporting(engine, Options::new().protocols(["chat"]));
    let url = format!("ws://{}/ws", server.addr());
    both(move || {
        let ws = Options::new().protocols(["chat"]).connect(&url).unwrap();
        assert_eq!(ws.protocol(), Some("chat"));
        ws.send("hello").unwrap();
        ws.close(CloseCode::from(4000), "bye");
        assert_eq!(ws.receive(), Ok(None));
        assert_eq!(ws.receive().unwrap_err().code().as_u16(), 4000);
    });
    for _ in 0..2 {
        assert!(next(&reports).0.is_ok());
    }
    drop(server);

    let server = server_of_echo(engine);
    let url = format!("ws://localhost:{}/ws", server.addr().port());
    both(move || {
        let wide = Options::new().max_message(MUCH).max_frame(MUCH);
        let ws = wide.connect(&url).unwrap();
        let (sender, receiver) = ws.split();
        let big = vec![3; MUCH / 2];
        let sent = big.clone();
        let sending = spawn(move || {
            sender.send(sent)?;
            sender.send("end")?;
            Ok::<_, WebSocketError>(sender)
        });
        let mut all = receiver.iter();
        assert!(all.next() == Some(big.into()), "what was sent comes back");
        assert_eq!(all.next(), Some("end".into()));
        drop(sending);
    });
}

fn server_of_echo(engine: Engine) -> TestServer {
    server_with(
        engine,
        Options::new().max_message(MUCH).max_frame(MUCH),
        echo_handler,
    )
}

fn a_client_is_refused(engine: Engine) {
    use greenway::websocket::ConnectError;
    let server = server(engine, echo_handler);
    let at = |path: &str| websocket::connect(&format!("ws://{}{path}", server.addr()));
    assert!(matches!(at("/elsewhere"), Err(ConnectError::Refused(status)) if status == 404));
    assert!(matches!(
        websocket::connect("wss://localhost/"),
        Err(ConnectError::Url(_))
    ));
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", silent.local_addr().unwrap());
    let brief = Options::new().connect_timeout(Duration::from_millis(20));
    match brief.connect(&url) {
        Err(ConnectError::Io(error)) => assert_eq!(error.kind(), std::io::ErrorKind::TimedOut),
        other => panic!("{other:?}"),
    }
}

/// A client that knows nothing of ours.
fn tungstenite_understands_it(engine: Engine) {
    use tungstenite::Message as Theirs;
    let server = server_of_echo(engine);
    let stream = std::net::TcpStream::connect(server.addr()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let url = format!("ws://{}/ws", server.addr());
    let (mut socket, response) = tungstenite::client(url, stream).unwrap();
    assert_eq!(response.status(), 101);
    let messages = [
        Theirs::text("Hello"),
        Theirs::binary(vec![0, 1, 2]),
        Theirs::text("ü".repeat(100_000)),
    ];
    for message in messages {
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    socket.send(Theirs::Ping(vec![1].into())).unwrap();
    assert_eq!(socket.read().unwrap(), Theirs::Pong(vec![1].into()));
    socket.close(None).unwrap();
    assert!(matches!(socket.read().unwrap(), Theirs::Close(_)));
    let end = socket.read().unwrap_err();
    assert!(matches!(end, tungstenite::Error::ConnectionClosed), "{end}");
}

#[test]
fn the_default_websocket_takes_the_defaults() {
    let mut app = App::new();
    app.get("/ws", |request: Request| match request.websocket() {
        Some(ws) => drop(ws.send("hello")),
        None => abort(400, "Expected a WebSocket request."),
    });
    let server = TestServer::start(Server::new(app));
    assert_eq!(connect(&server).next_text(), "hello");
    let strange = handshake("/ws", "Origin: http://elsewhere.example\r\n");
    assert_eq!(server.ask(strange).head.status, 403);
}

#[test]
fn the_pool_keeps_threads_for_requests() {
    let mut app = app(Options::new(), echo_handler);
    app.get("/plain", |_: Request| "plain");
    let server = Server::new(app).engine(Engine::Threads).threads(4);
    let server = TestServer::start(server);
    let mut sockets: Vec<_> = (0..2).map(|_| connect(&server)).collect();
    let refused = server.ask(handshake("/ws", "Connection: close\r\n"));
    assert_eq!(refused.head.status, 503);
    assert_eq!(refused.head.field("retry-after"), Some("1"));
    assert_eq!(server.get("/plain").text(), "plain");
    let mut first = sockets.pop().unwrap();
    first.close(1000).next_close(1000);
    first.end();
    until("a place is free", || server.connections() == 1);
    let _third = connect(&server);
}

#[test]
fn minihttp_says_that_it_cannot() {
    let app = app(Options::new(), echo_handler);
    let server = TestServer::start(Server::new(app).engine(Engine::MiniHttp));
    let mut client = server.connect();
    let reply = client.send(handshake("/ws", "")).reply();
    assert_eq!(reply.head.status, 501, "{}", reply.text());
    assert_eq!(client.send(request::get("/ws")).reply().head.status, 400);
}
