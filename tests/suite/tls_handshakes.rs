//! Handshakes that do not get on, and what is no TLS at all: others are served meanwhile.

use super::tls::{Served, serve, serve_with};
use greenway::{Engine, Request};
use greenway_tests::request::{get, post};
use greenway_tests::{Client, Gate, linted, on_green_and_threads, until};
use std::time::Duration;

on_green_and_threads!(
    what_is_no_tls_is_closed,
    slow_handshakes_have_a_clock,
    slow_handshakes_give_way,
    five_thousand_slow_handshakes_keep_nobody_out,
);

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
fn five_thousand_slow_handshakes_keep_nobody_out(engine: Engine) {
    greenway_tests::raise_descriptor_limit();
    let served = serve(engine);
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

/// Handlers that hold all threads of the pool do not keep others from shaking hands.
#[test]
fn a_handshake_holds_no_thread_of_the_pool() {
    let (gate, entered) = (Gate::new(), Gate::new());
    let (held, inside) = (gate.clone(), entered.clone());
    let app = move |_: Request| {
        inside.open();
        held.pass();
        "served"
    };
    let server = linted(app).engine(Engine::Threads).threads(1);
    let served = Served::of(server);
    let slow: Vec<_> = (0..20).map(|_| served.server.connect()).collect();
    let mut first = served.connect();
    first.send(get("/"));
    entered.pass();
    let mut second = served.connect();
    second.send(get("/"));
    gate.open_for(2);
    first.reply();
    second.reply();
    drop(slow);
}
