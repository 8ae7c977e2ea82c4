//! Clients that other people have written: each has its own reading of HTTP, and each is right as
//! long as it works everywhere else.
//!
//! The programs and their packages are listed in the script `test` at the root; one that is missing
//! fails its test. Chromium has its own file.

use greenway_tests::request::{get_close, post};
use greenway_tests::{Client, Ended, Engine, Program, on_green_and_threads, until};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

pub(crate) use greenway_tests::Folder;

on_green_and_threads!(
    curl_uploads_in_chunks_once_it_may,
    curl_keeps_a_connection_for_two_urls,
    curl_sees_a_stream_as_it_is_made,
    pythons_http_client,
    nodes_fetch,
    ab_with_and_without_keep_alive,
    wrk_sees_no_errors,
    slow_heads_are_cut,
    slow_bodies_are_cut,
    slow_readers_are_cut,
);

/// Connections of `slowhttptest`.
const SLOW: usize = 50;

fn server(engine: Engine, flags: &[&str]) -> Program {
    let mut args = vec!["--bind", "127.0.0.1:0", "--engine", engine.name()];
    args.extend(flags);
    Program::start(env!("CARGO_BIN_EXE_longpoll"), &args)
}

fn url(server: &Program, path: &str) -> String {
    format!("http://{}{path}", server.wait_for_addr())
}

/// A file of `tests/clients`.
pub(crate) fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(name)
}

/// Starts a program that ends by itself.
#[track_caller]
pub(crate) fn start(command: &mut Command) -> Program {
    // A proxy of the person who runs the tests is not what is tested.
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
    Program::start_command(command)
}

/// Waits until a program has ended well.
#[track_caller]
pub(crate) fn finish(program: Program) -> Ended {
    let ended = program.wait();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    ended
}

/// `curl`, which never takes longer than a test may.
pub(crate) fn curl(args: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command
        .args(["--disable", "--silent", "--show-error", "--max-time", "15"])
        .args(args);
    command
}

fn curl_uploads_in_chunks_once_it_may(engine: Engine) {
    let server = server(engine, &[]);
    // Larger than a buffer, and a text: its lines can be compared.
    let path = script("../../Cargo.lock");
    let text = std::fs::read_to_string(&path).expect("it is part of the repository");
    let file = path.to_str().expect("a path in UTF-8");
    let url = url(&server, "/echo");
    let ended = finish(start(&mut curl(&[
        "--verbose",
        "--request",
        "POST",
        "--header",
        "Transfer-Encoding: chunked",
        "--header",
        "Expect: 100-continue",
        // Without the server's word curl would wait longer than it may take as a whole.
        "--expect100-timeout",
        "60",
        "--upload-file",
        file,
        &url,
    ])));
    let went_on = ended.stderr.iter().filter(|l| l.contains("100 Continue"));
    assert_eq!(went_on.count(), 1);
    assert!(ended.stdout.iter().eq(text.lines()), "it comes back");
}

fn curl_keeps_a_connection_for_two_urls(engine: Engine) {
    let server = server(engine, &[]);
    let url = url(&server, "/hello");
    let ended = finish(start(&mut curl(&[
        "--write-out",
        "%{http_code} %{num_connects}\n",
        &url,
        &url,
    ])));
    assert_eq!(ended.stdout, ["Hello", "200 1", "Hello", "200 0"]);
}

fn curl_sees_a_stream_as_it_is_made(engine: Engine) {
    let server = server(engine, &[]);
    let curl = start(&mut curl(&["--no-buffer", &url(&server, "/listing")]));
    curl.wait_for_output("START");
    let published = server.connect().send(post("/publish", "MIDDLE")).reply();
    assert_eq!(published.text(), "1");
    assert_eq!(finish(curl).stdout, ["START", "MIDDLE", "END"]);
}

fn pythons_http_client(engine: Engine) {
    let server = server(engine, &[]);
    let addr = server.wait_for_addr();
    let ended = finish(start(
        Command::new("python3")
            .arg(script("http_client.py"))
            .args([addr.ip().to_string(), addr.port().to_string()]),
    ));
    assert_eq!(ended.stdout, ["ok"]);
}

fn nodes_fetch(engine: Engine) {
    let server = server(engine, &[]);
    let ended = finish(start(
        Command::new("node")
            .arg(script("fetch.mjs"))
            .arg(url(&server, "")),
    ));
    assert_eq!(ended.stdout, ["ok"]);
}

