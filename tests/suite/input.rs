//! The request's body: read on demand, never past its end, and out of the way of the next
//! request (PEP 3333, "Input and Error Streams"; RFC 9110 section 10.1.1).

use greenway::green::with_timeout;
use greenway::{App, Engine, HttpError, Request};
use greenway_tests::request::{chunk, get, get_close, post, post_chunked, with};
use greenway_tests::{Client, TestServer, as_it_comes, linted, on_green_and_threads};
use std::io::{BufRead, Read};
use std::time::Duration;

on_green_and_threads!(
    a_body_by_length_is_read_whole,
    a_body_in_chunks_is_read_whole,
    reading_ends_at_the_end_and_stays_there,
    a_body_can_be_read_by_lines,
    a_limit_that_passes_loses_nothing,
    an_echo_answers_as_the_request_arrives,
    the_handler_runs_before_the_body_is_there,
    continue_is_said_at_the_first_read,
    continue_is_not_said_when_nobody_reads,
    continue_is_not_said_when_the_body_is_there,
    continue_is_not_said_to_http_1_0,
    an_empty_body_that_was_not_waited_for_keeps_the_connection,
    what_is_left_unread_does_not_disturb,
    what_is_left_half_read_does_not_disturb,
    an_unread_body_is_not_a_request,
    an_input_that_outlives_its_request_reads_nothing,
);

/// Everything that these tests ask for.
fn serve(engine: Engine) -> TestServer {
    let mut app = App::new();
    app.post("/echo", |request: Request| request.body(64 * 1024 * 1024));
    app.post("/stream", |mut request: Request| {
        as_it_comes(request.take_input())
    });
    app.post("/unread", |_: Request| "unread");
    app.post("/first/<n:int>", |mut request: Request| {
        let mut start =
            vec![0; usize::try_from(request.int("n")).expect("the test asks for lengths")];
        request.input().read_exact(&mut start)?;
        Ok::<_, greenway::HttpError>(format!("{} bytes", start.len()))
    });
    app.get("/", |_: Request| "home");
    TestServer::start(linted(app).engine(engine))
}

fn a_body_by_length_is_read_whole(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    for size in [0, 1, 16 * 1024, 5_000_000] {
        let body = "x".repeat(size);
        assert!(
            client.send(post("/echo", &body)).reply().text() == body,
            "{size} bytes"
        );
    }
}

fn a_body_in_chunks_is_read_whole(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    let large = "y".repeat(100_000);
    for chunks in [
        &[][..],
        &["a"],
        &["Hello ", "World"],
        &[&large, "z", &large],
    ] {
        assert!(client.send(post_chunked("/echo", chunks)).reply().text() == chunks.concat());
    }
    // Upper-case sizes, leading zeros, an extension and a trailer (RFC 9112 section 7.1).
    let odd = "00000A;name=\"v\"\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n";
    let request = with("POST", "/echo", "Transfer-Encoding: Chunked\r\n", odd);
    assert_eq!(client.send(request).reply().text(), "0123456789");
    assert_eq!(
        client.send(get("/")).reply().text(),
        "home",
        "the trailer is used up"
    );
}

fn reading_ends_at_the_end_and_stays_there(engine: Engine) {
    let app = |mut request: Request| {
        let mut text = String::new();
        let mut ends = 0;
        request.input().read_to_string(&mut text)?;
        for _ in 0..3 {
            ends += usize::from(request.input().read(&mut [0; 16])? == 0);
        }
        Ok::<_, greenway::HttpError>(format!("{text} {ends}"))
    };
    let server = TestServer::start(linted(app).engine(engine));
    // The next request is in the same write: reading on would take it.
    let both = post("/", "abc") + &post_chunked("/", &["de", "f"]) + &get_close("/");
    let mut client = server.connect();
    client.send(both);
    assert_eq!(client.reply().text(), "abc 3");
    assert_eq!(client.reply().text(), "def 3");
    assert_eq!(client.reply().text(), " 3");
    client.end();
}

