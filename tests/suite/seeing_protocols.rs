//! What an operator is told of TLS and of HTTP/2: in the metrics, in the dump, and in the access log.

use super::processes::{PROGRAM, start_program, stop};
use super::tls::{Served, app, serve_with};
use greenway::green::sleep;
use greenway::{App, Body, BodyError, CertReqs, Engine, Out, Request, Server};
use greenway_tests::http2::{Http2, RawHttp2, frame, kind};
use greenway_tests::request::{get, get_close};
use greenway_tests::tls::rustls::ClientConfig;
use greenway_tests::tls::rustls::version::{TLS12, TLS13};
use greenway_tests::tls::{Certificates, Hello};
use greenway_tests::{Client, Folder, Gate, TestServer, linted, on_green_and_threads, until};
use h2::Reason;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

on_green_and_threads!(
    handshakes_are_counted_by_result_and_version,
    failed_handshakes_are_counted_by_reason,
    handshakes_under_way_are_counted,
    connections_and_streams_of_http2_are_counted,
    requests_that_wait_for_a_thread_are_counted,
    floods_are_counted,
    requests_are_counted_by_protocol,
    the_dump_shows_handshakes_and_streams,
    the_access_log_tells_of_tls,
);

const LONG: Duration = Duration::from_secs(600);

#[track_caller]
fn until_metric(server: &TestServer, sample: &str, value: f64) {
    until(&format!("{sample} {value}"), || {
        server.metric(sample) == value
    });
}

fn serve(engine: Engine) -> Served {
    serve_with(engine, |server| {
        server.metrics_bind("127.0.0.1:0").handshake_timeout(LONG)
    })
}

fn handshakes_are_counted_by_result_and_version(engine: Engine) {
    let served = serve(engine);
    let result = |result: &str| format!("greenway_tls_handshakes_total{{result=\"{result}\"}}");
    for (done, version) in [(1.0, &TLS12), (2.0, &TLS13)] {
        let config = served.made.client_with(&[version], None);
        for _ in 0..2 {
            let mut client = served.connect_with(&config);
            client.send(get("/info")).reply(); // the tickets come before it
        }
        until_metric(&served.server, &result("full"), done);
        until_metric(&served.server, &result("resumed"), done);
    }
    for version in ["TLSv1.2", "TLSv1.3"] {
        let sample = format!("greenway_tls_connections_total{{version=\"{version}\"}}");
        until_metric(&served.server, &sample, 2.0);
    }
    served.server.connect().send(get("/info")).reply();
    until_metric(&served.server, &result("plain"), 1.0);
    until_metric(&served.server, &result("failed"), 0.0);
}

/// Shakes hands until that fails.
fn fails(served: &Served, config: &Arc<ClientConfig>) {
    let mut client = match served.server.connect().secure(config, "localhost") {
        Ok(client) => client,
        Err(_) => return,
    };
    // With TLS 1.3 the client learns it after its own part.
    while client.try_read().is_ok() {}
}

fn failed_handshakes_are_counted_by_reason(engine: Engine) {
    let made = Certificates::new();
    let server = linted(app()).engine(engine).ca_certs(made.root());
    let server = server.cert_reqs(CertReqs::Required);
    let server = server.metrics_bind("127.0.0.1:0").handshake_timeout(LONG);
    let served = Served::by(made, server);
    let send = |bytes: Vec<u8>| {
        served.server.connect().send(bytes).rest_or_reset();
    };
    let counted = |reason: &str, count: f64| {
        let sample = format!("greenway_tls_handshake_failures_total{{reason=\"{reason}\"}}");
        until_metric(&served.server, &sample, count);
    };
    let aes_gcm = Hello::with_suites(&[0xc02b]);
    send(
        Hello {
            version: 0x0301,
            ..aes_gcm.clone()
        }
        .record(),
    );
    counted("version", 1.0);
    send(Hello::with_suites(&[0x0005]).record());
    counted("cipher", 1.0);
    let mut other = ClientConfig::clone(&served.client);
    other.alpn_protocols = vec![b"gopher".to_vec()];
    fails(&served, &Arc::new(other));
    counted("protocol", 1.0);
    fails(&served, &served.client);
    counted("certificate", 1.0);
    // One who does not believe the server's authority.
    fails(&served, &Certificates::new().client());
    counted("alert", 1.0);
    send(b"\x16\x03\x01\x00\x04\xff\x00\x00\x00".to_vec());
    counted("malformed", 1.0);
    let mut half = aes_gcm.record();
    half.truncate(20);
    served.server.connect().send(half);
    counted("lost", 1.0);
    let failed = "greenway_tls_handshakes_total{result=\"failed\"}";
    until_metric(&served.server, failed, 7.0);
    counted("other", 0.0);
}

