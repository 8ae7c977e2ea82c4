//! HTTP/2: the same handlers, untouched.

use bytes::Bytes;
use greenway::{
    App, Body, Engine, HeaderMap, HeaderValue, HttpError, Out, Request, Response, Server, green,
};
use greenway_tests::http2::{Http2, Sent, request};
use greenway_tests::request::get;
use greenway_tests::{Folder, Gate, TestServer, as_it_comes, linted, on_green_and_threads, until};
use h2::Reason;
use std::time::Duration;

on_green_and_threads!(
    a_request_looks_as_in_http_1,
    a_response_has_what_http_1_gives_it,
    many_handlers_wait_at_once_on_one_connection,
    bodies_go_both_ways_as_they_come,
    trailers_end_a_body_and_are_nobodys,
    a_body_that_nobody_reads_stops_at_its_window,
    a_body_that_is_too_large_is_413,
    a_client_that_reads_late_gets_everything,
    responses_without_a_body_have_none,
    a_declared_length_is_enforced,
    early_hints_come_first,
    a_client_waits_for_100_continue,
    a_refused_head_is_answered,
    twenty_streams_of_events_on_one_connection,
    the_log_tells_the_version,
    it_can_be_switched_off,
);

/// Does not run out in a test.
pub(super) const LONG: Duration = Duration::from_secs(600);

pub(super) fn patient(engine: Engine, app: impl greenway::Application) -> Server {
    linted(app)
        .engine(engine)
        .threads(64)
        .keep_alive(LONG)
        .timeout(LONG)
        .header_timeout(LONG)
        .body_timeout(LONG)
        .write_timeout(LONG)
}

pub(super) fn start(engine: Engine, routes: impl FnOnce(&mut App)) -> TestServer {
    let mut app = App::new();
    routes(&mut app);
    TestServer::start(patient(engine, app))
}

pub(super) fn reason(error: &h2::Error) -> Option<Reason> {
    error.reason()
}

fn a_request_looks_as_in_http_1(engine: Engine) {
    let server = start(engine, |app| {
        app.get("/look", |request: Request| {
            let environ = request.environ();
            let names = [
                "REQUEST_METHOD",
                "PATH_INFO",
                "QUERY_STRING",
                "SERVER_PROTOCOL",
                "HTTP_HOST",
                "HTTP_COOKIE",
                "HTTP_X_MINE",
                "HTTP_UNDER_SCORE",
                "wsgi.url_scheme",
            ];
            let shown = names.map(|name| environ.get(name).unwrap_or("-").to_owned());
            format!("{}|{}", shown.join("|"), request.url())
        });
    });
    let mut client = Http2::connect(server.addr());
    let mut asked = request("GET", "/look?a=b%20c");
    let headers = asked.headers_mut();
    headers.append("cookie", HeaderValue::from_static("a=1"));
    headers.append("cookie", HeaderValue::from_static("b=2"));
    headers.append("x-mine", HeaderValue::from_static("7"));
    headers.append("under_score", HeaderValue::from_static("8"));
    let sent = client.send(asked, true);
    assert_eq!(
        client.whole(sent).unwrap().text(),
        "GET|/look|a=b%20c|HTTP/2|localhost|a=1; b=2|7|-|http|http://localhost/look?a=b%20c"
    );
}

fn a_response_has_what_http_1_gives_it(engine: Engine) {
    let server = start(engine, |app| {
        app.get("/", |_: Request| {
            Response::new("Hello")
                .with_header("x-mine", "1")
                .with_header("set-cookie", "a=1")
        });
    });
    let reply = Http2::connect(server.addr()).get("/");
    assert_eq!((reply.status, reply.text()), (200, "Hello".to_owned()));
    for (name, value) in [
        ("server", "greenway"),
        ("content-length", "5"),
        ("x-mine", "1"),
    ] {
        assert_eq!(reply.headers[name], value);
    }
    assert!(reply.headers.contains_key("date"));
    assert!(!reply.headers.contains_key("connection"));
    let nowhere = Http2::connect(server.addr()).get("/nowhere");
    assert_eq!(nowhere.status, 404);
}

fn many_handlers_wait_at_once_on_one_connection(engine: Engine) {
    let (entered, gate) = (Gate::new(), Gate::new());
    let (arrived, there) = (entered.clone(), gate.clone());
    let server = start(engine, move |app| {
        app.get("/<n>", move |request: Request| {
            arrived.open();
            there.pass();
            request.param("n").to_owned()
        });
    });
    let mut client = Http2::connect(server.addr());
    let sent: Vec<Sent> = (0..50).map(|n| client.send_get(&format!("/{n}"))).collect();
    for _ in 0..50 {
        until("a handler has been entered", || entered.waiting() > 0);
        entered.pass();
    }
    assert_eq!(server.connections(), 1);
    gate.open_for(50);
    for (n, sent) in sent.into_iter().enumerate() {
        assert_eq!(client.whole(sent).unwrap().text(), n.to_string());
    }
}

