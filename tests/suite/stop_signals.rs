//! Stopping by signals, as an operator does: exit statuses, and what is said.

use greenway::Engine;
use greenway_tests::request::{get, with};
use greenway_tests::{Client, Program, Signal, on_green_and_threads, until};
use std::cell::RefCell;
use std::time::{Duration, Instant};

on_green_and_threads!(
    term_ends_an_idle_server,
    int_ends_an_idle_server,
    quit_ends_an_idle_server,
    a_signal_for_masters_does_not_stop_a_process_without_one,
    handlers_that_do_not_wait_cannot_put_off_a_stop,
    a_second_signal_waits_for_no_handler,
    term_lets_requests_finish,
    term_cuts_what_outlasts_the_grace_period,
    term_tells_event_sources_to_come_again,
    a_second_signal_ends_it_now,
);

/// The helper program on an engine, with more arguments.
fn start(engine: Engine, more: &[&str]) -> Program {
    let args = [
        &[
            "--bind",
            "127.0.0.1:0",
            "--engine",
            engine.name(),
            "--keep-alive",
            "600",
        ],
        more,
    ]
    .concat();
    Program::start(env!("CARGO_BIN_EXE_longpoll"), &args)
}

fn assert_ends_idle(program: Program, signal: Signal) {
    let mut client = program.connect();
    assert_eq!(client.send(get("/hello")).reply().text(), "Hello\n");
    program.signal(signal);
    client.end();
    let ended = program.wait();
    assert_eq!(ended.code, Some(0), "{:?}", ended.stderr);
    assert_eq!(
        ended.stderr.len(),
        3,
        "listening, stopping, stopped: {:?}",
        ended.stderr
    );
    assert_eq!(ended.stderr[2], "greenway: stopped");
    assert!(ended.stdout.is_empty());
}

fn term_ends_an_idle_server(engine: Engine) {
    assert_ends_idle(start(engine, &[]), Signal::TERM);
}

fn int_ends_an_idle_server(engine: Engine) {
    assert_ends_idle(start(engine, &[]), Signal::INT);
}

fn quit_ends_an_idle_server(engine: Engine) {
    assert_ends_idle(start(engine, &[]), Signal::QUIT);
}

/// TTIN and TTOU stop a process by default: it would be there, and answer nobody.
fn a_signal_for_masters_does_not_stop_a_process_without_one(engine: Engine) {
    let program = start(engine, &[]);
    let mut client = program.connect();
    for signal in [Signal::TTIN, Signal::TTOU] {
        program.signal(signal);
        program.wait_for_line("sent to a master");
        assert_eq!(client.send(get("/hello")).reply().text(), "Hello\n");
    }
}

/// Sixteen workers, each with a handler that never gives way, or as many threads of the pool. The
/// clients are kept.
fn held(engine: Engine, grace: &str) -> (Program, Vec<Client>) {
    let (workers, threads) = (["--cores", "16"], ["--threads", "16"]);
    let times = ["--graceful-timeout", grace, "--max-blocking-time", "0.05"];
    let all = [
        &workers[..],
        &threads,
        &times,
        &["--metrics-bind", "127.0.0.1:0"],
    ]
    .concat();
    let program = start(engine, &all);
    let metrics = program.wait_for_metrics_addr();
    let clients = RefCell::new(Vec::new());
    // On workers that are held, connections are not taken up any more.
    until("all to be held up", || {
        let mut client = program.connect();
        client.send(get("/hold"));
        clients.borrow_mut().push(client);
        let numbers = Client::connect(metrics)
            .send(get("/metrics"))
            .reply()
            .text();
        let held = numbers.lines().filter(|line| {
            let count = line.strip_prefix("greenway_worker_held_up_total{");
            count.is_some_and(|count| !count.ends_with(" 0"))
        });
        let running = "\ngreenway_handlers_running 16\n";
        match engine {
            Engine::Threads => numbers.contains(running),
            _ => held.count() == 16,
        }
    });
    (program, clients.into_inner())
}

/// One deadline for all of them.
fn handlers_that_do_not_wait_cannot_put_off_a_stop(engine: Engine) {
    let (program, _clients) = held(engine, "0.1");
    let begun = Instant::now();
    program.signal(Signal::TERM);
    let ended = program.wait();
    assert_eq!(ended.code, Some(1), "{:?}", ended.stderr);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    let last = ended.stderr.last().expect("it has said something");
    assert!(last.contains("cut short"), "{last}");
}