fn handshakes_under_way_are_counted(engine: Engine) {
    let served = serve_with(engine, |server| {
        let server = server.metrics_bind("127.0.0.1:0").limit_handshakes(2);
        server.handshake_timeout(LONG)
    });
    let under_way = "greenway_tls_handshakes{state=\"under_way\"}";
    let silent: Vec<_> = (0..2).map(|_| served.server.connect()).collect();
    until_metric(&served.server, under_way, 2.0);
    let one_more = served.server.connect();
    until_metric(&served.server, under_way, 2.0);
    drop((silent, one_more));
    until_metric(&served.server, under_way, 0.0);
    until_metric(
        &served.server,
        "greenway_tls_handshakes{state=\"waiting\"}",
        0.0,
    );
}

/// Handlers that wait on `/wait` until the gate is opened, one that fails late, and one that does not.
fn http2_app(gate: &Gate) -> App {
    let mut app = App::new();
    let gate = gate.clone();
    app.get("/wait", move |_: Request| {
        gate.pass();
        "waited"
    });
    app.get("/late", |_: Request| {
        Body::stream(|out: &mut Out<'_>| -> Result<(), BodyError> {
            out.send("begun")?;
            panic!("as this test wants it")
        })
    });
    app.get("/never", |_: Request| {
        sleep(Duration::MAX);
        "never"
    });
    app.get("/", |_: Request| "Hello");
    app
}

fn serve_http2(engine: Engine, threads: usize, gate: &Gate) -> TestServer {
    let server = linted(http2_app(gate)).engine(engine).threads(threads);
    let server = server.keep_alive(LONG).timeout(LONG);
    TestServer::start(server.metrics_bind("127.0.0.1:0"))
}

fn connections_and_streams_of_http2_are_counted(engine: Engine) {
    let gate = Gate::new();
    let server = serve_http2(engine, 16, &gate);
    let mut clients = [Http2::connect(server.addr()), Http2::connect(server.addr())];
    let mut waiting = Vec::new();
    for client in &mut clients {
        waiting.push([client.send_get("/wait"), client.send_get("/wait")]);
    }
    for (sample, value) in [
        ("greenway_http2_connections", 2.0),
        ("greenway_http2_connections_total", 2.0),
        ("greenway_http2_streams", 4.0),
        ("greenway_http2_streams_total", 4.0),
        ("greenway_connections{state=\"serving\"}", 4.0),
        ("greenway_connections{state=\"queued\"}", 0.0),
    ] {
        until_metric(&server, sample, value);
    }
    gate.open_for(4);
    for (client, sent) in clients.iter_mut().zip(waiting) {
        for sent in sent {
            assert_eq!(client.whole(sent).unwrap().text(), "waited");
        }
    }
    until_metric(&server, "greenway_http2_streams", 0.0);
    let [mut first, second] = clients;
    let late = first.send_get("/late");
    assert!(first.whole(late).is_err());
    let mut never = first.send_get("/never");
    until_metric(&server, "greenway_http2_streams", 1.0);
    never.body.send_reset(Reason::CANCEL);
    first.turn();
    until_metric(&server, "greenway_http2_resets_total{by=\"client\"}", 1.0);
    until_metric(&server, "greenway_http2_resets_total{by=\"server\"}", 1.0);
    drop((first, second));
    until_metric(&server, "greenway_http2_connections", 0.0);
    until_metric(&server, "greenway_http2_connections_total", 2.0);
    until_metric(&server, "greenway_http2_floods_total", 0.0);
}

/// Requests of HTTP/2 are no connections: neither hides the other where both wait.
fn requests_that_wait_for_a_thread_are_counted(engine: Engine) {
    let gate = Gate::new();
    let server = serve_http2(engine, 2, &gate);
    let mut client = Http2::connect(server.addr());
    let sent: Vec<_> = (0..5).map(|_| client.send_get("/wait")).collect();
    let mut others: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for other in &mut others {
        other.send(get_close("/wait"));
    }
    let (serving, queued) = match engine {
        Engine::Threads => (2.0, 6.0),
        _ => (8.0, 0.0),
    };
    until_metric(&server, "greenway_connections{state=\"serving\"}", serving);
    until_metric(&server, "greenway_connections{state=\"queued\"}", queued);
    gate.open_for(8);
    for sent in sent {
        client.whole(sent).unwrap();
    }
    for mut other in others {
        other.reply();
    }
    until_metric(&server, "greenway_connections{state=\"serving\"}", 0.0);
    until_metric(&server, "greenway_connections{state=\"queued\"}", 0.0);
    until_metric(&server, "greenway_connections{state=\"idle\"}", 1.0);
}

