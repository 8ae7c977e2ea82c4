//! What holds for any stream: the cuts do not matter, what is sent is received, and tungstenite
//! sees the same.

use super::super::{DeflateParameters, Encoder, Event, Limits, Receiver, Role};
use super::cases::Frame;
use super::lend;
use super::receive;
use super::stream::Events;
use crate::websocket::message::{CloseFrame, Message, MessageKind};
use proptest::collection::vec;
use proptest::prelude::*;
use std::io::{self, Cursor, Read, Write};
use tungstenite::protocol::{WebSocket, WebSocketConfig};

const LIMITS: Limits = Limits {
    frame: 600,
    message: 900,
};

fn negotiated() -> impl Strategy<Value = Option<DeflateParameters>> {
    let agreed = (any::<bool>(), any::<bool>(), 9..16u8, 9..16u8).prop_map(|settings| {
        let (server, client, server_bits, client_bits) = settings;
        DeflateParameters {
            server_no_context_takeover: server,
            client_no_context_takeover: client,
            server_bits,
            client_bits,
            level: 6,
            threshold: 20,
        }
    });
    proptest::option::of(agreed)
}

/// Text of characters of all lengths, or bytes; some of it repeats itself.
fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        "[a-cäß€😀]{0,200}".prop_map(Message::from),
        ("[a-z]{1,5}", 0..100usize).prop_map(|(text, times)| text.repeat(times).into()),
        vec(any::<u8>(), 0..700).prop_map(Message::from),
    ]
}

/// What a peer might do.
#[derive(Debug, Clone)]
enum Act {
    Whole(Message),
    Pieces(MessageKind, Vec<String>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    /// A frame that may break any rule.
    Frame(Frame),
    Garbage(Vec<u8>),
}

fn honest() -> impl Strategy<Value = Act> {
    let small = || vec(any::<u8>(), 0..126);
    let kind = prop_oneof![Just(MessageKind::Text), Just(MessageKind::Binary)];
    prop_oneof![
        4 => message().prop_map(Act::Whole),
        2 => (kind, vec("[a-cäß€😀]{0,50}", 1..5)).prop_map(|(kind, pieces)| Act::Pieces(kind, pieces)),
        1 => small().prop_map(Act::Ping),
        1 => small().prop_map(Act::Pong),
    ]
}

fn close() -> impl Strategy<Value = Act> {
    let frame = proptest::option::of((1000..1004u16, "[a-zß]{0,60}"));
    frame.prop_map(Act::Close)
}

/// Frames whose parts are likely to be right.
fn frame(rsv: u8) -> impl Strategy<Value = Act> {
    let opcode = prop_oneof![6 => 0..3u8, 2 => 8..11u8, 1 => 0..16u8];
    let payload = prop_oneof![
        4 => "[a-cäß€]{0,30}".prop_map(String::into_bytes),
        2 => vec(any::<u8>(), 0..140),
        1 => Just(vec![0xe2, 0x82]),
        1 => Just(vec![0xac]),
    ];
    let rsv = prop_oneof![8 => Just(0), 1 => 0..=rsv];
    let parts = (any::<bool>(), rsv, opcode, payload);
    parts.prop_map(|(last, rsv, opcode, payload)| {
        Act::Frame(Frame {
            last,
            rsv,
            opcode,
            payload,
        })
    })
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => honest(),
        1 => close(),
        4 => frame(7),
        1 => vec(any::<u8>(), 1..20).prop_map(Act::Garbage),
    ]
}