/// PEP 3333 has no place for them.
fn trailers_end_a_body_and_are_nobodys(engine: Engine) {
    let server = start(engine, |app| {
        app.post("/echo", |request: Request| {
            let body = String::from_utf8_lossy(&request.body(100)?).into_owned();
            let seen = request.headers().contains_key("x-sum");
            Ok::<_, HttpError>(format!("{body} {seen}"))
        });
    });
    let mut client = Http2::connect(server.addr());
    for length in [None, Some("4")] {
        let mut asked = request("POST", "/echo");
        if let Some(length) = length {
            let length = HeaderValue::from_static(length);
            asked.headers_mut().insert("content-length", length);
        }
        let mut sent = client.send(asked, false);
        let ping = Bytes::from_static(b"ping");
        assert_eq!(client.upload_some(&mut sent, &ping).unwrap(), 4);
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("1"));
        sent.body.send_trailers(trailers).unwrap();
        client.turn();
        let reply = client.whole(sent).unwrap();
        assert_eq!((reply.status, reply.text().as_str()), (200, "ping false"));
    }
}

fn bodies_go_both_ways_as_they_come(engine: Engine) {
    let server = start(engine, |app| {
        app.post("/echo", |mut request: Request| {
            as_it_comes(request.take_input())
        });
    });
    let mut client = Http2::connect(server.addr());
    let mut sent = client.send(request("POST", "/echo"), false);
    client
        .upload_some(&mut sent, &Bytes::from_static(b"ping"))
        .unwrap();
    let (head, mut body) = client.head(&mut sent).unwrap().into_parts();
    assert_eq!(head.status, 200);
    // Only now can there be more of the request.
    assert_eq!(client.data(&mut body).unwrap().unwrap(), "ping");
    client
        .upload_some(&mut sent, &Bytes::from_static(b"pong"))
        .unwrap();
    assert_eq!(client.data(&mut body).unwrap().unwrap(), "pong");
    client.upload(&mut sent, Bytes::new()).unwrap();
    assert!(client.data(&mut body).is_none());
    // And larger than any window.
    let large = Bytes::from(vec![b'x'; 3_000_000]);
    let mut sent = client.send(request("POST", "/echo"), false);
    let (mut left, mut back) = (large.clone(), 0);
    let mut body = None;
    while back < large.len() {
        // Less is on its way than there is room for here, or both would wait for one another.
        let on_its_way = large.len() - left.len() - back;
        if !left.is_empty() && on_its_way < 20_000 {
            let some = left.slice(..left.len().min(20_000));
            let n = client.upload_some(&mut sent, &some).unwrap();
            left = left.slice(n..);
            if left.is_empty() {
                client.upload(&mut sent, Bytes::new()).unwrap();
            }
        }
        if body.is_none() {
            body = Some(client.head(&mut sent).unwrap().into_body());
        }
        let data = client.data(body.as_mut().unwrap()).unwrap().unwrap();
        back += data.len();
    }
}

fn a_body_that_nobody_reads_stops_at_its_window(engine: Engine) {
    let gate = Gate::new();
    let there = gate.clone();
    let server = start(engine, move |app| {
        app.post("/late", move |request: Request| {
            there.pass();
            Ok::<_, HttpError>(request.body(1 << 20)?.len().to_string())
        });
    });
    let mut client = Http2::connect(server.addr());
    let mut sent = client.send(request("POST", "/late"), false);
    let piece = Bytes::from(vec![0; 100_000]);
    let mut taken = 0;
    while taken < 65_535 {
        taken += client.upload_some(&mut sent, &piece).unwrap();
    }
    assert_eq!(taken, 65_535, "what the window holds, and no more");
    client.get("/nowhere"); // the connection goes on
    assert_eq!(sent.body.capacity(), 0);
    gate.open();
    client.upload(&mut sent, piece).unwrap();
    assert_eq!(client.whole(sent).unwrap().text(), "165535");
}

