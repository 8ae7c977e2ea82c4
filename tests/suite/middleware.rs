//! The middleware of `greenway-app` as clients over sockets see it.

use flate2::read::GzDecoder;
use greenway::green::Queue;
use greenway::middleware::{
    BasicAuth, BodyLimit, Compression, Cors, ETags, RateLimit, RequestIds, SecurityHeaders,
    TimeLimit,
};
use greenway::sse::{Event, Sse};
use greenway::{App, Body, Engine, Request, Response, StaticFiles};
use greenway_tests::request::{get, post_chunked, with};
use greenway_tests::{Client, DEADLINE, Folder, Gate, TestServer, linted, on_green_and_threads};
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

on_green_and_threads!(
    curl_decompresses_what_it_gets,
    events_stay_live_through_compression,
    a_stop_ends_compressed_events_as_their_clients_can_read,
    a_chunk_is_compressed_before_the_next_is_made,
    compressed_files_arrive_whole,
    preflights_come_before_routes,
    curl_is_told_that_it_has_the_page,
    head_has_the_head_of_get,
    bodies_without_a_length_are_limited,
    time_is_limited_where_the_route_does_not_say,
    clients_are_limited_and_told_when,
    curl_gives_its_password,
    streams_go_through_all_at_once,
);

/// A page that is worth compressing.
fn page() -> String {
    "All work and no play makes Jack a dull boy. ".repeat(5000)
}

fn start(engine: Engine, routes: impl FnOnce(&mut App)) -> TestServer {
    let mut app = App::new();
    routes(&mut app);
    TestServer::start(linted(app).engine(engine).timeout(DEADLINE))
}

fn curl(server: &TestServer, path: &str, args: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["-sS", "-m", "60"])
        .args(args)
        .arg(format!("http://{}{path}", server.addr()))
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("curl: {error}"));
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(complaints.is_empty(), "curl {args:?}: {complaints}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn gunzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut decoder = GzDecoder::new(bytes);
    decoder.read_to_string(&mut text).expect("a whole gzip");
    text
}

fn ask_gzip(path: &str) -> String {
    with("GET", path, "Accept-Encoding: gzip\r\n", "")
}

fn curl_decompresses_what_it_gets(engine: Engine) {
    let server = start(engine, |app| {
        app.install(Compression::new());
        app.get("/page", |_: Request| page());
        app.get("/stream", |_: Request| {
            let lines = Body::iter((0..100).map(|n| format!("line {n}\n")));
            Response::new(lines).with_header("content-type", "text/plain")
        });
    });
    for path in ["/page", "/stream"] {
        let head = curl(
            &server,
            path,
            &["--compressed", "-D", "-", "-o", "/dev/null"],
        );
        assert!(
            head.to_lowercase().contains("content-encoding: gzip"),
            "{head}"
        );
        let plain = curl(&server, path, &[]);
        assert_eq!(curl(&server, path, &["--compressed"]), plain);
    }
    let size = curl(
        &server,
        "/page",
        &["--compressed", "-w", "%{size_download}", "-o", "/dev/null"],
    );
    assert!(
        size.parse::<usize>().is_ok_and(|size| size < 2000),
        "{size}"
    );
}

/// What of a gzip can be read so far.
struct Reading(Vec<u8>);

impl Reading {
    /// Reads a chunk, and gives all that the client knows by then.
    #[track_caller]
    fn after_a_chunk(&mut self, client: &mut Client) -> String {
        self.0.extend(client.chunk_bytes());
        let mut text = Vec::new();
        // It ends early, since more will come.
        let _early = GzDecoder::new(&self.0[..]).read_to_end(&mut text);
        String::from_utf8(text).expect("events are text")
    }
}

fn events_stay_live_through_compression(engine: Engine) {
    for compressed in [true, false] {
        let events = Queue::new(4);
        let feed = events.clone();
        let server = start(engine, move |app| {
            app.install(Compression::new().event_streams(compressed));
            app.get("/events", move |_: Request| Sse::new(events.clone()));
        });
        let mut client = server.connect();
        let head = client.send(ask_gzip("/events")).head();
        assert_eq!(head.field("content-encoding"), compressed.then_some("gzip"));
        if !compressed {
            assert!(client.chunk().starts_with("retry: "));
            feed.put(Event::new("one")).unwrap();
            assert_eq!(client.chunk(), "data: one\n\n");
            continue;
        }
        let mut reading = Reading(Vec::new());
        assert!(reading.after_a_chunk(&mut client).starts_with("retry: "));
        for n in 0..5 {
            // The next is not put before the last was read.
            feed.put(Event::new(format!("number {n}"))).unwrap();
            let seen = reading.after_a_chunk(&mut client);
            assert!(seen.ends_with(&format!("data: number {n}\n\n")), "{seen}");
        }
        feed.close();
        reading.after_a_chunk(&mut client);
        assert_eq!(client.chunk(), "", "the end");
        assert!(gunzip(&reading.0).ends_with("data: number 4\n\n"));
    }
}

