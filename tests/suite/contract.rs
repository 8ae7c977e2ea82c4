//! The response's half of the contract (PEP 3333, "Handling the iterable"): each chunk is on the
//! wire before the next one is made, the head goes with the first, and what cannot be finished
//! looks unfinished.

use greenway::green::{Queue, spawn};
use greenway::{App, Body, BodyError, Engine, HttpError, Request, Response, Server, abort};
use greenway_tests::request::{get, get_close, with};
use greenway_tests::{Gate, TestServer, on_green_and_threads};

on_green_and_threads!(
    a_closure_is_sent_chunk_by_chunk,
    an_iterator_is_sent_chunk_by_chunk,
    a_queue_is_sent_chunk_by_chunk,
    a_queue_can_be_fed_by_a_green_thread,
    the_head_waits_for_the_first_chunk,
    the_head_goes_when_the_body_asks,
    empty_chunks_are_not_written,
    a_body_that_is_there_has_a_length,
    a_declared_length_frames_a_stream,
    more_than_was_declared_is_not_sent,
    less_than_was_declared_is_cut,
    a_wrong_length_of_a_whole_body_is_put_right,
    head_has_the_fields_of_get_and_no_body,
    no_body_where_the_status_has_none,
    abort_ends_the_handler_with_a_response,
    errors_are_responses,
    a_panic_is_a_500_and_nobody_else_notices,
    a_panic_tells_the_client_nothing,
    an_error_before_the_first_chunk_is_a_response,
    an_error_midway_cuts_the_connection,
    a_panic_midway_cuts_the_connection,
    an_error_midway_cuts_a_body_without_framing,
    large_bodies_arrive_whole,
);

fn serve(
    engine: Engine,
    handler: impl Fn(Request) -> Response + Send + Sync + 'static,
) -> TestServer {
    TestServer::start(Server::new(handler).engine(engine))
}

/// Serves one body at all paths.
fn serve_body(engine: Engine, body: impl Fn() -> Body + Send + Sync + 'static) -> TestServer {
    serve(engine, move |_| Response::new(body()))
}

/// Reads A, lets the producer make B, reads B, lets it make C, reads C and the end.
fn read_in_lockstep(server: &TestServer, gate: &Gate) {
    let mut client = server.connect();
    client.send(get("/"));
    let head = client.head();
    assert_eq!(
        (head.status, head.is_chunked(), head.content_length()),
        (200, true, None)
    );
    assert_eq!(client.chunk(), "A");
    gate.open();
    assert_eq!(client.chunk(), "B");
    gate.open();
    assert_eq!(client.chunk(), "C");
    gate.open();
    assert_eq!(client.chunk(), "", "the last chunk");
    client.send(get_close("/"));
    gate.open_for(3);
    assert_eq!(client.reply().text(), "ABC", "the connection goes on");
    client.end();
}

fn a_closure_is_sent_chunk_by_chunk(engine: Engine) {
    let gate = Gate::new();
    let there = gate.clone();
    let server = serve_body(engine, move || {
        let gate = there.clone();
        Body::stream(move |out| {
            for chunk in ["A", "B", "C"] {
                out.send(chunk)?;
                gate.pass();
            }
            Ok(())
        })
    });
    read_in_lockstep(&server, &gate);
}

fn an_iterator_is_sent_chunk_by_chunk(engine: Engine) {
    let gate = Gate::new();
    let there = gate.clone();
    let server = serve_body(engine, move || {
        let gate = there.clone();
        let mut chunks = ["A", "B", "C"].into_iter().enumerate();
        Body::iter(std::iter::from_fn(move || match chunks.next() {
            Some((0, first)) => Some(first),
            next => {
                gate.pass();
                next.map(|(_, chunk)| chunk)
            }
        }))
    });
    read_in_lockstep(&server, &gate);
}

fn a_queue_is_sent_chunk_by_chunk(engine: Engine) {
    let feed = Queue::new(1);
    let there = feed.clone();
    let server = TestServer::start(Server::new(move |_: Request| there.clone()).engine(engine));
    let mut client = server.connect();
    client.send(get("/"));
    for chunk in ["A", "B", "C"] {
        feed.put(chunk).unwrap();
        if chunk == "A" {
            assert!(client.head().is_chunked());
        }
        assert_eq!(client.chunk(), chunk);
    }
    feed.close();
    assert_eq!(client.chunk(), "", "the last chunk");
}

