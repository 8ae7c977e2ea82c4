//! What Autobahn has no case for: masks, lengths, limits, and compressed data that lie.

use super::super::{
    Deflate, DeflateParameters, Encoder, Event, Failure, Limits, Receiver, Role, parse_extensions,
};
use super::lend;
use super::{receive, receiver};
use crate::websocket::message::{CloseCode, Message};
use bytes::BytesMut;

fn agreed(takeover: bool) -> DeflateParameters {
    let deflate = Deflate::new()
        .server_context_takeover(takeover)
        .client_context_takeover(takeover)
        .threshold(0);
    let offers = parse_extensions("permessage-deflate").expect("well-formed");
    deflate.accept(&offers).expect("acceptable").0
}

#[track_caller]
fn fails(receiver: Receiver, stream: &[u8], code: CloseCode) -> Failure {
    let (events, failure) = receive(receiver, [stream]);
    assert_eq!(events, []);
    let failure = failure.expect("against a rule");
    assert_eq!(failure.code, code, "{failure:?}");
    failure
}

/// A stream of the server's frames: a client reads them without masks.
#[track_caller]
fn client_fails(stream: &[u8], code: CloseCode) {
    fails(receiver(Role::Client, None), stream, code);
}

#[test]
fn clients_mask_and_servers_do_not() {
    let masked = [0x81, 0x80, 1, 2, 3, 4];
    let plain = [0x81, 0x00];
    client_fails(&masked, CloseCode::PROTOCOL_ERROR);
    let server = receiver(Role::Server, None);
    fails(server, &plain, CloseCode::PROTOCOL_ERROR);
    let server = receiver(Role::Server, None);
    fails(server, &[0x89, 0x00], CloseCode::PROTOCOL_ERROR);
}

/// RFC 6455 section 5.2: "the minimal number of bytes MUST be used to encode the length".
#[test]
fn lengths_are_in_their_shortest_form() {
    client_fails(&[0x82, 126, 0, 125], CloseCode::PROTOCOL_ERROR);
    client_fails(&[0x89, 126, 0, 5], CloseCode::PROTOCOL_ERROR);
    client_fails(
        &[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
        CloseCode::PROTOCOL_ERROR,
    );
    client_fails(
        &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0],
        CloseCode::PROTOCOL_ERROR,
    );
    client_fails(
        &[0x82, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255],
        CloseCode::TOO_BIG,
    );
}

#[test]
fn a_failure_is_repeated() {
    let mut receiver = receiver(Role::Client, None);
    let mut buf = BytesMut::from(&b"\x83\x00"[..]);
    let failure = receiver.next(&mut buf).expect_err("a reserved opcode");
    buf.extend_from_slice(b"\x81\x00");
    assert_eq!(receiver.next(&mut buf), Err(failure));
}

#[test]
fn behind_a_close_frame_all_is_thrown_away() {
    let mut receiver = receiver(Role::Client, None);
    let mut buf = BytesMut::from(&b"\x88\x00\x83\x00garbage"[..]);
    assert_eq!(receiver.next(&mut buf), Ok(Some(Event::Close(None))));
    assert_eq!(receiver.next(&mut buf), Ok(None));
    assert!(buf.is_empty());
}

/// Both limits include their value, and the header alone is enough to go beyond them.
#[test]
fn limits_are_decided_from_the_header() {
    let limits = Limits {
        frame: 8,
        message: 10,
    };
    let check = |pieces: &[&[u8]]| {
        let receiver = Receiver::new(Role::Client, limits, None).with_pool(lend);
        receive(receiver, pieces.iter().copied())
    };
    let message = |bytes: &[u8]| Event::Message(Message::from(bytes));
    let (events, failure) = check(&[b"\x82\x0812345678", b"\x02\x0512345\x80\x0567890"]);
    assert_eq!(failure, None);
    assert_eq!(events, [message(b"12345678"), message(b"1234567890")]);
    for (stream, reason) in [
        (&[&b"\x82\x09"[..]][..], "frame too big"),
        (&[b"\x02\x0512345", b"\x80\x06"], "message too big"),
        (
            &[b"\x02\x0512345", b"\x00\x0512345", b"\x00\x01"],
            "message too big",
        ),
    ] {
        let (events, failure) = check(stream);
        assert_eq!(events, []);
        let failure = failure.expect("beyond the limits");
        assert_eq!((failure.code, failure.reason), (CloseCode::TOO_BIG, reason));
    }
}

