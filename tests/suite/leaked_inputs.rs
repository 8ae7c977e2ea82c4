//! What outlives its request: an `Input`, a `Request` or a WebSocket that is leaked, kept in a
//! thread-local or given to another green thread. Whoever still reads gets an error, never the bytes
//! of another request and never a clean end; and the connection goes on as if nothing had happened.

use greenway::green::{Queue, scope, spawn_local};
use greenway::websocket::Options;
use greenway::{App, Engine, HttpError, Input, Request};
use greenway_tests::request::{get, with};
use greenway_tests::websocket::handshake;
use greenway_tests::{Client, Gate, RawSocket, TestServer, linted, next, on_green_and_threads};
use std::cell::RefCell;
use std::io::Read;

on_green_and_threads!(
    an_input_in_a_thread_local_reads_nothing_of_the_next_request,
    a_leaked_request_costs_nothing,
);

/// What a reader has got: bytes, or the kind of an error.
type Found = Queue<Result<usize, std::io::ErrorKind>>;

/// Reads until the end or an error, and tells of each read.
fn read_on(mut input: Input, found: &Found) {
    let mut buf = [0; 16];
    loop {
        let result = input.read(&mut buf).map_err(|error| error.kind());
        let over = !matches!(result, Ok(1..));
        let _told = found.put(result);
        if over {
            return;
        }
    }
}

/// A client that has sent 10 bytes of 1,000.
fn uploading(server: &TestServer) -> Client {
    let mut client = Client::connect_with_buffer(32 * 1024, server.addr());
    client.send(with(
        "POST",
        "/upload",
        "Content-Length: 1000\r\n",
        "0123456789",
    ));
    client
}

/// Sends what is left, and another request.
#[track_caller]
fn is_served_as_ever(client: &mut Client) {
    client.send("x".repeat(990) + &get("/hello"));
    assert_eq!(client.reply().text(), "Hello");
}

fn server(app: App) -> TestServer {
    TestServer::start(linted(app).engine(Engine::Green))
}

fn app() -> App {
    let mut app = App::new();
    app.get("/hello", |_: Request| "Hello");
    app
}

/// The request ends while the reader waits for more.
#[test]
fn a_reader_that_waits_when_the_request_ends_gets_an_error() {
    let found: Found = Queue::new(64);
    let told = found.clone();
    let mut app = app();
    app.post("/upload", move |mut request: Request| {
        let (input, found) = (request.take_input(), told.clone());
        let first = Gate::new();
        let has_read = first.clone();
        spawn_local(move || {
            let mut input = input;
            let _told = found.put(input.read(&mut [0; 16]).map_err(|error| error.kind()));
            has_read.open();
            read_on(input, &found);
        });
        first.pass();
        "thank you"
    });
    let server = server(app);
    let mut client = uploading(&server);
    assert_eq!(client.reply().text(), "thank you");
    assert_eq!(next(&found), Ok(10));
    assert!(next(&found).is_err());
    is_served_as_ever(&mut client);
}

/// The response blocks because its client does not take it, and the reader waits for the same
/// client: both wait for one descriptor.
#[test]
fn a_reader_and_a_response_that_blocks_wait_for_one_client() {
    const LARGE: usize = 30_000_000;
    for scoped in [false, true] {
        let found: Found = Queue::new(64);
        let told = found.clone();
        let mut app = app();
        app.post("/upload", move |mut request: Request| {
            let (input, found) = (request.take_input(), told.clone());
            spawn_local(move || {
                if scoped {
                    let words = vec!["borrowed".to_owned(); 4];
                    scope(|s| {
                        let child = s.spawn(|| words.iter().all(|word| word == "borrowed"));
                        read_on(input, &found);
                        assert!(child.join().expect("it does not panic"));
                    });
                } else {
                    read_on(input, &found);
                }
            });
            vec![b'x'; LARGE]
        });
        let server = server(app);
        let mut client = uploading(&server);
        assert_eq!(client.head().status, 200);
        assert_eq!(next(&found), Ok(10));
        for _ in 0..5 {
            client.send("0123456789");
            assert_eq!(next(&found), Ok(10), "while the response blocks");
        }
        client.take(LARGE);
        assert!(next(&found).is_err());
        client.send("x".repeat(940) + &get("/hello"));
        assert_eq!(client.reply().text(), "Hello");
    }
}

/// On either engine: the same OS thread serves the next request, which finds the input.
fn an_input_in_a_thread_local_reads_nothing_of_the_next_request(engine: Engine) {
    thread_local!(static KEPT: RefCell<Vec<Input>> = const { RefCell::new(Vec::new()) });
    let mut app = app();
    app.post("/upload", |mut request: Request| {
        KEPT.with_borrow_mut(|kept| kept.push(request.take_input()));
        "kept"
    });
    app.post("/look", |request: Request| -> Result<String, HttpError> {
        let kept = KEPT.with_borrow_mut(Vec::pop);
        let looked = kept.map(|mut input| input.read(&mut [0; 16]).map_err(|error| error.kind()));
        let body = request.body(100)?;
        Ok(format!("{} {}", matches!(looked, Some(Err(_))), body.len()))
    });
    let server = TestServer::start(linted(app).engine(engine).threads(1));
    let mut client = server.connect();
    client.send(with(
        "POST",
        "/upload",
        "Content-Length: 10\r\n",
        "0123456789",
    ));
    assert_eq!(client.reply().text(), "kept");
    client.send(with("POST", "/look", "Content-Length: 5\r\n", "abcde"));
    assert_eq!(client.reply().text(), "true 5");
}

fn a_leaked_request_costs_nothing(engine: Engine) {
    let mut app = app();
    app.post("/upload", |request: Request| {
        std::mem::forget(request);
        "forgotten"
    });
    let server = TestServer::start(linted(app).engine(engine));
    let mut client = uploading(&server);
    assert_eq!(client.reply().text(), "forgotten");
    is_served_as_ever(&mut client);
}

/// Another green thread is in `receive` when the handler returns, and when the connection ends.
#[test]
fn a_leaked_websocket_that_waits_is_ended() {
    let ended = Gate::new();
    let has_ended = ended.clone();
    let mut app = app();
    app.get("/ws", move |request: Request| -> Result<(), HttpError> {
        let Some(ws) = Options::new().accept(&request)? else {
            return Err(HttpError::new(400, "a WebSocket is wanted"));
        };
        let ended = has_ended.clone();
        spawn_local(move || {
            while let Ok(Some(_)) = ws.receive() {}
            ended.open();
            std::mem::forget(ws);
        });
        Ok(())
    });
    let server = server(app);
    let mut socket = RawSocket::upgrade(server.connect(), &handshake("/ws", ""));
    socket.next_close(1000);
    socket.close(1000).end();
    ended.pass();
}