fn a_queue_can_be_fed_by_a_green_thread(engine: Engine) {
    let gate = Gate::new();
    let there = gate.clone();
    let server = TestServer::start(
        Server::new(move |_: Request| {
            let feed = Queue::new(2);
            let (there, gate) = (feed.clone(), there.clone());
            spawn(move || {
                for chunk in ["A", "B", "C"] {
                    there.put(chunk).expect("nobody closes it but we");
                    gate.pass();
                }
                there.close();
            });
            feed
        })
        .engine(engine),
    );
    read_in_lockstep(&server, &gate);
}

/// What was not sent can still be replaced: an error that comes after a wait is a clean 500.
fn the_head_waits_for_the_first_chunk(engine: Engine) {
    let gate = Gate::new();
    let there = gate.clone();
    let entered = Gate::new();
    let arrived = entered.clone();
    let server = serve_body(engine, move || {
        let (gate, arrived) = (there.clone(), arrived.clone());
        Body::stream(move |out| {
            out.send("")?;
            arrived.open();
            gate.pass();
            Err(BodyError::new("found out late"))
        })
    });
    let mut client = server.connect();
    client.send(get("/"));
    entered.pass();
    gate.open();
    assert_eq!(client.reply().status(), 500);
}

fn the_head_goes_when_the_body_asks(engine: Engine) {
    let gate = Gate::new();
    let there = gate.clone();
    let server = serve_body(engine, move || {
        let gate = there.clone();
        Body::stream(move |out| {
            out.start()?;
            gate.pass();
            out.send("late")
        })
    });
    let mut client = server.connect();
    client.send(get("/"));
    assert!(
        client.head().is_chunked(),
        "the producer has made no chunk yet"
    );
    gate.open();
    assert_eq!(
        (client.chunk(), client.chunk()),
        ("late".into(), String::new())
    );
}

fn empty_chunks_are_not_written(engine: Engine) {
    let server = serve_body(engine, || Body::iter(["", "A", "", "", "B", ""]));
    let mut client = server.connect();
    client.send(get_close("/"));
    client.head();
    assert_eq!(client.rest(), b"1\r\nA\r\n1\r\nB\r\n0\r\n\r\n");

    let server = serve_body(engine, || Body::iter(["", ""]));
    assert_eq!(
        server.get("/").summary(),
        (200, String::new()),
        "none but empty ones"
    );
}

fn a_body_that_is_there_has_a_length(engine: Engine) {
    for text in ["", "Hello"] {
        let server = serve_body(engine, move || Body::full(text));
        let mut client = server.connect();
        client.send(get("/")).send(get_close("/"));
        for _ in 0..2 {
            let reply = client.reply();
            assert_eq!(reply.head.content_length(), Some(text.len()));
            assert_eq!(reply.head.field("transfer-encoding"), None);
            assert_eq!(reply.text(), text);
        }
        client.end();
    }
}

/// A stream of `chunks` with a Content-Length that the application has set.
fn serve_declared(
    engine: Engine,
    length: &'static str,
    chunks: &'static [&'static str],
) -> TestServer {
    serve(engine, move |_| {
        Response::new(Body::iter(chunks.iter().copied())).with_header("content-length", length)
    })
}

fn a_declared_length_frames_a_stream(engine: Engine) {
    let server = serve_declared(engine, "10", &["Hello", "World"]);
    let mut client = server.connect();
    for _ in 0..2 {
        let reply = client.send(get("/")).reply();
        assert_eq!(reply.head.content_length(), Some(10));
        assert!(!reply.head.is_chunked());
        assert_eq!(reply.text(), "HelloWorld");
    }
}

/// PEP 3333, "Handling the Content-Length Header": the server must not send more, for it would
/// be taken for the next response.
fn more_than_was_declared_is_not_sent(engine: Engine) {
    for chunks in [
        &["Hello", "World"][..],
        &["HelloWorld"],
        &["He", "lloWo", "rld"],
    ] {
        let server = serve_declared(engine, "5", chunks);
        let mut client = server.connect();
        client.send(get("/"));
        assert_eq!(client.reply().text(), "Hello");
        client.finish_sending();
        assert_eq!(
            String::from_utf8_lossy(&client.rest()),
            "",
            "after {chunks:?}"
        );
    }
}

fn less_than_was_declared_is_cut(engine: Engine) {
    let server = serve_declared(engine, "11", &["Hello", "World"]);
    let mut client = server.connect();
    client.send(get("/")).send(get("/"));
    assert_eq!(client.head().content_length(), Some(11));
    let (body, _) = client.rest_or_reset();
    assert_eq!(
        body, b"HelloWorld",
        "the client can tell that a byte is missing"
    );
}