/// What a peer only announces costs nothing.
#[test]
fn nothing_is_allocated_on_a_promise() {
    let limits = Limits {
        frame: 1 << 40,
        message: 1 << 40,
    };
    let mut receiver = Receiver::new(Role::Client, limits, None).with_pool(lend);
    let mut buf = BytesMut::from(&[0x82, 127, 0, 0, 0, 0x80, 0, 0, 0, 0, b'x'][..]);
    assert_eq!(receiver.next(&mut buf), Ok(None));
    assert!(receiver.buffered() < 1024, "{}", receiver.buffered());
    for _ in 0..1000 {
        buf.extend_from_slice(&[b'x'; 10]);
        assert_eq!(receiver.next(&mut buf), Ok(None));
    }
    assert!(receiver.buffered() <= 2 * 10_001, "{}", receiver.buffered());
}

#[test]
fn between_messages_nothing_is_kept() {
    let agreed = agreed(false);
    let mut encoder = Encoder::new(Role::Server, Some(&agreed)).with_pool(lend);
    let mut receiver =
        Receiver::new(Role::Client, Limits::default(), Some(&agreed)).with_pool(lend);
    for message in [Message::from("x".repeat(100_000)), vec![7; 5000].into()] {
        let mut wire = Vec::new();
        encoder.message(&message, &mut wire);
        let mut buf = BytesMut::from(&*wire);
        assert_eq!(receiver.next(&mut buf), Ok(Some(Event::Message(message))));
        assert_eq!(receiver.buffered(), 0);
        assert!(receiver.is_idle() && encoder.is_idle());
    }
}

/// RFC 7692 section 6: the mark is on the first frame of a data message, and nowhere else.
#[test]
fn the_mark_of_compression_has_its_place() {
    let agreed = agreed(false);
    let check = |stream: &[u8]| {
        let receiver = receiver(Role::Client, Some(&agreed));
        receive(receiver, [stream]).1.map(|failure| failure.code)
    };
    let wrong = Some(CloseCode::PROTOCOL_ERROR);
    assert_eq!(check(&[0x41, 0x01, 0xf2, 0xc0, 0x00]), wrong);
    assert_eq!(check(&[0xc9, 0x00]), wrong);
    assert_eq!(check(&[0xc8, 0x00]), wrong);
    assert_eq!(check(&[0xe1, 0x00]), wrong);
    assert_eq!(check(&[0xd1, 0x00]), wrong);
    // Without the mark a message is taken as it is.
    assert_eq!(check(b"\x81\x05Hello"), None);
}

#[test]
fn compressed_data_must_be_what_they_claim() {
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    for takeover in [false, true] {
        let agreed = agreed(takeover);
        let check_as = |head: u8, payload: &[u8]| {
            let stream = [&[head, payload.len() as u8], payload].concat();
            let receiver = receiver(Role::Client, Some(&agreed));
            receive(receiver, [&*stream]).1.map(|failure| failure.code)
        };
        let check = |payload: &[u8]| check_as(0xc1, payload);
        assert_eq!(check(&hello), None);
        let invalid = Some(CloseCode::INVALID_DATA);
        // A block of the type that does not exist.
        assert_eq!(check(&[0x07]), invalid);
        // A reference to before the start.
        assert_eq!(check(&[0xf2, 0x00, 0x11, 0x00, 0x00]), invalid);
        // "\xff", compressed: not UTF-8.
        assert_eq!(check(&[0xfa, 0x0f, 0x00]), invalid);
        // A stored block that is cut off. With a context, the next message shows it.
        let cut_off = [0x00, 0x0a, 0x00, 0xf5, 0xff, b'H'];
        assert_eq!(check_as(0xc2, &cut_off), invalid.filter(|_| !takeover));
    }
}

/// A block of codes that is cut off is malformed, even if what is appended to find that out would
/// inflate to more than a message may have.
#[test]
fn compressed_data_that_are_cut_off_are_not_too_big() {
    let limits = Limits {
        frame: 200,
        message: 300,
    };
    let mut receiver = Receiver::new(Role::Client, limits, Some(&agreed(false))).with_pool(lend);
    let cut_off = b"\xc2\x08\xaa\xa8\x18\x6c\x00\x07\x00\x6c";
    let failure = receiver.next(&mut &cut_off[..]).expect_err("it has no end");
    assert_eq!(failure.code, CloseCode::INVALID_DATA);
}

