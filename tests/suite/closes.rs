//! What was answered arrives: the end of a connection is no reset that overtakes its response.
//!
//! A kernel that is told to close a socket with unread bytes, or gets some afterwards, sends a
//! reset, and what the client has not got by then is lost. The clients here take their time, and
//! send something that nobody reads.

use crate::websocket::{connect, server_with};
use greenway::websocket::{CloseCode, Options};
use greenway::{App, Body, Engine, HttpError, Request, Response, Server};
use greenway_tests::request::{chunk, get, get_close, with};
use greenway_tests::websocket::{first, handshake, masked};
use greenway_tests::{
    Client, DEADLINE, Drops, Gate, TestServer, linted, on_green_and_threads, until,
};
use std::time::Duration;

on_green_and_threads!(
    late_bytes_do_not_cost_a_response_that_ends_its_connection,
    late_bytes_do_not_cost_a_response_whose_connection_was_idle_for_too_long,
    late_bytes_do_not_cost_a_response_that_a_stop_has_let_finish,
    pipelined_requests_that_are_not_served_do_not_cost_the_response_before_them,
    a_request_that_is_no_request_does_not_cost_the_response_before_it,
    late_bytes_do_not_cost_an_error_response,
    a_full_house_says_so_to_one_who_is_sending,
    a_refused_upgrade_says_so_to_one_who_is_sending,
    a_refused_proxy_header_is_an_end_and_no_reset,
    a_websocket_that_its_peer_closes_gives_all_it_has_sent,
    a_websocket_that_is_closed_gives_all_it_has_sent,
    a_websocket_that_was_leaked_is_closed_all_the_same,
    an_upload_that_is_refused_is_answered,
    an_upload_that_is_ignored_is_answered,
    an_endless_upload_that_is_ignored_is_answered,
    what_is_thrown_away_holds_no_thread,
    an_ignored_body_that_has_come_costs_no_connection,
    a_body_of_empty_chunks_takes_turns,
    a_body_of_empty_chunks_ends_with_its_client,
    a_body_of_empty_chunks_ends_with_its_time,
    a_body_of_empty_chunks_ends_with_the_server,
    a_switch_of_protocols_that_is_none_is_an_error,
);

/// A response that does not fit the client's buffer, and fits the server's.
const LARGE: usize = 3_000_000;

/// Does not run out in a test.
const LONG: Duration = Duration::from_secs(600);

fn app() -> App {
    let mut app = App::new();
    app.get("/hello", |_: Request| "Hello");
    app.get("/large", |_: Request| vec![b'x'; LARGE]);
    app.get("/error", |_: Request| {
        Response::new(vec![b'x'; LARGE]).with_status(500)
    });
    app.post("/ignore", |_: Request| "ignored");
    app
}

fn server(engine: Engine) -> Server {
    linted(app()).engine(engine).keep_alive(LONG)
}

/// Takes `bytes` so slowly that a server which waits for a sign of life only (it does for two
/// seconds) has closed in the meantime, and sends two bytes before the end.
#[track_caller]
fn take_slowly(client: &mut Client, bytes: usize) {
    const STEPS: usize = 60;
    for step in 0..STEPS {
        if step == STEPS * 2 / 3 {
            // Fails, or is answered by a reset, where the server has closed.
            let _refused = client.try_send("\r\n");
        }
        client.take(bytes / STEPS);
        std::thread::sleep(Duration::from_millis(60)); // the slowness that is tested
    }
    client.take(bytes % STEPS);
}

fn slow(server: &TestServer) -> Client {
    Client::connect_with_buffer(32 * 1024, server.addr())
}

fn late_bytes_do_not_cost_a_response_that_ends_its_connection(engine: Engine) {
    let server = TestServer::start(server(engine));
    let mut client = slow(&server);
    assert_eq!(client.send(get_close("/large")).head().status, 200);
    take_slowly(&mut client, LARGE);
    client.end();
}

fn late_bytes_do_not_cost_a_response_whose_connection_was_idle_for_too_long(engine: Engine) {
    let server = TestServer::start(server(engine).keep_alive(Duration::from_millis(700)));
    let mut client = slow(&server);
    assert_eq!(client.send(get("/large")).head().status, 200);
    take_slowly(&mut client, LARGE);
    client.end();
}