fn a_wrong_length_of_a_whole_body_is_put_right(engine: Engine) {
    for wrong in ["4", "6", "0", "x", "-5"] {
        let server = serve(engine, move |_| {
            Response::new("Hello").with_header("content-length", wrong)
        });
        let reply = server.get("/");
        assert_eq!(reply.head.content_length(), Some(5), "instead of {wrong}");
        assert_eq!(reply.text(), "Hello");
    }
}

/// RFC 9110 section 9.3.2.
fn head_has_the_fields_of_get_and_no_body(engine: Engine) {
    let mut app = App::new();
    app.get("/whole", |_: Request| "Hello");
    app.get("/stream", |_: Request| Body::iter(["Hello", "World"]));
    let server = TestServer::start(Server::new(app).engine(engine));
    let mut client = server.connect();
    for (path, length) in [("/whole", Some(5)), ("/stream", None)] {
        let reply = client.send(with("HEAD", path, "", "")).reply_to_head();
        assert_eq!(reply.status(), 200, "{path}");
        assert_eq!(reply.head.content_length(), length, "{path}");
        assert_eq!(
            reply.head.field("content-type"),
            Some("text/plain; charset=utf-8")
        );
    }
    // Whatever had been sent as a body would be in front of this.
    assert_eq!(client.send(get("/whole")).reply().text(), "Hello");
}

/// RFC 9112 section 6.3, item 1.
fn no_body_where_the_status_has_none(engine: Engine) {
    let server = serve(engine, |request| {
        let response = match request.query_string() {
            "stream" => Response::new(Body::iter(["not", "wanted"])),
            _ => Response::new("not wanted"),
        };
        response.with_status(request.path()[1..].parse::<u16>().expect("a status"))
    });
    let mut client = server.connect();
    for status in [204, 304] {
        for query in ["", "?stream"] {
            let reply = client.send(get(&format!("/{status}{query}"))).reply();
            assert_eq!(reply.summary(), (status, String::new()));
            assert_eq!(
                reply.head.field("transfer-encoding"),
                None,
                "{status}{query}"
            );
            if status == 204 {
                assert_eq!(reply.head.content_length(), None, "RFC 9110 section 8.6");
            }
        }
    }
    assert_eq!(
        client.send(get("/200")).reply().text(),
        "not wanted",
        "the connection goes on"
    );
}

fn abort_ends_the_handler_with_a_response(engine: Engine) {
    fn deep(status: u16) -> &'static str {
        abort(status, "not for you")
    }
    let mut app = App::new();
    app.get("/<status:int>", |request: Request| {
        deep(u16::try_from(request.int("status")).expect("the test asks for statuses"))
    });
    let routed = TestServer::start(Server::new(app).engine(engine));
    let bare = TestServer::start(Server::new(|_: Request| deep(418)).engine(engine));
    let mut client = routed.connect();
    assert_eq!(
        client.send(get("/401")).reply().summary(),
        (401, "401 Unauthorized: not for you\n".into())
    );
    assert_eq!(
        client.send(get("/404")).reply().summary(),
        (404, "404 Not Found: not for you\n".into())
    );
    assert_eq!(
        bare.get("/").summary(),
        (418, "418 I'm a teapot: not for you\n".into())
    );
}

fn errors_are_responses(engine: Engine) {
    let mut app = App::new();
    app.get("/busy", |_: Request| -> Result<&'static str, HttpError> {
        Err(HttpError::new(503, "try later").with_header("retry-after", "7"))
    });
    app.get("/broken", |_: Request| -> Result<String, HttpError> {
        let text = std::fs::read_to_string("/this/path/is/a/secret")?;
        Ok(text)
    });
    app.get("/late", |_: Request| {
        Body::stream(|_| Err(HttpError::new(409, "found out while sending").into()))
    });
    let server = TestServer::start(Server::new(app).engine(engine));
    let mut client = server.connect();
    let busy = client.send(get("/busy")).reply();
    assert_eq!(
        busy.summary(),
        (503, "503 Service Unavailable: try later\n".into())
    );
    assert_eq!(busy.head.field("retry-after"), Some("7"));
    let broken = client.send(get("/broken")).reply();
    assert_eq!(broken.status(), 500);
    assert!(!broken.text().contains("secret"), "{broken:?}");
    assert!(!broken.text().contains("No such file"), "{broken:?}");
    let late = client.send(get("/late")).reply();
    assert_eq!(
        late.summary(),
        (409, "409 Conflict: found out while sending\n".into())
    );
    assert_eq!(
        client.send(get("/nowhere")).reply().status(),
        404,
        "the connection goes on"
    );
}

