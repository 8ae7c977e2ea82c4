//! What holds a thread of the pool, and what does not. On the threads engine alone: on the other,
//! a slow client holds nothing but its own stack.

use greenway::green::{Awaited, TaskInfo, TaskState, green_threads, sleep};
use greenway::{Body, Engine, Request, Server};
use greenway_tests::request::{get, with};
use greenway_tests::{Client, Gate, TestServer, linted, until};
use socket2::{Domain, Socket, Type};
use std::net::SocketAddr;
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Does not run out in a test.
const LONG: Duration = Duration::from_secs(600);

fn patient(app: impl greenway::Application) -> Server {
    linted(app)
        .engine(Engine::Threads)
        .timeout(LONG)
        .body_timeout(LONG)
        .write_timeout(LONG)
}

/// A listening socket whose connections keep as little as the kernel allows.
fn narrow_listener() -> (String, SocketAddr) {
    let make = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_send_buffer_size(1)?;
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
        socket.listen(1024)?;
        let addr = socket.local_addr()?.as_socket().expect("it is of IPv4");
        Ok::<_, std::io::Error>((format!("fd://{}", socket.into_raw_fd()), addr))
    };
    make().expect("port 0 is always free")
}

#[test]
fn slow_posters_and_slow_readers_hold_no_thread() {
    const PAGE: usize = 100_000; // the kernel keeps some of it, the poller 64 KiB
    let app = |request: Request| {
        if request.path() == "/page" {
            return Ok(Body::full("x".repeat(PAGE)));
        }
        request.body(64 * 1024).map(Body::full)
    };
    let (name, addr) = narrow_listener();
    let server = TestServer::start(patient(app).threads(20).bind(name));
    let body = "y".repeat(10 * 1024);
    let (half, rest) = body.split_at(5_000);
    let mut posters: Vec<_> = (0..100).map(|_| Client::connect(addr)).collect();
    let mut readers: Vec<_> = (0..100)
        .map(|_| Client::connect_with_buffer(32 * 1024, addr))
        .collect();
    for client in &mut posters {
        client.send(with("POST", "/", "Content-Length: 10240\r\n", half));
    }
    for client in &mut readers {
        client.send(get("/page"));
    }
    until("all are there", || server.connections() == 200);
    let mut quick = Client::connect(addr);
    for _ in 0..20 {
        let reply = quick
            .send(with("POST", "/", "Content-Length: 5\r\n", "quick"))
            .reply();
        assert_eq!(reply.text(), "quick");
    }
    for client in &mut posters {
        client.send(rest);
        assert_eq!(client.reply().text(), body);
        assert_eq!(
            client.send(get("/")).reply().text(),
            "",
            "it can be used again"
        );
    }
    for client in &mut readers {
        assert_eq!(client.reply().body.len(), PAGE);
        assert_eq!(
            client.send(get("/")).reply().text(),
            "",
            "it can be used again"
        );
    }
}

/// Their bodies cannot be waited for without a thread, but they get half of the threads at most.
#[test]
fn slow_uploads_of_other_kinds_hold_half_of_the_threads() {
    let server =
        TestServer::start(patient(|request: Request| request.body(1024 * 1024)).threads(4));
    let mut slow: Vec<_> = (0..30).map(|_| server.connect()).collect();
    for (number, client) in slow.iter_mut().enumerate() {
        client.send(match number % 3 {
            0 => with("POST", "/", "Transfer-Encoding: chunked\r\n", "5\r\n123"),
            1 => with("POST", "/", "Content-Length: 100000\r\n", "12345"),
            _ => with(
                "POST",
                "/",
                "Content-Length: 5\r\nExpect: 100-continue\r\n",
                "",
            ),
        });
    }
    until("all are there", || server.connections() == 30);
    assert_eq!(server.get("/").text(), "");
    let small = with("POST", "/", "Content-Length: 5\r\n", "quick");
    assert_eq!(server.ask(small).text(), "quick");
    // All at once: which of them stand first in line, the workers decide.
    std::thread::scope(|scope| {
        for (number, client) in slow.iter_mut().enumerate() {
            scope.spawn(move || {
                match number % 3 {
                    0 => drop(client.send("45\r\n0\r\n\r\n")),
                    1 => drop(client.send("x".repeat(100_000 - 5))),
                    _ => {
                        assert_eq!(client.head().status, 100);
                        client.send("12345");
                    }
                }
                assert_eq!(client.reply().status(), 200, "it had its turn");
            });
        }
    });
}

