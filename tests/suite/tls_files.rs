//! The files of certificates and keys: which ones are refused, how they are read anew, and the
//! flags that go with them.

use super::tls::{app, start};
use greenway::green::Queue;
use greenway::{CertReqs, Engine, Request, Server};
use greenway_tests::request::post;
use greenway_tests::tls::Certificates;
use greenway_tests::{Client, linted, on_green_and_threads, until};
use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

on_green_and_threads!(certificates_are_read_anew);

fn certificates_are_read_anew(engine: Engine) {
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let server = linted(app())
        .engine(engine)
        .tls_reload(Duration::from_millis(5));
    let server = start(server, &files);
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
