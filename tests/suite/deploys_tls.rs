//! Deploys of several processes that speak TLS and HTTP/2, and lead from http to https: what is lost
//! nowhere else must not be lost here.

use super::deploys::Deployed;
use super::processes::children;
use greenway::Engine;
use greenway_tests::http2::{Http2, Sent, fields, frame, request};
use greenway_tests::request::{get, get_close};
use greenway_tests::tls::rustls::ClientConfig;
use greenway_tests::tls::{Certificates, PairFiles};
use greenway_tests::{Client, Load, on_green_and_threads, under_load, until};
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

on_green_and_threads!(
    deploys_over_tls_lose_nothing,
    a_deploy_finishes_what_leads_to_https,
    deploys_over_http2_lose_no_request,
    http2_over_tls_finishes_what_it_has,
);

/// A deploy takes a few seconds, as idle connections are waited for.
const DEPLOYS: usize = 3;

fn start_with_tls(engine: Engine, files: &PairFiles, more: &[&str]) -> Deployed {
    let usual = ["-w", "2", "--keep-alive", "600"];
    let tls = ["--certfile", &files.cert, "--keyfile", &files.key];
    Deployed::start(engine, &[&usual[..], &tls, more].concat())
}

/// Where it listens, as it says behind `before`.
fn addr(deployed: &Deployed, before: &str) -> SocketAddr {
    let line = deployed.program.wait_for_line(before);
    let (_, rest) = line.split_once(before).expect("the line was chosen by it");
    let addr = rest.split([' ', ')']).next().unwrap_or(rest);
    addr.parse().expect(rest)
}

fn https(deployed: &Deployed) -> SocketAddr {
    addr(deployed, "listening on https://")
}

fn until_deployed(deployed: &Deployed, before: &BTreeSet<u32>) {
    until("all to be replaced", || {
        let now = children(deployed.program.id());
        now.len() == 2 && now.is_disjoint(before)
    });
}

/// Deploys a few times under this load.
fn deploy_under(deployed: &Deployed, client: impl Fn(&Load) + Sync) {
    under_load(&[&client], |load| {
        for round in 0..DEPLOYS {
            let so_far = load.answered();
            until_deployed(deployed, &deployed.begin());
            let after = load.answered();
            assert!(after > so_far, "deploy {round}: nobody was served");
        }
    });
}

fn connect(addr: SocketAddr, config: &Arc<ClientConfig>) -> Client {
    let client = Client::connect(addr).secure(config, "localhost");
    client.expect("a handshake, resumed or not")
}

/// The clients keep what resumes a session, and come to a process that did not make it, or to one that
/// the maker has been replaced by.
fn deploys_over_tls_lose_nothing(engine: Engine) {
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let deployed = start_with_tls(engine, &files, &[]);
    let (addr, config) = (https(&deployed), made.client());
    deploy_under(&deployed, |load| {
        while !load.is_over() {
            let reply = connect(addr, &config).send(get_close("/hello")).reply();
            assert_eq!(reply.text(), "Hello\n");
            let mut client = connect(addr, &config);
            loop {
                let reply = client.send(get("/hello")).reply();
                assert_eq!(reply.text(), "Hello\n");
                load.count();
                if reply.head.says_close() {
                    client.end();
                    break;
                }
                if load.is_over() {
                    return;
                }
            }
        }
    });
    deployed.stop();
}

/// Sockets that these processes hold.
fn sockets(pids: &BTreeSet<u32>) -> usize {
    let all = pids
        .iter()
        .map(|pid| fs::read_dir(format!("/proc/{pid}/fd")));
    let all = all.flatten().flatten().flatten();
    let links = all.filter_map(|entry| fs::read_link(entry.path()).ok());
    let names = links.filter(|link| link.to_string_lossy().starts_with("socket:"));
    names.count()
}