/// The stream of a peer in the opposite role.
fn wire(acts: &[Act], role: Role, deflate: Option<&DeflateParameters>, fragment: usize) -> Vec<u8> {
    let mut encoder = Encoder::new(role, deflate)
        .with_pool(lend)
        .with_fragments(fragment);
    let mut wire = Vec::new();
    for act in acts {
        match act {
            Act::Whole(message) => encoder.message(message, &mut wire),
            Act::Pieces(kind, pieces) => {
                encoder.begin(*kind);
                for (at, piece) in pieces.iter().enumerate() {
                    let last = at + 1 == pieces.len();
                    encoder.piece(piece.as_bytes(), last, &mut wire);
                }
            }
            Act::Ping(payload) => encoder.ping(payload, &mut wire),
            Act::Pong(payload) => encoder.pong(payload, &mut wire),
            Act::Close(frame) => {
                let frame = frame
                    .as_ref()
                    .map(|(code, reason)| CloseFrame::new((*code).into(), reason.as_str()));
                encoder.close(frame.as_ref(), &mut wire);
            }
            Act::Frame(frame) => wire.extend(frame.wire()),
            Act::Garbage(bytes) => wire.extend(bytes),
        }
    }
    wire
}

/// The events that acts are meant to be.
fn meant(acts: &[Act]) -> Vec<Event> {
    let meant = acts.iter().map(|act| match act {
        Act::Whole(message) => Event::Message(message.clone()),
        Act::Pieces(MessageKind::Text, pieces) => Event::Message(pieces.concat().into()),
        Act::Pieces(MessageKind::Binary, pieces) => {
            Event::Message(pieces.concat().into_bytes().into())
        }
        Act::Ping(payload) => Event::Ping(payload.clone().into()),
        Act::Pong(payload) => Event::Pong(payload.clone().into()),
        Act::Close(frame) => Event::Close(
            frame
                .as_ref()
                .map(|(code, reason)| CloseFrame::new((*code).into(), reason.as_str())),
        ),
        Act::Frame(_) | Act::Garbage(_) => unreachable!("not meant well"),
    });
    meant.collect()
}

fn pieces<'a>(mut stream: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut sizes = sizes.iter().cycle();
    std::iter::from_fn(move || {
        let size = *sizes.next().expect("at least one");
        let (piece, rest) = stream.split_at(size.min(stream.len()));
        stream = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Events and failure depend on the stream alone.
    #[test]
    fn the_cuts_do_not_matter(
        acts in vec(any_act(), 1..8),
        deflate in negotiated(),
        sizes in vec(1..60usize, 1..6),
        flip in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut stream = wire(&acts, Role::Client, deflate.as_ref(), 300);
        if let Some((at, bits)) = flip && !stream.is_empty() {
            let at = at.index(stream.len());
            stream[at] ^= bits;
        }
        let receiver = || Receiver::new(Role::Server, LIMITS, deflate.as_ref()).with_pool(lend);
        let whole = receive(receiver(), [&*stream]);
        prop_assert_eq!(&whole, &receive(receiver(), stream.chunks(1)));
        prop_assert_eq!(&whole, &receive(receiver(), pieces(&stream, &sizes)));
    }

    #[test]
    fn what_is_sent_is_received(
        acts in vec(honest(), 0..8),
        last in proptest::option::of(close()),
        client in any::<bool>(),
        deflate in negotiated(),
        fragment in prop_oneof![Just(usize::MAX), 1..200usize],
    ) {
        let acts: Vec<_> = acts.into_iter().chain(last).collect();
        let (from, to) = match client {
            true => (Role::Client, Role::Server),
            false => (Role::Server, Role::Client),
        };
        let stream = wire(&acts, from, deflate.as_ref(), fragment);
        let receiver = Receiver::new(to, Limits::default(), deflate.as_ref()).with_pool(lend);
        prop_assert_eq!(receive(receiver, [&*stream]), (meant(&acts), None));
    }

    /// The same bytes mean the same to tungstenite, or neither takes them.
    #[test]
    fn tungstenite_sees_the_same(
        acts in vec(prop_oneof![3 => honest(), 2 => frame(7)], 0..8),
        last in proptest::option::of(close()),
        fragment in prop_oneof![Just(usize::MAX), 1..200usize],
    ) {
        let acts: Vec<_> = acts.into_iter().chain(last).collect();
        let stream = wire(&acts, Role::Client, None, fragment);
        let ours = receive(Receiver::new(Role::Server, LIMITS, None).with_pool(lend), [&*stream]);
        let (events, failed) = tungstenite(&stream);
        prop_assert_eq!((ours.0, ours.1.is_some()), (events, failed));
    }

    /// And what it sends is what we receive.
    #[test]
    fn tungstenite_is_understood(acts in vec(honest(), 0..8), server in any::<bool>()) {
        use tungstenite::protocol::Role as Their;
        let (their, our) = match server {
            true => (Their::Server, Role::Client),
            false => (Their::Client, Role::Server),
        };
        let mut socket = WebSocket::from_raw_socket(Memory::default(), their, None);
        let whole: Vec<_> = acts
            .into_iter()
            .filter(|act| !matches!(act, Act::Pieces(..)))
            .collect();
        for act in &whole {
            let message = match act.clone() {
                Act::Whole(Message::Text(text)) => tungstenite::Message::Text(text.into()),
                Act::Whole(Message::Binary(bytes)) => tungstenite::Message::Binary(bytes),
                Act::Ping(payload) => tungstenite::Message::Ping(payload.into()),
                Act::Pong(payload) => tungstenite::Message::Pong(payload.into()),
                _ => unreachable!("filtered"),
            };
            socket.send(message).expect("memory takes all");
        }
        let stream = &socket.get_ref().written;
        let receiver = Receiver::new(our, Limits::default(), None).with_pool(lend);
        prop_assert_eq!(receive(receiver, [&**stream]), (meant(&whole), None));
    }
}

#[derive(Debug, Default)]
struct Memory {
    input: Cursor<Vec<u8>>,
    written: Vec<u8>,
}

impl Read for Memory {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.input.read(buf)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }
}

