//! What a peer may do and must not: the cases of the Autobahn testsuite, by its numbers, as data.
//!
//! Cases 1 to 7, 9 and 10 are lists of frames that go to a peer that echoes messages, and what it
//! has to do. Those on compression, 12 and 13, are sizes and parameters; their payloads are made
//! here, for Autobahn's own are files. The protocol's own tests run all of them over memory, the
//! package of integration tests over sockets. So these files use nothing but std.

mod close;
mod compression;
mod frames;
mod limits;
mod utf8;

pub(crate) use compression::{COMPRESSED, CONTENTS, OFFERS, content};
pub(crate) use limits::LARGEST;
use std::iter::once;

pub(crate) const CONTINUE: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A frame of the client, as it pleases.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) last: bool,
    pub(crate) rsv: u8,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            last: true,
            rsv: 0,
            opcode,
            payload: payload.into(),
        }
    }

    /// More of the message follows.
    fn more(mut self) -> Self {
        self.last = false;
        self
    }

    fn rsv(mut self, bits: u8) -> Self {
        self.rsv = bits;
        self
    }

    /// The bytes on the wire, masked.
    pub(crate) fn wire(&self) -> Vec<u8> {
        let mut wire = vec![u8::from(self.last) << 7 | self.rsv << 4 | self.opcode];
        match self.payload.len() {
            length @ 0..126 => wire.push(0x80 | length as u8),
            length @ 126..65536 => {
                wire.push(0x80 | 126);
                wire.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                wire.push(0x80 | 127);
                wire.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        // A mask of zeros is a mask, and megabytes need not be masked byte by byte.
        let mask = match self.payload.len() {
            0..100_000 => [0x37, 0xfa, 0x21, 0x3d],
            _ => [0; 4],
        };
        wire.extend_from_slice(&mask);
        if mask == [0; 4] {
            wire.extend_from_slice(&self.payload);
        } else {
            let masked = self.payload.iter().zip(mask.iter().cycle());
            wire.extend(masked.map(|(byte, key)| byte ^ key));
        }
        wire
    }
}

/// How the stream is cut into writes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    Together,
    Frames,
    Every(usize),
}

/// What comes back before the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
}

/// How it goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All is well: a close frame with 1000 is answered by the same.
    Open,
    /// The client's close frame is answered by one with this code, or with none.
    Closed(Option<u16>),
    /// The connection is failed, with this code.
    Failed(u16),
}

#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// Autobahn's number.
    pub(crate) id: String,
    pub(crate) what: String,
    pub(crate) frames: Vec<Frame>,
    pub(crate) cut: Cut,
    /// So many bytes at the end of the stream are never sent: the failure may not wait for them.
    pub(crate) withheld: usize,
    pub(crate) replies: Vec<Reply>,
    pub(crate) end: End,
}

impl Case {
    fn new(id: impl Into<String>, what: impl Into<String>, frames: Vec<Frame>) -> Self {
        Self {
            id: id.into(),
            what: what.into(),
            frames,
            cut: Cut::Together,
            withheld: 0,
            replies: Vec::new(),
            end: End::Open,
        }
    }

    fn cut(mut self, cut: Cut) -> Self {
        self.cut = cut;
        self
    }

    fn gets(mut self, reply: Reply) -> Self {
        self.replies.push(reply);
        self
    }

    fn fails(mut self, code: u16) -> Self {
        self.end = End::Failed(code);
        self
    }

    fn closes(mut self, code: Option<u16>) -> Self {
        self.end = End::Closed(code);
        self
    }

    /// What is written, write by write.
    pub(crate) fn writes(&self) -> Vec<Vec<u8>> {
        let frames: Vec<_> = self.frames.iter().map(Frame::wire).collect();
        let mut whole = frames.concat();
        whole.truncate(whole.len() - self.withheld);
        match self.cut {
            Cut::Together => vec![whole],
            Cut::Frames if self.withheld == 0 => frames,
            Cut::Frames => panic!("{}: not both", self.id),
            Cut::Every(size) => whole.chunks(size).map(<[u8]>::to_vec).collect(),
        }
    }
}

/// The groups that are lists of frames.
pub(crate) const GROUPS: [u8; 9] = [1, 2, 3, 4, 5, 6, 7, 9, 10];

/// The cases of a group, in their order. Some are of many megabytes, so each is made when it is
/// asked for.
pub(crate) fn group(number: u8) -> Box<dyn Iterator<Item = Case>> {
    match number {
        1 => Box::new(frames::framing().into_iter()),
        2 => Box::new(frames::pings().into_iter()),
        3 => Box::new(frames::reserved_bits().into_iter()),
        4 => Box::new(frames::opcodes().into_iter()),
        5 => Box::new(frames::fragmentation().into_iter()),
        6 => Box::new(utf8::pieces().into_iter().chain(utf8::sequences())),
        7 => Box::new(close::frames().into_iter().chain(close::codes())),
        9 => Box::new(limits::limits()),
        10 => Box::new(once(frames::auto_fragmentation())),
        _ => panic!("no group {number}"),
    }
}

fn text(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(TEXT, payload)
}

fn ping(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(PING, payload)
}

fn rest(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(CONTINUE, payload)
}

fn close_frame(code: u16, reason: &[u8]) -> Frame {
    Frame::new(CLOSE, [&code.to_be_bytes(), reason].concat())
}

fn said(text: impl Into<Vec<u8>>) -> Reply {
    Reply::Text(text.into())
}

fn pong(payload: impl Into<Vec<u8>>) -> Reply {
    Reply::Pong(payload.into())
}

/// One message, echoed.
fn echo(id: String, what: String, opcode: u8, payload: Vec<u8>) -> Case {
    let reply = match opcode {
        TEXT => Reply::Text(payload.clone()),
        _ => Reply::Binary(payload.clone()),
    };
    Case::new(id, what, vec![Frame::new(opcode, payload)]).gets(reply)
}

/// A message in frames of so many bytes.
pub(crate) fn fragments(opcode: u8, payload: &[u8], size: usize) -> Vec<Frame> {
    let count = payload.len().div_ceil(size);
    let pieces = payload.chunks(size).enumerate();
    let frames = pieces.map(|(at, piece)| Frame {
        last: at + 1 == count,
        rsv: 0,
        opcode: if at == 0 { opcode } else { CONTINUE },
        payload: piece.to_vec(),
    });
    frames.collect()
}

fn name(opcode: u8) -> &'static str {
    if opcode == TEXT { "text" } else { "binary" }
}
