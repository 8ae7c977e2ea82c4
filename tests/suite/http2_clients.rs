//! HTTP/2 with clients that other people have written: curl, nghttp2's programs, Python's `h2`.
//!
//! As `real_clients`, for HTTP/2.

use crate::real_clients::{Folder, curl, finish, script, start};
use crate::websocket_clients::installed;
use greenway_tests::{Engine, Program, on_green_and_threads};
use std::path::PathBuf;
use std::process::Command;

on_green_and_threads!(
    curl_with_prior_knowledge,
    curl_over_tls,
    nghttp_asks_many_times_at_once,
    h2load_sees_no_errors,
    pythons_h2,
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

fn curl_over_tls(engine: Engine) {
    let folder = Folder::new(&format!("h2-tls-{}", engine.name()));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path("cert.pem"), folder.path("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let text = |path: &PathBuf| path.to_str().expect("the name is ours").to_owned();
    let (certificate, key) = (text(&certificate), text(&key));
    let tls = ["--certfile", &certificate, "--keyfile", &key];
    let server = server(engine, &tls);
    let line = server.wait_for_line("listening on https://");
    let (_, rest) = line.split_once("https://").expect("chosen by it");
    let port = rest
        .split(' ')
        .next()
        .and_then(|addr| addr.rsplit(':').next());
    let port = port.expect("a port");
    let url = format!("https://localhost:{port}/hello");
    for (flag, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let ended = finish(start(&mut curl(&[
            flag,
            "--cacert",
            &certificate,
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
