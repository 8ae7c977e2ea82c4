//! How many requests are served at once: as many as the pool has threads and no more; as many as
//! there are, on green threads.

use greenway::{App, Engine, Request, Server};
use greenway_tests::request::{get, get_close, post};
use greenway_tests::{
    Client, Gate, Program, TestServer, on_green_and_threads, raise_descriptor_limit,
};
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

on_green_and_threads!(
    idle_connections_hold_no_thread,
    half_requests_hold_no_thread,
    connections_beyond_the_cap_get_503
);

/// A handler in which at most so many may be at once.
struct Room {
    server: TestServer,
    entered: Gate,
    leave: Gate,
    most: Arc<AtomicUsize>,
}

impl Room {
    fn start(engine: Engine) -> Self {
        let (entered, leave, most) = (Gate::new(), Gate::new(), Arc::new(AtomicUsize::new(0)));
        let (arrived, gate, highest) = (entered.clone(), leave.clone(), most.clone());
        let inside = AtomicUsize::new(0);
        let app = move |_: Request| {
            let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
            highest.fetch_max(now, Ordering::SeqCst);
            arrived.open();
            gate.pass();
            inside.fetch_sub(1, Ordering::SeqCst);
            "served"
        };
        Self {
            server: TestServer::start(Server::new(app).engine(engine)),
            entered,
            leave,
            most,
        }
    }

    /// So many clients, each with a request on its way.
    fn clients(&self, count: usize) -> Vec<Client> {
        let mut clients: Vec<_> = (0..count).map(|_| self.server.connect()).collect();
        for client in &mut clients {
            client.send(get_close("/"));
        }
        clients
    }
}

/// What the counter has seen at its highest is the proof; that the 21st comes in only after
/// somebody has left is the picture.
#[test]
fn a_pool_of_20_serves_20_and_no_more() {
    let room = Room::start(Engine::Threads);
    let mut clients = room.clients(25);
    room.entered.pass_times(20);
    // The others are read and queued by now, or would be soon; the pool is what holds them up.
    assert!(clients[24].is_silent_for(Duration::from_millis(100)));
    assert_eq!(room.entered.waiting(), 0, "20 are inside, and nobody else");
    for _ in 20..25 {
        room.leave.open();
        room.entered.pass();
        assert_eq!(room.entered.waiting(), 0, "one has left, one has come in");
    }
    room.leave.open_for(20);
    for client in &mut clients {
        assert_eq!(client.reply().text(), "served");
    }
    assert_eq!(room.most.load(Ordering::SeqCst), 20, "at the highest");
}

#[test]
fn green_threads_serve_all_at_once() {
    let room = Room::start(Engine::Green);
    let mut clients = room.clients(250);
    room.entered.pass_times(250);
    assert_eq!(room.most.load(Ordering::SeqCst), 250);
    room.leave.open_for(250);
    for client in &mut clients {
        assert_eq!(client.reply().text(), "served");
    }
}

/// While the whole pool is busy, what needs no handler goes on: refusing, timing out.
#[test]
fn a_busy_pool_still_refuses_bad_requests() {
    let room = Room::start(Engine::Threads);
    let mut clients = room.clients(20);
    room.entered.pass_times(20);
    assert_eq!(room.server.ask("nonsense\r\n\r\n").status(), 400);
    room.leave.open_for(20);
    for client in &mut clients {
        assert_eq!(client.reply().text(), "served");
    }
}

fn two_threads(engine: Engine) -> TestServer {
    let long = Duration::from_secs(600);
    let mut app = App::new();
    app.get("/", |_: Request| "served");
    TestServer::start(
        Server::new(app)
            .engine(engine)
            .threads(2)
            .keep_alive(long)
            .header_timeout(long),
    )
}

fn idle_connections_hold_no_thread(engine: Engine) {
    let server = two_threads(engine);
    let mut clients: Vec<_> = (0..200).map(|_| server.connect()).collect();
    for _ in 0..2 {
        for client in &mut clients {
            assert_eq!(client.send(get("/")).reply().text(), "served");
        }
        assert_eq!(server.get("/").text(), "served", "somebody new");
    }
    assert!(server.connections() >= 200);
}

