//! The cases against a peer over memory that echoes, as a handler would.

use super::super::{
    Deflate, DeflateParameters, Encoder, Event, Limits, Receiver, Role, parse_extensions,
};
use super::cases::{self, Case, End, Reply};
use super::lend;
use crate::websocket::message::{CloseCode, CloseFrame, Message};
use bytes::BytesMut;

/// What is done with each event by who serves a connection.
struct Peer {
    receiver: Receiver,
    encoder: Encoder,
    buf: BytesMut,
    out: Vec<u8>,
    over: bool,
}

impl Peer {
    fn new(limit: usize, deflate: Option<&DeflateParameters>) -> Self {
        let limits = Limits {
            frame: limit,
            message: limit,
        };
        Self {
            receiver: Receiver::new(Role::Server, limits, deflate).with_pool(lend),
            encoder: Encoder::new(Role::Server, deflate).with_pool(lend),
            buf: BytesMut::new(),
            out: Vec::new(),
            over: false,
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
        while !self.over {
            match self.receiver.next(&mut self.buf) {
                Ok(None) => break,
                Ok(Some(Event::Message(message))) => self.encoder.message(&message, &mut self.out),
                Ok(Some(Event::Ping(payload))) => self.encoder.pong(&payload, &mut self.out),
                Ok(Some(Event::Pong(_))) => {}
                Ok(Some(Event::Close(frame))) => {
                    let answer = frame.map(|frame| CloseFrame::new(frame.code, ""));
                    self.encoder.close(answer.as_ref(), &mut self.out);
                    self.over = true;
                }
                Err(failure) => {
                    let frame = CloseFrame::new(failure.code, failure.reason);
                    self.encoder.close(Some(&frame), &mut self.out);
                    self.over = true;
                }
            }
        }
    }
}

/// What a client makes of the answers.
fn understand(wire: &[u8], limit: usize, deflate: Option<&DeflateParameters>) -> Vec<Event> {
    let limits = Limits {
        frame: limit,
        message: limit,
    };
    let (events, failure) = super::receive(
        Receiver::new(Role::Client, limits, deflate).with_pool(lend),
        [wire],
    );
    assert_eq!(failure, None);
    events
}

fn check(case: &Case) {
    let limit = cases::LARGEST;
    let mut peer = Peer::new(limit, None);
    for piece in case.writes() {
        peer.read(&piece);
    }
    let id = &case.id;
    let expected = match case.end {
        End::Open => {
            assert!(!peer.over, "{id}: ended");
            assert!(!peer.receiver.is_inside_message(), "{id}: not complete");
            let normal = CloseFrame::new(CloseCode::NORMAL, "");
            let mut wire = Vec::new();
            Encoder::new(Role::Client, None)
                .with_pool(lend)
                .close(Some(&normal), &mut wire);
            peer.read(&wire);
            Some(1000)
        }
        End::Closed(code) => code,
        End::Failed(code) => Some(code),
    };
    let mut events = understand(&peer.out, limit, None);
    let Some(Event::Close(frame)) = events.pop() else {
        panic!("{id}: no close frame");
    };
    assert_eq!(frame.map(|frame| frame.code.as_u16()), expected, "{id}");
    let replies: Vec<_> = events
        .into_iter()
        .map(|event| match event {
            Event::Message(Message::Text(text)) => Reply::Text(text.into()),
            Event::Message(Message::Binary(bytes)) => Reply::Binary(bytes.into()),
            Event::Pong(payload) => Reply::Pong(payload.into()),
            other => panic!("{id}: {other:?}"),
        })
        .collect();
    // Not by assert_eq: some are of megabytes.
    assert!(replies == case.replies, "{id}: other replies");
}

fn check_group(number: u8) {
    cases::group(number).for_each(|case| check(&case));
}

#[test]
fn numbers_are_those_of_autobahn() {
    let ids = cases::GROUPS.into_iter().flat_map(cases::group);
    let ids: Vec<_> = ids.map(|case| case.id).collect();
    let mut counts = std::collections::BTreeMap::new();
    for id in &ids {
        let (group, _) = id.rsplit_once('.').expect("dotted numbers");
        *counts.entry(group).or_insert(0) += 1;
    }
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "a number appears twice");
    // As many as Autobahn has in each group.
    let expected = [
        ("1.1", 8),
        ("1.2", 8),
        ("2", 11),
        ("3", 7),
        ("4.1", 5),
        ("4.2", 5),
        ("5", 20),
        ("6.1", 3),
        ("6.2", 4),
        ("6.3", 2),
        ("6.4", 4),
        ("6.5", 5),
        ("6.6", 11),
        ("6.7", 4),
        ("6.8", 2),
        ("6.9", 4),
        ("6.10", 3),
        ("6.11", 5),
        ("6.12", 8),
        ("6.13", 5),
        ("6.14", 10),
        ("6.15", 1),
        ("6.16", 3),
        ("6.17", 5),
        ("6.18", 5),
        ("6.19", 5),
        ("6.20", 7),
        ("6.21", 8),
        ("6.22", 34),
        ("6.23", 7),
        ("7.1", 6),
        ("7.3", 6),
        ("7.5", 1),
        ("7.7", 13),
        ("7.9", 9),
        ("7.13", 2),
        ("9.1", 6),
        ("9.2", 6),
        ("9.3", 9),
        ("9.4", 9),
        ("9.5", 6),
        ("9.6", 6),
        ("9.7", 6),
        ("9.8", 6),
        ("9.9", 1),
        ("10.1", 1),
    ];
    assert_eq!(counts, expected.into());
}