impl Write for Memory {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.written.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite, as a server, finds in a stream, and whether it fails.
fn tungstenite(stream: &[u8]) -> (Vec<Event>, bool) {
    use tungstenite::{Error, Message as Their};
    let config = WebSocketConfig::default()
        .max_frame_size(Some(LIMITS.frame))
        .max_message_size(Some(LIMITS.message));
    let memory = Memory {
        input: Cursor::new(stream.to_vec()),
        written: Vec::new(),
    };
    let role = tungstenite::protocol::Role::Server;
    let mut socket = WebSocket::from_raw_socket(memory, role, Some(config));
    let mut events = Vec::new();
    loop {
        events.push(match socket.read() {
            Ok(Their::Text(text)) => Event::Message(text.as_str().into()),
            Ok(Their::Binary(bytes)) => Event::Message(bytes.into()),
            Ok(Their::Ping(payload)) => Event::Ping(payload),
            Ok(Their::Pong(payload)) => Event::Pong(payload),
            Ok(Their::Close(frame)) => {
                Event::Close(frame.map(|frame| {
                    CloseFrame::new(u16::from(frame.code).into(), frame.reason.as_str())
                }))
            }
            Ok(Their::Frame(_)) => unreachable!("never given by read"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return (events, false);
            }
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => return (events, false),
            Err(_) => return (events, true),
        });
        if let Some(Event::Close(frame)) = events.last() {
            // What it makes of codes that must not be sent.
            let bad = frame
                .as_ref()
                .is_some_and(|frame| frame.reason == "Protocol violation");
            if bad {
                events.pop();
            }
            return (events, bad);
        }
    }
}

/// That the streams above are not all refused at their start.
#[test]
fn the_streams_are_worth_their_tests() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut messages, mut failures) = (0, 0);
    for _ in 0..100 {
        let acts = vec(any_act(), 1..8)
            .new_tree(&mut runner)
            .expect("no filters");
        let stream = wire(&acts.current(), Role::Client, None, 300);
        let (events, failure): Events = receive(
            Receiver::new(Role::Server, LIMITS, None).with_pool(lend),
            [&*stream],
        );
        messages += events.len();
        failures += usize::from(failure.is_some());
    }
    assert!(messages > 100 && failures > 20, "{messages} {failures}");
}
