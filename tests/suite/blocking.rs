//! Handlers that run on OS threads by their own wish, on both engines (issue 4, item 5).

use greenway::green::{Local, ThreadPool, is_green};
use greenway::{App, Body, Engine, HttpError, Request, Response, abort, blocking};
use greenway_tests::request::{get, post, post_chunked, with};
use greenway_tests::{DEADLINE, Drops, Gate, TestServer, linted, on_green_and_threads, until};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

on_green_and_threads!(
    one_that_blocks_holds_up_nobody,
    it_sees_its_request_and_gives_its_response,
    a_stream_is_sent_chunk_by_chunk,
    failures_are_answered_or_cut,
    head_drops_the_stream,
    values_do_not_leak_into_the_next_request,
    a_long_body_is_read_as_it_comes,
    a_client_that_leaves_ends_the_reading,
);

fn serve(engine: Engine, app: App) -> TestServer {
    TestServer::start(linted(app).engine(engine).timeout(DEADLINE))
}

fn one_that_blocks_holds_up_nobody(engine: Engine) {
    const BLOCKED: usize = 8; // more than there are workers
    let (release, wait) = mpsc::channel::<()>();
    let (wait, entered) = (Mutex::new(wait), Gate::new());
    let gate = entered.clone();
    let mut app = App::new();
    app.get(
        "/block",
        blocking(move |_: Request| {
            gate.open();
            assert!(!is_green());
            // What no green thread may do: std's channel under std's lock.
            wait.lock().unwrap().recv().unwrap();
            "blocked"
        }),
    );
    app.get("/quick", |_: Request| "quick");
    let server = serve(engine, app);
    let mut clients: Vec<_> = (0..BLOCKED).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(get("/block"));
    }
    entered.pass_times(BLOCKED);
    for _ in 0..BLOCKED {
        assert_eq!(server.get("/quick").text(), "quick");
    }
    for _ in 0..BLOCKED {
        release.send(()).unwrap();
    }
    for client in &mut clients {
        assert_eq!(client.reply().text(), "blocked");
        // The connection goes on.
        assert_eq!(client.send(get("/quick")).reply().text(), "quick");
    }
}

fn it_sees_its_request_and_gives_its_response(engine: Engine) {
    let mut app = App::new();
    app.post(
        "/put/<name>/<n:int>",
        blocking(|request: Request| {
            let body = request.body(100)?;
            let text = String::from_utf8_lossy(&body).into_owned();
            let seen = format!("{} {} {text}", request.param("name"), request.int("n"));
            let response = Response::new(seen).with_status(201);
            Ok::<_, HttpError>(response.with_header("x-seen", "yes"))
        }),
    );
    let server = serve(engine, app);
    let reply = server.ask(post_chunked("/put/a%2Fb/7", &["abc", "de"]));
    assert_eq!(reply.text(), "a/b 7 abcde");
    assert_eq!(reply.status(), 201);
    assert_eq!(reply.head.field("x-seen"), Some("yes"));
}

fn a_stream_is_sent_chunk_by_chunk(engine: Engine) {
    let gate = Gate::new();
    let held = gate.clone();
    let mut app = App::new();
    app.get(
        "/stream",
        blocking(move |_: Request| {
            let held = held.clone();
            Body::stream(move |out| {
                out.start()?;
                held.pass();
                for chunk in ["one", "two"] {
                    out.send(chunk)?;
                    held.pass();
                }
                Ok(())
            })
        }),
    );
    app.get(
        "/sized",
        blocking(|_: Request| Body::from_reader(&b"12345"[..], Some(5))),
    );
    let server = serve(engine, app);
    let mut client = server.connect();
    client.send(get("/stream"));
    assert!(client.head().is_chunked());
    for chunk in ["one", "two"] {
        gate.open();
        assert_eq!(client.chunk(), chunk);
    }
    gate.open();
    assert_eq!(client.chunk(), "");
    let reply = client.send(get("/sized")).reply();
    assert_eq!(reply.head.content_length(), Some(5));
    assert_eq!(reply.text(), "12345");
}