/// The number in a line of a report: `Failed requests:        0`.
#[track_caller]
fn figure(ended: &Ended, name: &str) -> u64 {
    let line = ended.stdout.iter().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no {name:?} in {ended:#?}"))
}

fn ab_with_and_without_keep_alive(engine: Engine) {
    let server = server(engine, &[]);
    let url = url(&server, "/hello");
    let ab = ["-q", "-n", "1000", "-c", "10", "-s", "10"];
    let ended = finish(start(Command::new("ab").args(ab).arg(&url)));
    assert_eq!(figure(&ended, "Complete requests:"), 1000);
    assert_eq!(figure(&ended, "Failed requests:"), 0);
    let ended = finish(start(Command::new("ab").args(ab).arg("-k").arg(&url)));
    assert_eq!(figure(&ended, "Complete requests:"), 1000);
    assert_eq!(figure(&ended, "Failed requests:"), 0);
    assert_eq!(figure(&ended, "Keep-Alive requests:"), 1000);
    // Only there if there were some.
    assert!(
        !ended.stdout.iter().any(|l| l.contains("Non-2xx")),
        "{ended:#?}"
    );
}

fn wrk_sees_no_errors(engine: Engine) {
    let server = server(engine, &[]);
    let ended = finish(start(
        Command::new("wrk")
            .args(["-t1", "-c20", "-d1s", "--timeout", "10s"])
            .arg(url(&server, "/hello")),
    ));
    let said = ended.stdout.join("\n");
    assert!(said.contains("requests in"), "{said}");
    assert!(
        !said.contains("Socket errors") && !said.contains("Non-2xx"),
        "{said}"
    );
}

/// Starts `slowhttptest` in one of its modes.
#[track_caller]
fn slow_clients(addr: SocketAddr, mode: &[&str], path: &str) -> Program {
    start(
        Command::new("slowhttptest")
            .args(mode)
            .args(["-c", &SLOW.to_string(), "-r", "200", "-l", "15", "-p", "5"])
            .args(["-u", &format!("http://{addr}{path}")]),
    )
}

/// A well-behaved client beside slow ones, until the server has closed all of these: they would
/// go on for 15 seconds.
#[track_caller]
fn outlast(server: &Program, mode: &[&str], path: &str) {
    let addr = server.wait_for_addr();
    let slow = slow_clients(addr, mode, path);
    let ended = std::thread::scope(|scope| {
        let slow = scope.spawn(move || finish(slow));
        let mut served = 0;
        while !slow.is_finished() {
            be_served(addr);
            served += 1;
        }
        assert!(served > 0, "there was time for one at least");
        slow.join().expect("it has ended well")
    });
    let said = ended.stdout.join("\n");
    assert!(said.contains("No open connections left"), "{said}");
    assert!(!said.contains("NO"), "the service was always there: {said}");
}

#[track_caller]
fn be_served(addr: SocketAddr) {
    let reply = Client::connect(addr).send(get_close("/hello")).reply();
    assert_eq!(reply.summary(), (200, "Hello\n".to_owned()));
}

/// What `slowhttptest` sends or reads next comes after the clock.
const PAUSE: &str = "8";

fn slow_heads_are_cut(engine: Engine) {
    let server = server(engine, &["--header-timeout", "1"]);
    outlast(&server, &["-H", "-i", PAUSE], "/hello");
}

fn slow_bodies_are_cut(engine: Engine) {
    let server = server(engine, &["--body-timeout", "1", "--threads", "60"]);
    outlast(&server, &["-B", "-i", PAUSE, "-s", "8192"], "/echo");
}

/// A client with a closed window does not see that it was cut, so here the server's log tells: 200
/// and less than all of it. If the client had left, it would be 499.
fn slow_readers_are_cut(engine: Engine) {
    let folder = Folder::new(&format!("slow-{}", engine.name()));
    let log = folder.path("access.log");
    let path = log.to_str().expect("the name is ours");
    let server = server(
        engine,
        &[
            "--write-timeout",
            "1",
            "--threads",
            "60",
            "--access-logfile",
            path,
            "--access-logformat",
            "%(s)s %(U)s %(B)s",
        ],
    );
    let addr = server.wait_for_addr();
    let window = ["-X", "-w", "512", "-y", "1024", "-n", PAUSE, "-z", "32"];
    let _slow = slow_clients(addr, &window, "/large");
    until("all slow readers are cut", || {
        be_served(addr);
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        let sent = log
            .lines()
            .filter_map(|line| line.strip_prefix("200 /large "));
        let cut = sent.filter(|bytes| bytes.parse().is_ok_and(|n: usize| n < 16 << 20));
        cut.count() >= SLOW
    });
}
