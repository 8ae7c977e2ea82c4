//! Crates that handlers use: docs/src/crates.md has a row for each, and each row has its test here,
//! in `crates_http.rs`, `crates_redis.rs` or `crates_blocking.rs`.
//!
//! A crate is safe if it waits by way of what it is given. That is shown on one worker: the client
//! and the server of an exchange are green threads of the same one, so a client that blocked it
//! would never be answered.

use greenway::green::net::{TcpListener, TcpStream};
use greenway::green::{Greenlet, sleep, spawn, worker_index};
use greenway_tests::DEADLINE;
use rand::RngExt;
use std::io::{BufReader, Read, Write};
use std::sync::Arc;
use std::time::Duration;

/// Runs a test on a green thread, and on this OS thread.
pub(super) fn everywhere(body: fn()) {
    let outcome = spawn(body).join_timeout(DEADLINE);
    if let Err(error) = outcome.expect("it has blocked its worker") {
        error.resume();
    }
    body();
}

/// Starts a server for one connection: on the worker of the green thread that calls.
pub(super) fn serve<T: Send + 'static>(
    server: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (std::net::SocketAddr, Greenlet<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let home = worker_index();
    let server = spawn(move || {
        assert!(home.is_none_or(|home| worker_index() == Some(home)));
        let (stream, _) = listener.accept_timeout(DEADLINE).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        server(stream)
    });
    (addr, server)
}

pub(super) fn connect(addr: std::net::SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(addr, DEADLINE).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

const PAUSE: Duration = Duration::from_millis(5);

#[test]
fn rustls() {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

    everywhere(|| {
        let made = rcgen::generate_simple_self_signed(["greenway.test".to_owned()]).unwrap();
        let certificate: CertificateDer<'static> = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());

        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();

        let (addr, server) = serve(move |stream| {
            let connection = ServerConnection::new(Arc::new(server)).unwrap();
            let mut tls = rustls::StreamOwned::new(connection, stream);
            let mut data = vec![0; 300_000];
            tls.read_exact(&mut data).unwrap();
            tls.write_all(&data).unwrap();
            tls.conn.send_close_notify();
            tls.flush().unwrap();
        });
        let name = ServerName::try_from("greenway.test").unwrap();
        let connection = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut tls = rustls::StreamOwned::new(connection, connect(addr));
        let data: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
        tls.write_all(&data).unwrap();
        let mut back = Vec::new();
        tls.read_to_end(&mut back).unwrap();
        assert!(back == data, "{} bytes came back", back.len());
        server.join().unwrap();
    });
}

#[test]
fn tungstenite() {
    use ::tungstenite::Message;

    everywhere(|| {
        let (addr, server) = serve(|stream| {
            let mut socket = ::tungstenite::accept(stream).unwrap();
            loop {
                match socket.read().unwrap() {
                    Message::Close(_) => break,
                    message => {
                        sleep(PAUSE);
                        socket.send(message).unwrap();
                    }
                }
            }
            // The client closes the connection when it has the answer to its close.
            while socket.read().is_ok() {}
        });
        let (mut socket, response) =
            ::tungstenite::client("ws://greenway.test/", connect(addr)).unwrap();
        assert_eq!(response.status(), 101);
        for text in ["hello", &"long ".repeat(50_000)] {
            socket.send(Message::text(text)).unwrap();
            assert_eq!(socket.read().unwrap(), Message::text(text));
        }
        socket.close(None).unwrap();
        while socket.read().is_ok() {}
        drop(socket);
        server.join().unwrap();
    });
}

#[test]
fn serde_json_from_a_socket() {
    everywhere(|| {
        let (addr, server) = serve(|mut stream| {
            for piece in [&b"{\"a\": [1,"[..], b" 2]} {\"b\"", b": null}"] {
                sleep(PAUSE);
                stream.write_all(piece).unwrap();
            }
        });
        let reader = BufReader::new(connect(addr));
        let values = serde_json::Deserializer::from_reader(reader).into_iter();
        let values: Vec<serde_json::Value> = values.map(Result::unwrap).collect();
        assert_eq!(values[0]["a"][1], 2);
        assert_eq!(values[1], serde_json::json!({"b": null}));
        server.join().unwrap();
    });
}

#[test]
fn minijinja_with_filters_that_wait() {
    use minijinja::{Environment, context};

    everywhere(|| {
        let mut env = Environment::new();
        let slowly = |text: String| {
            sleep(PAUSE);
            text.to_uppercase()
        };
        env.add_filter("slowly", slowly);
        let page = "{% for name in names %}{{ name|slowly }} {{ loop.index }};{% endfor %}";
        env.add_template("page", page).unwrap();
        let env = Arc::new(env);
        let render = |names: [String; 3]| {
            let env = env.clone();
            spawn(move || {
                let page = env.get_template("page").unwrap();
                page.render(context!(names)).unwrap()
            })
        };
        let pages: Vec<_> = (0..5)
            .map(|n| render([1, 2, 3].map(|name| format!("x{n}{name}"))))
            .collect();
        for (n, page) in pages.into_iter().enumerate() {
            assert_eq!(page.join().unwrap(), format!("X{n}1 1;X{n}2 2;X{n}3 3;"));
        }
    });
}

/// A generator of the thread's own is a reference into a thread-local. Green threads stay on their
/// OS thread, so it may be kept over a wait.
#[test]
fn rand_over_a_wait() {
    everywhere(|| {
        let threads: Vec<_> = (0..20)
            .map(|_| {
                spawn(|| {
                    let os_thread = std::thread::current().id();
                    let mut rng = rand::rng();
                    let mut numbers = Vec::new();
                    for _ in 0..5 {
                        numbers.push(rng.random::<u64>());
                        sleep(Duration::from_micros(100));
                        assert_eq!(std::thread::current().id(), os_thread);
                    }
                    numbers
                })
            })
            .collect();
        let mut all: Vec<_> = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 100, "no two are the same");
    });
}

