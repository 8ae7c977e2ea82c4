//! Deploys of several processes that speak TLS, and lead from http to https: what is lost nowhere
//! else must not be lost here.

use super::deploys::Deployed;
use super::processes::children;
use greenway::Engine;
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
);

/// A deploy takes a few seconds, as idle connections are waited for.
const DEPLOYS: usize = 3;

pub(super) fn start_with_tls(engine: Engine, files: &PairFiles, more: &[&str]) -> Deployed {
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

pub(super) fn https(deployed: &Deployed) -> SocketAddr {
    addr(deployed, "listening on https://")
}

pub(super) fn until_deployed(deployed: &Deployed, before: &BTreeSet<u32>) {
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

pub(super) fn connect(addr: SocketAddr, config: &Arc<ClientConfig>) -> Client {
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
