//! What is cut when its time is over, and how.
//!
//! The limits are short here, and only what must end is timed: no test fails because the machine
//! is slow.

use greenway::green::{Queue, sleep};
use greenway::{Body, Engine, HttpError, Request, Server};
use greenway_tests::request::{get, with};
use greenway_tests::{Client, DEADLINE, Drops, TestServer, linted, next, on_green_and_threads};
use std::io::Read;
use std::time::{Duration, Instant};

on_green_and_threads!(
    an_unused_connection_is_closed_silently,
    an_idle_connection_is_closed_silently,
    half_a_head_is_answered_with_408,
    a_head_that_drips_is_answered_with_408,
    a_head_after_a_response_has_its_own_clock,
    half_a_body_is_answered_with_408,
    a_body_that_drips_is_answered_with_408,
    a_handler_that_takes_too_long_is_answered_with_504,
    a_stream_that_pauses_too_long_is_cut,
    a_stream_that_goes_on_is_not_cut,
    a_routes_own_time_holds_between_chunks,
    an_error_of_a_wait_that_was_ended_is_that_of_the_end,
    a_client_that_does_not_read_is_cut,
    a_client_that_reads_slowly_is_served,
    a_client_that_reads_a_few_bytes_now_and_then_is_cut,
    a_slow_reader_does_not_use_up_the_handlers_time,
    a_slow_upload_does_not_use_up_the_handlers_time,
    a_body_that_was_quick_may_not_drip_afterwards,
    a_body_that_is_always_quick_enough_is_served,
);

const SHORT: Duration = Duration::from_millis(200);
/// Does not run out in a test.
const LONG: Duration = Duration::from_secs(600);

/// A server whose clocks do not run out, unless a test sets one.
fn patient(engine: Engine, app: impl greenway::Application) -> Server {
    linted(app)
        .engine(engine)
        .keep_alive(LONG)
        .timeout(LONG)
        .header_timeout(LONG)
        .body_timeout(LONG)
        .write_timeout(LONG)
}

fn an_unused_connection_is_closed_silently(engine: Engine) {
    let server = TestServer::start(patient(engine, |_: Request| "").keep_alive(SHORT));
    server.connect().end();
}

fn an_idle_connection_is_closed_silently(engine: Engine) {
    let server = TestServer::start(patient(engine, |_: Request| "Hello").keep_alive(SHORT));
    let mut client = server.connect();
    for _ in 0..3 {
        assert_eq!(client.send(get("/")).reply().text(), "Hello");
    }
    client.end();
}

#[track_caller]
fn assert_408(client: &mut Client) {
    let reply = client.reply();
    assert_eq!(reply.status(), 408);
    assert!(reply.head.says_close());
    client.end();
}

fn half_a_head_is_answered_with_408(engine: Engine) {
    let server = TestServer::start(patient(engine, |_: Request| "").header_timeout(SHORT));
    for start in [
        "G",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\n",
    ] {
        let mut client = server.connect();
        client.send(start);
        assert_408(&mut client);
    }
}

/// Slowloris: a byte now and then does not buy more time.
fn a_head_that_drips_is_answered_with_408(engine: Engine) {
    let server = TestServer::start(patient(engine, |_: Request| "").header_timeout(SHORT));
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nX: ");
    let started = Instant::now();
    while client.is_silent_for(SHORT / 10) {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "still open after {:?}",
            started.elapsed()
        );
        if client.try_send("x").is_err() {
            break;
        }
    }
    let reply = client.reply();
    assert_eq!(reply.status(), 408);
}

fn a_head_after_a_response_has_its_own_clock(engine: Engine) {
    let server = TestServer::start(patient(engine, |_: Request| "Hello").header_timeout(SHORT));
    let mut client = server.connect();
    client.send(get("/") + "GET /half HT");
    assert_eq!(client.reply().text(), "Hello");
    assert_408(&mut client);
}

fn half_a_body_is_answered_with_408(engine: Engine) {
    let app = |request: Request| request.body(1024);
    let server = TestServer::start(patient(engine, app).body_timeout(SHORT));
    for (fields, half) in [
        ("Content-Length: 10\r\n", "12345"),
        ("Transfer-Encoding: chunked\r\n", "a\r\n12345"),
    ] {
        let mut client = server.connect();
        client.send(with("POST", "/", fields, half));
        assert_408(&mut client);
    }
}

/// No pause is too long, but altogether it is slower than 500 bytes a second.
fn a_body_that_drips_is_answered_with_408(engine: Engine) {
    let app = |request: Request| request.body(1024);
    let server = TestServer::start(patient(engine, app).body_timeout(SHORT));
    let mut client = server.connect();
    client.send(with("POST", "/", "Content-Length: 1000\r\n", ""));
    assert_drip_is_408(&mut client);
}