fn serve_panics(engine: Engine) -> TestServer {
    let mut app = App::new();
    app.get("/", |_: Request| "fine");
    app.get("/panic", |_: Request| -> &'static str {
        panic!("the password is swordfish")
    });
    TestServer::start(Server::new(app).engine(engine))
}

fn a_panic_is_a_500_and_nobody_else_notices(engine: Engine) {
    let server = serve_panics(engine);
    let mut bystander = server.connect();
    assert_eq!(bystander.send(get("/")).reply().text(), "fine");
    let mut client = server.connect();
    for _ in 0..30 {
        // More often than the pool has threads, each of which must survive it.
        assert_eq!(client.send(get("/panic")).reply().status(), 500);
    }
    assert_eq!(
        client.send(get("/")).reply().text(),
        "fine",
        "the same connection"
    );
    assert_eq!(
        bystander.send(get("/")).reply().text(),
        "fine",
        "another connection"
    );
    assert_eq!(server.get("/").text(), "fine", "a new connection");
}

fn a_panic_tells_the_client_nothing(engine: Engine) {
    let reply = serve_panics(engine).get("/panic");
    assert_eq!(reply.status(), 500);
    assert!(!reply.text().contains("swordfish"), "{reply:?}");
    assert!(
        !reply.text().contains(".rs"),
        "no place in the source: {reply:?}"
    );
}

fn an_error_before_the_first_chunk_is_a_response(engine: Engine) {
    let server = serve_body(engine, || {
        Body::stream(|_| Err(BodyError::new("the disk is full of secrets")))
    });
    let reply = server.get("/");
    assert_eq!(reply.status(), 500);
    assert!(!reply.text().contains("secrets"), "{reply:?}");

    let server = serve_body(engine, || Body::stream(|_| panic!("at once")));
    assert_eq!(server.get("/").status(), 500, "so is a panic");

    let server = serve_body(engine, || Body::stream(|_| abort(409, "at once")));
    assert_eq!(
        server.get("/").summary(),
        (409, "409 Conflict: at once\n".into()),
        "and an abort"
    );
}

fn an_error_midway_cuts_the_connection(engine: Engine) {
    let server = serve_body(engine, || {
        Body::stream(|out| {
            out.send("START")?;
            Err(BodyError::new("lost it"))
        })
    });
    let mut client = server.connect();
    client.send(get("/")).send(get("/"));
    client.head();
    assert_eq!(client.chunk(), "START");
    client.is_cut_short();
}

fn a_panic_midway_cuts_the_connection(engine: Engine) {
    let server = serve_body(engine, || {
        Body::stream(|out| {
            out.send("START")?;
            panic!("lost it")
        })
    });
    let mut client = server.connect();
    client.send(get("/"));
    client.head();
    assert_eq!(client.chunk(), "START");
    client.is_cut_short();
    assert_eq!(
        server.connect().send(get("/")).head().status,
        200,
        "others are served"
    );
}

/// To a client of HTTP/1.0 the end of the connection is the end of the body, so it can see a
/// truncation only if the end is not in good order (RFC 9112 section 8).
fn an_error_midway_cuts_a_body_without_framing(engine: Engine) {
    let gate = Gate::new();
    let there = gate.clone();
    let server = serve_body(engine, move || {
        let gate = there.clone();
        Body::stream(move |out| {
            out.send("START")?;
            gate.pass();
            Err(BodyError::new("lost it"))
        })
    });
    let mut client = server.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let head = client.head();
    assert_eq!((head.content_length(), head.is_chunked()), (None, false));
    assert_eq!(client.take(5), b"START");
    gate.open();
    assert_eq!(
        client.rest_or_reset(),
        (Vec::new(), false),
        "a reset, not an end"
    );
}

fn large_bodies_arrive_whole(engine: Engine) {
    // Around what is copied behind the head (16 KiB) and what a socket takes at once.
    for size in [
        16 * 1024 - 1,
        16 * 1024,
        16 * 1024 + 1,
        64 * 1024,
        8 * 1024 * 1024,
    ] {
        let text: String = (0..size)
            .map(|n| char::from(b'a' + (n % 23) as u8))
            .collect();
        let expected = text.clone();
        let chunks: Vec<String> = text
            .as_bytes()
            .chunks(100_000)
            .map(|c| String::from_utf8_lossy(c).into())
            .collect();
        let server = serve(engine, move |request| match request.path() {
            "/whole" => Response::new(text.clone()),
            _ => Response::new(Body::iter(chunks.clone())),
        });
        let mut client = server.connect();
        for path in ["/whole", "/stream"] {
            assert!(
                client.send(get(path)).reply().text() == expected,
                "{path} of {size} bytes"
            );
        }
    }
}