fn a_second_signal_waits_for_no_handler(engine: Engine) {
    let (program, _clients) = held(engine, "600");
    program.signal(Signal::TERM);
    program.wait_for_line("stopping");
    program.signal(Signal::TERM);
    let ended = program.wait();
    assert_eq!(ended.code, Some(1), "{:?}", ended.stderr);
}

/// A client whose handler waits.
fn waiting(program: &Program, path: &str) -> Client {
    let mut client = program.connect();
    client.send(get(path));
    assert_eq!(
        program.connect().send(get("/until/1")).reply().status(),
        200
    );
    client
}

fn term_lets_requests_finish(engine: Engine) {
    let program = start(engine, &[]);
    let mut client = waiting(&program, "/wait");
    // It publishes after the signal: a request whose body is still to come is in flight, as the
    // interim response proves.
    let mut publisher = program.connect();
    publisher.send(with(
        "POST",
        "/publish",
        "Content-Length: 4\r\nExpect: 100-continue\r\n",
        "",
    ));
    assert_eq!(publisher.head().status, 100);
    program.signal(Signal::TERM);
    program.wait_for_line("stopping");
    publisher.send("news");
    assert_eq!(client.reply().text(), "news");
    assert_eq!(publisher.reply().text(), "1");
    let ended = program.wait();
    assert_eq!(ended.code, Some(0), "{:?}", ended.stderr);
}

fn term_cuts_what_outlasts_the_grace_period(engine: Engine) {
    let program = start(engine, &["--graceful-timeout", "0.1"]);
    let mut client = waiting(&program, "/wait");
    let mut stream = program.connect();
    stream.send(get("/stream"));
    stream.head();
    assert_eq!(stream.chunk(), "START");
    assert_eq!(
        program.connect().send(get("/until/2")).reply().status(),
        200
    );
    program.signal(Signal::TERM);
    assert_eq!(client.reply().status(), 503);
    stream.is_cut_short();
    let ended = program.wait();
    assert_eq!(ended.code, Some(1), "{:?}", ended.stderr);
    assert_eq!(
        ended
            .stderr
            .iter()
            .filter(|line| *line == "unwound")
            .count(),
        2,
        "{:?}",
        ended.stderr
    );
    let last = ended.stderr.last().unwrap();
    assert!(last.contains("2 requests were cut short"), "{last}");
}

/// A client that does as a browser's EventSource: it reads events, and when the response ends it
/// comes again after `retry` milliseconds.
#[derive(Default)]
struct EventSource {
    data: Vec<String>,
    retry: Option<u64>,
}

impl EventSource {
    /// Reads to the end of the response, which has to be in good order.
    fn read(&mut self, client: &mut Client, until: usize) {
        while self.data.len() < until {
            if !self.block(&client.chunk()) {
                return;
            }
        }
    }

    /// A chunk is a block here: our server sends each in one. False at the end.
    fn block(&mut self, block: &str) -> bool {
        for line in block.lines() {
            match line.split_once(": ") {
                Some(("data", data)) => self.data.push(data.to_owned()),
                Some(("retry", millis)) => self.retry = millis.parse().ok(),
                _ => {}
            }
        }
        !block.is_empty()
    }
}

fn term_tells_event_sources_to_come_again(engine: Engine) {
    let program = start(engine, &["--graceful-timeout", "600"]);
    let mut client = program.connect();
    client.send(get("/events"));
    assert_eq!(
        client.head().field("content-type"),
        Some("text/event-stream")
    );
    let mut source = EventSource::default();
    source.read(&mut client, 1);
    assert_eq!(
        program.connect().send(get("/until/1")).reply().status(),
        200
    );
    program
        .connect()
        .send(with("POST", "/publish", "Content-Length: 4\r\n", "news"));
    source.read(&mut client, 2);
    program.signal(Signal::TERM);
    source.read(&mut client, usize::MAX);
    client.end();
    assert_eq!(source.data, ["START", "news"]);
    assert_eq!(source.retry, Some(3000));
    let ended = program.wait();
    assert_eq!(ended.code, Some(0), "nothing was cut: {:?}", ended.stderr);
}

fn a_second_signal_ends_it_now(engine: Engine) {
    let program = start(engine, &["--graceful-timeout", "600"]);
    let client = waiting(&program, "/wait");
    program.signal(Signal::TERM);
    program.wait_for_line("stopping");
    program.signal(Signal::TERM);
    let ended = program.wait();
    assert_eq!(ended.code, Some(1), "{:?}", ended.stderr);
    assert!(
        ended.stderr.iter().any(|line| line == "unwound"),
        "{:?}",
        ended.stderr
    );
    drop(client);
}
