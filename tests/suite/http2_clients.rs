//! HTTP/2 with clients that other people have written: curl, nghttp2's programs, Python's `h2`.
//!
//! As `real_clients`, for HTTP/2.

use crate::real_clients::{curl, finish, script, start};
use crate::websocket_clients::installed;
use greenway_tests::tls::Certificates;
use greenway_tests::webdriver::Browser;
use greenway_tests::{Engine, Folder, Program, on_green_and_threads};
use serde_json::json;
use std::process::Command;

on_green_and_threads!(
    curl_with_prior_knowledge,
    curl_over_tls,
    curl_gets_answers_that_come_before_its_upload_has_gone,
    nghttp_asks_many_times_at_once,
    h2load_sees_no_errors,
    pythons_h2,
    chromium_over_tls,
);

fn server(engine: Engine, flags: &[&str]) -> Program {
    let mut args = vec!["--bind", "127.0.0.1:0", "--engine", engine.name()];
    args.extend(flags);
    Program::start(env!("CARGO_BIN_EXE_longpoll"), &args)
}

fn curl_with_prior_knowledge(engine: Engine) {
    let server = server(engine, &[]);
    let base = format!("http://{}", server.wait_for_addr());
    let ended = finish(start(&mut curl(&[
        "--http2-prior-knowledge",
        "--write-out",
        "%{http_code} %{http_version}\n",
        &format!("{base}/hello"),
    ])));
    assert_eq!(ended.stdout, ["Hello", "200 2"]);
    let path = script("../../Cargo.lock");
    let text = std::fs::read_to_string(&path).expect("it is part of the repository");
    let ended = finish(start(&mut curl(&[
        "--http2-prior-knowledge",
        "--request",
        "POST",
        "--upload-file",
        path.to_str().expect("a path in UTF-8"),
        &format!("{base}/echo"),
    ])));
    assert!(ended.stdout.iter().eq(text.lines()), "it comes back");
}

/// A response that is whole before its request is ends in a reset; `curl` throws the response away
/// where it reads both at once.
fn curl_gets_answers_that_come_before_its_upload_has_gone(engine: Engine) {
    let server = server(engine, &["--limit-request-body", "1000000"]);
    let base = format!("http://{}", server.wait_for_addr());
    let folder = Folder::new("uploads");
    let large = folder.path("large");
    std::fs::write(&large, vec![b'x'; 20_000_000]).expect("the folder is ours");
    let large = format!("@{}", large.display());
    let hello = format!("{base}/hello");
    // A connection for each: this `curl` does not use one again that it knows to speak HTTP/2.
    let code = |data: &str, url: &str| {
        let ended = finish(start(&mut curl(&[
            "--http2-prior-knowledge",
            "--data-binary",
            data,
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}\n",
            url,
        ])));
        ended.stdout.concat()
    };
    // Nothing takes POST there, so nobody reads the body.
    for _ in 0..20 {
        assert_eq!(code("a few bytes", &hello), "405");
    }
    assert_eq!(code(&large, &format!("{base}/echo")), "413");
}

fn curl_over_tls(engine: Engine) {
    let certificates = Certificates::new();
    let pair = certificates.make("server", &["localhost"]);
    let tls = ["--certfile", &pair.cert, "--keyfile", &pair.key];
    let server = server(engine, &tls);
    let port = tls_port(&server);
    let url = format!("https://localhost:{port}/hello");
    for (flag, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let ended = finish(start(&mut curl(&[
            flag,
            "--cacert",
            &certificates.root(),
            "--resolve",
            &format!("localhost:{port}:127.0.0.1"),
            "--write-out",
            "%{http_code} %{http_version} %{num_connects}\n",
            &url,
            &url,
        ])));
        let first = format!("200 {version} 1");
        let second = format!("200 {version} 0");
        assert_eq!(ended.stdout, ["Hello", &first, "Hello", &second]);
    }
}

/// The port of a server that speaks TLS.
#[track_caller]
fn tls_port(server: &Program) -> u16 {
    let line = server.wait_for_line("listening on https://");
    let (_, rest) = line.split_once("https://").expect("chosen by it");
    let addr = rest.split(' ').next().unwrap_or(rest);
    let port = addr.rsplit(':').next().and_then(|port| port.parse().ok());
    port.unwrap_or_else(|| panic!("no port in {line:?}"))
}

fn nghttp_asks_many_times_at_once(engine: Engine) {
    let server = server(engine, &[]);
    let url = format!("http://{}/hello", server.wait_for_addr());
    let mut nghttp = Command::new("nghttp");
    let ended = finish(start(nghttp.args(["--multiply=50", "--timeout=15", &url])));
    let hello = ended.stdout.iter().filter(|line| *line == "Hello");
    assert_eq!(hello.count(), 50, "{ended:?}");
}

fn h2load_sees_no_errors(engine: Engine) {
    let server = server(engine, &[]);
    let url = format!("http://{}/hello", server.wait_for_addr());
    let mut h2load = Command::new("h2load");
    let args = [
        "--requests=5000",
        "--clients=10",
        "--max-concurrent-streams=20",
        &url,
    ];
    let ended = finish(start(h2load.args(args)));
    let line = "requests: 5000 total, 5000 started, 5000 done, 5000 succeeded, 0 failed";
    let found = ended.stdout.iter().any(|text| text.starts_with(line));
    assert!(found, "{ended:#?}");
}

fn pythons_h2(engine: Engine) {
    let server = server(engine, &[]);
    let addr = server.wait_for_addr();
    let mut python = Command::new(installed("python/bin/python"));
    let port = addr.port().to_string();
    let client = script("http2_client.py");
    let ended = finish(start(
        python.arg(client).arg(addr.ip().to_string()).arg(port),
    ));
    assert_eq!(ended.stdout, ["ok"], "{ended:#?}");
}

/// A page, and the WebSockets that it opens, which a browser sends over the connection that it has
/// (RFC 8441).
fn chromium_over_tls(engine: Engine) {
    let certificates = Certificates::new();
    let pair = certificates.make("server", &["localhost"]);
    let args = [
        "--bind",
        "127.0.0.1:0",
        "--engine",
        engine.name(),
        "--threads",
        "64",
        "--certfile",
        &pair.cert,
        "--keyfile",
        &pair.key,
        "--access-logfile",
        "-",
        "--access-logformat",
        "%(H)s %(s)s",
    ];
    let server = Program::start(env!("CARGO_BIN_EXE_sockets"), &args);
    let browser = Browser::start_believing(true);
    browser.open(&format!("https://localhost:{}/", tls_port(&server)));
    let script = std::fs::read_to_string(script("browser.js")).expect("it is in the repository");
    let _begun = browser.eval(&format!("(() => {{ {script} }})()"));
    browser.wait_until("document.title !== 'sockets'");
    assert_eq!(browser.eval("document.title"), json!("ok"));
    server.wait_for_output("HTTP/2 200");
    server.wait_for_output("HTTP/2 101");
}