fn a_body_that_is_too_large_is_413(engine: Engine) {
    let mut app = App::new();
    app.post("/echo", |mut request: Request| {
        as_it_comes(request.take_input())
    });
    app.get("/", |_: Request| "Hello");
    let server = TestServer::start(patient(engine, app).limit_request_body(1000));
    let mut client = Http2::connect(server.addr());
    let mut declared = request("POST", "/echo");
    declared.headers_mut().insert("content-length", 1001.into());
    let sent = client.send(declared, false);
    assert_eq!(client.whole(sent).unwrap().status, 413);
    let mut sent = client.send(request("POST", "/echo"), false);
    client
        .upload_some(&mut sent, &Bytes::from(vec![0; 1001]))
        .unwrap();
    assert_eq!(client.whole(sent).unwrap().status, 413);
    assert_eq!(client.get("/").text(), "Hello");
}

fn a_client_that_reads_late_gets_everything(engine: Engine) {
    let (entered, large) = (Gate::new(), vec![b'x'; 1 << 20]);
    let arrived = entered.clone();
    let server = start(engine, move |app| {
        let whole = large.clone();
        app.get("/whole", move |_: Request| whole.clone());
        app.get("/pieces", move |_: Request| {
            arrived.open();
            let large = large.clone();
            Body::stream(move |out: &mut Out<'_>| {
                for piece in large.chunks(10_000) {
                    out.send(piece.to_vec())?;
                }
                Ok(())
            })
        });
    });
    // Each stream has a window of its own, and the connection room for all.
    let mut roomy = h2::client::Builder::new();
    roomy.initial_connection_window_size(1 << 20);
    let mut client = Http2::with(server.addr(), &roomy);
    let sent: Vec<_> = ["/whole", "/pieces", "/whole"]
        .map(|path| client.send_get(path))
        .into();
    entered.pass();
    for sent in sent {
        assert_eq!(client.whole(sent).unwrap().body.len(), 1 << 20);
    }
}