fn half_requests_hold_no_thread(engine: Engine) {
    let server = two_threads(engine);
    let mut clients: Vec<_> = (0..200).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHo");
    }
    assert_eq!(server.get("/").text(), "served", "somebody quick");
    for client in &mut clients {
        assert_eq!(client.send("st: test\r\n\r\n").reply().text(), "served");
    }
}

/// RFC 9110 section 15.6.4. Never a hang, and room again as soon as somebody leaves. Those inside
/// are busy: one who is idle would make room.
fn connections_beyond_the_cap_get_503(engine: Engine) {
    let app = |_: Request| "served";
    let long = Duration::from_secs(600);
    let server = TestServer::start(
        Server::new(app)
            .engine(engine)
            .worker_connections(3)
            .header_timeout(long),
    );
    let mut inside: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for client in &mut inside {
        assert_eq!(client.send(get("/")).reply().text(), "served");
        client.send("GET / HT");
    }
    for _ in 0..10 {
        let mut outside = server.connect();
        let reply = outside.reply();
        assert_eq!(reply.status(), 503);
        assert!(
            reply.head.says_close() && reply.head.field("retry-after").is_some(),
            "{reply:?}"
        );
        outside.end();
    }
    drop(inside.pop());
    greenway_tests::until("room for another", || server.connections() == 2);
    assert_eq!(server.get("/").text(), "served");
}

/// A descriptor's number decides which worker watches it. When only numbers of one worker are
/// free for a long way, connections for the others have to be found a number beyond. In a process
/// of its own, since all servers of a process share its descriptors.
#[test]
fn descriptors_of_one_kind_do_not_run_out() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longpoll"));
    command
        .env("CROWDED", "1")
        .args(["--bind", "127.0.0.1:0", "--cores", "2"]);
    let server = Program::start_command(&mut command);
    let addr = server.wait_for_addr();
    let mut clients: Vec<_> = (0..100).map(|_| Client::connect(addr)).collect();
    for client in &mut clients {
        client.send(get("/wait"));
    }
    let mut other = Client::connect(addr);
    assert_eq!(other.send(get("/until/100")).reply().status(), 200);
    assert_eq!(other.send(post("/publish", "news")).reply().text(), "100");
    for client in &mut clients {
        assert_eq!(client.reply().text(), "news");
    }
}

/// The number that the project is named for: so many handlers wait in one process, and one
/// message wakes them all.
#[test]
fn ten_thousand_handlers_wait_and_one_message_answers_all() {
    const COUNT: usize = 10_000;
    let descriptors = raise_descriptor_limit();
    assert!(
        descriptors >= COUNT as u64 + 2_000,
        "the test needs 12,000 descriptors (ulimit -n), it has {descriptors}"
    );
    let server = Program::start(
        env!("CARGO_BIN_EXE_longpoll"),
        &[
            "--bind",
            "127.0.0.1:0",
            "--timeout",
            "600",
            "--keep-alive",
            "600",
            "--backlog",
            "4096",
        ],
    );
    let addr = server.wait_for_addr();
    // All of 127/8 is this machine.
    let from = |n: usize| {
        Ipv4Addr::new(
            127,
            0,
            1,
            u8::try_from(n / 1000).expect("there are 10 thousands"),
        )
        .into()
    };
    let mut clients: Vec<_> = (0..COUNT)
        .map(|n| Client::connect_from(from(n), addr))
        .collect();
    for client in &mut clients {
        client.send(get("/wait"));
    }
    let mut other = Client::connect(addr);
    assert_eq!(
        other.send(get(&format!("/until/{COUNT}"))).reply().status(),
        200
    );
    assert_eq!(
        other.send(get("/hello")).reply().text(),
        "Hello\n",
        "it is not even busy"
    );
    assert_eq!(
        other.send(post("/publish", "news")).reply().text(),
        COUNT.to_string()
    );
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(
            client.reply().summary(),
            (200, "news".into()),
            "client {number}"
        );
    }
    // The connections are as good as new.
    for client in clients.iter_mut().step_by(100) {
        assert_eq!(client.send(get("/hello")).reply().text(), "Hello\n");
    }
}