/// The tests of a source file of this directory: by their attribute, or by the macro that makes them.
fn tests_of(source: &str) -> Vec<&str> {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let marked = lines.iter().enumerate().filter_map(|(at, line)| {
        let name = line.strip_prefix("fn ")?.split_once('(')?.0;
        (at > 0 && lines[at - 1] == "#[test]" && !name.starts_with('$')).then_some(name)
    });
    let made = lines.iter().filter_map(|line| {
        let (name, how) = line.split_once(": ")?;
        (how.starts_with('"') && how.ends_with("\",")).then_some(name)
    });
    marked.chain(made).collect()
}

#[test]
fn the_guide_names_the_tests_that_there_are() {
    use std::collections::BTreeSet;

    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let read = |page: &str| std::fs::read_to_string(format!("{root}/docs/src/{page}")).unwrap();
    let page = read("evidence/crates.md");
    let code = page.split('`').skip(1).step_by(2);
    let named: BTreeSet<_> = code
        .filter_map(|text| text.strip_prefix("suite/"))
        .filter(|text| text.starts_with("crates"))
        .map(str::to_owned)
        .collect();
    let mut there = BTreeSet::new();
    for file in ["crates", "crates_blocking", "crates_http", "crates_redis"] {
        let path = format!("{root}/tests/suite/{file}.rs");
        let source = std::fs::read_to_string(path).unwrap();
        there.extend(
            tests_of(&source)
                .iter()
                .map(|test| format!("{file}::{test}")),
        );
    }
    there.remove("crates::the_guide_names_the_tests_that_there_are");
    assert_eq!(named, there);
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let header = row.ends_with("| Test |");
        let named = ["`suite/", "`green/"].iter().any(|test| row.contains(test));
        assert!(header || named, "no test: {row}");
    }
    // Each row of the guide begins as its row with the test does.
    let guide = read("crates.md");
    for row in guide.lines().filter(|line| line.starts_with("| ")) {
        let (first, _) = row[2..].split_once(" | ").expect("a row has several cells");
        let begins = format!("| {first} | ");
        assert!(
            page.lines().any(|line| line.starts_with(&begins)),
            "no test: {row}"
        );
    }
}
