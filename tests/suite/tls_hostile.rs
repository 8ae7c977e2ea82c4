//! What those send to a port of TLS who look for something weak, byte by byte: old versions and
//! suites, compression, heartbeats, records and messages that are too long. After each of them the
//! next client is served.

use super::tls::{Served, serve};
use greenway::Engine;
use greenway_tests::request::post;
use greenway_tests::tls::rustls::HandshakeKind;
use greenway_tests::tls::rustls::version::{TLS12, TLS13};
use greenway_tests::tls::{Answer, Hello, ServerHello, answer};
use greenway_tests::{Client, on_green_and_threads, until};

on_green_and_threads!(
    old_versions_are_refused,
    weak_suites_are_refused,
    nothing_is_compressed,
    a_client_that_falls_back_is_told_of_what_it_misses,
    heartbeats_are_not_answered,
    records_that_are_too_long_are_refused,
    messages_that_are_too_long_are_refused,
    floods_of_empty_records_end,
    early_data_is_not_taken,
);

const ECDHE_ECDSA_AES128_GCM: u16 = 0xc02b;
const HANDSHAKE_FAILURE: u8 = 40;
const PROTOCOL_VERSION: u8 = 70;

/// What the server answers to a hello, before the connection goes on.
#[track_caller]
fn ask(client: &mut Client, hello: &Hello) -> Answer {
    client.send(hello.record());
    let mut read = client.take(5);
    let length = u16::from_be_bytes([read[3], read[4]]);
    read.extend(client.take(usize::from(length)));
    answer(&read).expect("a whole record")
}

#[track_caller]
fn refused(served: &Served, hello: &Hello) -> u8 {
    let mut client = served.server.connect();
    match ask(&mut client, hello) {
        Answer::Alert(alert) => {
            client.rest_or_reset();
            alert
        }
        Answer::Hello(chosen) => panic!("it was taken: {chosen:?}"),
    }
}

#[track_caller]
fn chosen(client: &mut Client, hello: &Hello) -> ServerHello {
    match ask(client, hello) {
        Answer::Hello(chosen) => chosen,
        Answer::Alert(alert) => panic!("refused: {alert}"),
    }
}

#[track_caller]
fn serves_on(served: &Served) {
    let mut client = served.connect();
    assert_eq!(client.send(post("/echo", "a")).reply().text(), "a");
    drop(client);
    until("nobody to be left", || served.server.connections() == 0);
}

fn old_versions_are_refused(engine: Engine) {
    let served = serve(engine);
    // SSL 3, TLS 1.0 and 1.1, with suites that they know and with one that they do not.
    for version in [0x0300, 0x0301, 0x0302] {
        let hello = Hello {
            version,
            ..Hello::with_suites(&[ECDHE_ECDSA_AES128_GCM, 0xc009, 0x002f])
        };
        assert_eq!(refused(&served, &hello), PROTOCOL_VERSION, "{version:#06x}");
    }
    serves_on(&served);
}

fn weak_suites_are_refused(engine: Engine) {
    let served = serve(engine);
    for (name, suite) in [
        ("no encryption", 0x0001),
        ("RC4, 40 bits", 0x0003),
        ("RC4", 0x0005),
        ("DES, 40 bits", 0x0008),
        ("3DES", 0x000a),
        ("nobody's key", 0x0018),
        ("AES-CBC, the certificate's key", 0x002f),
        ("AES-GCM, the certificate's key", 0x009c),
        ("a shared key", 0x008c),
        ("AES-GCM, finite fields", 0x009e),
        ("ECDHE and RC4", 0xc007),
        ("ECDHE and 3DES", 0xc008),
        ("ECDHE and AES-CBC", 0xc009),
        ("ECDHE and AES-CBC with SHA-256", 0xc023),
        ("ECDHE and nobody's key", 0xc018),
        ("ECDHE and no encryption", 0xc006),
    ] {
        let hello = Hello::with_suites(&[suite]);
        assert_eq!(refused(&served, &hello), HANDSHAKE_FAILURE, "{name}");
        // Where there is a better one, it is chosen.
        let both = Hello::with_suites(&[suite, ECDHE_ECDSA_AES128_GCM]);
        let chosen = chosen(&mut served.server.connect(), &both);
        assert_eq!(chosen.suite, ECDHE_ECDSA_AES128_GCM, "{name}");
    }
    serves_on(&served);
}

fn nothing_is_compressed(engine: Engine) {
    let served = serve(engine);
    let hello = |compressions: &[u8]| Hello {
        compressions: compressions.to_vec(),
        ..Hello::with_suites(&[ECDHE_ECDSA_AES128_GCM])
    };
    let chosen = chosen(&mut served.server.connect(), &hello(&[1, 0]));
    assert_eq!(chosen.compression, 0);
    refused(&served, &hello(&[1]));
    serves_on(&served);
}