/// RFC 7692 section 7.2.3.4: a sender may end its stream with each message, in whatever frames.
#[test]
fn streams_may_end_with_each_message() {
    let hello = Event::Message(Message::from("Hello"));
    for takeover in [false, true] {
        let agreed = agreed(takeover);
        // With the start of an empty block behind the end, as the RFC says, and without.
        for end in [&b"\xc9\xc9\x07\x00\x00"[..], b"\xc9\xc9\x07\x00"] {
            let mut stream = Vec::new();
            for _ in 0..2 {
                stream.extend(b"\x41\x03\xf3\x48\xcd");
                stream.extend([0x00, end.len() as u8]);
                stream.extend(end);
                stream.extend(b"\x80\x00");
            }
            let receiver = receiver(Role::Client, Some(&agreed));
            let (events, failure) = receive(receiver, [&*stream]);
            assert_eq!((events, failure), (vec![hello.clone(); 2], None));
        }
    }
}

/// A thousandfold: what is inflated stays within the limit whatever the peer sends.
#[test]
fn bombs_are_refused() {
    let agreed = agreed(false);
    let limits = Limits {
        frame: 1 << 20,
        message: 1 << 20,
    };
    for (length, fits) in [(1 << 20, true), ((1 << 20) + 1, false), (200 << 20, false)] {
        let mut wire = Vec::new();
        let zeros = vec![0; length];
        let mut encoder = Encoder::new(Role::Server, Some(&agreed)).with_pool(lend);
        encoder.message(&Message::from(zeros), &mut wire);
        assert!(wire.len() < limits.frame);
        let mut receiver = Receiver::new(Role::Client, limits, Some(&agreed)).with_pool(lend);
        let mut buf = BytesMut::from(&*wire);
        match receiver.next(&mut buf) {
            Ok(Some(Event::Message(message))) => assert!(fits && message.len() == length),
            Err(failure) => assert!(!fits && failure.code == CloseCode::TOO_BIG),
            other => panic!("{other:?}"),
        }
        assert!(receiver.buffered() <= limits.message + 1);
    }
}

#[test]
fn short_and_random_messages_are_not_compressed() {
    let agreed = DeflateParameters {
        threshold: 64,
        ..agreed(false)
    };
    let mut encoder = Encoder::new(Role::Server, Some(&agreed)).with_pool(lend);
    let first_byte = |encoder: &mut Encoder, payload: Vec<u8>| {
        let mut wire = Vec::new();
        encoder.message(&payload.into(), &mut wire);
        wire[0]
    };
    let random = super::cases::content(4, 200);
    assert_eq!(first_byte(&mut encoder, vec![0; 63]), 0x82);
    assert_eq!(first_byte(&mut encoder, vec![0; 64]), 0xc2);
    assert_eq!(first_byte(&mut encoder, random.clone()), 0x82);
    // With a context, what was compressed has to be sent: later messages refer to it.
    let takeover = DeflateParameters {
        server_no_context_takeover: false,
        ..agreed
    };
    let mut encoder = Encoder::new(Role::Server, Some(&takeover)).with_pool(lend);
    assert_eq!(first_byte(&mut encoder, random), 0xc2);
}

/// A message in pieces is on its way piece by piece, compressed or not.
#[test]
fn pieces_arrive_when_they_are_sent() {
    for takeover in [false, true] {
        let agreed = agreed(takeover);
        for deflate in [None, Some(&agreed)] {
            let mut encoder = Encoder::new(Role::Client, deflate).with_pool(lend);
            let mut receiver =
                Receiver::new(Role::Server, Limits::default(), deflate).with_pool(lend);
            for _ in 0..2 {
                encoder.begin(crate::websocket::message::MessageKind::Text);
                let (mut buf, mut sent) = (BytesMut::new(), 0);
                for piece in ["Gr", "", "üß", "e, ", ""] {
                    let mut wire = Vec::new();
                    encoder.piece(piece.as_bytes(), false, &mut wire);
                    encoder.ping(b"between", &mut wire);
                    sent += piece.len();
                    buf.extend_from_slice(&wire);
                    let between = bytes::Bytes::from_static(b"between");
                    assert_eq!(receiver.next(&mut buf), Ok(Some(Event::Ping(between))));
                    assert_eq!(receiver.next(&mut buf), Ok(None));
                    assert_eq!(receiver.inside(), sent);
                }
                let mut wire = Vec::new();
                encoder.piece(b"", true, &mut wire);
                buf.extend_from_slice(&wire);
                let whole = Event::Message(Message::from("Grüße, "));
                assert_eq!(receiver.next(&mut buf), Ok(Some(whole)));
            }
        }
    }
}
