//! WebSocket messages against a second receiver: the frames again, for whole streams, without
//! regard to speed, and without the code of `greenway-proto`.
//!
//! Both inflate with the same crate. What is compared is what is done around it: where messages
//! begin and end, what is kept from one to the next, and where it stops.

use crate::streams::websocket::{Events, events};
use crate::{Cuts, split};
use flate2::{Decompress, FlushDecompress, Status};
use greenway_proto::websocket::{CloseFrame, Message};
use greenway_proto::websocket::{DeflateParameters, Encoder, Event, Limits, Receiver, Role};

/// Small enough that a fuzzer goes beyond them.
const LIMITS: Limits = Limits {
    frame: 200,
    message: 300,
};

/// What an input is read as. Its second byte says so: bit 0 for a client, bit 1 for compression,
/// bit 2 for contexts that are kept, the next three for the windows.
#[derive(Debug, Clone)]
struct Settings {
    role: Role,
    deflate: Option<DeflateParameters>,
}

impl Settings {
    fn new(byte: u8) -> Self {
        let reset = byte & 4 == 0;
        let bits = 9 + (byte >> 3 & 7).min(6);
        let deflate = DeflateParameters {
            server_no_context_takeover: reset,
            client_no_context_takeover: reset,
            server_bits: bits,
            client_bits: bits,
            level: 1,
            threshold: 1,
        };
        Self {
            role: if byte & 1 == 0 {
                Role::Server
            } else {
                Role::Client
            },
            deflate: (byte & 2 != 0).then_some(deflate),
        }
    }

    fn receiver(&self) -> Receiver {
        Receiver::new(self.role, LIMITS, self.deflate.as_ref())
    }
}

/// Reads a stream of frames, in pieces and with a second receiver, and sends what it found once
/// more.
///
/// # Panics
/// When it finds a contradiction.
pub(super) fn check(input: &[u8]) {
    let Some((cuts, rest)) = split(input) else {
        return;
    };
    let Some((&settings, stream)) = rest.split_first() else {
        return;
    };
    let settings = Settings::new(settings);
    let whole = events(settings.receiver(), [stream]);
    let cut = events(settings.receiver(), cuts.pieces(stream));
    assert_eq!(whole, cut, "the cuts matter");
    let bytes = events(settings.receiver(), stream.chunks(1));
    assert_eq!(whole, bytes, "not the same byte by byte");
    let codes = |(events, failure): Events| (events, failure.map(|failure| failure.code.as_u16()));
    let expected = Reference::new(&settings).read(stream);
    assert_eq!(codes(whole.clone()), expected, "not what the RFC says");
    check_again(&settings, &whole.0, cuts);
}

/// What was received can be sent, and is received as it was.
fn check_again(settings: &Settings, found: &[Event], Cuts(fragment): Cuts) {
    let other = match settings.role {
        Role::Server => Role::Client,
        Role::Client => Role::Server,
    };
    let fragment = (1 + usize::from(fragment)).min(LIMITS.frame);
    let mut encoder = Encoder::new(other, settings.deflate.as_ref()).with_fragments(fragment);
    let mut wire = Vec::new();
    for event in found {
        match event {
            Event::Message(message) => {
                assert!(message.len() <= LIMITS.message, "beyond the limit");
                encoder.message(message, &mut wire);
            }
            Event::Ping(payload) => encoder.ping(payload, &mut wire),
            Event::Pong(payload) => encoder.pong(payload, &mut wire),
            Event::Close(frame) => encoder.close(frame.as_ref(), &mut wire),
        }
    }
    let (again, failure) = events(settings.receiver(), [&*wire]);
    assert_eq!((&*again, failure), (found, None), "sent is not received");
}

/// 1002, 1007 or 1009.
type Code = u16;

struct Reference<'a> {
    settings: &'a Settings,
    events: Vec<Event>,
    /// Opcode, whether it is compressed, and the payload so far.
    message: Option<(u8, bool, Vec<u8>)>,
    /// All compressed messages that went before, if the context is kept, and what they became.
    context: (Vec<u8>, usize),
}

impl<'a> Reference<'a> {
    fn new(settings: &'a Settings) -> Self {
        Self {
            settings,
            events: Vec::new(),
            message: None,
            context: Default::default(),
        }
    }

    fn read(mut self, mut stream: &[u8]) -> (Vec<Event>, Option<Code>) {
        loop {
            match self.frame(&mut stream) {
                Some(Ok(())) => {}
                Some(Err(code)) => return (self.events, Some(code)),
                None => return (self.events, None),
            }
            if let Some(Event::Close(_)) = self.events.last() {
                return (self.events, None);
            }
        }
    }