/// RFC 7507 lets such clients be refused where they could have had more. Here they are served, and
/// told by what TLS 1.3 has instead: those who could have had more end the handshake by themselves.
fn a_client_that_falls_back_is_told_of_what_it_misses(engine: Engine) {
    const FALLBACK: u16 = 0x5600;
    let served = serve(engine);
    let hello = Hello::with_suites(&[FALLBACK, ECDHE_ECDSA_AES128_GCM]);
    let chosen = chosen(&mut served.server.connect(), &hello);
    assert_eq!(
        (chosen.version, chosen.suite),
        (0x0303, ECDHE_ECDSA_AES128_GCM)
    );
    assert_eq!(chosen.downgrade, b"DOWNGRD\x01");
    serves_on(&served);
}

/// CVE-2014-0160.
fn heartbeats_are_not_answered(engine: Engine) {
    const HEARTBEAT: u16 = 15;
    // A request that says it has 16 kB, and has one.
    let heartbeat = b"\x18\x03\x03\x00\x04\x01\x40\x00x";
    let served = serve(engine);
    let mut hello = Hello::with_suites(&[ECDHE_ECDSA_AES128_GCM]);
    hello.extensions.push((HEARTBEAT, vec![1]));
    let mut client = served.server.connect();
    let chosen = chosen(&mut client, &hello);
    assert!(!chosen.extensions.contains(&HEARTBEAT), "{chosen:?}");
    let within_handshake = client.send(heartbeat).rest_or_reset().0;
    let mut records = &within_handshake[..];
    while let [kind, _, _, high, low, rest @ ..] = records {
        assert_ne!(*kind, 24, "it was answered");
        records = &rest[usize::from(u16::from_be_bytes([*high, *low]))..];
    }
    // Behind the handshake.
    let mut client = served.connect();
    client.send_below(heartbeat);
    assert!(client.try_read().is_err(), "the connection is over");
    serves_on(&served);
}

/// The most is 2^14 bytes, and what encryption may add: 2^11.
fn records_that_are_too_long_are_refused(engine: Engine) {
    const MOST: u16 = (1 << 14) + (1 << 11);
    let record = |kind: u8, length: u16| {
        let mut record = vec![kind, 3, 3];
        record.extend(length.to_be_bytes());
        record
    };
    let served = serve(engine);
    // Neither is waited for what does not fit.
    let mut client = served.server.connect();
    client.send(record(22, MOST + 1));
    let (alert, _) = client.rest_or_reset();
    assert!(
        matches!(answer(&alert), Some(Answer::Alert(_))),
        "{alert:?}"
    );
    for version in [&TLS12, &TLS13] {
        let config = served.made.client_with(&[version], None);
        let mut client = served.connect_with(&config);
        client.send_below(&record(23, MOST + 1));
        assert!(client.try_read().is_err(), "the connection is over");
    }
    serves_on(&served);
}

/// A hello of 16 MiB is not waited for, nor are its records kept.
fn messages_that_are_too_long_are_refused(engine: Engine) {
    let served = serve(engine);
    let mut client = served.server.connect();
    let mut first = b"\x16\x03\x01\x10\x00\x01\xff\xff\xff".to_vec();
    first.resize(5 + 0x1000, 0);
    let _it_may_have_closed = client.try_send(first);
    let (alert, _) = client.rest_or_reset();
    assert!(alert.first().is_none_or(|kind| *kind == 21), "{alert:?}");
    serves_on(&served);
}

fn floods_of_empty_records_end(engine: Engine) {
    let served = serve(engine);
    for kind in [22, 23, 21, 20] {
        let mut client = served.server.connect();
        let hello = Hello::with_suites(&[ECDHE_ECDSA_AES128_GCM]);
        let mut flood = hello.record();
        flood.extend([kind, 3, 3, 0, 0].repeat(1000));
        let _it_may_have_closed = client.try_send(flood);
        let (said, _) = client.rest_or_reset();
        assert!(said.len() < 10_000, "kind {kind}: {} bytes", said.len());
    }
    serves_on(&served);
}

/// Somebody else could send it once more.
fn early_data_is_not_taken(engine: Engine) {
    let served = serve(engine);
    let mut config = served.made.client_with(&[&TLS13], None).as_ref().clone();
    config.enable_early_data = true;
    let config = std::sync::Arc::new(config);
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let mut client = served.connect_with(&config);
        assert_eq!(client.send(post("/echo", "a")).reply().text(), "a");
        let tls = client.tls();
        assert_eq!(tls.handshake_kind(), Some(kind));
        assert!(!tls.is_early_data_accepted());
    }
    let name = "localhost".try_into().expect("it is a name");
    let next = greenway_tests::tls::rustls::ClientConnection::new(config, name);
    let mut next = next.expect("a client");
    assert!(next.early_data().is_none(), "no ticket allows it");
}
