//! A server that speaks TLS: what is agreed upon, whom it serves, and how connections end.

use greenway::green::{Queue, sleep};
use greenway::{App, Body, CertReqs, Engine, HalfClose, Request, Server, TlsVersion};
use greenway_tests::request::{get, get_close, post};
use greenway_tests::tls::rcgen::{CertificateParams, DnType};
use greenway_tests::tls::rustls::version::{TLS12, TLS13};
use greenway_tests::tls::rustls::{ClientConfig, HandshakeKind, ProtocolVersion};
use greenway_tests::tls::{Certificates, PairFiles};
use greenway_tests::{
    Client, DEADLINE, Drops, Gate, TestServer, linted, on_green_and_threads, until,
};
use std::fs;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

on_green_and_threads!(
    requests_are_served,
    large_bodies_pass_both_ways,
    a_stream_comes_as_it_is_made,
    a_file_is_sent,
    the_application_is_told,
    both_versions_are_spoken,
    old_versions_can_be_refused,
    the_name_decides_the_certificate,
    sessions_are_resumed,
    client_certificates_are_shown,
    clients_without_a_certificate_can_be_refused,
    plain_http_is_told_so,
    what_is_no_tls_is_closed,
    the_end_is_said,
    a_cut_response_has_no_end,
    a_request_that_is_cut_off_is_not_served,
    a_request_in_pieces_of_records,
    a_client_that_has_finished_sending_is_served,
    a_client_that_leaves_ends_its_handler,
    a_client_that_says_goodbye_has_finished,
    slow_handshakes_have_a_clock,
    slow_handshakes_give_way,
    idle_connections_are_kept,
    a_stop_waits_for_what_was_begun,
    certificates_are_read_anew,
);

struct Served {
    server: TestServer,
    made: Certificates,
    client: Arc<ClientConfig>,
}

fn app() -> App {
    let mut app = App::new();
    app.any("/echo", |request: Request| {
        let body = request.body(64 << 20)?;
        Ok::<_, greenway::HttpError>(Body::full(body))
    });
    app.get("/stream", |_: Request| greenway::Body::iter(["A", "B"]));
    app.get("/info", |request: Request| {
        let environ = request.environ();
        let of = |name: &str| environ.get(name).unwrap_or("-").to_owned();
        let all = [
            "wsgi.url_scheme",
            "HTTPS",
            "SSL_PROTOCOL",
            "SSL_TLS_SNI",
            "SSL_CLIENT_VERIFY",
            "SSL_CLIENT_S_DN",
            "SSL_CLIENT_S_DN_CN",
        ];
        format!("{} {}", request.url(), all.map(of).join(" "))
    });
    app
}

fn start(made: &Certificates, server: Server, files: &PairFiles) -> TestServer {
    let _made_before = made;
    TestServer::start(server.certfile(&files.cert).keyfile(&files.key))
}

fn serve_with(engine: Engine, change: impl FnOnce(Server) -> Server) -> Served {
    let made = Certificates::new();
    let files = made.make("server", &["localhost", "a.example"]);
    let server = change(linted(app()).engine(engine).limit_request_body(64 << 20));
    let server = start(&made, server, &files);
    Served {
        server,
        client: made.client(),
        made,
    }
}

fn serve(engine: Engine) -> Served {
    serve_with(engine, |server| server)
}

impl Served {
    #[track_caller]
    fn connect(&self) -> Client {
        let connected = self.server.connect().secure(&self.client, "localhost");
        connected.unwrap_or_else(|error| panic!("no handshake: {error}"))
    }
}

fn requests_are_served(engine: Engine) {
    let served = serve(engine);
    let mut client = served.connect();
    for n in 0..20 {
        let reply = client.send(post("/echo", &n.to_string())).reply();
        assert_eq!(reply.text(), n.to_string());
    }
    let pipelined: String = (0..50).map(|n| post("/echo", &n.to_string())).collect();
    client.send(pipelined);
    for n in 0..50 {
        assert_eq!(client.reply().text(), n.to_string());
    }
    assert_eq!(client.tls().alpn_protocol(), None);
}

