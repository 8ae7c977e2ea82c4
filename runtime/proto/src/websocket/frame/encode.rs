//! Messages become bytes for the wire.

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::mask::{Mask, Masks};
use crate::websocket::deflate::{DeflateParameters, Deflater, LendPool};
use crate::websocket::message::{CloseFrame, Message, MessageKind};
use crate::websocket::{MAX_CONTROL, Role};

/// Writes frames behind what a buffer already holds.
#[derive(Debug)]
pub struct Encoder {
    /// A client's.
    masks: Option<Box<Masks>>,
    deflater: Option<Box<Deflater>>,
    /// The most payload bytes of one data frame.
    fragment: usize,
    /// A message that is sent in pieces: what its next frame is.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    opcode: Data,
    /// The mark of the first frame of a compressed message.
    rsv1: bool,
    compressed: bool,
}

impl Encoder {
    /// An encoder at the end `role` of a connection on which `deflate` was agreed, if anything
    /// was.
    #[must_use]
    pub fn new(role: Role, deflate: Option<&DeflateParameters>) -> Self {
        Self {
            masks: (role == Role::Client).then(|| Box::new(Masks::new())),
            deflater: deflate.and_then(|deflate| Deflater::new(role, deflate).map(Box::new)),
            fragment: usize::MAX,
            open: None,
        }
    }

    /// Takes compressors from a pool and leaves them there between messages. Without one, each
    /// message for which no context is kept makes its own, which costs more than compressing it.
    #[must_use]
    pub fn with_pool(mut self, pool: LendPool) -> Self {
        if let Some(deflater) = &mut self.deflater {
            deflater.set_pool(pool);
        }
        self
    }

    /// Cuts messages into frames of at most `size` bytes of payload; at least 1.
    #[must_use]
    pub fn with_fragments(mut self, size: usize) -> Self {
        self.fragment = size.max(1);
        self
    }

    /// A whole message, compressed if that was agreed on and is worth it.
    ///
    /// # Panics
    ///
    /// While a message is open that was begun by [`begin`](Self::begin): messages cannot be
    /// nested. That holds for `begin` too.
    pub fn message(&mut self, message: &Message, out: &mut Vec<u8>) {
        self.whole(message.kind(), message.as_bytes(), out);
    }

    /// As [`message`](Self::message), from borrowed bytes; of [`MessageKind::Text`] they must be UTF-8.
    pub fn whole(&mut self, kind: MessageKind, data: &[u8], out: &mut Vec<u8>) {
        let deflater = self.deflater.as_mut();
        let Some(deflater) = deflater.filter(|deflater| deflater.is_worth(data.len())) else {
            self.open(kind, false);
            return self.frames(data, true, out);
        };
        let mut compressed = Vec::new();
        deflater.push(data, true, &mut compressed);
        let smaller = compressed.len() < data.len() || !deflater.may_be_discarded();
        self.open(kind, smaller);
        self.frames(if smaller { &compressed } else { data }, true, out);
    }

    /// Begins a message that is sent in pieces. Nothing is written yet.
    pub fn begin(&mut self, kind: MessageKind) {
        self.open(kind, self.deflater.is_some());
    }

    /// The next piece of the open message, as one frame or more. Pieces of a text may be cut
    /// anywhere. Each is complete in `out`; no byte of it waits for the next piece.
    ///
    /// # Panics
    ///
    /// If no message is open.
    pub fn piece(&mut self, piece: &[u8], last: bool, out: &mut Vec<u8>) {
        let open = self.open.as_ref().expect("begin comes first");
        if !open.compressed {
            return self.frames(piece, last, out);
        }
        let deflater = self.deflater.as_mut().expect("it was there at the start");
        let mut compressed = Vec::new();
        deflater.push(piece, last, &mut compressed);
        self.frames(&compressed, last, out);
    }

    /// Whether a message was begun and not ended. Control frames may be sent all the same.
    #[cfg(test)]
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// A ping.
    ///
    /// # Panics
    ///
    /// If the payload has more than [`MAX_CONTROL`] bytes; that of [`pong`](Self::pong) likewise.
    pub fn ping(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        self.control(Control::Ping, payload, out);
    }

    /// A pong: the answer to a ping, with its payload.
    pub fn pong(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        self.control(Control::Pong, payload, out);
    }

    /// A close frame, behind which nothing may be sent. `None` gives no code.
    ///
    /// # Panics
    ///
    /// If the code [must not be sent](crate::websocket::CloseCode::is_sendable).
    pub fn close(&mut self, frame: Option<&CloseFrame>, out: &mut Vec<u8>) {
        let mut payload = Vec::new();
        if let Some(CloseFrame { code, reason }) = frame {
            assert!(code.is_sendable(), "close code {code} must not be sent");
            let reason = &reason[..reason.floor_char_boundary(CloseFrame::MAX_REASON)];
            payload.extend_from_slice(&code.as_u16().to_be_bytes());
            payload.extend_from_slice(reason.as_bytes());
        }
        self.control(Control::Close, &payload, out);
    }

    /// Whether it owns no compressor.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.deflater
            .as_ref()
            .is_none_or(|deflater| deflater.is_idle())
    }

    fn open(&mut self, kind: MessageKind, compressed: bool) {
        assert!(self.open.is_none(), "a message inside a message");
        self.open = Some(Open {
            opcode: match kind {
                MessageKind::Text => Data::Text,
                MessageKind::Binary => Data::Binary,
            },
            rsv1: compressed,
            compressed,
        });
    }

    /// Frames of the open message.
    fn frames(&mut self, mut data: &[u8], last: bool, out: &mut Vec<u8>) {
        loop {
            let (piece, rest) = data.split_at(data.len().min(self.fragment));
            let open = self.open.as_mut().expect("opened before");
            let header = FrameHeader {
                is_final: last && rest.is_empty(),
                rsv1: open.rsv1,
                opcode: OpCode::Data(open.opcode),
                ..FrameHeader::default()
            };
            (open.opcode, open.rsv1) = (Data::Continue, false);
            self.frame(header, piece, out);
            if rest.is_empty() {
                break;
            }
            data = rest;
        }
        if last {
            self.open = None;
        }
    }

    fn control(&mut self, opcode: Control, payload: &[u8], out: &mut Vec<u8>) {
        assert!(
            payload.len() <= MAX_CONTROL,
            "a control frame over 125 bytes"
        );
        let header = FrameHeader {
            opcode: OpCode::Control(opcode),
            ..FrameHeader::default()
        };
        self.frame(header, payload, out);
    }

    fn frame(&mut self, mut header: FrameHeader, payload: &[u8], out: &mut Vec<u8>) {
        header.mask = self.masks.as_mut().map(|masks| masks.next());
        let length = payload.len() as u64;
        out.reserve(header.len(length) + payload.len());
        header.format(length, out).expect("a vector takes all");
        let start = out.len();
        out.extend_from_slice(payload);
        if let Some(key) = header.mask {
            Mask::new(key).apply(&mut out[start..]);
        }
    }
}