/// Whoever has begun a request where http leads to https gets its answer, as anywhere else.
fn a_deploy_finishes_what_leads_to_https(engine: Engine) {
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let more = ["--redirect-bind", "127.0.0.1:0"];
    let deployed = start_with_tls(engine, &files, &more);
    let http = addr(&deployed, "(http://");
    let pids = children(deployed.program.id());
    let before = sockets(&pids);
    let mut clients: Vec<_> = (0..4).map(|_| Client::connect(http)).collect();
    for client in &mut clients {
        client.send("GET /a HTTP/1.1\r\nHost: loc");
    }
    until("all to be accepted", || sockets(&pids) >= before + 4);
    let old = deployed.begin();
    // Each of them is told to go when another one serves in its place.
    until("all new ones to serve", || {
        let said = deployed.program.lines_so_far();
        let serves = |line: &&String| line.contains(" serves (pid ");
        said.iter().filter(serves).count() >= 4
    });
    for client in &mut clients {
        let reply = client.send("alhost\r\n\r\n").reply();
        assert_eq!(reply.status(), 308);
        client.end();
    }
    until_deployed(&deployed, &old);
    deployed.stop();
}

/// Sends a request, unless the connection takes no more.
fn ask(client: &mut Http2, path: &str) -> Option<Sent> {
    let sent = client.wait("room for a request", |send, context| {
        let ready = send.poll_ready(context);
        ready.map_ok(|()| send.send_request(request("GET", path), true))
    });
    let (response, body) = sent.ok()?.ok()?;
    client.turn();
    Some(Sent { response, body })
}

/// A connection that goes says so before it does, and answers what was sent until then.
fn deploys_over_http2_lose_no_request(engine: Engine) {
    let deployed = Deployed::start(engine, &["-w", "2", "--keep-alive", "600"]);
    let addr = addr(&deployed, "listening on http://");
    deploy_under(&deployed, |load| {
        while !load.is_over() {
            let mut client = Http2::connect(addr);
            while let Some(sent) = ask(&mut client, "/hello") {
                let whole = client.whole(sent).expect("what was sent is answered");
                assert_eq!((whole.status, &*whole.text()), (200, "Hello\n"));
                load.count();
                if load.is_over() {
                    return;
                }
            }
        }
    });
    deployed.stop();
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Reads frames until one of this kind comes, and answers what has to be answered.
#[track_caller]
fn next_of(client: &mut Client, wanted: u8) -> (u8, Vec<u8>) {
    loop {
        let head = client.take(9);
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let (kind, flags) = (head[3], head[4]);
        let payload = client.take(usize::try_from(length).expect("it is small"));
        match kind {
            SETTINGS if flags & ACK == 0 => drop(client.send(frame(SETTINGS, ACK, 0, &[]))),
            PING if flags & ACK == 0 => drop(client.send(frame(PING, ACK, 0, &payload))),
            _ => {}
        }
        if kind == wanted {
            return (flags, payload);
        }
    }
}

/// A stream that is open at a deploy goes on behind GOAWAY, and is whole.
fn http2_over_tls_finishes_what_it_has(engine: Engine) {
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let deployed = start_with_tls(engine, &files, &[]);
    let mut config = ClientConfig::clone(&made.client());
    config.alpn_protocols = vec![b"h2".to_vec()];
    let config = Arc::new(config);
    let addr = https(&deployed);
    let mut clients: Vec<_> = (0..4).map(|_| connect(addr, &config)).collect();
    for client in &mut clients {
        assert_eq!(client.tls().alpn_protocol(), Some(&b"h2"[..]));
        let head = fields(&[
            (":method", "POST"),
            (":scheme", "https"),
            (":path", "/echo"),
            (":authority", "localhost"),
        ]);
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        client.send(frame(SETTINGS, 0, 0, &[]));
        client.send(frame(HEADERS, END_HEADERS, 1, &head));
        client.send(frame(DATA, 0, 1, b"bef"));
        assert_eq!(next_of(client, DATA), (0, b"bef".to_vec()));
    }
    let old = deployed.begin();
    for client in &mut clients {
        next_of(client, GOAWAY);
        client.send(frame(DATA, END_STREAM, 1, b"ore"));
        assert_eq!(next_of(client, DATA).1, b"ore");
    }
    until_deployed(&deployed, &old);
    let reply = connect(addr, &made.client())
        .send(get_close("/hello"))
        .reply();
    assert_eq!(reply.text(), "Hello\n");
    deployed.stop();
}