fn large_bodies_pass_both_ways(engine: Engine) {
    let served = serve(engine);
    let body: String = (0..300_000).map(|n| format!("{n:07}\n")).collect();
    let mut client = served.connect();
    // What is sent and what comes back are more than the kernels hold.
    for _ in 0..2 {
        let reply = client.send(post("/echo", &body)).reply();
        assert!(reply.text() == body);
    }
}

fn a_stream_comes_as_it_is_made(engine: Engine) {
    let (gate, made) = (Gate::new(), Certificates::new());
    let held = gate.clone();
    let app = move |_: Request| {
        let held = held.clone();
        Body::stream(move |out| {
            out.send("A")?;
            held.pass();
            out.send("B")
        })
    };
    let files = made.make("server", &["localhost"]);
    let server = start(&made, linted(app).engine(engine), &files);
    let mut client = server
        .connect()
        .secure(&made.client(), "localhost")
        .unwrap();
    client.send(get("/"));
    client.head();
    assert_eq!(client.chunk(), "A");
    gate.open();
    assert_eq!(client.chunk(), "B");
    assert_eq!(client.chunk(), "");
}

/// The kernel does not encrypt, so what is sent from a file without TLS is read here.
fn a_file_is_sent(engine: Engine) {
    let made = Certificates::new();
    let content: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).collect();
    fs::create_dir_all(made.path("files")).unwrap();
    fs::write(made.path("files/large"), &content).unwrap();
    let mut app = App::new();
    app.static_files("/files", made.path("files"));
    let files = made.make("server", &["localhost"]);
    let server = start(&made, linted(app).engine(engine), &files);
    let mut client = server
        .connect()
        .secure(&made.client(), "localhost")
        .unwrap();
    let reply = client.send(get("/files/large")).reply();
    assert!(reply.body == content);
}

fn the_application_is_told(engine: Engine) {
    let served = serve(engine);
    let reply = served.connect().send(get("/info")).reply();
    assert_eq!(
        reply.text(),
        "https://test/info https on TLSv1.3 localhost NONE - -"
    );
}

fn both_versions_are_spoken(engine: Engine) {
    let served = serve(engine);
    for (version, number) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let config = served.made.client_with(&[version], None);
        let mut client = served
            .server
            .connect()
            .secure(&config, "localhost")
            .unwrap();
        assert_eq!(client.tls().protocol_version(), Some(number));
        assert_eq!(client.send(post("/echo", "a")).reply().text(), "a");
    }
}

fn old_versions_can_be_refused(engine: Engine) {
    let served = serve_with(engine, |server| server.tls_min_version(TlsVersion::Tls13));
    let old = served.made.client_with(&[&TLS12], None);
    let refused = served
        .server
        .connect()
        .secure(&old, "localhost")
        .unwrap_err();
    assert!(refused.to_string().contains("ProtocolVersion"), "{refused}");
    served.connect();
}