fn failures_are_answered_or_cut(engine: Engine) {
    let mut app = App::new();
    app.get(
        "/<how>",
        blocking(|request: Request| match request.param("how") {
            "panic" => panic!("as the test wants it"),
            "abort" => abort(418, "short and stout"),
            "error" => Err(HttpError::new(409, "no")),
            "early" => Ok(Body::stream(|_| Err(HttpError::new(410, "gone").into()))),
            late => {
                let panics = late == "late-panic";
                Ok(Body::stream(move |out| {
                    out.send("begun")?;
                    assert!(!panics, "as the test wants it");
                    Err(HttpError::new(500, "late").into())
                }))
            }
        }),
    );
    let server = serve(engine, app);
    for (how, status) in [
        ("panic", 500),
        ("abort", 418),
        ("error", 409),
        ("early", 410),
    ] {
        assert_eq!(server.get(&format!("/{how}")).status(), status, "{how}");
    }
    for how in ["late-panic", "late-error"] {
        let mut client = server.connect();
        client.send(get(&format!("/{how}")));
        client.head();
        assert_eq!(client.chunk(), "begun");
        // Not the end of a chunked body.
        client.is_cut_short();
    }
}

fn head_drops_the_stream(engine: Engine) {
    let drops = Drops::new();
    let witnesses = drops.clone();
    let mut app = App::new();
    app.get(
        "/",
        blocking(move |_: Request| {
            let witness = witnesses.witness();
            Body::stream(move |out| {
                let _witness = witness;
                // More than the queue has room for.
                (0..1000).try_for_each(|n| out.send(n.to_string()))
            })
        }),
    );
    let server = serve(engine, app);
    let mut client = server.connect();
    client.send(with("HEAD", "/", "Connection: close\r\n", ""));
    assert_eq!(client.reply_to_head().status(), 200);
    client.end();
    drops.wait();
}

fn values_do_not_leak_into_the_next_request(engine: Engine) {
    static SEEN: Local<u32> = Local::new(|| 0);
    let mut app = App::new();
    let pool = ThreadPool::new(1, 10);
    app.get(
        "/",
        blocking(|_: Request| {
            SEEN.set(SEEN.get() + 1);
            SEEN.get().to_string()
        })
        .pool(&pool),
    );
    let server = serve(engine, app);
    let mut client = server.connect();
    for _ in 0..3 {
        assert_eq!(client.send(get("/")).reply().text(), "1");
    }
}

/// A server with one thread for such handlers, and room for one that waits. `GET /` blocks until
/// the test has opened the gate.
struct Small {
    server: TestServer,
    pool: ThreadPool,
    entered: Gate,
    go: Gate,
    calls: Arc<AtomicUsize>,
    noticed: Gate,
}

impl Small {
    fn start(timeout: Duration) -> Self {
        let (entered, go, noticed) = (Gate::new(), Gate::new(), Gate::new());
        let (pool, calls) = (ThreadPool::new(1, 1), Arc::new(AtomicUsize::new(0)));
        let mut app = App::new();
        let (tell, held, count) = (entered.clone(), go.clone(), calls.clone());
        let handler = move |_: Request| {
            count.fetch_add(1, Ordering::SeqCst);
            tell.open();
            held.pass();
            "done"
        };
        app.get("/", blocking(handler).pool(&pool));
        let (tell, notice) = (entered.clone(), noticed.clone());
        let handler = move |request: Request| {
            assert!(!request.disconnected());
            tell.open();
            assert!(request.wait_disconnected(DEADLINE));
            assert!(request.disconnected());
            notice.open();
        };
        app.get("/ask", blocking(handler).pool(&pool));
        let (tell, notice) = (entered.clone(), noticed.clone());
        let handler = move |_: Request| {
            let (tell, notice) = (tell.clone(), notice.clone());
            Body::stream(move |out| {
                tell.open();
                loop {
                    if let Err(error) = out.send("more") {
                        assert!(error.is_gone());
                        notice.open();
                        return Err(error);
                    }
                }
            })
        };
        app.get("/stream", blocking(handler).pool(&pool));
        let handler = |request: Request| request.body(1000);
        app.post("/body", blocking(handler).pool(&pool).read_ahead(10));
        Self {
            server: TestServer::start(linted(app).timeout(timeout)),
            pool,
            entered,
            go,
            calls,
            noticed,
        }
    }
}

#[test]
fn a_full_pool_is_answered_with_503() {
    let small = Small::start(DEADLINE);
    let mut first = small.server.connect();
    first.send(get("/"));
    small.entered.pass();
    let mut second = small.server.connect();
    second.send(get("/"));
    until("the second is queued", || small.pool.stats().queued == 1);
    let refused = small.server.get("/");
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.head.field("retry-after"), Some("1"));
    small.go.open_for(2);
    assert_eq!(first.reply().text(), "done");
    assert_eq!(second.reply().text(), "done");
}

