//! What clients of HTTP/2 do to wear a server out, frame by frame. After each of them the server
//! serves the next client.

use greenway::green::sleep;
use greenway::{App, Engine, Request, Server};
use greenway_tests::http2::{
    END_HEADERS, END_STREAM, Frame, Http2, RawHttp2, fields, frame, kind, request_fields,
};
use greenway_tests::{Drops, Gate, TestServer, on_green_and_threads, until};
use std::time::Duration;

on_green_and_threads!(
    a_ping_is_answered_and_a_flood_of_them_ends,
    a_flood_of_settings_ends,
    a_flood_of_empty_data_ends,
    a_flood_of_padding_ends,
    a_flood_of_window_updates_ends,
    a_flood_of_priorities_ends,
    a_flood_of_continuations_ends,
    a_flood_of_resets_ends,
    streams_that_are_left_after_a_while_are_no_flood,
    no_more_handlers_run_than_streams_may_be_open,
    more_streams_than_allowed_are_refused,
    a_bomb_of_fields_is_refused,
    half_a_head_is_cut,
    half_a_preface_is_cut,
    a_window_that_overflows_is_an_error,
    frames_of_nonsense_are_errors,
    data_beyond_the_declared_length_is_an_error,
);

const ENHANCE_YOUR_CALM: u32 = 11;
/// Handlers at once, under the engine that has a pool.
const THREADS: u32 = 8;
const REFUSED_STREAM: u32 = 7;
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(600);

fn patient(engine: Engine, app: impl greenway::Application) -> Server {
    super::http2::patient(engine, app).threads(THREADS as usize)
}

/// What a client does, and what it is told at the end.
#[track_caller]
fn told(server: &TestServer, act: impl FnOnce(&mut RawHttp2)) -> Option<Frame> {
    let mut client = RawHttp2::connect(server.addr());
    act(&mut client);
    let told = client.until(kind::GOAWAY);
    assert_eq!(Http2::connect(server.addr()).get("/").text(), "Hello");
    until("its connection is closed", || server.connections() <= 1);
    told
}

fn hello(engine: Engine) -> TestServer {
    let mut app = App::new();
    app.get("/", |_: Request| "Hello");
    app.post("/", |request: Request| {
        request.body(1 << 20).map(|_| "Hello")
    });
    TestServer::start(patient(engine, app))
}

/// Sends the same frame until the server has enough, or has got so many. Whether it had enough.
#[track_caller]
fn flood(server: &TestServer, one: &[u8], first: impl FnOnce(&mut RawHttp2)) {
    let hundred = one.repeat(100);
    let told = told(server, |client| {
        first(client);
        for _ in 0..200 {
            if !client.write(&hundred) {
                break;
            }
        }
    });
    // Where it has closed while we were sending, its word may be lost.
    let code = told.and_then(|frame| frame.code());
    assert!(
        code.is_none_or(|code| code == ENHANCE_YOUR_CALM),
        "{code:?}"
    );
}

fn a_ping_is_answered_and_a_flood_of_them_ends(engine: Engine) {
    let server = hello(engine);
    let mut client = RawHttp2::connect(server.addr());
    client.frame(kind::PING, 0, 0, b"12345678");
    let pong = client.until(kind::PING).expect("an answer");
    assert_eq!((pong.flags, &*pong.payload), (1, &b"12345678"[..]));
    drop(client);
    flood(&server, &frame(kind::PING, 0, 0, b"12345678"), |_| {});
}

fn a_flood_of_settings_ends(engine: Engine) {
    flood(&hello(engine), &frame(kind::SETTINGS, 0, 0, &[]), |_| {});
}

fn a_flood_of_empty_data_ends(engine: Engine) {
    let post = |client: &mut RawHttp2| {
        client.frame(kind::HEADERS, END_HEADERS, 1, &request_fields("POST", "/"));
    };
    flood(&hello(engine), &frame(kind::DATA, 0, 1, &[]), post);
}

/// Data frames that hold padding and nothing else.
fn a_flood_of_padding_ends(engine: Engine) {
    const PADDED: u8 = 8;
    let post = |client: &mut RawHttp2| {
        client.frame(kind::HEADERS, END_HEADERS, 1, &request_fields("POST", "/"));
    };
    let one = frame(kind::DATA, PADDED, 1, &[1, 0]);
    flood(&hello(engine), &one, post);
}

fn a_flood_of_window_updates_ends(engine: Engine) {
    let one = frame(kind::WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes());
    flood(&hello(engine), &one, |_| {});
}

fn a_flood_of_priorities_ends(engine: Engine) {
    let one = frame(kind::PRIORITY, 0, 3, &[0, 0, 0, 0, 1]);
    flood(&hello(engine), &one, |_| {});
}

