//! Bodies that are much work for few bytes, up to what is allowed and one beyond it: answered as
//! they should be, and at nobody else's cost (RFC 9112 section 7.1).

use crate::counting::{Counting, with_defaults};
use greenway::green::spawn;
use greenway::{Engine, HttpError, Request, Server};
use greenway_tests::request::{get, with};
use greenway_tests::{Client, TestServer, on_green_and_threads};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

on_green_and_threads!(
    chunk_extensions_up_to_their_limits,
    trailers_up_to_their_limits,
    a_flood_of_tiny_chunks_holds_up_nobody,
);

/// The longest line before a chunk.
const LINE: usize = 256;
/// Bytes of extensions in a body.
const EXTENSIONS: usize = 16 * 1024;
/// Trailer fields, and bytes of them.
const TRAILERS: (usize, usize) = (100, 8 * 1024);

fn head() -> String {
    with("POST", "/read", "Transfer-Encoding: chunked\r\n", "")
}

/// A chunk of one byte with an extension of so many, the semicolon included.
fn extended(bytes: usize) -> String {
    format!("1;{}\r\nx\r\n", "e".repeat(bytes - 1))
}

/// The body is read to its end, and the connection can be used again.
#[track_caller]
fn accepts(server: &Counting, body: &str, length: usize) {
    let mut client = server.server.connect();
    client.send(head() + body + &get("/"));
    let reply = client.reply();
    assert_eq!((reply.status(), reply.body.len()), (200, length));
    assert_eq!(client.reply().text(), "fine");
}

/// It is not, and what follows is no request.
#[track_caller]
fn refuses(server: &Counting, body: &str, status: u16) {
    server.refuses(head() + body + &get("/"), status);
    server.still_serves();
}

fn chunk_extensions_up_to_their_limits(engine: Engine) {
    let server = with_defaults(engine);
    let longest = extended(LINE - 1);
    accepts(&server, &format!("{longest}0\r\n\r\n"), 1);
    refuses(&server, &format!("{}0\r\n\r\n", extended(LINE)), 400);

    let chunks = EXTENSIONS / 128;
    let all = extended(128).repeat(chunks);
    accepts(&server, &format!("{all}0\r\n\r\n"), chunks);
    refuses(&server, &format!("{all}{}0\r\n\r\n", extended(1)), 400);
    refuses(&server, &format!("{all}0;\r\n\r\n"), 400);

    // The smallest, which are the most work.
    let all = extended(1).repeat(EXTENSIONS);
    accepts(&server, &format!("{all}0\r\n\r\n"), EXTENSIONS);
}

fn trailers_up_to_their_limits(engine: Engine) {
    let server = with_defaults(engine);
    let (fields, bytes) = TRAILERS;
    let trailer = |section: &str| format!("1\r\nx\r\n0\r\n{section}\r\n");
    accepts(&server, &trailer(&"X: y\r\n".repeat(fields)), 1);
    refuses(&server, &trailer(&"X: y\r\n".repeat(fields + 1)), 431);

    let line = |length: usize| format!("X: {}\r\n", "y".repeat(length - 3));
    accepts(&server, &trailer(&line(bytes)), 1);
    refuses(&server, &trailer(&line(bytes + 1)), 431);
    let half = line(bytes / 2 - 2); // with its CRLF, half of them
    accepts(&server, &trailer(&(half.clone() + &half)), 1);
    refuses(&server, &trailer(&(half.clone() + &half + "X: y\r\n")), 431);
}

/// Who floods is never waited for, so it must give way of its own accord.
fn a_flood_of_tiny_chunks_holds_up_nobody(engine: Engine) {
    const FLOODS: usize = 3;
    let server = Counting::start(engine, |server| server.limit_request_body(1 << 30));
    let enough = AtomicBool::new(false);
    let flood = |mut client: Client| {
        let chunks = "1\r\nx\r\n".repeat(4096);
        let mut sent = 0;
        while sent == 0 || !enough.load(Ordering::SeqCst) {
            client.send(&chunks);
            sent += 4096;
        }
        let reply = client.send("0\r\n\r\n").reply();
        assert_eq!((reply.status(), reply.body.len()), (200, sent));
    };
    std::thread::scope(|scope| {
        for _ in 0..FLOODS {
            let mut client = server.server.connect();
            client.send(head());
            scope.spawn(|| flood(client));
        }
        let mut neighbour = server.server.connect();
        for _ in 0..20 {
            assert_eq!(neighbour.send(get("/")).reply().text(), "fine");
        }
        for _ in 0..5 {
            server.still_serves();
        }
        enough.store(true, Ordering::SeqCst);
    });
}

/// What one read has brought is not worked off at one go.
#[test]
fn tiny_chunks_are_read_in_turns_with_others_of_the_worker() {
    const CHUNKS: usize = 5000; // at once in the kernel, and in the buffer that it is read into
    let app = |mut request: Request| -> Result<String, HttpError> {
        let had_a_turn = Arc::new(AtomicBool::new(false));
        let there = had_a_turn.clone();
        let other = spawn(move || there.store(true, Ordering::SeqCst));
        let mut input = request.take_input();
        let mut read = 0;
        while !had_a_turn.load(Ordering::SeqCst) && input.read(&mut [0; 1])? > 0 {
            read += 1;
        }
        other.join().expect("it does not panic");
        Ok(read.to_string())
    };
    let server = TestServer::start(Server::new(app).engine(Engine::Green));
    let reply = server.ask(head() + &"1\r\nx\r\n".repeat(CHUNKS) + "0\r\n\r\n");
    let read: usize = reply.text().parse().expect("a number");
    assert!(read < CHUNKS / 10, "{read} chunks");
}
