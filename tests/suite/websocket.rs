//! WebSockets over real sockets (issue 5): the handshake, the clocks, and our own client. What they
//! send at once is in `websocket_sending`, how they end in `websocket_ends`.

use greenway::green::{Queue, spawn};
use greenway::websocket::{
    self, CloseCode, ErrorKind, Message, Options, Origins, SocketError, Upgrade, WebSocket,
};
use greenway::{App, Engine, HttpError, Request, abort};
use greenway_tests::websocket::{first, handshake, masked};
use greenway_tests::{
    DEADLINE, Gate, RawSocket, TestServer, linted, next, on_green_and_threads, request, until,
};
use std::time::Duration;

on_green_and_threads!(
    echo,
    a_plain_request_is_answered_by_the_handler,
    faulty_handshakes_have_their_status,
    what_comes_behind_the_handshake_is_the_first_message,
    options_are_agreed_on,
    a_receive_with_a_timeout_can_be_repeated,
    no_clock_of_http_counts,
    pings_are_answered,
    pings_are_answered_also_where_nobody_receives,
    a_silent_peer_is_given_up,
    a_silent_peer_is_given_up_also_where_nobody_receives,
    an_idle_peer_is_closed,
    a_client_talks_to_a_server,
    a_client_is_refused,
    tungstenite_understands_it,
);

pub(crate) type Handled = Result<(), SocketError>;

/// A server with one route, whose handler has a WebSocket.
pub(crate) fn server(
    engine: Engine,
    handler: impl Fn(WebSocket) -> Handled + Send + Sync + 'static,
) -> TestServer {
    server_with(engine, Options::new(), handler)
}

pub(crate) fn server_with(
    engine: Engine,
    options: Options,
    handler: impl Fn(WebSocket) -> Handled + Send + Sync + 'static,
) -> TestServer {
    TestServer::start(linted(app(options, handler)).engine(engine))
}

pub(crate) fn app(
    options: Options,
    handler: impl Fn(WebSocket) -> Handled + Send + Sync + 'static,
) -> App {
    let mut app = App::new();
    app.get("/ws", move |request: Request| -> Result<(), HttpError> {
        let Some(ws) = options.accept(&request)? else {
            abort(400, "Expected a WebSocket request.");
        };
        Ok(handler(ws)?)
    });
    app
}

pub(crate) fn echo_handler(ws: WebSocket) -> Handled {
    while let Some(message) = ws.receive()? {
        ws.send(message)?;
    }
    Ok(())
}

pub(crate) fn connect(server: &TestServer) -> RawSocket {
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
    let server = TestServer::start(linted(app).engine(engine));
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
            assert_eq!(reply.head.field("upgrade"), Some("websocket")); // RFC 9110 section 15.5.22
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
pub(crate) fn reporting(engine: Engine, options: Options) -> (TestServer, Queue<Report>) {
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

pub(crate) type Report = (Result<Option<Message>, SocketError>, Option<CloseCode>);

/// The end was told as `None` once, and then as an error with this code.
#[track_caller]
pub(crate) fn closed_with(reports: &Queue<Report>, code: u16) {
    let code = CloseCode::from(code);
    assert_eq!(next(reports), (Ok(None), Some(code)));
    let error = next(reports).0.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Closed, code));
}

/// The end was told as an error, and then again.
#[track_caller]
pub(crate) fn lost_with(reports: &Queue<Report>, kind: ErrorKind, code: u16) {
    for _ in 0..2 {
        let error = next(reports).0.unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, code.into()), "{error}");
    }
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
    let server = linted(app)
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
pub(crate) fn deaf(engine: Engine, options: Options) -> (TestServer, Gate, Queue<Report>) {
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
pub(crate) const MUCH: usize = 24 * 1024 * 1024;

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
            Ok::<_, SocketError>(sender)
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
        websocket::connect("https://localhost/"),
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
    let server = TestServer::start(linted(app));
    assert_eq!(connect(&server).next_text(), "hello");
    let strange = handshake("/ws", "Origin: http://elsewhere.example\r\n");
    assert_eq!(server.ask(strange).head.status, 403);
}

#[test]
fn the_pool_keeps_threads_for_requests() {
    let mut app = app(Options::new(), echo_handler);
    app.get("/plain", |_: Request| "plain");
    let server = linted(app).engine(Engine::Threads).threads(4);
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
    let server = TestServer::start(linted(app).engine(Engine::MiniHttp));
    let mut client = server.connect();
    let reply = client.send(handshake("/ws", "")).reply();
    assert_eq!(reply.head.status, 501, "{}", reply.text());
    assert_eq!(client.send(request::get("/ws")).reply().head.status, 400);
}