fn late_bytes_do_not_cost_a_response_that_a_stop_has_let_finish(engine: Engine) {
    let server = TestServer::start(server(engine));
    let mut client = slow(&server);
    assert_eq!(client.send(get("/large")).head().status, 200);
    std::thread::scope(|scope| {
        let stop = scope.spawn(|| server.stop_within(DEADLINE));
        take_slowly(&mut client, LARGE);
        client.end();
        drop(client);
        assert_eq!(stop.join().expect("a stop does not panic").cut, 0);
    });
}

fn pipelined_requests_that_are_not_served_do_not_cost_the_response_before_them(engine: Engine) {
    let server = TestServer::start(server(engine));
    let mut client = slow(&server);
    client.send(get_close("/large") + &get("/hello"));
    assert_eq!(client.head().status, 200);
    take_slowly(&mut client, LARGE);
    client.end();
}

fn a_request_that_is_no_request_does_not_cost_the_response_before_it(engine: Engine) {
    let server = TestServer::start(server(engine));
    let mut client = slow(&server);
    client.send(get("/large") + "nonsense\r\n\r\n");
    assert_eq!(client.head().status, 200);
    take_slowly(&mut client, LARGE);
    assert_eq!(client.reply().status(), 400);
    client.end();
}

fn late_bytes_do_not_cost_an_error_response(engine: Engine) {
    let server = TestServer::start(server(engine));
    let mut client = slow(&server);
    assert_eq!(client.send(get_close("/error")).head().status, 500);
    take_slowly(&mut client, LARGE);
    client.end();
}

/// More than the buffers between us and a server that does not read.
const UPLOAD: usize = 20_000_000;

/// Sends a body of this length, as one who looks for an answer only afterwards.
#[track_caller]
fn upload(client: &mut Client, fields: &str, body: impl FnOnce(&mut Client)) {
    client.send(with("POST", "/ignore", fields, ""));
    body(client);
}

#[track_caller]
fn upload_by_length(client: &mut Client) {
    let fields = format!("Content-Length: {UPLOAD}\r\n");
    upload(client, &fields, |client| {
        for _ in 0..UPLOAD / 100_000 {
            client.send(vec![b'u'; 100_000]);
        }
    });
}

#[track_caller]
fn upload_in_chunks(client: &mut Client) {
    upload(client, "Transfer-Encoding: chunked\r\n", |client| {
        let piece = chunk(&"u".repeat(100_000));
        for _ in 0..UPLOAD / 100_000 {
            client.send(&piece);
        }
        client.send(chunk(""));
    });
}

fn a_full_house_says_so_to_one_who_is_sending(engine: Engine) {
    let server = server(engine).worker_connections(1).header_timeout(LONG);
    let server = TestServer::start(server);
    let mut first = server.connect();
    assert_eq!(first.send(get("/hello")).reply().status(), 200);
    first.send("GET /hello HT"); // one who is idle would make room
    for upload in [upload_by_length, upload_in_chunks] {
        let mut second = server.connect();
        upload(&mut second);
        let reply = second.reply();
        assert_eq!(
            reply.summary(),
            (
                503,
                "503 Service Unavailable: too many connections\n".into()
            )
        );
        second.end();
    }
}

fn a_refused_upgrade_says_so_to_one_who_is_sending(engine: Engine) {
    let server = server_with(engine, Options::new(), |_| Ok(()));
    let mut client = server.connect();
    let frames = masked(first::BINARY, &vec![b'f'; 1_000_000]);
    client.send(handshake("/ws", "Origin: http://elsewhere.example\r\n"));
    let _refused = client.try_send(frames);
    assert_eq!(client.reply().status(), 403);
    // The frames are no request.
    assert_eq!(client.reply().status(), 400);
    client.end();
}

fn a_refused_proxy_header_is_an_end_and_no_reset(engine: Engine) {
    let server = TestServer::start(server(engine).proxy_protocol(true));
    let mut client = server.connect();
    client.send("POST /ignore HTTP/1.1\r\nHost: test\r\n\r\n");
    client.send(vec![b'u'; 5_000_000]);
    client.end();
}

