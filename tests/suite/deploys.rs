//! Ten deploys under load: the file is replaced, HUP comes, and no client notices more than a
//! connection that says it ends.

use super::processes::{PROGRAM, children, pids, put, start_program, stop, until_gone};
use greenway::Engine;
use greenway_tests::request::{get, get_close};
use greenway_tests::{
    Client, Folder, Load, Program, RawSocket, Signal, on_green_and_threads, under_load, until,
};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;

on_green_and_threads!(
    ten_deploys_lose_nothing,
    an_idle_connection_has_one_more_request,
);

pub(super) const DEPLOYS: usize = 10;

/// A program that is deployed again and again.
pub(super) struct Deployed {
    pub(super) program: Program,
    path: PathBuf,
    _folder: Folder,
}

impl Deployed {
    pub(super) fn start(engine: Engine, args: &[&str]) -> Self {
        let folder = Folder::new("deploys");
        let path = folder.path("app");
        put(PROGRAM, &path);
        Self {
            program: start_program(&path, engine, args),
            path,
            _folder: folder,
        }
    }

    /// Begins a deploy, and gives those that are to go.
    pub(super) fn begin(&self) -> BTreeSet<u32> {
        let before = children(self.program.id());
        put(PROGRAM, &self.path);
        self.program.signal(Signal::HUP);
        before
    }

    /// Deploys, and waits until `count` new processes serve. Gives those that are to go.
    fn deploy(&self, addr: SocketAddr, count: usize) -> BTreeSet<u32> {
        let before = self.begin();
        pids(addr, count, &before);
        before
    }

    /// Stops it, and looks that nothing has gone wrong in any of its processes.
    #[track_caller]
    pub(super) fn stop(self) {
        let ended = stop(self.program);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let bad = |line: &&String| line.contains("ERROR") || line.contains("cut short");
        let bad: Vec<_> = ended.stderr.iter().filter(bad).collect();
        assert!(bad.is_empty(), "{bad:?}");
    }
}

/// Requests on connections that are kept for as long as the server allows. Whatever else happens
/// than a whole response fails the test.
fn keep_asking(addr: SocketAddr, load: &Load) {
    while !load.is_over() {
        let mut client = Client::connect(addr);
        loop {
            let reply = client.send(get("/hello")).reply();
            assert_eq!(reply.text(), "Hello\n");
            load.count();
            if reply.head.says_close() {
                client.end();
                break;
            }
            if load.is_over() {
                return;
            }
        }
    }
}

/// Each request on a connection of its own: most of them wait in the queue at some time.
fn keep_coming(addr: SocketAddr, load: &Load) {
    while !load.is_over() {
        let reply = Client::connect(addr).send(get_close("/hello")).reply();
        assert_eq!(reply.text(), "Hello\n");
        load.count();
    }
}

/// Requests on a connection of a process that goes, or is about to: all are answered, and the last one
/// says that it is the last.
#[track_caller]
fn has_one_more(client: &mut Client) {
    let client = RefCell::new(client);
    until("the last response", || {
        let reply = client.borrow_mut().send(get("/hello")).reply();
        assert_eq!(reply.text(), "Hello\n");
        reply.head.says_close()
    });
    client.into_inner().end();
}

/// Those who stay until their process goes.
struct Stayers {
    upload: Client,
    events: Client,
    socket: Option<RawSocket>,
}

impl Stayers {
    fn come(addr: SocketAddr, engine: Engine) -> Self {
        let mut upload = Client::connect(addr);
        upload.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\nbef");
        assert_eq!(upload.head().status, 200);
        assert_eq!(upload.chunk(), "bef");
        let mut events = Client::connect(addr);
        events.send(get("/events"));
        assert_eq!(events.head().status, 200);
        assert_eq!(events.chunk(), "data: START\n\n");
        // Each holds a thread of the pool, which has few.
        let socket = (engine == Engine::Green).then(|| {
            let mut socket = RawSocket::connect(addr, "/websocket");
            socket.text("hi");
            assert_eq!(socket.next_text(), "hi");
            socket
        });
        Self {
            upload,
            events,
            socket,
        }
    }

    /// Each goes as soon as it is told, since a connection has little time for one more request; the
    /// upload when `deploy` is over.
    fn go_during<R>(self, deploy: impl FnOnce() -> R) -> R {
        let Self {
            mut upload,
            mut events,
            socket,
        } = self;
        thread::scope(|scope| {
            if let Some(mut socket) = socket {
                scope.spawn(move || {
                    socket.next_close(1012);
                    socket.close(1012);
                    socket.end();
                });
            }
            scope.spawn(move || {
                assert_eq!(events.chunk(), "retry: 3000\n\n");
                assert_eq!(events.chunk(), "");
                has_one_more(&mut events);
            });
            let deployed = deploy();
            upload.send("ore");
            assert_eq!(upload.chunk(), "ore");
            assert_eq!(upload.chunk(), "");
            has_one_more(&mut upload);
            deployed
        })
    }
}

fn ten_deploys_lose_nothing(engine: Engine) {
    // Longer than the test takes: the clients' own pauses close no connection.
    let deployed = Deployed::start(engine, &["-w", "2", "--keep-alive", "600"]);
    let addr = deployed.program.wait_for_addr();
    let asking = |load: &Load| keep_asking(addr, load);
    let coming = |load: &Load| keep_coming(addr, load);
    under_load(&[&asking, &coming], |load| {
        for round in 0..DEPLOYS {
            let stayers = Stayers::come(addr, engine);
            let so_far = load.answered();
            until_gone(&stayers.go_during(|| deployed.deploy(addr, 2)));
            assert!(
                load.answered() > so_far,
                "deploy {round}: nobody was served meanwhile"
            );
        }
    });
    deployed.stop();
}

/// A client that has just been answered, and asks again while its process goes.
fn an_idle_connection_has_one_more_request(engine: Engine) {
    // Longer than the test takes: no clock closes the connection.
    let deployed = Deployed::start(engine, &["--master", "--keep-alive", "600"]);
    let addr = deployed.program.wait_for_addr();
    let mut clients: Vec<_> = (0..8).map(|_| Client::connect(addr)).collect();
    for client in &mut clients {
        let reply = client.send(get("/hello")).reply();
        assert!(!reply.head.says_close());
    }
    let before = deployed.deploy(addr, 1);
    for client in &mut clients {
        has_one_more(client);
    }
    until_gone(&before);
    deployed.stop();
}

/// A client that does not ask again does not hold its process up for as long as it may be idle.
#[test]
fn idle_connections_do_not_keep_a_process() {
    // Half of the grace period is longer than this test may take.
    let args = ["--master", "--graceful-timeout", "600"];
    let deployed = Deployed::start(Engine::Green, &args);
    let addr = deployed.program.wait_for_addr();
    let mut client = Client::connect(addr);
    assert_eq!(client.send(get("/hello")).reply().text(), "Hello\n");
    until_gone(&deployed.deploy(addr, 1));
    client.end();
    deployed.stop();
}