#[track_caller]
fn assert_drip_is_408(client: &mut Client) {
    let begun = Instant::now();
    while client.is_silent_for(SHORT / 20) {
        assert!(begun.elapsed() < DEADLINE, "it drips for ever");
        if client.try_send("x").is_err() {
            break; // the server has closed; what it said before can still be read
        }
    }
    let reply = client.reply();
    assert_eq!(reply.status(), 408);
    assert!(reply.head.says_close());
}

fn a_handler_that_takes_too_long_is_answered_with_504(engine: Engine) {
    let drops = Drops::new();
    let there = drops.clone();
    let app = move |request: Request| {
        if request.path() == "/slow" {
            let _witness = there.witness();
            sleep(LONG);
        }
        "Hello"
    };
    let server = TestServer::start(patient(engine, app).timeout(SHORT));
    let mut client = server.connect();
    assert_eq!(client.send(get("/slow")).reply().status(), 504);
    assert!(drops.wait().unwinding, "the handler's destructors have run");
    assert_eq!(server.get("/").text(), "Hello", "others are served");
}

fn a_stream_that_pauses_too_long_is_cut(engine: Engine) {
    let drops = Drops::new();
    let there = drops.clone();
    let app = move |_: Request| {
        let witness = there.witness();
        Body::stream(move |out| {
            let _witness = witness;
            out.send("START")?;
            sleep(LONG);
            out.send("END")
        })
    };
    let server = TestServer::start(patient(engine, app).timeout(SHORT));
    let mut client = server.connect();
    client.send(get("/"));
    client.head();
    assert_eq!(client.chunk(), "START");
    client.is_cut_short();
    drops.wait();
}

/// A route's own time takes the place of the server's from its first moment to its last.
fn a_routes_own_time_holds_between_chunks(engine: Engine) {
    fn body(pause: Duration) -> Body {
        Body::stream(move |out| {
            out.send("START")?;
            sleep(pause);
            out.send("END")
        })
    }
    let mut app = greenway::App::new();
    app.get("/short", |_: Request| body(LONG)).timeout(SHORT);
    let shorter = TestServer::start(patient(engine, app));
    let mut client = shorter.connect();
    client.send(get("/short"));
    client.head();
    assert_eq!(client.chunk(), "START");
    client.is_cut_short();

    let mut app = greenway::App::new();
    app.get("/", |_: Request| body(SHORT * 2)).timeout(LONG);
    let longer = TestServer::start(patient(engine, app).timeout(SHORT));
    assert_eq!(longer.connect().send(get("/")).reply().text(), "STARTEND");
}

/// A call below C tells its end as an error; here somebody has caught what unwinds instead.
fn an_error_of_a_wait_that_was_ended_is_that_of_the_end(engine: Engine) {
    fn wait() -> Result<(), HttpError> {
        let ended = std::panic::catch_unwind(|| sleep(LONG));
        ended.map_err(|_| HttpError::from("Operation canceled"))
    }
    let mut app = greenway::App::new();
    app.get("/error", |_: Request| wait().map(|()| "slept"));
    app.get("/answer", |_: Request| match wait() {
        Ok(()) => "slept",
        Err(_) => "what I have so far",
    });
    app.get("/body", |_: Request| {
        Body::stream(|out| {
            wait()?;
            out.send("slept")
        })
    });
    let server = TestServer::start(patient(engine, app).timeout(SHORT));
    for (path, status, text) in [
        (
            "/error",
            504,
            "504 Gateway Timeout: the handler took too long\n",
        ),
        ("/answer", 200, "what I have so far"),
        (
            "/body",
            504,
            "504 Gateway Timeout: the handler took too long\n",
        ),
    ] {
        let reply = server.connect().send(get(path)).reply();
        assert_eq!((reply.status(), &*reply.text()), (status, text), "{path}");
    }
}

/// The clock runs between chunks, not over the whole stream.
fn a_stream_that_goes_on_is_not_cut(engine: Engine) {
    let app = |_: Request| {
        Body::stream(|out| {
            let started = Instant::now();
            while started.elapsed() < SHORT * 4 {
                out.send("x")?;
                sleep(SHORT / 20);
            }
            out.send("END")
        })
    };
    let server = TestServer::start(patient(engine, app).timeout(SHORT * 2));
    assert!(server.get("/").text().ends_with("END"));
}

