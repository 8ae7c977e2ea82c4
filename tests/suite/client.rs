//! `greenway::client` in handlers that ask other servers, on both engines.

use greenway::client::{self, ureq};
use greenway::green::net::{TcpListener, TcpStream};
use greenway::green::spawn;
use greenway::{App, Body, Engine, HttpError, Request};
use greenway_tests::request::get;
use greenway_tests::{DEADLINE, Drops, Gate, TestServer, linted, on_green_and_threads, until};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Error};

on_green_and_threads!(
    handlers_ask_a_server_of_ours,
    a_server_that_is_slow_is_given_up,
    a_handler_ends_in_the_middle_of_a_request,
    https_with_a_root_of_ones_own,
);

fn start(engine: Engine, app: App) -> TestServer {
    TestServer::start(linted(app).engine(engine).timeout(DEADLINE))
}

/// An agent that follows no proxy of who runs the tests.
fn agent(limit: Option<Duration>) -> Agent {
    let config = Agent::config_builder().proxy(None).timeout_global(limit);
    client::agent_with(config.build())
}

/// With `url` as where the other server is.
fn asks(url: String, agent: Agent) -> App {
    let mut app = App::new();
    app.get("/ask/<path:path>", move |request: Request| {
        let url = format!("{url}/{}", request.param("path"));
        let asked = agent.get(&url).call();
        let text = asked.and_then(|mut reply| reply.body_mut().read_to_string());
        text.map_err(|error| match error {
            Error::StatusCode(status) => HttpError::new(502, format!("it says {status}")),
            Error::Timeout(_) => HttpError::new(504, "it is slow"),
            error => HttpError::new(502, error.to_string()),
        })
    });
    app
}

fn handlers_ask_a_server_of_ours(engine: Engine) {
    const ASKERS: usize = 20;
    let mut app = App::new();
    app.get("/page/<n:int>", |request: Request| {
        let page = request.int("n").to_string();
        Body::stream(move |out| (0..100).try_for_each(|_| out.send(page.clone())))
    });
    let other = start(engine, app);
    let app = asks(
        format!("http://localhost:{}", other.addr().port()),
        agent(Some(DEADLINE)),
    );
    let server = start(engine, app);
    // Each of them twice: connections are used again, from whichever worker.
    for _ in 0..2 {
        let mut clients: Vec<_> = (0..ASKERS).map(|_| server.connect()).collect();
        for (n, client) in clients.iter_mut().enumerate() {
            client.send(get(&format!("/ask/page/{n}")));
        }
        for (n, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.reply().text(), n.to_string().repeat(100));
        }
    }
    let reply = server.get("/ask/nowhere");
    assert_eq!(reply.status(), 502);
    assert!(reply.text().contains("it says 404"), "{}", reply.text());
}

fn a_server_that_is_slow_is_given_up(engine: Engine) {
    let mut app = App::new();
    let gate = Gate::new();
    let held = gate.clone();
    app.get("/slow", move |_: Request| held.pass());
    let other = start(engine, app);
    let url = format!("http://{}", other.addr());
    let server = start(engine, asks(url, agent(Some(Duration::from_millis(50)))));
    assert_eq!(server.get("/ask/slow").status(), 504);
    gate.open();
}

/// Its client has left: the handler is unwound, and the connection to the other server is closed.
fn a_handler_ends_in_the_middle_of_a_request(engine: Engine) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (entered, left) = (Gate::new(), Gate::new());
    let (enter, leave) = (entered.clone(), left.clone());
    let other = spawn(move || {
        let (mut stream, _) = listener.accept_timeout(DEADLINE).unwrap();
        let read = stream.read(&mut [0; 1000]).unwrap();
        assert!(read > 0);
        enter.open();
        // Its end, or a reset.
        let end = stream.read(&mut [0; 1000]).unwrap_or(0);
        assert_eq!(end, 0);
        leave.open();
    });
    let drops = Drops::new();
    let (agent, witnesses) = (agent(None), drops.clone());
    let mut app = App::new();
    app.get("/", move |_: Request| {
        let _witness = witnesses.witness();
        let asked = agent.get(&url).call();
        asked
            .map(|_| ())
            .map_err(|error| HttpError::new(502, error.to_string()))
    });
    let server = start(engine, app);
    let mut client = server.connect();
    client.send(get("/"));
    entered.pass();
    client.reset();
    left.pass();
    drops.wait();
    other.join().unwrap();
    until("the connection is over", || server.connections() == 0);
}

fn https_with_a_root_of_ones_own(engine: Engine) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let other = spawn(move || {
        for trusted in [false, true] {
            let (stream, _) = listener.accept_timeout(DEADLINE).unwrap();
            let served = answer_in_tls(stream, config.clone());
            assert_eq!(served.is_ok(), trusted, "{served:?}");
        }
    });
    let url = format!("https://localhost:{port}");
    let stranger = start(engine, asks(url.clone(), agent(Some(DEADLINE))));
    let reply = stranger.get("/ask/secret");
    assert_eq!(reply.status(), 502);
    assert!(reply.text().contains("certificate"), "{}", reply.text());

    let roots = RootCerts::new_with_certs(&[Certificate::from_der(&certificate).to_owned()]);
    let config = Agent::config_builder()
        .proxy(None)
        .timeout_global(Some(DEADLINE))
        .tls_config(TlsConfig::builder().root_certs(roots).build());
    let server = start(engine, asks(url, client::agent_with(config.build())));
    assert_eq!(server.get("/ask/secret").text(), "in private");
    other.join().unwrap();
}

fn answer_in_tls(stream: TcpStream, config: Arc<ServerConfig>) -> std::io::Result<()> {
    let connection = ServerConnection::new(config).expect("the settings are right");
    let mut tls = StreamOwned::new(connection, stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tls.read_exact(&mut byte)?;
        head.extend(byte);
    }
    assert!(head.starts_with(b"GET /secret HTTP/1.1\r\n"));
    tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\nin private")?;
    tls.conn.send_close_notify();
    tls.flush()
}