fn floods_are_counted(engine: Engine) {
    let server = serve_http2(engine, 4, &Gate::new());
    let mut client = RawHttp2::connect(server.addr());
    let pings = frame(kind::PING, 0, 0, b"12345678").repeat(100);
    while client.write(&pings) {}
    until_metric(&server, "greenway_http2_floods_total", 1.0);
}

fn requests_are_counted_by_protocol(engine: Engine) {
    let server = serve_http2(engine, 4, &Gate::new());
    server.ask("GET / HTTP/1.0\r\n\r\n");
    for _ in 0..2 {
        server.ask(get_close("/"));
    }
    let mut client = Http2::connect(server.addr());
    for _ in 0..3 {
        client.get("/");
    }
    server.ask("nonsense\r\n\r\n");
    until_metric(
        &server,
        "greenway_requests_total{code=\"400\",class=\"4xx\"}",
        1.0,
    );
    for (protocol, count) in [("HTTP/1.0", 1.0), ("HTTP/1.1", 2.0), ("HTTP/2", 3.0)] {
        let sample = format!("greenway_requests_by_protocol_total{{protocol=\"{protocol}\"}}");
        until_metric(&server, &sample, count);
    }
}

/// In a process of its own: what is shown is all that the process does.
fn the_dump_shows_handshakes_and_streams(engine: Engine) {
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let args = [
        "--certfile",
        &files.cert,
        "--keyfile",
        &files.key,
        "--metrics-bind",
        "127.0.0.1:0",
    ];
    let program = start_program(Path::new(PROGRAM), engine, &args);
    let line = program.wait_for_line("listening on https://");
    let (_, rest) = line.split_once("https://").expect("it was waited for");
    let addr: SocketAddr = rest.split(' ').next().unwrap().parse().unwrap();
    let metrics = program.wait_for_metrics_addr();
    let shown = |path: &str| {
        Client::connect(metrics)
            .send(get_close(path))
            .reply()
            .text()
    };
    let silent = Client::connect(addr);
    let mut config = ClientConfig::clone(&made.client());
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut client = Http2::secure(addr, &Arc::new(config));
    let _waiting = [client.send_get("/wait"), client.send_get("/wait")];
    until("all of them to be shown", || {
        let all = shown("/threads?all");
        let has = |text: &str| all.contains(text);
        let requests = all.matches("\"GET /wait HTTP/2\"").count();
        has("TLS handshake for 127.0.0.1:") && has("HTTP/2 for 127.0.0.1:") && requests == 2
    });
    let together = shown("/threads");
    for kind in ["connection, TLS handshake: ", "connection, HTTP/2: "] {
        assert!(together.contains(kind), "{kind}: {together}");
    }
    let name = silent.stream().local_addr().unwrap();
    assert!(shown("/threads?all").contains(&format!("TLS handshake for {name}")));
    drop((silent, client));
    stop(program);
}

fn the_access_log_tells_of_tls(engine: Engine) {
    let folder = Folder::new("tls-log");
    let log = folder.path("access.log");
    let logs = |server: Server| {
        let path = log.to_str().expect("the name is ours");
        let format = "%(H)s %({HTTPS}e)s %({SSL_PROTOCOL}e)s %({SSL_CIPHER}e)s %({SSL_TLS_SNI}e)s";
        server.access_log(path).access_log_format(format)
    };
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    let until_lines = |count| until("the lines", || read().lines().count() == count);
    let served = serve_with(engine, logs);
    served.connect().send(get_close("/info")).reply();
    until_lines(1);
    let mut config = ClientConfig::clone(&served.made.client_with(&[&TLS12], None));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut client = Http2::secure(served.server.addr(), &Arc::new(config));
    assert_eq!(client.get("/info").status, 200);
    until_lines(2);
    let plain = TestServer::start(logs(linted(app()).engine(engine)));
    plain.ask(get_close("/info"));
    until_lines(3);
    assert_eq!(
        read(),
        "HTTP/1.1 on TLSv1.3 TLS_AES_256_GCM_SHA384 localhost\n\
         HTTP/2 on TLSv1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 localhost\n\
         HTTP/1.1 - - - -\n"
    );
}