fn a_client_that_does_not_read_is_cut(engine: Engine) {
    let drops = Drops::new();
    let there = drops.clone();
    let errors = Queue::new(1);
    let report = errors.clone();
    let app = move |_: Request| {
        let (witness, report) = (there.witness(), report.clone());
        Body::stream(move |out| {
            let _witness = witness;
            loop {
                if let Err(error) = out.send(vec![b'x'; 64 * 1024]) {
                    let _ = report.try_put(error.to_string());
                    return Err(error);
                }
            }
        })
    };
    let server = TestServer::start(patient(engine, app).write_timeout(SHORT));
    let mut client = server.connect();
    client.send(get("/"));
    next(&errors);
    drops.wait();
    drop(client);
}

/// As long as it reads, and no pause is too long: altogether it is slower than 500 bytes a
/// second. Beside it, one that is slow as well, and faster than that, stays.
fn a_client_that_reads_a_few_bytes_now_and_then_is_cut(engine: Engine) {
    let drops = Drops::new();
    let there = drops.clone();
    let app = move |request: Request| {
        let witness = (request.path() == "/trickle").then(|| there.witness());
        Body::stream(move |out| {
            let _witness = witness;
            loop {
                out.send(vec![b'x'; 16 * 1024])?;
            }
        })
    };
    let server = TestServer::start(patient(engine, app).write_timeout(SHORT * 5));
    let reader = |path: &str| {
        // Little is on the way, so that the kernel does not take what the client does not.
        let mut client = Client::connect_with_buffer(4096, server.addr());
        client.send(get(path));
        client.head();
        client
    };
    let trickle = reader("/trickle");
    let mut fair = reader("/fair");
    let begun = Instant::now();
    while drops.pending() == 0 {
        assert!(begun.elapsed() < DEADLINE, "it trickles for ever");
        let _gone = trickle.stream().read(&mut [0; 4]);
        fair.take(1024);
        sleep(SHORT / 20);
    }
    assert!(begun.elapsed() > SHORT * 4, "it was given its time");
    // More than the kernel might have kept for it.
    fair.take(16_000_000);
}

fn a_client_that_reads_slowly_is_served(engine: Engine) {
    let size = 8_000_000; // more than the kernel keeps for a connection
    let app = move |_: Request| "x".repeat(size);
    let server = TestServer::start(patient(engine, app).write_timeout(SHORT * 5));
    let mut client = server.connect();
    client.send(get("/"));
    assert_eq!(client.head().content_length(), Some(size));
    let started = Instant::now();
    for _ in 0..20 {
        client.take(size / 20);
        sleep(SHORT / 2);
    }
    assert!(
        started.elapsed() > SHORT * 5,
        "slower than the limit for one write"
    );
}

fn a_slow_reader_does_not_use_up_the_handlers_time(engine: Engine) {
    let size = 8_000_000; // more than the kernel keeps for a connection
    let app = move |request: Request| match request.path() {
        "/whole" => Body::full("x".repeat(size)),
        _ => Body::stream(move |out| {
            out.send("x".repeat(size))?;
            sleep(SHORT); // the clock goes on from where it stood
            out.send("END")
        }),
    };
    let server = TestServer::start(patient(engine, app).timeout(SHORT * 4));
    let mut whole = server.connect();
    whole.send(get("/whole"));
    let mut stream = server.connect();
    stream.send(get("/stream"));
    sleep(SHORT * 8);
    assert_eq!(whole.reply().body.len(), size);
    assert!(stream.reply().text().ends_with("END"));
}

fn a_slow_upload_does_not_use_up_the_handlers_time(engine: Engine) {
    let app = |request: Request| request.body(1024);
    let server = TestServer::start(patient(engine, app).timeout(SHORT * 2));
    let mut client = server.connect();
    client.send(with("POST", "/", "Content-Length: 10\r\n", "12345"));
    sleep(SHORT * 4);
    client.send("67890");
    assert_eq!(client.reply().text(), "1234567890");
}

/// What came in the first moment is worth no more than the pause that any client may make.
fn a_body_that_was_quick_may_not_drip_afterwards(engine: Engine) {
    let app = |request: Request| request.body(1024 * 1024);
    let server = TestServer::start(patient(engine, app).body_timeout(SHORT));
    let mut client = server.connect();
    let quick = "x".repeat(100_000); // three minutes at the least rate
    client.send(with("POST", "/", "Content-Length: 200000\r\n", &quick));
    assert_drip_is_408(&mut client);
}

fn a_body_that_is_always_quick_enough_is_served(engine: Engine) {
    let app = |request: Request| request.body(1024 * 1024);
    let server = TestServer::start(patient(engine, app).body_timeout(SHORT * 5));
    let mut client = server.connect();
    client.send(with("POST", "/", "Content-Length: 20000\r\n", ""));
    for _ in 0..20 {
        client.send("x".repeat(1000));
        sleep(SHORT / 2);
    }
    assert_eq!(client.reply().text().len(), 20_000);
}