fn a_flood_of_continuations_ends(engine: Engine) {
    let server = hello(engine);
    let field = fields(&[("x-more", &"x".repeat(1000))]).repeat(10);
    let ended = told(&server, |client| {
        client.frame(kind::HEADERS, 0, 1, &request_fields("GET", "/"));
        let one = frame(kind::CONTINUATION, 0, 1, &field);
        for _ in 0..10_000 {
            if !client.write(&one) {
                return;
            }
        }
        panic!("a hundred megabytes of one head were taken");
    });
    let code = ended.and_then(|frame| frame.code());
    assert!(
        code.is_none_or(|code| code == ENHANCE_YOUR_CALM),
        "{code:?}"
    );
}

/// A request that is reset at once.
fn given_up(client: &mut RawHttp2, number: u32, path: &str) -> bool {
    let stream = 2 * number + 1;
    let fields = request_fields("GET", path);
    let mut both = frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &fields);
    both.extend(frame(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    client.write(&both)
}

/// CVE-2023-44487.
fn a_flood_of_resets_ends(engine: Engine) {
    let mut app = App::new();
    app.get("/", |_: Request| "Hello");
    app.get("/slow", |_: Request| {
        sleep(LONG);
        "never"
    });
    let server = TestServer::start(patient(engine, app));
    let told = told(&server, |client| {
        for number in 0..20_000 {
            if !given_up(client, number, "/slow") {
                return;
            }
        }
    });
    let code = told.and_then(|frame| frame.code());
    assert!(
        code.is_none_or(|code| code == ENHANCE_YOUR_CALM),
        "{code:?}"
    );
}

/// As a proxy does whose clients leave their streams of events: nobody else is to lose his.
fn streams_that_are_left_after_a_while_are_no_flood(engine: Engine) {
    const STREAMS: u32 = 600;
    let ended = Drops::new();
    let drops = ended.clone();
    let mut app = App::new();
    app.get("/", |_: Request| "Hello");
    app.get("/wait", move |_: Request| {
        let _witness = drops.witness();
        sleep(Duration::MAX);
        "never"
    });
    let server = patient(engine, app).http2_max_concurrent_streams(STREAMS + 2);
    let server = TestServer::start(server);
    let mut client = RawHttp2::connect(server.addr());
    let ask = request_fields("GET", "/wait");
    for number in 0..STREAMS {
        let flags = END_HEADERS | END_STREAM;
        assert!(client.frame(kind::HEADERS, flags, 2 * number + 1, &ask));
    }
    client.frame(kind::PING, 0, 0, b"all came");
    client.until(kind::PING).expect("an answer");
    std::thread::sleep(Duration::from_millis(1100)); // the bound is a clock
    for number in 0..STREAMS {
        let cancel = 8_u32.to_be_bytes();
        assert!(client.frame(kind::RST_STREAM, 0, 2 * number + 1, &cancel));
    }
    let mut ask = |number| {
        let flags = END_HEADERS | END_STREAM;
        client.frame(kind::HEADERS, flags, number, &request_fields("GET", "/"));
        let answer = client.until(kind::DATA).expect("an answer");
        assert_eq!(answer.payload, b"Hello");
    };
    ask(2 * STREAMS + 1);
    let begun = match engine {
        Engine::Threads => THREADS,
        _ => STREAMS,
    };
    for _ in 0..begun {
        ended.wait();
    }
    ask(2 * STREAMS + 3);
}

/// A reset makes room for another stream, but the handler may not have ended yet.
fn no_more_handlers_run_than_streams_may_be_open(engine: Engine) {
    let (entered, gate) = (Gate::new(), Gate::new());
    let (arrived, there) = (entered.clone(), gate.clone());
    let mut app = App::new();
    app.get("/", move |_: Request| {
        arrived.open();
        greenway::green::shield(|| there.pass());
        "late"
    });
    app.get("/hello", |_: Request| "Hello");
    let server = patient(engine, app).http2_max_concurrent_streams(4);
    let server = TestServer::start(server);
    let mut client = RawHttp2::connect(server.addr());
    for number in 0..15 {
        assert!(given_up(&mut client, number, "/"));
    }
    entered.pass_times(4);
    client.frame(kind::PING, 0, 0, b"12345678");
    client.until(kind::PING).expect("all of that was read");
    assert_eq!(Http2::connect(server.addr()).get("/hello").text(), "Hello");
    assert_eq!(entered.waiting(), 0, "a fifth one runs");
    gate.open_for(15);
    drop(client);
}

fn more_streams_than_allowed_are_refused(engine: Engine) {
    let (entered, gate) = (Gate::new(), Gate::new());
    let (arrived, there) = (entered.clone(), gate.clone());
    let mut app = App::new();
    app.get("/", move |_: Request| {
        arrived.open();
        there.pass();
        "late"
    });
    let server = patient(engine, app).http2_max_concurrent_streams(4);
    let server = TestServer::start(server);
    let mut client = RawHttp2::connect(server.addr());
    // The limit holds once it is acknowledged.
    client.until(kind::SETTINGS).expect("settings");
    client.frame(kind::SETTINGS, 1, 0, &[]);
    for stream in [1, 3, 5, 7, 9] {
        let fields = request_fields("GET", "/");
        client.frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &fields);
    }
    let refused = client.until(kind::RST_STREAM).expect("a refusal");
    assert_eq!((refused.stream, refused.code()), (9, Some(REFUSED_STREAM)));
    entered.pass_times(4);
    gate.open_for(4);
}