fn a_stop_ends_compressed_events_as_their_clients_can_read(engine: Engine) {
    let events = Queue::new(1);
    let feed = events.clone();
    let server = start(engine, move |app| {
        app.install(Compression::new().event_streams(true));
        app.get("/events", move |_: Request| {
            Sse::new(events.clone()).reconnect_after(Duration::from_secs(60))
        });
    });
    let mut client = server.connect();
    client.send(ask_gzip("/events")).head();
    let mut reading = Reading(Vec::new());
    reading.after_a_chunk(&mut client);
    feed.put(Event::new("one")).unwrap();
    reading.after_a_chunk(&mut client);
    let stopped = server.stop_within(Duration::from_secs(600));
    assert_eq!(stopped.cut, 0);
    reading.after_a_chunk(&mut client);
    assert_eq!(client.chunk(), "", "the end of the response");
    let text = gunzip(&reading.0);
    let (_, farewell) = text.split_once("data: one\n\n").expect("the event");
    assert!(farewell.starts_with("retry: "), "{text:?}");
}

fn a_chunk_is_compressed_before_the_next_is_made(engine: Engine) {
    let gate = Gate::new();
    let passes = gate.clone();
    let server = start(engine, move |app| {
        app.install(Compression::new());
        app.get("/", move |_: Request| {
            let gate = passes.clone();
            let body = Body::stream(move |out| {
                out.send("first")?;
                gate.pass();
                out.send("second")
            });
            Response::new(body).with_header("content-type", "text/plain")
        });
    });
    let mut client = server.connect();
    client.send(ask_gzip("/")).head();
    let mut reading = Reading(Vec::new());
    assert_eq!(reading.after_a_chunk(&mut client), "first");
    gate.open();
    assert_eq!(reading.after_a_chunk(&mut client), "firstsecond");
}

fn compressed_files_arrive_whole(engine: Engine) {
    let root = Folder::new("zip");
    std::fs::write(root.path("page.txt"), page()).expect("it was made just now");
    let files = StaticFiles::new(root.as_ref());
    let server = start(engine, |app| {
        app.install(Compression::new()).static_files("/s", files);
    });
    let mut client = server.connect();
    let reply = client.send(ask_gzip("/s/page.txt")).reply();
    assert!(gunzip(&reply.body) == page());
    let tag = reply.head.field("etag").expect("files have one").to_owned();
    assert!(tag.starts_with("W/"), "{tag}");
    let fields = format!("Accept-Encoding: gzip\r\nIf-None-Match: {tag}\r\n");
    let again = client.send(with("GET", "/s/page.txt", &fields, "")).reply();
    assert_eq!(again.status(), 304);
    let fields = "Accept-Encoding: gzip\r\nRange: bytes=0-3\r\n";
    let part = client.send(with("GET", "/s/page.txt", fields, "")).reply();
    assert_eq!(part.summary(), (206, page()[..4].to_owned()));
}

fn preflights_come_before_routes(engine: Engine) {
    let server = start(engine, |app| {
        app.install(Cors::new().origin("https://shop.example").credentials());
        app.install(BasicAuth::new("shop").user("ada", "secret"));
        app.put("/cart", |_: Request| "saved");
    });
    let mut client = server.connect();
    let ask = "Origin: https://shop.example\r\nAccess-Control-Request-Method: PUT\r\n\
               Access-Control-Request-Headers: content-type\r\n";
    let reply = client.send(with("OPTIONS", "/cart", ask, "")).reply();
    assert_eq!(reply.status(), 204);
    let head = &reply.head;
    let origin = head.field("access-control-allow-origin");
    assert_eq!(origin, Some("https://shop.example"));
    assert_eq!(head.field("access-control-allow-credentials"), Some("true"));
    assert_eq!(
        head.field("access-control-allow-headers"),
        Some("content-type")
    );
    // The page is to see the refusal, too.
    let ask = "Origin: https://shop.example\r\nContent-Length: 0\r\n";
    let refused = client.send(with("PUT", "/cart", ask, "")).reply();
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.head.field("access-control-allow-origin"), origin);
    let other = ask.replace("shop", "evil");
    let other = client.send(with("PUT", "/cart", &other, "")).reply();
    assert_eq!(other.head.field("access-control-allow-origin"), None);
}

fn curl_is_told_that_it_has_the_page(engine: Engine) {
    let server = start(engine, |app| {
        app.install(Compression::new()).install(ETags::new());
        app.get("/", |_: Request| page());
    });
    let folder = Folder::new("etag");
    let tag = folder.path("tag");
    let tag = tag.to_str().expect("the name is text");
    let say = ["-o", "/dev/null", "-w", "%{http_code} %{size_download}"];
    for coding in [&[][..], &["--compressed"]] {
        let first = curl(
            &server,
            "/",
            &[&say, coding, &["--etag-save", tag]].concat(),
        );
        assert!(first.starts_with("200 "), "{first}");
        let again = curl(
            &server,
            "/",
            &[&say, coding, &["--etag-compare", tag]].concat(),
        );
        assert_eq!(again, "304 0");
    }
}