/// The messages of this many bytes that a handler sends before anything else.
const MESSAGES: usize = 40;
const MESSAGE: usize = 100_000;

fn send_all(ws: &greenway::websocket::WebSocket) -> Result<(), greenway::websocket::SocketError> {
    (0..MESSAGES).try_for_each(|_| ws.send(vec![b'm'; MESSAGE]))
}

#[track_caller]
fn take_messages(socket: &mut greenway_tests::RawSocket) {
    for _ in 0..MESSAGES {
        assert_eq!(socket.message().payload.len(), MESSAGE);
        std::thread::sleep(Duration::from_millis(75)); // a slow reader, as above
    }
}

fn a_websocket_that_its_peer_closes_gives_all_it_has_sent(engine: Engine) {
    let server = server_with(engine, Options::new(), |ws| {
        send_all(&ws)?;
        while ws.receive()?.is_some() {}
        Ok(())
    });
    let client = slow(&server);
    let mut socket = greenway_tests::RawSocket::upgrade(client, &handshake("/ws", ""));
    socket.close(1000);
    // Nothing counts behind a close frame, and nothing should come.
    for _ in 0..MESSAGES {
        assert_eq!(socket.message().payload.len(), MESSAGE);
        let _refused = socket.client().try_send("\0");
        std::thread::sleep(Duration::from_millis(75)); // a slow reader, as above
    }
    socket.next_close(1000);
    socket.end();
}

/// The clock of the close is much shorter than the time that the messages before it take.
fn a_websocket_that_is_closed_gives_all_it_has_sent(engine: Engine) {
    let brief = Options::new().close_timeout(Duration::from_millis(500));
    let server = server_with(engine, brief, |ws| {
        send_all(&ws)?;
        ws.close(CloseCode::from(4000), "enough");
        Ok(())
    });
    let mut socket = greenway_tests::RawSocket::upgrade(slow(&server), &handshake("/ws", ""));
    take_messages(&mut socket);
    assert_eq!(socket.next_close(4000), "enough");
    socket.close(4000).end();
}

fn a_websocket_that_was_leaked_is_closed_all_the_same(engine: Engine) {
    let server = server_with(engine, Options::new(), |ws| {
        ws.send("hello")?;
        std::mem::forget(ws);
        Ok(())
    });
    let mut socket = connect(&server);
    assert_eq!(socket.next_text(), "hello");
    socket.next_close(1000);
    socket.close(1000).end();
    until("the connection is over", || server.connections() == 0);
}

fn an_upload_that_is_refused_is_answered(engine: Engine) {
    let server = TestServer::start(server(engine));
    let mut client = server.connect();
    upload_by_length(&mut client);
    let reply = client.reply();
    assert_eq!(reply.status(), 413);
    assert!(reply.head.says_close());
    client.end();
}

/// If nobody will read it to its end, the head says so; else another request can follow.
fn an_upload_that_is_ignored_is_answered(engine: Engine) {
    let server = TestServer::start(server(engine).limit_request_body(u64::MAX));
    let mut client = server.connect();
    upload_by_length(&mut client);
    let reply = client.reply();
    assert_eq!(reply.summary(), (200, "ignored".into()));
    assert!(reply.head.says_close());
    client.end();
    let mut client = server.connect();
    upload_in_chunks(&mut client);
    let reply = client.reply();
    assert_eq!(reply.summary(), (200, "ignored".into()));
    assert!(!reply.head.says_close());
    assert_eq!(client.send(get("/hello")).reply().text(), "Hello");
}

/// It is more than a handler may be given, and is not read on for that.
fn an_endless_upload_that_is_ignored_is_answered(engine: Engine) {
    let server = TestServer::start(server(engine));
    let mut client = server.connect();
    upload_in_chunks(&mut client);
    assert_eq!(client.reply().text(), "ignored");
    client.end();
}