fn the_name_decides_the_certificate(engine: Engine) {
    let made = Certificates::new();
    let first = made.make("first", &["localhost"]);
    let second = made.make("second", &["b.example", "*.wild.example"]);
    let server = linted(app()).engine(engine);
    let server = server.certfile(&second.cert).keyfile(&second.key);
    // The first is for those who name nobody whom we are: so it is the second here.
    let server = server.certfile(&first.cert).keyfile(&first.key);
    let server = TestServer::start(server);
    let client = made.client();
    for name in ["localhost", "b.example", "B.example", "x.wild.example"] {
        let connected = server.connect().secure(&client, name);
        connected.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for name in ["x.y.wild.example", "wild.example", "c.example"] {
        let refused = server.connect().secure(&client, name).unwrap_err();
        assert!(
            refused.to_string().contains("b.example"),
            "{name}: {refused}"
        );
    }
}

fn sessions_are_resumed(engine: Engine) {
    let served = serve(engine);
    for version in [&TLS12, &TLS13] {
        let config = served.made.client_with(&[version], None);
        let kind = || {
            let mut client = served
                .server
                .connect()
                .secure(&config, "localhost")
                .unwrap();
            client.send(get("/info")).reply(); // the tickets come before it
            client.tls().handshake_kind()
        };
        assert_eq!(kind(), Some(HandshakeKind::Full));
        assert_eq!(kind(), Some(HandshakeKind::Resumed));
    }
}

fn ada(made: &Certificates) -> PairFiles {
    let mut params = CertificateParams::new(["ada@example.org".to_owned()]).unwrap();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Example, Inc.");
    params.distinguished_name.push(DnType::CommonName, "Ada");
    made.sign("ada", params)
}

fn client_certificates_are_shown(engine: Engine) {
    let served = |made: &Certificates, whether| {
        let files = made.make("server", &["localhost"]);
        let server = linted(app()).engine(engine).ca_certs(made.root());
        start(made, server.cert_reqs(whether), &files)
    };
    let made = Certificates::new();
    let config = made.client_with(&[&TLS13], Some(&ada(&made)));
    for whether in [CertReqs::Optional, CertReqs::Required] {
        let server = served(&made, whether);
        // The second time, the session is resumed.
        for _ in 0..2 {
            let mut client = server.connect().secure(&config, "localhost").unwrap();
            let shown = client.send(get("/info")).reply();
            let shown = shown.text();
            assert!(shown.contains("SUCCESS"), "{shown}");
            assert!(
                shown.contains("CN=Ada") && shown.ends_with(" Ada"),
                "{shown}"
            );
            assert!(shown.contains("O=Example\\, Inc."), "{shown}");
        }
    }
    let server = served(&made, CertReqs::Optional);
    let mut nobody = server
        .connect()
        .secure(&made.client(), "localhost")
        .unwrap();
    assert!(nobody.send(get("/info")).reply().text().contains("NONE"));
    // One whom somebody else has signed.
    let others = Certificates::new();
    let stranger = made.client_with(&[&TLS13], Some(&ada(&others)));
    let mut client = server.connect().secure(&stranger, "localhost").unwrap();
    let refused = client.try_send(get("/")).and_then(|()| client.try_read());
    assert!(refused.is_err(), "{refused:?}");
}

fn clients_without_a_certificate_can_be_refused(engine: Engine) {
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let server = linted(app()).engine(engine).ca_certs(made.root());
    let server = start(&made, server.cert_reqs(CertReqs::Required), &files);
    let old = made.client_with(&[&TLS12], None);
    let refused = server.connect().secure(&old, "localhost").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidData, "{refused}");
    // With TLS 1.3 the client learns it after its handshake.
    let mut client = server
        .connect()
        .secure(&made.client(), "localhost")
        .unwrap();
    let refused = client.try_send(get("/")).and_then(|()| client.try_read());
    let refused = refused.expect_err("nobody is served without a certificate");
    assert!(
        refused.to_string().contains("CertificateRequired"),
        "{refused}"
    );
}

fn plain_http_is_told_so(engine: Engine) {
    let served = serve(engine);
    let mut client = served.server.connect();
    let reply = client.send(get("/info")).reply();
    assert_eq!(reply.head.status, 400);
    assert!(
        reply.text().contains("this port speaks HTTPS"),
        "{}",
        reply.text()
    );
    client.end();
}

fn what_is_no_tls_is_closed(engine: Engine) {
    let served = serve(engine);
    for sent in [
        &b"\x00\x01\x02\x03\x04\x05\x06\x07"[..],
        // A record that is longer than records are.
        b"\x16\x03\x01\xff\xff\x01\x00",
        // SSL 2.
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
    ] {
        let mut client = served.server.connect();
        client.send(sent).finish_sending();
        let (alert, _) = client.rest_or_reset();
        assert!(alert.is_empty() || alert[0] == 21, "{alert:?}");
    }
    served.connect(); // and others are served
}

fn the_end_is_said(engine: Engine) {
    let served = serve(engine);
    let mut client = served.connect();
    client.send(get_close("/info"));
    client.reply();
    client.end(); // fails without a close_notify
    let mut client = served.connect();
    client.send("GET /stream HTTP/1.0\r\n\r\n");
    assert_eq!(client.reply().text(), "AB");
    let mut client = served.connect();
    assert_eq!(client.send("nonsense\r\n\r\n").reply().head.status, 400);
    client.end();
    // One that is idle for too long.
    let served = serve_with(engine, |server| {
        server.keep_alive(Duration::from_millis(20))
    });
    served.connect().end();
}