#[test]
fn a_body_that_is_too_slow_reaches_the_handler_as_far_as_it_has_come() {
    let app = |request: Request| match request.path() {
        "/unread" => Ok("unread".into()),
        _ => request.body(1024),
    };
    let server = TestServer::start(patient(app).body_timeout(Duration::from_millis(100)));
    for (path, status) in [("/unread", 200), ("/", 408)] {
        let mut client = server.connect();
        client.send(with("POST", path, "Content-Length: 10\r\n", "12345"));
        assert_eq!(client.reply().status(), status);
    }
}

#[test]
fn a_body_that_ends_early_reaches_the_handler() {
    let server = TestServer::start(patient(|request: Request| request.body(1024)));
    let mut client = server.connect();
    client.send(with("POST", "/", "Content-Length: 10\r\n", "12345"));
    client.finish_sending();
    assert_eq!(client.reply().status(), 400);
}

/// A reader that has stopped is closed when the clock for writing says so, thread or no thread.
#[test]
fn a_reader_that_has_stopped_is_reset() {
    let (name, addr) = narrow_listener();
    let server = TestServer::start(
        patient(|_: Request| "x".repeat(100_000))
            .write_timeout(Duration::from_millis(200))
            .bind(name),
    );
    let mut client = Client::connect_with_buffer(32 * 1024, addr);
    until("it is admitted", || server.connections() == 1);
    client.send(get("/"));
    until("the server has given it up", || server.connections() == 0);
    let (rest, in_order) = client.rest_or_reset();
    assert!(rest.len() < 100_000 && !in_order);
}

#[test]
fn a_stop_waits_for_what_the_poller_still_sends() {
    let (name, addr) = narrow_listener();
    let server = TestServer::start(patient(|_: Request| "x".repeat(100_000)).bind(name));
    let mut idle = Client::connect(addr);
    let mut client = Client::connect_with_buffer(32 * 1024, addr);
    client.send(get("/"));
    client.head(); // most of the rest is still with the server
    let stopped = std::thread::scope(|scope| {
        let stopping = scope.spawn(|| server.stop_within(LONG));
        idle.end(); // so the stop has begun
        assert_eq!(client.take(100_000).len(), 100_000);
        client.end();
        stopping.join().expect("stopping does not panic")
    });
    assert_eq!(stopped.cut, 0);
}

