//! TLS for handlers: WebSockets over it, on both sides, and sockets of their own.

use greenway::green::net::{TcpListener, TcpStream};
use greenway::green::{self, Queue, Timeout};
use greenway::room::{Room, Since};
use greenway::sse::{Event, Sse};
use greenway::tls::{Acceptor, Connector, TlsStream};
use greenway::websocket::{CloseCode, Message, Options, Upgrade, WebSocket};
use greenway::{App, CertReqs, Engine, HttpError, Request, Server, abort};
use greenway_tests::request::get;
use greenway_tests::tls::Certificates;
use greenway_tests::{Gate, TestServer, linted, on_green_and_threads, until};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

on_green_and_threads!(
    websockets_are_spoken,
    a_slow_reader_gets_all_of_it,
    other_threads_send,
    rooms_reach_everybody,
    events_come_as_they_are_sent,
);

fn socket_of(request: &Request) -> WebSocket {
    match request.websocket() {
        Some(socket) => socket,
        None => abort(400, "Expected a WebSocket request."),
    }
}

struct Served {
    server: TestServer,
    made: Certificates,
}

fn serve(app: App, engine: Engine) -> Served {
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let server = linted(app).engine(engine);
    let server = server.certfile(files.cert).keyfile(files.key);
    Served {
        server: TestServer::start(server),
        made,
    }
}

impl Served {
    fn options(&self) -> Options {
        Options::new().connector(Connector::trusting(self.made.root()).unwrap())
    }

    #[track_caller]
    fn websocket(&self, path: &str) -> WebSocket {
        let url = format!("wss://localhost:{}{path}", self.server.addr().port());
        let connected = self.options().connect(&url);
        connected.unwrap_or_else(|error| panic!("{url}: {error}"))
    }
}

fn text(socket: &WebSocket) -> String {
    let message = socket.receive_timeout(greenway_tests::DEADLINE).unwrap();
    message
        .and_then(|message| message.as_text().map(str::to_owned))
        .expect("a text")
}

fn echo() -> App {
    let mut app = App::new();
    app.get("/echo", |request: Request| {
        let socket = socket_of(&request);
        while let Some(message) = socket.receive()? {
            socket.send(message)?;
        }
        Ok::<_, HttpError>(())
    });
    app
}

fn websockets_are_spoken(engine: Engine) {
    let served = serve(echo(), engine);
    let socket = served.websocket("/echo");
    for n in 0..10 {
        socket.send(n.to_string()).unwrap();
        assert_eq!(text(&socket), n.to_string());
    }
    let large = vec![7; 900_000];
    socket.send(large.clone()).unwrap();
    assert_eq!(socket.receive().unwrap(), Some(Message::from(large)));
    socket.close(CloseCode::NORMAL, "");
    assert_eq!(socket.receive().unwrap(), None);
    until("the connection is closed", || {
        served.server.connections() == 0
    });
    // Who is not believed is not spoken with.
    let port = served.server.addr().port();
    let error = greenway::websocket::connect(&format!("wss://localhost:{port}/echo")).unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    let url = format!("wss://127.0.0.1:{port}/echo");
    let error = served.options().connect(&url).unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

/// More than the kernels hold waits for one who reads late, in records that are half sent.
fn a_slow_reader_gets_all_of_it(engine: Engine) {
    const COUNT: usize = 200;
    let (sent, mut app) = (Gate::new(), App::new());
    let all_sent = sent.clone();
    app.get("/flood", move |request: Request| {
        let socket = Options::new()
            .queue(1000, 64 << 20)
            .accept(&request)?
            .expect("it is one");
        let sender = socket.sender();
        for n in 0..COUNT {
            let mut message = vec![(n % 251) as u8; 50_000];
            message[0] = (n / 251) as u8;
            sender.try_send(message).expect("there is room");
        }
        all_sent.open();
        while socket.receive()?.is_some() {}
        Ok::<_, HttpError>(())
    });
    let served = serve(app, engine);
    let socket = served.websocket("/flood");
    sent.pass();
    for n in 0..COUNT {
        let message = socket.receive().unwrap().expect("all of it");
        let bytes = message.as_bytes();
        assert_eq!(bytes.len(), 50_000);
        assert_eq!((bytes[0], bytes[1]), ((n / 251) as u8, (n % 251) as u8));
    }
    socket.close(CloseCode::NORMAL, "");
}

fn other_threads_send(engine: Engine) {
    let senders = Arc::new(Mutex::new(Vec::new()));
    let (mut app, entered) = (App::new(), Gate::new());
    let (list, inside) = (senders.clone(), entered.clone());
    app.get("/wait", move |request: Request| {
        let socket = socket_of(&request);
        list.lock().unwrap().push(socket.sender());
        inside.open();
        while socket.receive()?.is_some() {}
        Ok::<_, HttpError>(())
    });
    let served = serve(app, engine);
    let socket = served.websocket("/wait");
    entered.pass();
    let sender = senders.lock().unwrap().pop().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let sender = sender.clone();
            scope.spawn(move || {
                for n in 0..50 {
                    sender.send(format!("{thread} {n}")).unwrap();
                }
            });
        }
        let mut next = [0; 4];
        for _ in 0..200 {
            let text = text(&socket);
            let (thread, n) = text.split_once(' ').unwrap();
            let thread: usize = thread.parse().unwrap();
            assert_eq!(n, next[thread].to_string(), "in the order of each thread");
            next[thread] += 1;
            socket.send("meanwhile").unwrap();
        }
    });
}