/// Whose end is the end of the body (RFC 9112 section 9.8).
fn a_cut_response_has_no_end(engine: Engine) {
    let made = Certificates::new();
    let app = |_: Request| {
        Body::stream(|out| {
            out.send("begun")?;
            Err(std::io::Error::other("the handler has failed").into())
        })
    };
    let files = made.make("server", &["localhost"]);
    let server = start(&made, linted(app).engine(engine), &files);
    let config = made.client();
    let mut client = server.connect().secure(&config, "localhost").unwrap();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let mut ended = Ok(());
    while let Ok(()) = ended {
        ended = client.try_read();
    }
    let kind = ended.unwrap_err().kind();
    assert!(
        matches!(kind, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset),
        "{kind:?}"
    );
}

/// The connection ends within a body, or what comes of it was altered.
fn a_request_that_is_cut_off_is_not_served(engine: Engine) {
    let (read, entered, made) = (Queue::new(8), Gate::new(), Certificates::new());
    let (results, inside) = (read.clone(), entered.clone());
    let app = move |request: Request| {
        inside.open();
        let body = request.body(1000).map(|body| body.len());
        results.put(body.is_ok()).expect("the test listens");
        "read"
    };
    let files = made.make("server", &["localhost"]);
    let server = start(&made, linted(app).engine(engine).threads(4), &files);
    let config = made.client();
    let request = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel";
    for altered in [false, true] {
        let mut client = server.connect().secure(&config, "localhost").unwrap();
        client.send(request);
        entered.pass(); // what comes now comes to one who reads the body
        if altered {
            let mut record = client.encrypted("lo\r\n0\r\n\r\n");
            *record.last_mut().expect("it is not empty") ^= 1;
            client.send_below(&record);
        } else {
            client.stream().shutdown(std::net::Shutdown::Write).unwrap();
        }
        assert_eq!(
            read.get_timeout(DEADLINE).ok(),
            Some(Some(false)),
            "{altered}"
        );
    }
    let mut client = server.connect().secure(&config, "localhost").unwrap();
    client.send(request).send("lo\r\n0\r\n\r\n");
    assert_eq!(client.reply().text(), "read");
    assert_eq!(read.get_timeout(DEADLINE).ok(), Some(Some(true)));
}

fn a_request_in_pieces_of_records(engine: Engine) {
    let served = serve(engine);
    let mut client = served.connect();
    for n in 0..3 {
        // Each byte is a record.
        for byte in post("/echo", &n.to_string()).bytes() {
            client.send([byte]);
        }
        assert_eq!(client.reply().text(), n.to_string());
    }
    // A record of which each byte comes by itself.
    let request = post("/echo", "pieces");
    for byte in client.encrypted(&request) {
        client.send_below(&[byte]);
    }
    assert_eq!(client.reply().text(), "pieces");
    // Keys are changed, and empty records are sent, between requests.
    client.tls().refresh_traffic_keys().unwrap();
    assert_eq!(client.send(post("/echo", "anew")).reply().text(), "anew");
}

fn waiting(engine: Engine, half_close: HalfClose) -> (Certificates, TestServer, Gate, Drops) {
    let (entered, ended, made) = (Gate::new(), Drops::new(), Certificates::new());
    let (gate, drops) = (entered.clone(), ended.clone());
    let app = move |_: Request| {
        let _witness = drops.witness();
        gate.open();
        sleep(Duration::MAX);
        "never"
    };
    let files = made.make("server", &["localhost"]);
    let server = linted(app).engine(engine).half_close(half_close);
    let server = server.timeout(Duration::from_secs(600));
    let server = start(&made, server, &files);
    (made, server, entered, ended)
}

