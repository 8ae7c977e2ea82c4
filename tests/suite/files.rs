//! Files as bodies: whole, in part and too short, for quick clients and slow ones.

use greenway::{App, Body, Engine, HttpError, Request};
use greenway_tests::request::{get, with};
use greenway_tests::{Client, DEADLINE, TestServer, linted, on_green_and_threads};
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::PathBuf;

on_green_and_threads!(
    a_large_file_arrives_whole,
    one_who_has_little_room_gets_it_too,
    a_part_is_no_byte_more,
    one_that_is_too_short_is_cut,
    one_that_cannot_be_read_is_an_error,
    head_reads_nothing,
);

/// More than any socket buffer holds, and no multiple of a page.
const LENGTH: usize = 12 * 1024 * 1024 + 321;

/// A file that nobody else has, with bytes that tell where they are.
struct Sample(PathBuf);

impl Sample {
    fn new(name: &str, engine: Engine) -> Self {
        let name = format!("gw-files-{}-{name}-{engine:?}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, Self::bytes(0, LENGTH)).expect("the temporary directory is there");
        Self(path)
    }

    fn bytes(from: usize, to: usize) -> Vec<u8> {
        (from..to).map(|at| (at / 251 + at) as u8).collect()
    }

    /// `GET /from/length` gives that much of it, whatever it holds.
    fn serve(&self, engine: Engine) -> TestServer {
        let path = self.0.clone();
        let mut app = App::new();
        app.get("/<from:int>/<length:int>", move |request: Request| {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(request.int("from") as u64))?;
            let length = request.int("length") as u64;
            Ok::<_, HttpError>(Body::from_reader(file, Some(length)))
        });
        TestServer::start(linted(app).engine(engine).timeout(DEADLINE))
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn whole() -> String {
    get(&format!("/0/{LENGTH}"))
}

fn a_large_file_arrives_whole(engine: Engine) {
    let sample = Sample::new("whole", engine);
    let server = sample.serve(engine);
    let mut client = server.connect();
    for _ in 0..2 {
        let reply = client.send(whole()).reply();
        assert_eq!(reply.head.content_length(), Some(LENGTH));
        assert!(reply.body == Sample::bytes(0, LENGTH), "other bytes");
    }
}

fn one_who_has_little_room_gets_it_too(engine: Engine) {
    let sample = Sample::new("slow", engine);
    let server = sample.serve(engine);
    let mut client = Client::connect_with_buffer(4096, server.addr());
    let reply = client.send(whole()).reply();
    assert!(reply.body == Sample::bytes(0, LENGTH), "other bytes");
}

fn a_part_is_no_byte_more(engine: Engine) {
    let sample = Sample::new("part", engine);
    let server = sample.serve(engine);
    let mut client = server.connect();
    // Pipelined: a byte more would be taken for the second response.
    let both = get("/1000/300000") + &get("/7/200");
    client.send(both);
    assert!(client.reply().body == Sample::bytes(1000, 301_000));
    assert!(client.reply().body == Sample::bytes(7, 207));
}

fn one_that_is_too_short_is_cut(engine: Engine) {
    let sample = Sample::new("short", engine);
    let server = sample.serve(engine);
    let mut client = server.connect();
    client.send(get(&format!("/{}/500000", LENGTH - 100_000)));
    assert_eq!(client.head().content_length(), Some(500_000));
    assert!(client.take(100_000) == Sample::bytes(LENGTH - 100_000, LENGTH));
    client.is_cut_short();
}

fn one_that_cannot_be_read_is_an_error(engine: Engine) {
    let sample = Sample::new("empty", engine);
    let server = sample.serve(engine);
    // Nothing was sent before that is known, so there is an answer.
    let reply = server.get(&format!("/{LENGTH}/500000"));
    assert_eq!(reply.status(), 500);
}

fn head_reads_nothing(engine: Engine) {
    let sample = Sample::new("head", engine);
    let server = sample.serve(engine);
    let mut client = server.connect();
    client.send(with("HEAD", &format!("/0/{LENGTH}"), "", ""));
    assert_eq!(client.reply_to_head().head.content_length(), Some(LENGTH));
    assert_eq!(client.send(get("/0/3")).reply().body, Sample::bytes(0, 3));
}