fn a_body_can_be_read_by_lines(engine: Engine) {
    let app = |mut request: Request| {
        let lines: Result<Vec<_>, _> = request.input().lines().collect();
        format!("{:?}", lines.unwrap_or_default())
    };
    let server = TestServer::start(linted(app).engine(engine));
    let reply = server.ask(post_chunked("/", &["one\ntw", "o\n", "three"]));
    assert_eq!(reply.text(), r#"["one", "two", "three"]"#);
}

/// Each piece comes back before the next one is sent.
fn an_echo_answers_as_the_request_arrives(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    client.send(with(
        "POST",
        "/stream",
        "Transfer-Encoding: chunked\r\n",
        "",
    ));
    client.send(chunk("first"));
    assert!(client.head().is_chunked());
    assert_eq!(client.chunk(), "first");
    client.send(chunk("second"));
    assert_eq!(client.chunk(), "second");
    client.send("5\r\nth");
    assert_eq!(client.chunk(), "th", "a part of a chunk is as good");
    client.send("ird\r\n");
    assert_eq!(client.chunk(), "ird");
    client.send("0\r\n\r\n");
    assert_eq!(client.chunk(), "");

    client.send(with("POST", "/stream", "Content-Length: 4\r\n", "ab"));
    client.head();
    assert_eq!(client.chunk(), "ab");
    client.send("cd");
    assert_eq!(client.chunk(), "cd");
    assert_eq!(client.chunk(), "");
    assert_eq!(
        client.send(get("/")).reply().text(),
        "home",
        "the connection goes on"
    );
}

fn the_handler_runs_before_the_body_is_there(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    client.send(with("POST", "/unread", "Content-Length: 6\r\n", ""));
    assert_eq!(client.reply().text(), "unread");
    client.send("unread").send(get("/"));
    assert_eq!(client.reply().text(), "home");
}

const EXPECT: &str = "Content-Length: 5\r\nExpect: 100-continue\r\n";

fn continue_is_said_at_the_first_read(engine: Engine) {
    let server = serve(engine);
    for path in ["/echo", "/stream"] {
        let mut client = server.connect();
        client.send(with("POST", path, EXPECT, ""));
        let interim = client.head();
        assert_eq!(interim.status_line(), "HTTP/1.1 100 Continue", "{path}");
        assert_eq!(interim.content_length(), None);
        client.send("Hello");
        assert_eq!(client.reply().summary(), (200, "Hello".into()), "{path}");
        assert_eq!(
            client.send(get("/")).reply().text(),
            "home",
            "the connection goes on"
        );
    }
}

/// RFC 9110 section 10.1.1: the final status goes out instead. The client may then send the body
/// or not, so the server SHOULD say that it will not wait to find out.
fn continue_is_not_said_when_nobody_reads(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    client.send(with("POST", "/unread", EXPECT, ""));
    let reply = client.reply();
    assert_eq!(reply.summary(), (200, "unread".into()));
    client.end();
    assert!(
        reply.head.says_close(),
        "the client is told: {:?}",
        reply.head
    );
}

fn continue_is_not_said_when_the_body_is_there(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    client.send(with("POST", "/echo", EXPECT, "Hello"));
    let mut reply = client.head();
    if reply.status == 100 {
        // Allowed (it MAY be left out), and unavoidable if the body came in a packet of its own.
        reply = client.head();
    }
    assert_eq!(reply.status, 200);
    assert_eq!(client.take(5), b"Hello");
}

/// RFC 9110 section 15.2: "a server MUST NOT send a 1xx response to an HTTP/1.0 client".
fn continue_is_not_said_to_http_1_0(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    client.send(format!("POST /echo HTTP/1.0\r\n{EXPECT}\r\nHello"));
    assert_eq!(client.reply().summary(), (200, "Hello".into()));
}

/// The whole body has come with its head, and there is nothing in it.
fn an_empty_body_that_was_not_waited_for_keeps_the_connection(engine: Engine) {
    let server = serve(engine);
    for path in ["/echo", "/stream"] {
        let mut client = server.connect();
        let fields = "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n";
        client.send(with("POST", path, fields, "0\r\n\r\n") + &get("/"));
        let reply = client.reply();
        assert_eq!(reply.summary(), (200, String::new()), "{path}");
        assert!(!reply.head.says_close(), "{path}");
        assert_eq!(client.reply().text(), "home", "{path}");
    }
}

/// Sends `requests` from a thread of its own: a server that does not read must not hang the test.
fn send_aside(client: &Client, requests: String) -> std::thread::JoinHandle<()> {
    let mut stream = client
        .stream()
        .try_clone()
        .expect("there are descriptors enough");
    std::thread::spawn(move || {
        // A server that closes instead of reading is within its rights.
        let _ = std::io::Write::write_all(&mut stream, requests.as_bytes());
    })
}

/// The first response comes in any case. Then the body is read and thrown away, up to 64 KiB, and
/// the connection goes on; or it is closed. What must not happen is that body and next request
/// are mixed up.
fn what_is_left_unread_does_not_disturb(engine: Engine) {
    let server = serve(engine);
    for size in [0, 1, 16 * 1024, 64 * 1024, 64 * 1024 + 1, 1024 * 1024] {
        // A body that is full of requests.
        let trap = get("/trap");
        let body = trap.repeat(size / trap.len() + 1)[..size].to_owned();
        let pieces: Vec<&str> = body
            .as_bytes()
            .chunks(10_000)
            .map(|c| std::str::from_utf8(c).unwrap())
            .collect();
        for request in [post("/unread", &body), post_chunked("/unread", &pieces)] {
            let mut client = server.connect();
            let sender = send_aside(&client, request + &get_close("/"));
            assert_eq!(
                client.reply().summary(),
                (200, "unread".into()),
                "{size} bytes"
            );
            let (rest, in_order) = client.rest_or_reset();
            sender.join().unwrap();
            let rest = String::from_utf8(rest).unwrap();
            assert!(
                !rest.contains("404"),
                "{size} bytes: a part of the body was taken for a request"
            );
            if size <= 64 * 1024 {
                assert!(
                    rest.ends_with("home"),
                    "{size} bytes: the next request is served, not {rest:?}"
                );
            } else {
                assert!(
                    rest.is_empty() || rest.ends_with("home"),
                    "{size} bytes: {rest:?}"
                );
            }
            assert!(
                in_order || size > 64 * 1024 + 1,
                "{size} bytes: closed with a reset"
            );
        }
    }
}

fn what_is_left_half_read_does_not_disturb(engine: Engine) {
    let server = serve(engine);
    for (read, size) in [(1, 2), (5, 20_000), (10_000, 20_000), (40_000, 100_000)] {
        let body = "b".repeat(size);
        for request in [
            post(&format!("/first/{read}"), &body),
            post_chunked(&format!("/first/{read}"), &[&body]),
        ] {
            let mut client = server.connect();
            let sender = send_aside(&client, request + &get_close("/"));
            assert_eq!(client.reply().text(), format!("{read} bytes"));
            assert_eq!(client.reply().text(), "home");
            client.end();
            sender.join().unwrap();
        }
    }
}

/// "CL.0": a server that forgets the body of a request takes it for the next request.
fn an_unread_body_is_not_a_request(engine: Engine) {
    let server = serve(engine);
    let mut client = server.connect();
    let trap = get("/trap");
    let fields = format!("Content-Length: {}\r\n", trap.len());
    client.send(
        with("GET", "/", &fields, &trap)
            + &with("POST", "/nowhere", &fields, &trap)
            + &get_close("/"),
    );
    assert_eq!(client.reply().text(), "home");
    let reply = client.reply();
    assert_eq!(reply.status(), 404);
    assert!(reply.text().contains("nowhere"), "{reply:?}");
    assert_eq!(client.reply().text(), "home");
    client.end();
}

/// On a green thread a handler may leave its `Input` to others; the next request is not theirs.
fn an_input_that_outlives_its_request_reads_nothing(engine: Engine) {
    use std::cell::RefCell;
    thread_local!(static LEFT: RefCell<Option<greenway::Input>> = const { RefCell::new(None) });
    let app = |mut request: Request| match request.path() {
        "/leave" => {
            let input = request.take_input();
            LEFT.with_borrow_mut(|left| *left = Some(input));
            "left".to_owned()
        }
        _ => match LEFT.take() {
            Some(mut old) => format!("{:?}", old.read(&mut [0; 8]).ok()),
            None => "none here".to_owned(),
        },
    };
    // One thread, so that both requests see the same thread-local.
    let server = TestServer::start(linted(app).engine(engine).threads(1));
    let mut client = server.connect();
    client.send(post("/leave", "secret"));
    assert_eq!(client.reply().text(), "left");
    // The connection goes on, or it is closed because a part of it is in foreign hands.
    let _closed_already = client.try_send(with(
        "POST",
        "/take",
        "Content-Length: 4\r\nConnection: close\r\n",
        "mine",
    ));
    let (answer, _) = client.rest_or_reset();
    let answer = String::from_utf8(answer).unwrap();
    assert!(
        answer.is_empty() || answer.ends_with("None") || answer.ends_with("Some(0)"),
        "{answer}"
    );
}

fn a_limit_that_passes_loses_nothing(engine: Engine) {
    let mut app = App::new();
    app.post("/", |mut request: Request| {
        let input = request.input();
        let mut one = [0];
        input.read_exact(&mut one)?;
        // The next chunk is there already, and the limit is over before it is read.
        let in_time = with_timeout(Duration::from_nanos(1), Ok(false), || {
            input.read(&mut one).map(|_| true)
        })?;
        let mut rest = String::new();
        input.read_to_string(&mut rest)?;
        Ok::<_, HttpError>(format!("{in_time} {rest}"))
    });
    let server = TestServer::start(linted(app).engine(engine));
    let reply = server.ask(post_chunked("/", &["a", "b", "c"]));
    assert_eq!(reply.text(), "false bc");
}