fn a_client_that_has_finished_sending_is_served(engine: Engine) {
    let (gate, made) = (Gate::new(), Certificates::new());
    let held = gate.clone();
    let app = move |_: Request| {
        held.pass();
        "served"
    };
    let files = made.make("server", &["localhost"]);
    let server = start(&made, linted(app).engine(engine), &files);
    let config = made.client();
    let mut client = server.connect().secure(&config, "localhost").unwrap();
    client.send(get("/")).finish_sending();
    // It is asked whether it is there, within TLS, and stays.
    assert_eq!(client.head().status_line(), "HTTP/1.1 100 Continue");
    gate.open();
    assert_eq!(client.reply().text(), "served");
    client.end();
}

fn a_client_that_leaves_ends_its_handler(engine: Engine) {
    let (made, server, entered, ended) = waiting(engine, HalfClose::Auto);
    let config = made.client();
    let connect = || {
        let mut client = server.connect().secure(&config, "localhost").unwrap();
        client.send(get("/"));
        entered.pass();
        client
    };
    connect().reset();
    ended.wait();
    drop(connect());
    ended.wait();
    until("the connections are closed", || server.connections() == 0);
}

/// The word of TLS that nothing more comes is as a FIN, also without one.
fn a_client_that_says_goodbye_has_finished(engine: Engine) {
    let (made, server, entered, ended) = waiting(engine, HalfClose::Leave);
    for config in [&TLS12, &TLS13].map(|version| made.client_with(&[version], None)) {
        let mut client = server.connect().secure(&config, "localhost").unwrap();
        client.send(get("/"));
        entered.pass();
        client.say_goodbye();
        ended.wait();
        client.end();
    }
    // Who sends its next request meanwhile has not.
    let (gate, made) = (Gate::new(), Certificates::new());
    let held = gate.clone();
    let app = move |_: Request| {
        held.pass();
        "served"
    };
    let files = made.make("server", &["localhost"]);
    let server = linted(app).engine(engine).half_close(HalfClose::Leave);
    let server = start(&made, server, &files);
    let config = made.client();
    let mut client = server.connect().secure(&config, "localhost").unwrap();
    client.send(get("/"));
    for byte in get("/").bytes() {
        client.send([byte]); // each in a record that is as small as the word would be
    }
    gate.open_for(2);
    assert_eq!(client.reply().text(), "served");
    assert_eq!(client.reply().text(), "served");
}

fn slow_handshakes_have_a_clock(engine: Engine) {
    let served = serve_with(engine, |server| {
        server.handshake_timeout(Duration::from_millis(50))
    });
    let mut silent = served.server.connect();
    silent.end();
    let mut slow = served.server.connect();
    slow.send(b"\x16\x03\x01");
    slow.rest_or_reset();
    until("both are closed", || served.server.connections() == 0);
}

/// Many who do not get on, and some who do.
fn slow_handshakes_give_way(engine: Engine) {
    let served = serve_with(engine, |server| {
        let server = server.limit_handshakes(8).metrics_bind("127.0.0.1:0");
        server.handshake_timeout(Duration::from_secs(600))
    });
    let slow: Vec<_> = (0..200)
        .map(|_| {
            let mut client = served.server.connect();
            client.send(b"\x16\x03\x01");
            client
        })
        .collect();
    for _ in 0..3 {
        let mut client = served.connect();
        assert_eq!(client.send(post("/echo", "a")).reply().text(), "a");
    }
    let slow_ones = "greenway_tls_handshakes_total{result=\"slow\"}";
    until("they are counted", || {
        served.server.metric(slow_ones) >= 3.0
    });
    drop(slow);
    until("all are closed", || served.server.connections() == 0);
}

/// With the default limits, five thousand of them keep nobody out.
#[test]
fn five_thousand_slow_handshakes_keep_nobody_out() {
    greenway_tests::raise_descriptor_limit();
    let served = serve(Engine::Green);
    let slow: Vec<_> = (0..5_000u32)
        .map(|n| {
            let from = std::net::Ipv4Addr::from(0x7f00_0101 + n / 1000);
            let mut client = Client::connect_from(from.into(), served.server.addr());
            // Some are silent, some have begun.
            client.send(&b"\x16\x03\x01"[..n as usize % 4]);
            client
        })
        .collect();
    for _ in 0..3 {
        let mut client = served.connect();
        assert_eq!(client.send(post("/echo", "a")).reply().text(), "a");
    }
    assert!(slow.len() == 5_000);
}