fn responses_without_a_body_have_none(engine: Engine) {
    let server = start(engine, |app| {
        app.get("/", |_: Request| "Hello");
        app.get("/204", |_: Request| Response::new(()).with_status(204));
        app.get("/empty", |_: Request| "");
        app.get("/stream", |_: Request| {
            Body::stream(|out: &mut Out<'_>| out.send("Hello"))
        });
    });
    let mut client = Http2::connect(server.addr());
    let sent = client.send(request("HEAD", "/"), true);
    let reply = client.whole(sent).unwrap();
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    assert_eq!(reply.headers["content-length"], "5");
    let sent = client.send(request("HEAD", "/stream"), true);
    assert_eq!(client.whole(sent).unwrap().body.len(), 0);
    let reply = client.get("/204");
    assert_eq!((reply.status, reply.body.len()), (204, 0));
    assert!(!reply.headers.contains_key("content-length"));
    assert_eq!(client.get("/empty").headers["content-length"], "0");
    assert_eq!(client.get("/stream").text(), "Hello");
}

fn a_declared_length_is_enforced(engine: Engine) {
    let server = TestServer::start(
        Server::new(|request: Request| {
            let pieces: &[&str] = match request.path() {
                "/short" => &["12"],
                _ => &["123", "456"],
            };
            let body = Body::iter(pieces.iter().copied());
            Response::new(body).with_header("content-length", "4")
        })
        .engine(engine),
    );
    let mut client = Http2::connect(server.addr());
    for path in ["/short", "/long"] {
        let sent = client.send_get(path);
        let failed = client.whole(sent);
        match path {
            "/short" => assert_eq!(reason(&failed.unwrap_err()), Some(Reason::INTERNAL_ERROR)),
            // What was promised has come, and the client has asked for no more.
            _ => assert!(failed.is_err() || failed.unwrap().body == b"1234"),
        }
    }
}

fn early_hints_come_first(engine: Engine) {
    let server = start(engine, |app| {
        app.get("/", |request: Request| {
            let mut hints = HeaderMap::new();
            hints.insert("link", HeaderValue::from_static("</a.css>; rel=preload"));
            request.early_hints(&hints)?;
            Ok::<_, HttpError>("Hello")
        });
    });
    let url = format!("http://{}/", server.addr());
    let seen = curl(&["--http2-prior-knowledge", "--include", &url]);
    let heads: Vec<_> = seen
        .iter()
        .filter(|line| line.starts_with("HTTP/2 "))
        .collect();
    assert_eq!(heads, ["HTTP/2 103 ", "HTTP/2 200 "], "{seen:?}");
    assert!(
        seen.contains(&"link: </a.css>; rel=preload".to_owned()),
        "{seen:?}"
    );
}

fn a_client_waits_for_100_continue(engine: Engine) {
    let server = start(engine, |app| {
        app.post("/echo", |mut request: Request| {
            as_it_comes(request.take_input())
        });
    });
    let mut client = Http2::connect(server.addr());
    let mut asked = request("POST", "/echo");
    asked
        .headers_mut()
        .insert("expect", HeaderValue::from_static("100-continue"));
    let mut sent = client.send(asked, false);
    client
        .upload(&mut sent, Bytes::from_static(b"body"))
        .unwrap();
    assert_eq!(client.whole(sent).unwrap().text(), "body");
}

fn a_refused_head_is_answered(engine: Engine) {
    let server = start(engine, |app| {
        app.get("/", |_: Request| "Hello");
    });
    let mut client = Http2::connect(server.addr());
    let sent = client.send_get(&format!("/{}", "x".repeat(9000)));
    assert_eq!(client.whole(sent).unwrap().status, 414);
    let mut asked = request("GET", "/");
    for n in 0..101 {
        let name: http::HeaderName = format!("x-{n}").parse().unwrap();
        asked
            .headers_mut()
            .insert(name, HeaderValue::from_static("1"));
    }
    let sent = client.send(asked, true);
    assert_eq!(client.whole(sent).unwrap().status, 431);
    let mut asked = request("GET", "/");
    asked
        .headers_mut()
        .insert("host", HeaderValue::from_static("other"));
    let sent = client.send(asked, true);
    assert_eq!(client.whole(sent).unwrap().status, 400);
    let connect = http::Request::builder()
        .method("CONNECT")
        .uri("localhost:80")
        .body(())
        .unwrap();
    let sent = client.send(connect, true);
    assert_eq!(client.whole(sent).unwrap().status, 501);
    assert_eq!(client.get("/").text(), "Hello");
}

/// Browsers open six connections to a server, so HTTP/1 has six streams.
fn twenty_streams_of_events_on_one_connection(engine: Engine) {
    let server = start(engine, |app| {
        app.get("/events/<n>", |request: Request| {
            let n = request.param("n").to_owned();
            let queue = green::Queue::new(4);
            queue.put(greenway::sse::Event::new(n)).ok();
            greenway::sse::Sse::new(queue)
        });
    });
    let mut client = Http2::connect(server.addr());
    let mut streams: Vec<_> = (0..20)
        .map(|n| client.send_get(&format!("/events/{n}")))
        .collect();
    for (n, sent) in streams.iter_mut().enumerate() {
        let mut body = client.head(sent).unwrap().into_body();
        let mut seen = Vec::new();
        let event = format!("data: {n}\n\n");
        while !String::from_utf8_lossy(&seen).ends_with(&event) {
            seen.extend(client.data(&mut body).unwrap().unwrap());
        }
    }
    assert_eq!(server.connections(), 1);
}

fn the_log_tells_the_version(engine: Engine) {
    let folder = Folder::new(&format!("h2-log-{}", engine.name()));
    let log = folder.path("access.log");
    let mut app = App::new();
    app.get("/a", |_: Request| {
        Response::new("12345").with_header("x-thing", "7")
    });
    let format =
        "%(m)s|%(U)s|%(q)s|%(H)s|%(s)s|%(B)s|%({user-agent}i)s|%({x-thing}o)s|%({PATH_INFO}e)s";
    let server = patient(engine, app)
        .access_log(log.to_str().expect("the name is ours"))
        .access_log_format(format);
    let server = TestServer::start(server);
    let mut client = Http2::connect(server.addr());
    let mut asked = request("GET", "/a?b=c");
    asked
        .headers_mut()
        .insert("user-agent", HeaderValue::from_static("test"));
    let sent = client.send(asked, true);
    assert_eq!(client.whole(sent).unwrap().status, 200);
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    until("a line in the log", || read().ends_with('\n'));
    assert_eq!(read(), "GET|/a|b=c|HTTP/2|200|5|test|7|/a\n");
}

fn it_can_be_switched_off(engine: Engine) {
    let app = |_: Request| "Hello";
    let server = TestServer::start(patient(engine, app).http_protocols("h1"));
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    assert_eq!(server.ask(preface).status(), 505);
    let server = TestServer::start(patient(engine, app).http_protocols("h2"));
    assert_eq!(server.ask(get("/")).status(), 505);
    assert_eq!(Http2::connect(server.addr()).get("/").text(), "Hello");
}

/// The lines that `curl` prints.
#[track_caller]
fn curl(args: &[&str]) -> Vec<String> {
    let program = crate::real_clients::start(&mut crate::real_clients::curl(args));
    let ended = crate::real_clients::finish(program);
    ended
        .stdout
        .iter()
        .map(|line| line.trim_end_matches('\r').to_owned())
        .collect()
}