/// Ten thousand times the same indexed field, of which each costs a byte on the wire.
fn a_bomb_of_fields_is_refused(engine: Engine) {
    let server = hello(engine);
    let mut client = RawHttp2::connect(server.addr());
    let mut block = request_fields("GET", "/");
    // A literal that is remembered (at 62), and then nothing but its index.
    block.push(0x40);
    block.extend_from_slice(b"\x01x\x7f\x81\x1e"); // a value of 4096 - 128 bytes... and its length
    let value = vec![b'v'; 127 + 1 + 30 * 128];
    block.extend_from_slice(&value);
    block.extend(std::iter::repeat_n(0x80 | 62, 10_000));
    client.frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &block);
    let answer = loop {
        let frame = client.next_frame().expect("an answer");
        if matches!(frame.kind, kind::HEADERS | kind::RST_STREAM | kind::GOAWAY) {
            break frame;
        }
    };
    // 431, which HPACK writes as a literal; or a reset.
    assert_ne!(answer.payload.first(), Some(&0x88), "it was served");
    assert_eq!(Http2::connect(server.addr()).get("/").text(), "Hello");
}

fn half_a_head_is_cut(engine: Engine) {
    let mut app = App::new();
    app.get("/", |_: Request| "Hello");
    let server = TestServer::start(patient(engine, app).header_timeout(SHORT));
    let mut client = RawHttp2::connect(server.addr());
    client.frame(kind::HEADERS, 0, 1, &request_fields("GET", "/"));
    client.until(kind::GOAWAY);
    until("it is closed", || server.connections() == 0);
}

fn half_a_preface_is_cut(engine: Engine) {
    let mut app = App::new();
    app.get("/", |_: Request| "Hello");
    let server = TestServer::start(patient(engine, app).header_timeout(SHORT));
    let mut client = server.connect();
    client.send("PRI * HTTP/2.0\r\n\r\nSM");
    until("it is closed", || server.connections() == 0);
}

fn a_window_that_overflows_is_an_error(engine: Engine) {
    const FLOW_CONTROL_ERROR: u32 = 3;
    let server = hello(engine);
    let told = told(&server, |client| {
        let most = (u32::MAX >> 1).to_be_bytes();
        client.frame(kind::WINDOW_UPDATE, 0, 0, &most);
    });
    assert_eq!(
        told.and_then(|frame| frame.code()),
        Some(FLOW_CONTROL_ERROR)
    );
}

fn frames_of_nonsense_are_errors(engine: Engine) {
    let server = hello(engine);
    for bad in [
        frame(kind::DATA, 0, 0, b"on no stream"),
        frame(kind::DATA, 0, 1, b"before its head"),
        frame(kind::HEADERS, END_HEADERS, 2, &request_fields("GET", "/")),
        frame(kind::HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"),
        frame(kind::SETTINGS, 0, 0, b"12345"),
        frame(kind::PING, 0, 0, b"short"),
        frame(kind::CONTINUATION, END_HEADERS, 1, b""),
        frame(kind::DATA, 0, 1, &[0; 16_385]),
    ] {
        let told = told(&server, |client| {
            client.write(&bad);
        });
        let code = told.and_then(|frame| frame.code());
        assert!(code.is_some_and(|code| code > 0), "{bad:?}: {code:?}");
    }
}

fn data_beyond_the_declared_length_is_an_error(engine: Engine) {
    let server = hello(engine);
    let mut client = RawHttp2::connect(server.addr());
    let mut block = request_fields("POST", "/");
    block.extend(fields(&[("content-length", "3")]));
    client.frame(kind::HEADERS, END_HEADERS, 1, &block);
    client.frame(kind::DATA, END_STREAM, 1, b"more than that");
    let reset = client.until(kind::RST_STREAM).expect("a reset");
    assert_eq!(reset.stream, 1);
    assert_eq!(Http2::connect(server.addr()).get("/").text(), "Hello");
}