fn idle_connections_are_kept(engine: Engine) {
    let served = serve_with(engine, |server| {
        let metrics = server.metrics_bind("127.0.0.1:0");
        metrics.keep_alive(Duration::from_secs(600))
    });
    let mut client = served.connect();
    for n in 0..2 {
        assert_eq!(client.send(post("/echo", "a")).reply().text(), "a", "{n}");
        until("it has given up its thread", || {
            served.server.metric("greenway_connections_parked") > 0.0
        });
    }
    client.say_goodbye();
    client.end();
}

fn a_stop_waits_for_what_was_begun(engine: Engine) {
    let (gate, begun, made) = (Gate::new(), Gate::new(), Certificates::new());
    let (held, entered) = (gate.clone(), begun.clone());
    let app = move |_: Request| {
        entered.open();
        held.pass();
        "served"
    };
    let files = made.make("server", &["localhost"]);
    let server = start(&made, linted(app).engine(engine), &files);
    let config = made.client();
    let mut client = server.connect().secure(&config, "localhost").unwrap();
    let mut idle = server.connect().secure(&config, "localhost").unwrap();
    let mut silent = server.connect();
    client.send(get("/"));
    begun.pass();
    std::thread::scope(|scope| {
        scope.spawn(|| server.stop_within(DEADLINE));
        idle.end();
        silent.rest_or_reset();
        gate.open();
        assert_eq!(client.reply().text(), "served");
        client.end();
    });
}

fn certificates_are_read_anew(engine: Engine) {
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let server = linted(app())
        .engine(engine)
        .tls_reload(Duration::from_millis(5));
    let server = start(&made, server, &files);
    let client = made.client();
    let mut before = server.connect().secure(&client, "localhost").unwrap();
    // A key that does not belong to the certificate is not taken.
    let key = fs::read(&files.key).unwrap();
    let other = made.make("other", &["new.example"]);
    fs::copy(&other.key, &files.key).unwrap();
    server.connect().secure(&client, "localhost").unwrap();
    fs::copy(&other.cert, &files.cert).unwrap();
    until("the new one is used", || {
        server.connect().secure(&client, "new.example").is_ok()
    });
    assert_ne!(fs::read(&files.key).unwrap(), key);
    // Who was there before is served on.
    assert_eq!(before.send(post("/echo", "a")).reply().text(), "a");
}