    /// One frame; `None` if it is not complete. Of a data frame, what is there is looked at.
    fn frame(&mut self, stream: &mut &[u8]) -> Option<Result<(), Code>> {
        let ([first, second], mut rest) = stream.split_first_chunk()?;
        let (length, minimum) = match second & 0x7f {
            126 => (number(&mut rest, 2)?, 126),
            127 => (number(&mut rest, 8)?, 65536),
            length => (u64::from(length), 0),
        };
        let masked = second & 0x80 != 0;
        let mut mask = [0; 4];
        if masked {
            let (bytes, behind) = rest.split_first_chunk()?;
            (mask, rest) = (*bytes, behind);
        }
        let (last, opcode) = (first & 0x80 != 0, first & 0xf);
        let control = opcode >= 8;
        let marked = first & 0x40 != 0;
        let wrong = !matches!(opcode, 0..=2 | 8..=10)
            || first & 0x30 != 0
            || marked && (self.settings.deflate.is_none() || !matches!(opcode, 1 | 2))
            || masked != (self.settings.role == Role::Server)
            || length < minimum
            || length >> 63 != 0
            || control && (!last || length > 125)
            || !control && (opcode == 0) != self.message.is_some();
        if wrong {
            return Some(Err(1002));
        }
        let here = usize::try_from(length).map_or(rest.len(), |length| length.min(rest.len()));
        let complete = here as u64 == length;
        let payload = rest[..here].iter().zip(mask.iter().cycle());
        let payload: Vec<u8> = payload.map(|(byte, mask)| byte ^ mask).collect();
        *stream = &rest[here..];
        if control {
            return complete.then(|| self.control(opcode, payload));
        }
        if length > LIMITS.frame as u64 {
            return Some(Err(1009));
        }
        let (_, compressed, data) = self
            .message
            .get_or_insert_with(|| (opcode, marked, Vec::new()));
        if !*compressed && data.len() as u64 + length > LIMITS.message as u64 {
            return Some(Err(1009));
        }
        data.extend(payload);
        match self.look(last && complete) {
            Ok(()) if complete => Some(Ok(())),
            Ok(()) => None,
            Err(code) => Some(Err(code)),
        }
    }

    fn control(&mut self, opcode: u8, payload: Vec<u8>) -> Result<(), Code> {
        self.events.push(match opcode {
            8 => Event::Close(match &*payload {
                [] => None,
                [_] => return Err(1002),
                [high, low, reason @ ..] => {
                    let code = u16::from(*high) << 8 | u16::from(*low);
                    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                        return Err(1002);
                    }
                    let reason = str::from_utf8(reason).map_err(|_| 1007_u16)?;
                    Some(CloseFrame::new(code.into(), reason))
                }
            }),
            9 => Event::Ping(payload.into()),
            _ => Event::Pong(payload.into()),
        });
        Ok(())
    }

    /// Judges the message as far as it has come.
    fn look(&mut self, ends: bool) -> Result<(), Code> {
        let (opcode, compressed, data) = self.message.as_ref().expect("it has begun");
        let mut closed = false;
        let plain = if *compressed {
            let (plain, refused, over) = self.inflate(data, ends);
            closed = over;
            let known = &plain[..plain.len().min(LIMITS.message)];
            check_text(*opcode, known, false)?;
            if plain.len() > LIMITS.message {
                return Err(1009);
            }
            if refused {
                return Err(1007);
            }
            plain
        } else {
            data.clone()
        };
        check_text(*opcode, &plain, ends)?;
        if !ends {
            return Ok(());
        }
        let (opcode, compressed, data) = self.message.take().expect("it has begun");
        if compressed && self.keeps_context() {
            self.context.0.extend(data);
            if !closed {
                self.context.0.extend(TAIL);
            }
            self.context.1 += plain.len();
        }
        self.events.push(Event::Message(match opcode {
            1 => Message::Text(String::from_utf8(plain).expect("it was checked")),
            _ => Message::Binary(plain.into()),
        }));
        Ok(())
    }

    fn keeps_context(&self) -> bool {
        let deflate = self.settings.deflate.as_ref();
        deflate.is_some_and(|deflate| !deflate.client_no_context_takeover)
    }

    /// Inflates everything from the start, and gives what belongs to this message, with whether
    /// it is malformed, and whether it ends with a block that says that it is the last one. Then
    /// the end that senders leave out is missing nowhere.
    fn inflate(&self, data: &[u8], ends: bool) -> (Vec<u8>, bool, bool) {
        let mut input = self.context.0.clone();
        input.extend(data);
        let limit = self.context.1 + LIMITS.message + 1;
        let (mut plain, mut end) = inflate(&input, limit);
        let over = end == Some(true) && !data.is_empty();
        if ends && !over {
            input.extend(TAIL);
            (plain, end) = inflate(&input, limit);
            if !self.keeps_context() && end.is_some() {
                input.extend([0x01, 0x00, 0x00, 0xff, 0xff]);
                let (_, last) = inflate(&input, limit);
                end = last.filter(|&over| over);
            }
        }
        plain.drain(..self.context.1);
        (plain, end.is_none(), over)
    }
}

const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// At most `limit` bytes; and whether the stream is over where the input ends, `None` if it is
/// malformed.
fn inflate(mut input: &[u8], limit: usize) -> (Vec<u8>, Option<bool>) {
    let (mut plain, mut state) = (Vec::with_capacity(limit), Decompress::new(false));
    let mut over = false;
    while !input.is_empty() && plain.len() < limit {
        let mut chunk = vec![0; limit - plain.len()];
        let (taken, made) = (state.total_in(), state.total_out());
        let status = state.decompress(input, &mut chunk, FlushDecompress::None);
        plain.extend(&chunk[..(state.total_out() - made) as usize]);
        input = &input[(state.total_in() - taken) as usize..];
        over = match status {
            Err(_) => return (plain, None),
            Ok(Status::StreamEnd) => true,
            Ok(_) => false,
        };
        if over {
            state = Decompress::new(false);
        }
    }
    (plain, Some(over))
}

fn check_text(opcode: u8, data: &[u8], ends: bool) -> Result<(), Code> {
    match str::from_utf8(data) {
        Err(error) if opcode == 1 && (ends || error.error_len().is_some()) => Err(1007),
        _ => Ok(()),
    }
}

/// A number of so many bytes, the highest first.
fn number(rest: &mut &[u8], bytes: usize) -> Option<u64> {
    let (number, behind) = rest.split_at_checked(bytes)?;
    *rest = behind;
    Some(number.iter().fold(0, |sum, &b| sum << 8 | u64::from(b)))
}