/// The only thread of the pool is not held by what is thrown away.
fn what_is_thrown_away_holds_no_thread(engine: Engine) {
    let server = TestServer::start(server(engine).threads(1));
    let mut client = server.connect();
    let fields = "Transfer-Encoding: chunked\r\n";
    client.send(with("POST", "/ignore", fields, &chunk("so far")));
    assert_eq!(client.reply().text(), "ignored");
    assert_eq!(server.get("/hello").text(), "Hello");
    client.send(chunk("more") + &chunk("") + &get("/hello"));
    assert_eq!(client.reply().text(), "Hello");
}

fn an_ignored_body_that_has_come_costs_no_connection(engine: Engine) {
    let server = TestServer::start(server(engine));
    let mut client = server.connect();
    let chunks = chunk(&"x".repeat(5000)) + &chunk("");
    for _ in 0..3 {
        client.send(with(
            "POST",
            "/ignore",
            "Transfer-Encoding: chunked\r\n",
            &chunks,
        ));
        assert_eq!(client.reply().text(), "ignored");
        let short = "x".repeat(5000);
        client.send(with("POST", "/ignore", "Content-Length: 5000\r\n", &short));
        assert_eq!(client.reply().text(), "ignored");
    }
}

/// A body that waits by giving nothing until the gate is opened.
fn waiting(drops: &Drops, entered: &Gate, gate: &Gate) -> impl Fn(Request) -> Body + use<> {
    let (drops, entered, gate) = (drops.clone(), entered.clone(), gate.clone());
    move |_: Request| {
        let (witness, entered, gate) = (drops.witness(), entered.clone(), gate.clone());
        let mut first = true;
        Body::iter(std::iter::from_fn(move || {
            let _kept = &witness;
            if std::mem::take(&mut first) {
                entered.open();
            }
            (gate.waiting() == 0).then_some("")
        }))
    }
}

fn waiting_server(engine: Engine) -> (Server, Drops, Gate, Gate) {
    let (drops, entered, gate) = (Drops::new(), Gate::new(), Gate::new());
    let mut app = app();
    app.get("/wait", waiting(&drops, &entered, &gate));
    let server = linted(app).engine(engine).timeout(LONG).threads(20);
    (server, drops, entered, gate)
}

/// More of them than there are workers, and others are served.
fn a_body_of_empty_chunks_takes_turns(engine: Engine) {
    let (server, drops, entered, gate) = waiting_server(engine);
    let server = TestServer::start(server);
    let mut clients: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(get("/wait"));
    }
    entered.pass_times(4);
    assert_eq!(server.get("/hello").text(), "Hello");
    gate.open();
    for client in &mut clients {
        assert_eq!(client.reply().text(), "");
        drops.wait();
    }
}

fn a_body_of_empty_chunks_ends_with_its_client(engine: Engine) {
    let (server, drops, entered, _gate) = waiting_server(engine);
    let server = TestServer::start(server);
    let mut client = server.connect();
    client.send(get("/wait"));
    entered.pass();
    client.reset();
    drops.wait();
}

fn a_body_of_empty_chunks_ends_with_its_time(engine: Engine) {
    let (server, drops, _entered, _gate) = waiting_server(engine);
    let server = TestServer::start(server.timeout(Duration::from_millis(200)));
    assert_eq!(server.get("/wait").status(), 504);
    drops.wait();
}

fn a_body_of_empty_chunks_ends_with_the_server(engine: Engine) {
    let (server, drops, entered, _gate) = waiting_server(engine);
    let server = TestServer::start(server);
    let mut client = server.connect();
    client.send(get("/wait"));
    entered.pass();
    assert_eq!(server.stop_within(Duration::from_millis(50)).cut, 1);
    drops.wait();
    assert_eq!(client.reply().status(), 503);
}

fn a_switch_of_protocols_that_is_none_is_an_error(engine: Engine) {
    let mut app = app();
    app.get("/101", |_: Request| -> Result<Response, HttpError> {
        Ok(Response::new("").with_status(101))
    });
    let server = TestServer::start(linted(app).engine(engine));
    let mut client = server.connect();
    for request in [get("/101"), handshake("/101", "")] {
        assert_eq!(client.send(request).reply().status(), 500);
        assert_eq!(client.send(get("/hello")).reply().text(), "Hello");
    }
}
