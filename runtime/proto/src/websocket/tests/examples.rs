//! The examples of the RFCs, byte by byte.

use super::super::{Deflate, Encoder, Event, Role};
use super::lend;
use super::{receive, receiver};
use crate::websocket::message::{CloseCode, CloseFrame, Message, MessageKind};
use bytes::Bytes;

fn text(text: &str) -> Event {
    Event::Message(Message::from(text))
}

/// RFC 6455 section 5.7.
#[test]
fn frames_of_rfc_6455() {
    let client = |stream: &[u8]| receive(receiver(Role::Client, None), [stream]);
    let server = |stream: &[u8]| receive(receiver(Role::Server, None), [stream]);
    let hello = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    assert_eq!(client(&hello), (vec![text("Hello")], None));
    let masked = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    assert_eq!(server(&masked), (vec![text("Hello")], None));
    let fragments = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
    assert_eq!(client(&fragments), (vec![text("Hello")], None));
    let ping = [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    let hello_bytes = Bytes::from_static(b"Hello");
    assert_eq!(
        client(&ping),
        (vec![Event::Ping(hello_bytes.clone())], None)
    );
    let pong = [
        0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    assert_eq!(server(&pong), (vec![Event::Pong(hello_bytes)], None));
    let mut wire = Vec::new();
    let mut encoder = Encoder::new(Role::Server, None).with_pool(lend);
    encoder.message(&Message::from(vec![1; 256]), &mut wire);
    encoder.message(&Message::from(vec![1; 65536]), &mut wire);
    assert_eq!(wire[..4], [0x82, 0x7e, 0x01, 0x00]);
    assert_eq!(wire[260..270], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
}

#[test]
fn what_the_server_sends() {
    let (mut encoder, mut wire) = (Encoder::new(Role::Server, None).with_pool(lend), Vec::new());
    encoder.message(&"Hello".into(), &mut wire);
    assert_eq!(wire, b"\x81\x05Hello");
    wire.clear();
    encoder.begin(MessageKind::Text);
    encoder.piece(b"Hel", false, &mut wire);
    assert!(encoder.is_open());
    encoder.ping(b"", &mut wire);
    encoder.piece(b"lo", true, &mut wire);
    assert!(!encoder.is_open());
    assert_eq!(wire, b"\x01\x03Hel\x89\x00\x80\x02lo");
    wire.clear();
    let mut encoder = encoder.with_fragments(2);
    encoder.message(&"Hello".into(), &mut wire);
    assert_eq!(wire, b"\x01\x02He\x00\x02ll\x80\x01o");
    wire.clear();
    encoder.message(&"".into(), &mut wire);
    encoder.close(None, &mut wire);
    let frame = CloseFrame::new(CloseCode::GOING_AWAY, "bye");
    encoder.close(Some(&frame), &mut wire);
    assert_eq!(wire, b"\x81\x00\x88\x00\x88\x05\x03\xe9bye");
}

/// RFC 7692 section 7.2.3, as a client sees them: with context takeover.
#[test]
fn messages_of_rfc_7692() {
    let deflate = Deflate::new()
        .server_context_takeover(true)
        .client_context_takeover(true)
        .threshold(0);
    let offers = super::super::parse_extensions("permessage-deflate").expect("well-formed");
    let (agreed, _) = deflate.accept(&offers).expect("acceptable");
    let client = |stream: &[u8]| receive(receiver(Role::Client, Some(&agreed)), [stream]);
    let hello = [0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(client(&hello), (vec![text("Hello")], None));
    let fragments = [
        0x41, 0x03, 0xf2, 0x48, 0xcd, 0x80, 0x04, 0xc9, 0xc9, 0x07, 0x00,
    ];
    assert_eq!(client(&fragments), (vec![text("Hello")], None));
    let again = [0xc1, 0x05, 0xf2, 0x00, 0x11, 0x00, 0x00];
    let both = [&hello[..], &again].concat();
    assert_eq!(client(&both), (vec![text("Hello"), text("Hello")], None));
    let stored = [
        0xc1, 0x0b, 0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
    ];
    assert_eq!(client(&stored), (vec![text("Hello")], None));
    let last_block = [0xc1, 0x08, 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    assert_eq!(client(&last_block), (vec![text("Hello")], None));
    let two_blocks = [
        0xc1, 0x0d, 0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
    ];
    assert_eq!(client(&two_blocks), (vec![text("Hello")], None));

    let (mut encoder, mut wire) = (
        Encoder::new(Role::Server, Some(&agreed)).with_pool(lend),
        Vec::new(),
    );
    encoder.message(&"Hello".into(), &mut wire);
    encoder.message(&"Hello".into(), &mut wire);
    assert_eq!(wire, both);
    wire.clear();
    encoder.message(&"".into(), &mut wire);
    encoder.message(&"".into(), &mut wire);
    assert_eq!(wire, [0xc1, 0x01, 0x00, 0xc1, 0x01, 0x00]);
}