fn head_has_the_head_of_get(engine: Engine) {
    let server = start(engine, |app| {
        app.install(SecurityHeaders::new())
            .install(Compression::new())
            .install(ETags::new());
        app.get("/page", |_: Request| "All work and no play. ".repeat(500));
        app.get("/small", |_: Request| "small");
        app.get("/stream", |_: Request| {
            let body = Body::iter(["a", "b"]);
            Response::new(body).with_header("content-type", "text/plain")
        });
    });
    for path in ["/page", "/small", "/stream"] {
        let fields = "Accept-Encoding: gzip\r\n";
        let mut client = server.connect();
        let get = client.send(with("GET", path, fields, "")).reply().head;
        let head = client
            .send(with("HEAD", path, fields, ""))
            .reply_to_head()
            .head;
        for name in [
            "content-type",
            "content-length",
            "content-encoding",
            "vary",
            "etag",
            "x-content-type-options",
        ] {
            assert_eq!(get.field(name), head.field(name), "{path} {name}");
        }
    }
}

fn bodies_without_a_length_are_limited(engine: Engine) {
    let server = start(engine, |app| {
        app.install(BodyLimit::new(10));
        app.post("/", |request: Request| {
            request.body(usize::MAX).map(|body| body.len().to_string())
        });
    });
    let short = server.ask(post_chunked("/", &["12345", "67890"]));
    assert_eq!(short.summary(), (200, "10".to_owned()));
    let long = server.ask(post_chunked("/", &["12345", "67890", "1"]));
    assert_eq!(long.status(), 413);
}

fn time_is_limited_where_the_route_does_not_say(engine: Engine) {
    let never = Queue::<()>::new(1);
    let server = start(engine, move |app| {
        app.install(TimeLimit::new(Duration::from_millis(50)));
        let waits = never.clone();
        app.get("/", move |_: Request| {
            let _ = waits.get();
        });
        app.get("/quick", |_: Request| "here");
    });
    assert_eq!(server.get("/quick").text(), "here");
    assert_eq!(server.get("/").status(), 504);
}

fn clients_are_limited_and_told_when(engine: Engine) {
    let server = start(engine, |app| {
        app.install(RateLimit::new(3, Duration::from_secs(3600)));
        app.get("/", |_: Request| "served");
    });
    for _ in 0..3 {
        assert_eq!(server.get("/").status(), 200);
    }
    let refused = server.get("/");
    assert_eq!(refused.status(), 429);
    let wait = refused
        .head
        .field("retry-after")
        .and_then(|wait| wait.parse().ok());
    assert!(
        wait.is_some_and(|wait: u64| (1100..=1200).contains(&wait)),
        "{refused:?}"
    );
}

fn curl_gives_its_password(engine: Engine) {
    let server = start(engine, |app| {
        app.install(BasicAuth::new("staff").user("ada", "correct horse"));
        app.get("/", |request: Request| {
            request.user().unwrap_or_default().to_owned()
        });
    });
    assert_eq!(curl(&server, "/", &["-u", "ada:correct horse"]), "ada");
    let status = ["-o", "/dev/null", "-w", "%{http_code}"];
    assert_eq!(
        curl(&server, "/", &[&["-u", "ada:wrong"], &status[..]].concat()),
        "401"
    );
    assert_eq!(curl(&server, "/", &status), "401");
}

/// The order that the documentation recommends, around a stream that fails in its middle.
fn streams_go_through_all_at_once(engine: Engine) {
    let server = start(engine, |app| {
        app.install(RequestIds::new())
            .install(SecurityHeaders::new())
            .install(Cors::new().any_origin())
            .install(RateLimit::new(100, Duration::from_secs(60)))
            .install(Compression::new())
            .install(ETags::new());
        app.get("/early", |_: Request| {
            let body = Body::stream(|_| Err(greenway::HttpError::new(409, "no").into()));
            Response::new(body).with_header("content-type", "text/plain")
        });
        app.get("/late", |_: Request| {
            let body = Body::stream(|out| {
                out.send("begun")?;
                Err(greenway::HttpError::new(409, "no").into())
            });
            Response::new(body).with_header("content-type", "text/plain")
        });
    });
    let early = server.ask(ask_gzip("/early"));
    assert_eq!(early.summary(), (409, "409 Conflict: no\n".to_owned()));
    assert_eq!(early.head.field("content-encoding"), None);
    let mut client = server.connect();
    client.send(ask_gzip("/late")).head();
    assert_eq!(Reading(Vec::new()).after_a_chunk(&mut client), "begun");
    client.is_cut_short();
    let _ = server.ask(get("/early"));
}
