//! Connections that come and go: nothing of them stays.
//!
//! The server runs in a process of its own, whose descriptors, memory mappings and resident memory
//! are counted from outside, before and after. A usual run takes seconds; `GREENWAY_CHURN=200000`
//! makes it as many connections as one likes.

use greenway_tests::request::{get, get_close};
use greenway_tests::websocket::handshake;
use greenway_tests::{Client, DEADLINE, Engine, Program, RawSocket, on_green_and_threads};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

on_green_and_threads!(
    nothing_stays_of_connections_that_have_gone,
    nothing_stays_of_websockets_that_have_gone
);

const PROGRAM: &str = env!("CARGO_BIN_EXE_longpoll");

/// Connections of a usual run.
const USUAL: usize = 20_000;

/// Clients that come and go at once.
const CLIENTS: usize = 4;

/// Addresses that each client comes from, in turn. A port stays taken for a minute after the side
/// that has it closed first, and one address has about 28,000.
const ADDRESSES: usize = 16;

/// Pages that the allocator may keep in other places than before, in KiB: now and then it takes one
/// more megabyte, once, however many connections come. In a usual run a leak of 140 bytes for each
/// connection is above it.
const RESIDENT_MARGIN: usize = 2048;

/// Mappings by which the allocator may split or join its arenas.
const MAPS_MARGIN: usize = 8;

/// A line of a process's status.
fn kib(status: &str, name: &str) -> usize {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|value| value.trim().strip_suffix(" kB"))
        .and_then(|value| value.parse().ok())
        .expect("every process has resident memory")
}

/// What a process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    descriptors: usize,
    maps: usize,
    /// In KiB.
    pub(crate) resident: usize,
}

impl Held {
    pub(crate) fn by(pid: u32) -> Self {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
        };
        let folder = format!("/proc/{pid}/fd");
        let descriptors = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{folder}: {error}"))
            .count();
        Self {
            descriptors,
            maps: read("maps").lines().count(),
            resident: kib(&read("status"), "VmRSS:"),
        }
    }

    /// The most memory that a process has had at once, in KiB.
    pub(crate) fn most_by(pid: u32) -> usize {
        let path = format!("/proc/{pid}/status");
        let status = std::fs::read_to_string(&path);
        kib(
            &status.unwrap_or_else(|error| panic!("{path}: {error}")),
            "VmHWM:",
        )
    }

    /// What it has once the number of its descriptors no longer changes: connections that the
    /// client has closed are noticed a moment later.
    #[track_caller]
    fn settled(pid: u32) -> Self {
        let deadline = Instant::now() + DEADLINE;
        let (mut last, mut same) = (Self::by(pid), 0);
        while same < 10 {
            assert!(Instant::now() < deadline, "it does not settle: {last:?}");
            std::thread::sleep(Duration::from_millis(20));
            let now = Self::by(pid);
            same = if now.descriptors == last.descriptors {
                same + 1
            } else {
                0
            };
            last = now;
        }
        last
    }
}

/// What is done with each connection: from where it comes, where it goes, and its number.
type One = fn(IpAddr, SocketAddr, usize);

/// So many connections.
fn churn(addr: SocketAddr, connections: usize, one: One) {
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                for n in (client..connections).step_by(CLIENTS) {
                    let turn = u8::try_from((n / CLIENTS) % ADDRESSES + 1).expect("16 at most");
                    // Below 4.
                    let client = u8::try_from(client).expect("few clients");
                    let from = IpAddr::V4(Ipv4Addr::new(127, 77, client, turn));
                    one(from, addr, n / CLIENTS);
                }
            });
        }
    });
}

/// One request. Every second connection is closed by the server, the others by the client.
#[track_caller]
fn one_request(from: IpAddr, addr: SocketAddr, number: usize) {
    let mut client = Client::connect_from(from, addr);
    if number.is_multiple_of(2) {
        assert_eq!(client.send(get_close("/hello")).reply().text(), "Hello\n");
        client.end();
    } else {
        assert_eq!(client.send(get("/hello")).reply().text(), "Hello\n");
    }
}

/// One WebSocket. They end in turn by the client's close frame, by the handler's return, by a
/// reset, and in the middle of what the server sends.
#[track_caller]
fn one_websocket(from: IpAddr, addr: SocketAddr, number: usize) {
    let client = Client::connect_from(from, addr);
    let mut socket = RawSocket::upgrade(client, &handshake("/websocket", ""));
    socket.text("hi");
    assert_eq!(socket.next_text(), "hi");
    // The last of these costs the server as much as a hundred of the others.
    match number % 100 {
        99 => {
            socket.text("more");
            socket.client().take(1000);
        }
        n if n % 3 == 0 => {
            socket.close(1000).next_close(1000);
            socket.end();
        }
        n if n % 3 == 1 => {
            socket.text("bye").next_close(1000);
            socket.close(1000).end();
        }
        _ => socket.reset(),
    }
}

fn nothing_stays_of_connections_that_have_gone(engine: Engine) {
    nothing_stays(engine, one_request);
}

fn nothing_stays_of_websockets_that_have_gone(engine: Engine) {
    nothing_stays(engine, one_websocket);
}

fn nothing_stays(engine: Engine, one: One) {
    let connections = match std::env::var("GREENWAY_CHURN") {
        Ok(number) => number.parse().expect("GREENWAY_CHURN is a number"),
        Err(_) => USUAL,
    };
    // A pool that is full of WebSockets lets the next ones wait: that must be no 503 here.
    let all = ["--websocket-threads", "20"];
    let args = [
        "--bind",
        "127.0.0.1:0",
        "--engine",
        engine.name(),
        all[0],
        all[1],
        // A report of a held worker, which a busy machine may cause, loads the symbol tables.
        "--max-blocking-time",
        "0",
    ];
    let program = Program::start(PROGRAM, &args);
    let addr = program.wait_for_addr();
    let pid = Client::connect(addr).send(get_close("/pid")).reply().text();
    let pid = pid.parse().expect("a process has a number");
    // Until then stacks, buffers and threads are made that are used again afterwards. Each thread of
    // the pool needs its share of connections for that.
    let warm_up = match engine {
        Engine::Threads => connections / 2,
        _ => connections / 5,
    };
    churn(addr, warm_up, one);
    let before = Held::settled(pid);
    let started = Instant::now();
    churn(addr, connections - warm_up, one);
    let took = started.elapsed();
    let after = Held::settled(pid);
    let count = connections - warm_up;
    println!("{count} connections in {took:?}: {before:?}, then {after:?}");
    assert!(
        after.descriptors <= before.descriptors,
        "{before:?}, then {after:?}"
    );
    assert!(
        after.maps <= before.maps + MAPS_MARGIN,
        "{before:?}, then {after:?}"
    );
    assert!(
        after.resident <= before.resident + RESIDENT_MARGIN,
        "{before:?}, then {after:?}"
    );
}