fn rooms_reach_everybody(engine: Engine) {
    let room = Room::new();
    let mut app = App::new();
    let joined = room.clone();
    app.get("/room", move |request: Request| {
        let socket = socket_of(&request);
        let _member = joined.join_socket("somebody", Since::Now, socket.sender())?;
        while socket.receive()?.is_some() {}
        Ok::<_, HttpError>(())
    });
    let served = serve(app, engine);
    let sockets: Vec<_> = (0..5).map(|_| served.websocket("/room")).collect();
    until("all are there", || room.len() == 5);
    room.publish("Hello");
    for socket in &sockets {
        assert_eq!(text(socket), "Hello");
    }
}

fn events_come_as_they_are_sent(engine: Engine) {
    let events = Queue::<Event>::new(4);
    let (mut app, feed) = (App::new(), events.clone());
    app.get("/events", move |_: Request| Sse::new(feed.clone()));
    let served = serve(app, engine);
    let mut client = served
        .server
        .connect()
        .secure(&served.made.client(), "localhost")
        .unwrap();
    client.send(get("/events"));
    client.head();
    assert!(client.chunk().starts_with("retry: "));
    for n in 0..3 {
        events.put(Event::new(n.to_string())).unwrap();
        assert_eq!(client.chunk(), format!("data: {n}\n\n"));
    }
    drop(client);
    until("the queue is closed", || {
        events.try_put(Event::new("late")).is_err()
    });
}

/// A server of one's own, which does this with the one client that it has.
fn one_client(
    made: &Certificates,
    act: impl FnOnce(TlsStream) + Send + 'static,
) -> (SocketAddr, green::Greenlet<()>) {
    let files = made.make("own", &["localhost"]);
    let acceptor = Acceptor::new(files.cert, files.key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let server = green::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        act(acceptor.accept(stream).unwrap());
    });
    (addr, server)
}

#[test]
fn both_ends_of_a_stream() {
    let made = Certificates::new();
    let (addr, server) = one_client(&made, |mut stream| {
        assert_eq!(stream.info().server_name.as_deref(), Some("localhost"));
        let mut asked = String::new();
        stream.read_to_string(&mut asked).unwrap();
        stream.write_all(asked.to_uppercase().as_bytes()).unwrap();
    });
    let connector = Connector::trusting(made.root()).unwrap();
    let client = green::spawn(move || {
        let mut stream = connector.connect("localhost", addr.port()).unwrap();
        assert_eq!(stream.info().version, "TLSv1.3");
        stream.write_all(b"hello").unwrap();
        stream.close().unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    assert_eq!(client.join().unwrap(), "HELLO");
    server.join().unwrap();
}

/// The end of the connection is no end of what was sent.
#[test]
fn a_stream_that_is_cut_off_is_an_error() {
    let made = Certificates::new();
    let (addr, server) = one_client(&made, |mut stream| {
        stream.write_all(b"begun").unwrap();
        stream.get_ref().shutdown(Shutdown::Both).unwrap();
    });
    let connector = Connector::trusting(made.root()).unwrap();
    let mut stream = connector.connect("localhost", addr.port()).unwrap();
    let mut came = Vec::new();
    let error = stream.read_to_end(&mut came).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(came, b"begun");
    server.join().unwrap();
}

#[test]
fn a_stream_is_waited_for_by_its_thread_alone() {
    let made = Certificates::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap(); // nobody accepts
    let addr = listener.local_addr().unwrap();
    let connector = Connector::trusting(made.root()).unwrap();
    let waiting = green::spawn(move || {
        let stream = TcpStream::connect(addr).unwrap();
        let late = Timeout::run(Duration::from_millis(20), || {
            connector.secure("localhost", stream)
        });
        late.is_err()
    });
    assert!(waiting.join().unwrap());
}

#[test]
fn a_websocket_shows_its_certificate() {
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let mut app = App::new();
    app.get("/who", |request: Request| {
        let tls = request.connection().tls.clone();
        let client = tls.as_ref().and_then(|tls| tls.client.as_ref());
        let name = client.and_then(|client| client.common_name.clone());
        socket_of(&request).send(name.unwrap_or_default())?;
        Ok::<_, HttpError>(())
    });
    let server = Server::new(app).bind("127.0.0.1:0").ca_certs(made.root());
    let server = server.cert_reqs(CertReqs::Required);
    let running = server
        .certfile(files.cert)
        .keyfile(files.key)
        .start()
        .unwrap();
    let own = made.make("ada", &["ada.example"]);
    let connector = Connector::trusting(made.root()).unwrap();
    let connector = connector.certificate(own.cert, own.key).unwrap();
    let url = format!("wss://localhost:{}/who", running.addrs()[0].port());
    let socket = Options::new().connector(connector).connect(&url).unwrap();
    assert_eq!(text(&socket), "ada.example");
    drop(socket);
    running.stop();
}