/// What a person sees who has mistaken one file for another.
#[test]
fn wrong_files_are_named() {
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let other = made.make("other", &["localhost"]);
    let write = |name: &str, text: &[u8]| {
        let path = made.path(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (cert, key) = (files.cert.as_str(), files.key.as_str());
    let empty = write("empty", b"");
    let text = write("text", b"Hello\n");
    let der = write("der", b"\x30\x82\x01\x02");
    let encrypted = write(
        "encrypted",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let half = write("half", &fs::read(cert).unwrap()[..100]);
    let missing = made.path("missing");
    let folder = made.path("");
    for (cert, key, wanted) in [
        (missing.as_str(), key, "there is no such file"),
        (cert, missing.as_str(), "there is no such file"),
        (folder.as_str(), key, "this is a folder"),
        (empty.as_str(), key, "the file is empty"),
        (text.as_str(), key, "this is not PEM"),
        (der.as_str(), key, "this looks like DER"),
        (half.as_str(), key, "malformed PEM"),
        (key, cert, "swapped"),
        (cert, cert, "--keyfile names the key's file"),
        (
            cert,
            other.key.as_str(),
            "does not belong to the certificate",
        ),
        (cert, encrypted.as_str(), "the private key is encrypted"),
        (cert, text.as_str(), "this is not PEM"),
    ] {
        let server = Server::new(|_: Request| "").bind("127.0.0.1:0");
        let error = server.certfile(cert).keyfile(key).start().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        let error = error.to_string();
        assert!(error.contains(wanted), "{wanted:?} is not in {error:?}");
        let named = [cert, key].iter().any(|path| error.contains(path));
        assert!(named, "{error:?} names no file");
    }
}

#[test]
fn flags_that_do_not_fit_are_refused() {
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let server = || Server::new(|_: Request| "").bind("127.0.0.1:0");
    let wrong = |server: Server, wanted: &str| {
        let error = server.start().unwrap_err().to_string();
        assert!(error.contains(wanted), "{wanted:?} is not in {error:?}");
    };
    wrong(server().keyfile(&files.key), "--keyfile takes --certfile");
    wrong(
        server().redirect_bind(":0"),
        "--redirect-bind takes --certfile",
    );
    let with = || server().certfile(&files.cert).keyfile(&files.key);
    wrong(
        with().certfile(&files.cert),
        "2 times and --keyfile 1 times",
    );
    wrong(
        with().cert_reqs(CertReqs::Required),
        "--ca-certs does not say",
    );
    wrong(
        with().engine(Engine::MiniHttp),
        "the engine minihttp has no TLS",
    );
}

#[test]
fn http_leads_to_https() {
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let server = Server::new(app()).bind("127.0.0.1:0");
    let server = server.certfile(&files.cert).keyfile(&files.key);
    let running = server.redirect_bind("127.0.0.1:0").start().unwrap();
    let (https, http) = (running.addrs()[0], running.redirect_addr().unwrap());
    let mut client = Client::connect(http);
    let request = format!(
        "GET /a?b HTTP/1.1\r\nHost: localhost:{}\r\n\r\n",
        http.port()
    );
    let reply = client.send(request).reply();
    assert_eq!(reply.head.status, 308);
    let location = format!("https://localhost:{}/a?b", https.port());
    assert_eq!(reply.head.field("location"), Some(location.as_str()));
    client.end();
    // Whatever is sent to it is sent to the other place once more.
    let mut client = Client::connect(http);
    let upload = "POST /up HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\r\nabc";
    assert_eq!(client.send(upload).reply().head.status, 308);
    drop(client);
    running.stop();
    assert!(std::net::TcpStream::connect(http).is_err());
}

/// Handlers that hold all threads of the pool do not keep others from shaking hands.
#[test]
fn a_handshake_holds_no_thread_of_the_pool() {
    let (gate, entered, made) = (Gate::new(), Gate::new(), Certificates::new());
    let (held, inside) = (gate.clone(), entered.clone());
    let app = move |_: Request| {
        inside.open();
        held.pass();
        "served"
    };
    let files = made.make("server", &["localhost"]);
    let server = linted(app).engine(Engine::Threads).threads(1);
    let server = start(&made, server, &files);
    let config = made.client();
    let slow: Vec<_> = (0..20).map(|_| server.connect()).collect();
    let mut first = server.connect().secure(&config, "localhost").unwrap();
    first.send(get("/"));
    entered.pass();
    let mut second = server.connect().secure(&config, "localhost").unwrap();
    second.send(get("/"));
    gate.open_for(2);
    first.reply();
    second.reply();
    drop(slow);
}

/// Connections come and go while certificates change, and none is lost.
#[test]
fn a_reload_under_load_loses_nothing() {
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let server = Server::new(app()).bind("127.0.0.1:0");
    let server = server.certfile(&files.cert).keyfile(&files.key);
    let running = server.tls_reload(Duration::ZERO).start().unwrap();
    let (addr, config) = (running.addrs()[0], made.client());
    let done = Queue::new(64);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (config, done) = (config.clone(), done.clone());
            scope.spawn(move || {
                for n in 0..40 {
                    let client = Client::connect(addr).secure(&config, "localhost");
                    let mut client = client.unwrap_or_else(|error| panic!("{n}: {error}"));
                    for _ in 0..3 {
                        assert_eq!(client.send(post("/echo", "a")).reply().text(), "a");
                    }
                }
                done.try_put(()).unwrap();
            });
        }
        while done.len() < 4 {
            let new = made.make("new", &["localhost"]);
            fs::rename(&new.cert, &files.cert).unwrap();
            running.reload_certificates(); // the key does not fit: nothing changes
            fs::rename(&new.key, &files.key).unwrap();
            running.reload_certificates();
        }
    });
    running.stop();
}
