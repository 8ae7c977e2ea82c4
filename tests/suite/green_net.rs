//! Sockets of handlers: what ends a handler ends its wait for another server.

use greenway::green::net::TcpStream;
use greenway::{App, Engine, Request};
use greenway_tests::request::get;
use greenway_tests::{DEADLINE, Drops, TestServer, linted, on_green_and_threads, until};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

on_green_and_threads!(
    a_handler_asks_another_server,
    a_timeout_ends_a_handler_that_waits_for_another_server,
    a_departure_ends_a_handler_that_waits_for_another_server,
    a_stop_ends_a_handler_that_waits_for_another_server,
    a_handler_may_ask_its_own_server,
);

/// A server whose handler waits for one that never answers.
struct Asking {
    server: TestServer,
    silent: TcpListener,
    ended: Drops,
}

impl Asking {
    fn start(engine: Engine, timeout: Duration) -> Self {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = silent.local_addr().unwrap();
        let ended = Drops::new();
        let drops = ended.clone();
        let app = move |_: Request| {
            let _witness = drops.witness();
            let mut other = TcpStream::connect(addr).unwrap();
            other.write_all(b"?").unwrap();
            let mut answer = String::new();
            other.read_to_string(&mut answer).unwrap();
            answer
        };
        let server = linted(app).engine(engine).timeout(timeout);
        Self {
            server: TestServer::start(server),
            silent,
            ended,
        }
    }

    /// The other end of the handler's connection, when it has asked.
    fn asked(&self) -> std::net::TcpStream {
        let (mut other, _) = self.silent.accept().unwrap();
        other.set_read_timeout(Some(DEADLINE)).unwrap();
        other.read_exact(&mut [0]).unwrap();
        other
    }

    /// The handler is gone, and its connection with it.
    fn over(&self, mut other: std::net::TcpStream) {
        self.ended.wait();
        assert_eq!(other.read(&mut [0]).unwrap(), 0);
    }
}

const LONG: Duration = Duration::from_secs(600);

fn a_handler_asks_another_server(engine: Engine) {
    let asking = Asking::start(engine, LONG);
    let mut client = asking.server.connect();
    client.send(get("/"));
    asking.asked().write_all(b"answered").unwrap();
    assert_eq!(client.reply().text(), "answered");
}

fn a_timeout_ends_a_handler_that_waits_for_another_server(engine: Engine) {
    let asking = Asking::start(engine, Duration::from_millis(100));
    let mut client = asking.server.connect();
    client.send(get("/"));
    let other = asking.asked();
    assert_eq!(client.reply().status(), 504);
    asking.over(other);
}

fn a_departure_ends_a_handler_that_waits_for_another_server(engine: Engine) {
    let asking = Asking::start(engine, LONG);
    let mut client = asking.server.connect();
    client.send(get("/"));
    let other = asking.asked();
    client.reset();
    asking.over(other);
}

fn a_stop_ends_a_handler_that_waits_for_another_server(engine: Engine) {
    let asking = Asking::start(engine, LONG);
    let mut client = asking.server.connect();
    client.send(get("/"));
    let other = asking.asked();
    asking.server.stop();
    asking.over(other);
}

/// Both ends on the same worker, for many at once.
fn a_handler_may_ask_its_own_server(engine: Engine) {
    let own: std::sync::Arc<std::sync::OnceLock<std::net::SocketAddr>> = Default::default();
    let addr = own.clone();
    let mut app = App::new();
    app.get("/inner", |_: Request| "inner");
    app.get("/outer", move |_: Request| {
        let addr = *addr.get().expect("set before the first request");
        let mut stream = TcpStream::connect(addr).unwrap();
        stream
            .write_all(b"GET /inner HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    });
    let server = TestServer::start(linted(app).engine(engine).threads(20));
    own.set(server.addr()).unwrap();
    let mut clients: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(get("/outer"));
    }
    for client in &mut clients {
        let text = client.reply().text();
        assert!(
            text.starts_with("HTTP/1.1 200") && text.ends_with("inner"),
            "{text}"
        );
    }
    drop(clients);
    until("all are closed", || server.connections() == 0);
}
