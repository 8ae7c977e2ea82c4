//! A server that speaks TLS: what is agreed upon, and whom it serves.

use greenway::{App, Body, CertReqs, Engine, Request, Server, TlsVersion};
use greenway_tests::request::{get, post};
use greenway_tests::tls::rcgen::{CertificateParams, DnType};
use greenway_tests::tls::rustls::version::{TLS12, TLS13};
use greenway_tests::tls::rustls::{ClientConfig, HandshakeKind, ProtocolVersion};
use greenway_tests::tls::{Certificates, PairFiles};
use greenway_tests::{Client, Gate, TestServer, linted, on_green_and_threads, until};
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
    a_request_in_pieces_of_records,
    idle_connections_are_kept,
);

pub(super) struct Served {
    pub(super) server: TestServer,
    pub(super) made: Certificates,
    pub(super) client: Arc<ClientConfig>,
}

impl Served {
    /// Starts a server that has a certificate, and a client that believes it.
    pub(super) fn of(server: Server) -> Self {
        Self::by(Certificates::new(), server)
    }

    /// The same with a certificate of this authority.
    pub(super) fn by(made: Certificates, server: Server) -> Self {
        let files = made.make("server", &["localhost", "a.example"]);
        Self {
            server: start(server, &files),
            client: made.client(),
            made,
        }
    }

    #[track_caller]
    pub(super) fn connect(&self) -> Client {
        self.connect_with(&self.client)
    }

    #[track_caller]
    pub(super) fn connect_with(&self, config: &Arc<ClientConfig>) -> Client {
        let connected = self.server.connect().secure(config, "localhost");
        connected.unwrap_or_else(|error| panic!("no handshake: {error}"))
    }
}

pub(super) fn app() -> App {
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

pub(super) fn start(server: Server, files: &PairFiles) -> TestServer {
    TestServer::start(server.certfile(&files.cert).keyfile(&files.key))
}

pub(super) fn serve_with(engine: Engine, change: impl FnOnce(Server) -> Server) -> Served {
    Served::of(change(
        linted(app()).engine(engine).limit_request_body(64 << 20),
    ))
}

pub(super) fn serve(engine: Engine) -> Served {
    serve_with(engine, |server| server)
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
    let gate = Gate::new();
    let held = gate.clone();
    let app = move |_: Request| {
        let held = held.clone();
        Body::stream(move |out| {
            out.send("A")?;
            held.pass();
            out.send("B")
        })
    };
    let served = Served::of(linted(app).engine(engine));
    let mut client = served.connect();
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
    let served = Served::by(made, linted(app).engine(engine));
    let mut client = served.connect();
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
        let mut client = served.connect_with(&config);
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
            let mut client = served.connect_with(&config);
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
    let serve = |whether| {
        let made = Certificates::new();
        let server = linted(app()).engine(engine).ca_certs(made.root());
        Served::by(made, server.cert_reqs(whether))
    };
    for whether in [CertReqs::Optional, CertReqs::Required] {
        let served = serve(whether);
        let made = &served.made;
        let config = made.client_with(&[&TLS13], Some(&ada(made)));
        // The second time, the session is resumed.
        for _ in 0..2 {
            let mut client = served.connect_with(&config);
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
    let served = serve(CertReqs::Optional);
    let mut nobody = served.connect();
    assert!(nobody.send(get("/info")).reply().text().contains("NONE"));
    // One whom somebody else has signed.
    let others = Certificates::new();
    let stranger = served.made.client_with(&[&TLS13], Some(&ada(&others)));
    let mut client = served.connect_with(&stranger);
    let refused = client.try_send(get("/")).and_then(|()| client.try_read());
    assert!(refused.is_err(), "{refused:?}");
}

fn clients_without_a_certificate_can_be_refused(engine: Engine) {
    let made = Certificates::new();
    let server = linted(app()).engine(engine).ca_certs(made.root());
    let served = Served::by(made, server.cert_reqs(CertReqs::Required));
    let old = served.made.client_with(&[&TLS12], None);
    let refused = served.server.connect().secure(&old, "localhost");
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidData, "{refused}");
    // With TLS 1.3 the client learns it after its handshake.
    let mut client = served.connect();
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