#[test]
fn a_client_that_leaves_takes_its_queued_request_along() {
    let small = Small::start(DEADLINE);
    let mut first = small.server.connect();
    first.send(get("/"));
    small.entered.pass();
    let mut second = small.server.connect();
    second.send(get("/"));
    until("the second is queued", || small.pool.stats().queued == 1);
    second.reset();
    until("only the first is there", || {
        small.server.connections() == 1
    });
    small.go.open_for(2);
    assert_eq!(first.reply().text(), "done");
    until("its turn has come", || small.pool.stats().killed == 1);
    assert_eq!(small.calls.load(Ordering::SeqCst), 1);
}

#[test]
fn a_running_handler_can_see_that_its_client_has_left() {
    let small = Small::start(DEADLINE);
    for path in ["/ask", "/stream"] {
        let mut client = small.server.connect();
        client.send(get(path));
        small.entered.pass();
        client.reset();
        small.noticed.pass();
    }
}

#[test]
fn one_that_takes_too_long_is_answered_with_504_and_goes_on() {
    let small = Small::start(Duration::from_millis(50));
    assert_eq!(small.server.get("/").status(), 504);
    small.entered.pass();
    assert_eq!(small.pool.stats().running, 1);
    small.go.open();
    until("it has ended", || small.pool.stats().completed == 1);
}

/// A client that sends slowly holds no thread.
#[test]
fn a_short_body_is_read_before_the_call() {
    let small = Small::start(DEADLINE);
    let mut slow = small.server.connect();
    slow.send(with("POST", "/body", "Content-Length: 10\r\n", "12345"));
    let ask = |length: usize| small.server.ask(post("/body", &"x".repeat(length)));
    assert_eq!(ask(10).text(), "xxxxxxxxxx");
    until("no thread waits for the slow one", || {
        small.pool.stats().running == 0
    });
    slow.send("67890");
    assert_eq!(slow.reply().text(), "1234567890");
    assert_eq!(ask(1001).status(), 413, "the handler's own limit");
    assert_eq!(ask(1000).text().len(), 1000);
}

/// More than is read ahead, and than is in memory at once: the handler reads it as it comes, also
/// while it sends its response.
fn a_long_body_is_read_as_it_comes(engine: Engine) {
    const PIECES: usize = 40;
    let piece = "z".repeat(100_000);
    let mut app = App::new();
    app.post(
        "/count",
        blocking(|mut request: Request| {
            let length = request.input().length();
            let count = io::copy(request.input(), &mut io::sink())?;
            Ok::<_, HttpError>(format!("{count} of {length:?}"))
        }),
    );
    app.post(
        "/echo",
        blocking(|mut request: Request| {
            let input = request.take_input();
            Body::from_reader(input, None)
        })
        .read_ahead(10),
    );
    let server = serve(engine, app);
    let long = piece.repeat(PIECES);
    let reply = server.ask(post("/count", &long));
    assert_eq!(reply.text(), format!("{0} of Some({0})", long.len()));
    let reply = server.ask(post_chunked("/count", &vec![piece.as_str(); PIECES]));
    assert_eq!(reply.text(), format!("{} of None", long.len()));

    // Each piece comes back before the next one is sent.
    let mut client = server.connect();
    let length = format!("Content-Length: {}\r\n", PIECES * 20);
    client.send(with("POST", "/echo", &length, &"a".repeat(20)));
    assert!(client.head().is_chunked());
    for _ in 1..PIECES {
        assert_eq!(client.chunk(), "a".repeat(20));
        client.send("a".repeat(20));
    }
    assert_eq!(client.chunk(), "a".repeat(20));
    assert_eq!(client.chunk(), "");
}

/// Within the body of its request.
fn a_client_that_leaves_ends_the_reading(engine: Engine) {
    let (entered, noticed) = (Gate::new(), Gate::new());
    let (enter, notice) = (entered.clone(), noticed.clone());
    let mut app = App::new();
    app.post(
        "/",
        blocking(move |mut request: Request| {
            enter.open();
            let read = io::copy(request.input(), &mut io::sink());
            assert!(read.is_err());
            notice.open();
        })
        .read_ahead(1),
    );
    let server = serve(engine, app);
    let mut client = server.connect();
    client.send(with("POST", "/", "Content-Length: 100\r\n", "12345"));
    entered.pass();
    client.reset();
    noticed.pass();
}