#[test]
fn a_queued_request_whose_client_has_left_is_not_run() {
    let calls = Arc::new(AtomicUsize::new(0));
    let (entered, gate) = (Gate::new(), Gate::new());
    let (count, arrived, there) = (calls.clone(), entered.clone(), gate.clone());
    let app = move |request: Request| {
        count.fetch_add(1, Ordering::SeqCst);
        if request.path() == "/wait" {
            arrived.open();
            there.pass();
        }
        "served"
    };
    let server = TestServer::start(patient(app).threads(1));
    let mut first = server.connect();
    first.send(get("/wait"));
    entered.pass();
    let (mut resets, mut closes) = (server.connect(), server.connect());
    resets.send(get("/"));
    closes.send(get("/"));
    let mut last = server.connect();
    until("all are admitted", || server.connections() == 4);
    resets.reset();
    drop(closes);
    last.send(get("/"));
    sleep(Duration::from_millis(50)); // for shorter waits nobody asks
    gate.open();
    assert_eq!(first.reply().text(), "served");
    assert_eq!(last.reply().text(), "served");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

/// A pool of one thread that is held, and so many requests behind it.
fn long_queue(requests: usize) -> (TestServer, Client, Vec<Client>, Gate) {
    let (entered, gate) = (Gate::new(), Gate::new());
    let (arrived, there) = (entered.clone(), gate.clone());
    let app = move |request: Request| {
        if request.path() == "/wait" {
            arrived.open();
            there.pass();
        }
        request.path().to_owned()
    };
    let server = patient(app).threads(1).metrics_bind("127.0.0.1:0");
    let server = TestServer::start(server);
    let mut first = server.connect();
    first.send(get("/wait"));
    entered.pass();
    let mut others: Vec<_> = (0..requests).map(|_| server.connect()).collect();
    for (number, client) in others.iter_mut().enumerate() {
        client.send(get(&format!("/{number}")));
    }
    until("all are in the queue", || {
        server.metric("greenway_connections{state=\"queued\"}") == requests as f64
    });
    (server, first, others, gate)
}

#[test]
fn in_a_long_queue_no_stack_waits_and_nothing_is_lost() {
    let (server, mut first, mut others, gate) = long_queue(200);
    // The first few in the queue have a stack, and other tests may have some.
    let waits = |task: &TaskInfo| task.state == TaskState::Waiting(Awaited::Job);
    let stacks = green_threads().into_iter().filter(waits).count();
    assert!(stacks < 50, "{stacks} stacks wait for a thread");
    gate.open();
    assert_eq!(first.reply().text(), "/wait");
    for (number, client) in others.iter_mut().enumerate() {
        assert_eq!(client.reply().text(), format!("/{number}"));
        assert_eq!(client.send(get("/again")).reply().text(), "/again");
    }
    assert_eq!(server.connections(), 201);
}

#[test]
fn a_stop_serves_what_is_in_a_long_queue() {
    let (server, mut first, mut others, gate) = long_queue(50);
    let mut idle = server.connect();
    let stopped = std::thread::scope(|scope| {
        let stopping = scope.spawn(|| server.stop_within(LONG));
        idle.end(); // so the stop has begun
        gate.open();
        stopping.join().expect("stopping does not panic")
    });
    assert_eq!(stopped.cut, 0);
    first.reply();
    for (number, client) in others.iter_mut().enumerate() {
        assert_eq!(client.reply().text(), format!("/{number}"));
        client.end();
    }
}

#[test]
fn at_the_end_of_a_stop_a_long_queue_is_told_so() {
    let (server, mut first, mut others, gate) = long_queue(50);
    let stopped = std::thread::scope(|scope| {
        let stopping = scope.spawn(|| server.stop_within(Duration::ZERO));
        // The gate waits as green threads do, and so the stop ends its handler.
        assert_eq!(first.reply().status(), 503);
        stopping.join().expect("stopping does not panic")
    });
    drop(gate);
    assert!(stopped.cut > 0);
    for client in &mut others {
        assert_eq!(client.reply().status(), 503);
        client.end();
    }
}

/// Uploads of which little has come, and that hold what they may: half of the pool.
fn slow_uploads(server: &TestServer, count: usize, head: &str) -> Vec<Client> {
    let mut clients: Vec<_> = (0..count).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(head);
    }
    until("their requests have begun", || {
        server.metric("greenway_connections{state=\"reading\"}") >= (count - 1) as f64
    });
    clients
}

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A body that comes behind another request takes the same way to a thread as one that comes alone.
#[test]
fn slow_uploads_behind_other_requests_hold_half_of_the_threads() {
    let app = |request: Request| request.body(64 * 1024).map(Body::full);
    let server = patient(app).threads(2).metrics_bind("127.0.0.1:0");
    let server = TestServer::start(server);
    let behind = format!(
        "{}{}",
        get("/"),
        with("POST", "/", "Content-Length: 100\r\n", "ten bytes.")
    );
    let mut clients: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(&behind);
        assert_eq!(client.reply().text(), "");
    }
    for _ in 0..3 {
        assert_eq!(server.get("/").text(), "");
    }
    for client in &mut clients {
        client.send("x".repeat(90));
        assert_eq!(client.reply().body.len(), 100);
    }
}

/// Whose patience ends in the line still gets no thread before its turn.
#[test]
fn uploads_that_wait_in_line_for_long_stay_in_it() {
    let app = |request: Request| request.body(64 * 1024).map(Body::full);
    let server = patient(app)
        .body_timeout(Duration::from_millis(300))
        .threads(2)
        .metrics_bind("127.0.0.1:0");
    let server = TestServer::start(server);
    let mut clients = slow_uploads(&server, 6, CHUNKED);
    // One after the other holds the thread that they may have, until it is told that it is too slow.
    let first = clients.remove(0).reply();
    assert_eq!(first.status(), 408);
    for _ in 0..3 {
        assert_eq!(server.get("/").text(), "");
    }
    for mut client in clients {
        assert_eq!(client.reply().status(), 408);
    }
}

/// At the end of a stop's grace period those in the line are told, as those in the queue are.
#[test]
fn uploads_in_line_are_told_of_the_end_of_a_stop() {
    let app = |request: Request| request.body(64 * 1024).map(Body::full);
    let server = patient(app).threads(2).metrics_bind("127.0.0.1:0");
    let server = TestServer::start(server);
    let mut clients = slow_uploads(&server, 6, CHUNKED);
    let stopped = server.stop_within(Duration::ZERO);
    for client in &mut clients {
        assert_eq!(client.reply().status(), 503);
    }
    assert_eq!(stopped.cut, 6);
}

/// What is refused needs no turn.
#[test]
fn a_body_that_is_too_long_waits_for_no_thread() {
    let app = |request: Request| request.body(64 * 1024).map(Body::full);
    let server = patient(app)
        .limit_request_body(1000)
        .threads(2)
        .metrics_bind("127.0.0.1:0");
    let server = TestServer::start(server);
    let _slow = slow_uploads(&server, 2, CHUNKED);
    let reply = server.ask(with("POST", "/", "Content-Length: 2000\r\n", "some"));
    assert_eq!(reply.status(), 413);
}