#[test]
fn case_1_framing() {
    check_group(1);
}

#[test]
fn case_2_pings_and_pongs() {
    check_group(2);
}

#[test]
fn case_3_reserved_bits() {
    check_group(3);
}

#[test]
fn case_4_opcodes() {
    check_group(4);
}

#[test]
fn case_5_fragmentation() {
    check_group(5);
}

#[test]
fn case_6_utf8() {
    check_group(6);
}

#[test]
fn case_7_close() {
    check_group(7);
}

#[test]
fn case_9_limits() {
    check_group(9);
}

/// And the other way: the message goes out in as many frames as it takes.
#[test]
fn case_10_fragments() {
    check_group(10);
    let mut encoder = Encoder::new(Role::Server, None)
        .with_pool(lend)
        .with_fragments(1300);
    let (message, mut wire) = (Message::from("*".repeat(65536)), Vec::new());
    encoder.message(&message, &mut wire);
    let headers = 65536_usize.div_ceil(1300) * 4;
    assert_eq!(wire.len(), 65536 + headers);
    let events = understand(&wire, cases::LARGEST, None);
    assert!(events == [Event::Message(message)]);
}

/// Sends messages of all sizes to an echo and back, both sides with what was agreed on.
fn check_compressed(what: &str, kind: usize, agreed: &DeflateParameters) {
    let mut peer = Peer::new(1 << 20, Some(agreed));
    let mut back = Receiver::new(Role::Client, Limits::default(), Some(agreed)).with_pool(lend);
    for (size, fragment) in cases::COMPRESSED {
        let mut client = Encoder::new(Role::Client, Some(agreed)).with_pool(lend);
        if fragment > 0 {
            client = client.with_fragments(fragment);
        }
        // A new encoder has an empty context; the peer's keeps what came before.
        peer.receiver =
            Receiver::new(Role::Server, Limits::default(), Some(agreed)).with_pool(lend);
        let content = cases::content(kind, 3 * size);
        let (mut sent, mut plain) = (0, 0);
        for content in content.chunks_exact(size) {
            let message = match cases::CONTENTS[kind].1 {
                cases::TEXT => Message::from(String::from_utf8(content.to_vec()).expect("ASCII")),
                _ => Message::from(content),
            };
            let mut wire = Vec::new();
            client.message(&message, &mut wire);
            peer.read(&wire);
            (sent, plain) = (sent + wire.len(), plain + size);
            let mut buf = BytesMut::from(&*std::mem::take(&mut peer.out));
            let echoed = back.next(&mut buf).expect("the echo is in order");
            assert!(
                echoed == Some(Event::Message(message)),
                "{what}, {size} in {fragment}: not the same"
            );
        }
        if size >= 1024 && kind != 4 {
            assert!(sent < plain, "{what}, {size}: not compressed");
        }
    }
}

fn agree(server: &Deflate, offers: &str) -> (DeflateParameters, String) {
    let offers = parse_extensions(offers).expect("well-formed");
    server.accept(&offers).expect("acceptable")
}

#[test]
fn case_12_compression_of_different_content() {
    let takeover = Deflate::new()
        .server_context_takeover(true)
        .client_context_takeover(true);
    for (kind, (name, _)) in cases::CONTENTS.into_iter().enumerate() {
        for server in [&Deflate::new(), &takeover] {
            let (agreed, _) = agree(server, cases::OFFERS[0].0);
            check_compressed(&format!("12.{} {name}", kind + 1), kind, &agreed);
        }
    }
}

#[test]
fn case_13_compression_with_different_parameters() {
    for ((offers, reset, bits), number) in cases::OFFERS.into_iter().zip(1..) {
        let server = Deflate::new()
            .server_context_takeover(true)
            .client_context_takeover(!reset)
            .client_window_bits(bits);
        let (agreed, answer) = agree(&server, offers);
        let what = format!("13.{number} {answer}");
        let expected = (reset, reset, bits);
        let found = (
            agreed.server_no_context_takeover,
            agreed.client_no_context_takeover,
            agreed.client_bits,
        );
        assert_eq!(found, expected, "{what}");
        assert_eq!(agreed.server_bits, bits, "{what}");
        check_compressed(&what, 0, &agreed);
    }
}
