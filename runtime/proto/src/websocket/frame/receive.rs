//! Bytes off the wire become events.

use bytes::{Buf, Bytes};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::mask::Mask;
use crate::websocket::deflate::{DeflateParameters, Inflater, LendPool};
use crate::websocket::failure::Failure;
use crate::websocket::message::{CloseCode, CloseFrame, Message, MessageKind};
use crate::websocket::{MAX_CONTROL, Role};

/// What was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A whole message.
    Message(Message),
    /// To be answered by a pong with the same payload.
    Ping(Bytes),
    /// The peer lives. Its payload is that of a ping, if it answers one.
    Pong(Bytes),
    /// The last event; `None` if the frame was empty. To be answered by a close frame, unless
    /// this is the answer to ours.
    Close(Option<CloseFrame>),
}

/// How much is taken. A message of exactly the limit is.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most bytes of one frame's payload on the wire.
    pub frame: usize,
    /// The most bytes of one message, after inflating.
    pub message: usize,
}

impl Default for Limits {
    /// 1 MiB each.
    fn default() -> Self {
        Self {
            frame: 1 << 20,
            message: 1 << 20,
        }
    }
}

/// Takes frames off a buffer and puts messages together.
#[derive(Debug)]
pub struct Receiver {
    role: Role,
    limits: Limits,
    state: State,
    /// A message whose first frame was seen and whose last one was not.
    partial: Option<Partial>,
    inflater: Option<Box<Inflater>>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// In front of a frame.
    Head,
    /// Inside a data frame: bytes that are missing, and whether the message ends with it.
    Payload {
        left: usize,
        last: bool,
        mask: Option<Mask>,
    },
    /// Behind a close frame.
    Closed,
    Failed(Failure),
}

#[derive(Debug)]
struct Partial {
    kind: MessageKind,
    compressed: bool,
    data: Vec<u8>,
    /// How many bytes of `data` are known to be UTF-8.
    checked: usize,
}

impl Receiver {
    /// A receiver at the end `role` of a connection on which `deflate` was agreed, if anything
    /// was.
    #[must_use]
    pub fn new(role: Role, limits: Limits, deflate: Option<&DeflateParameters>) -> Self {
        Self {
            role,
            limits,
            state: State::Head,
            partial: None,
            inflater: deflate.map(|deflate| Box::new(Inflater::new(role, deflate))),
        }
    }

    /// Takes decompressors from a pool and leaves them there between messages. Without one, each
    /// message for which no context is kept makes its own.
    #[must_use]
    pub fn with_pool(mut self, pool: LendPool) -> Self {
        if let Some(inflater) = &mut self.inflater {
            inflater.set_pool(pool);
        }
        self
    }

    /// The next event in `buf`, which is consumed; `None` if more bytes have to arrive. `buf` is in
    /// one piece: its first chunk is all of it.
    ///
    /// What `buf` still holds then is at most the start of a frame's header or of a control
    /// frame: fewer than 140 bytes, most often none. Behind a close frame everything is thrown
    /// away (RFC 6455 section 5.5.1).
    ///
    /// # Errors
    ///
    /// The peer broke a rule. Further calls repeat the failure.
    pub fn next(&mut self, buf: &mut impl Buf) -> Result<Option<Event>, Failure> {
        let mut input = buf.chunk();
        let found = self.advance(&mut input);
        let left = input.len();
        buf.advance(buf.remaining() - left);
        match &found {
            Err(failure) => self.end(State::Failed(*failure)),
            Ok(Some(Event::Close(_))) => self.end(State::Closed),
            Ok(_) => {}
        }
        found
    }

    /// Whether a message has begun that is not complete.
    #[cfg(test)]
    pub(crate) fn is_inside_message(&self) -> bool {
        self.partial.is_some()
    }

    /// Bytes of memory for the message that has begun.
    #[cfg(test)]
    pub(crate) fn buffered(&self) -> usize {
        self.partial
            .as_ref()
            .map_or(0, |partial| partial.data.capacity())
    }

    /// Bytes that are there of the message that has begun.
    #[cfg(test)]
    pub(crate) fn inside(&self) -> usize {
        self.partial
            .as_ref()
            .map_or(0, |partial| partial.data.len())
    }

    /// Whether it owns no decompressor.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.inflater
            .as_ref()
            .is_none_or(|inflater| inflater.is_idle())
    }

    fn end(&mut self, state: State) {
        self.state = state;
        self.partial = None;
        self.inflater = None;
    }

    #[inline(never)] // so that it is compiled once, not for each kind of buffer
    fn advance(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Failure> {
        loop {
            match self.state {
                // The most common case, without the work of the next arm.
                State::Head if input.is_empty() => return Ok(None),
                State::Head => {
                    let Some((header, size, length)) = parse(input)? else {
                        return Ok(None);
                    };
                    self.check(&header, size, length)?;
                    let mask = header.mask.map(Mask::new);
                    match header.opcode {
                        OpCode::Control(opcode) => {
                            return control(input, opcode, size, length, mask);
                        }
                        OpCode::Data(opcode) => {
                            let left = self.begin(&header, opcode, length)?;
                            *input = &input[size..];
                            self.state = State::Payload {
                                left,
                                last: header.is_final,
                                mask,
                            };
                        }
                    }
                }
                State::Payload { left, last, mask } => {
                    let (piece, rest) = input.split_at(input.len().min(left));
                    *input = rest;
                    let left = left - piece.len();
                    let ends = last && left == 0;
                    let mask = self.push(piece, mask, left, ends)?;
                    if left > 0 {
                        self.state = State::Payload { left, last, mask };
                        return Ok(None);
                    }
                    self.state = State::Head;
                    if ends {
                        return self.finish().map(Some);
                    }
                }
                State::Closed => {
                    *input = &[];
                    return Ok(None);
                }
                State::Failed(failure) => return Err(failure),
            }
        }
    }

    /// The rules that a header alone can break.
    fn check(&self, header: &FrameHeader, size: usize, length: u64) -> Result<(), Failure> {
        if header.rsv2 || header.rsv3 {
            return Err(Failure::protocol("reserved bits are set"));
        }
        if header.rsv1 {
            let starts = matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary));
            if self.inflater.is_none() || !starts {
                return Err(Failure::protocol("reserved bits are set"));
            }
        }
        if header.mask.is_some() != (self.role == Role::Server) {
            return Err(Failure::protocol(match self.role {
                Role::Server => "a client's frames must be masked",
                Role::Client => "a server's frames must not be masked",
            }));
        }
        // RFC 6455 section 5.2: the shortest form, and no sign bit.
        if size != header.len(length) || length > i64::MAX as u64 {
            return Err(Failure::protocol("a malformed length"));
        }
        if let OpCode::Control(_) = header.opcode {
            if !header.is_final {
                return Err(Failure::protocol("a control frame in fragments"));
            }
            if length > MAX_CONTROL as u64 {
                return Err(Failure::protocol("a control frame over 125 bytes"));
            }
        }
        Ok(())
    }

    /// The first frame of a message or a further one; gives its length.
    fn begin(&mut self, header: &FrameHeader, opcode: Data, length: u64) -> Result<usize, Failure> {
        let kind = match (opcode, self.partial.is_some()) {
            (Data::Text, false) => Some(MessageKind::Text),
            (Data::Binary, false) => Some(MessageKind::Binary),
            (Data::Continue, true) => None,
            (Data::Continue, false) => {
                return Err(Failure::protocol("nothing to continue"));
            }
            _ => return Err(Failure::protocol("a message inside a message")),
        };
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= self.limits.frame)
            .ok_or(Failure::too_big("frame too big"))?;
        let partial = self.partial.get_or_insert_with(|| Partial {
            kind: kind.unwrap_or(MessageKind::Binary),
            compressed: header.rsv1,
            data: Vec::new(),
            checked: 0,
        });
        // What was compressed has its size when it is inflated.
        if !partial.compressed && length > self.limits.message - partial.data.len() {
            return Err(Failure::message());
        }
        Ok(length)
    }

    /// Takes the next piece of a payload; `missing` bytes of the frame are to come. Gives the mask
    /// for these.
    fn push(
        &mut self,
        piece: &[u8],
        mut mask: Option<Mask>,
        missing: usize,
        ends: bool,
    ) -> Result<Option<Mask>, Failure> {
        let partial = self.partial.as_mut().expect("begun by its first frame");
        if partial.compressed {
            let mut plain = piece.to_vec();
            if let Some(mask) = &mut mask {
                mask.apply(&mut plain);
            }
            self.inflate(&plain, ends)?;
        } else {
            let begin = partial.data.len();
            append(&mut partial.data, piece, missing);
            if let Some(mask) = &mut mask {
                mask.apply(&mut partial.data[begin..]);
            }
            // The end of a message is checked with all of it, once.
            if partial.kind == MessageKind::Text && !ends {
                check_text(&partial.data, &mut partial.checked)?;
            }
        }
        Ok(mask)
    }

    #[inline(never)] // so that messages without compression do not pay for its stack frame
    fn inflate(&mut self, piece: &[u8], ends: bool) -> Result<(), Failure> {
        let partial = self.partial.as_mut().expect("begun by its first frame");
        let inflater = self.inflater.as_mut().expect("RSV1 was checked");
        let text = partial.kind == MessageKind::Text;
        let checked = &mut partial.checked;
        inflater.push(
            piece,
            ends,
            &mut partial.data,
            self.limits.message,
            |data| {
                if text {
                    check_text(data, checked)
                } else {
                    Ok(())
                }
            },
        )
    }

    fn finish(&mut self) -> Result<Event, Failure> {
        let partial = self.partial.take().expect("it has just ended");
        let message = match partial.kind {
            MessageKind::Binary => Message::Binary(partial.data.into()),
            MessageKind::Text => {
                let text = String::from_utf8(partial.data).map_err(|_| Failure::text())?;
                Message::Text(text)
            }
        };
        Ok(Event::Message(message))
    }
}

/// The header at the front of `input` (RFC 6455 section 5.2), with its own size and the payload's
/// length. `None` if it is not complete.
fn parse(input: &[u8]) -> Result<Option<(FrameHeader, usize, u64)>, Failure> {
    let Some((&[first, second], rest)) = input.split_first_chunk() else {
        return Ok(None);
    };
    let opcode = OpCode::from(first & 0x0F);
    let length = match second & 0x7F {
        126 => rest
            .split_first_chunk()
            .map(|(length, rest)| (u64::from(u16::from_be_bytes(*length)), rest)),
        127 => rest
            .split_first_chunk()
            .map(|(length, rest)| (u64::from_be_bytes(*length), rest)),
        length => Some((u64::from(length), rest)),
    };
    let Some((length, mut rest)) = length else {
        return Ok(None);
    };
    let mut mask = None;
    if second & 0x80 != 0 {
        let Some((key, behind)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        (mask, rest) = (Some(*key), behind);
    }
    if matches!(
        opcode,
        OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_))
    ) {
        return Err(Failure::protocol("a reserved opcode"));
    }
    let header = FrameHeader {
        is_final: first & 0x80 != 0,
        rsv1: first & 0x40 != 0,
        rsv2: first & 0x20 != 0,
        rsv3: first & 0x10 != 0,
        opcode,
        mask,
    };
    Ok(Some((header, input.len() - rest.len(), length)))
}

/// A control frame, once all of it is there.
#[inline(never)] // so that messages do not pay for its stack frame
fn control(
    input: &mut &[u8],
    opcode: Control,
    size: usize,
    length: u64,
    mask: Option<Mask>,
) -> Result<Option<Event>, Failure> {
    // Cannot truncate: it was checked against MAX_CONTROL.
    let Some((frame, rest)) = input.split_at_checked(size + length as usize) else {
        return Ok(None);
    };
    *input = rest;
    let mut payload = frame[size..].to_vec();
    if let Some(mut mask) = mask {
        mask.apply(&mut payload);
    }
    Ok(Some(match opcode {
        Control::Ping => Event::Ping(payload.into()),
        Control::Pong => Event::Pong(payload.into()),
        Control::Close => Event::Close(close(&payload)?),
        Control::Reserved(_) => return Err(Failure::protocol("a reserved opcode")),
    }))
}

/// RFC 6455 section 5.5.1: nothing, or a code and perhaps a reason.
fn close(payload: &[u8]) -> Result<Option<CloseFrame>, Failure> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return match payload {
            [] => Ok(None),
            _ => Err(Failure::protocol("half a close code")),
        };
    };
    let code = CloseCode::from(u16::from_be_bytes(*code));
    if !code.is_sendable() {
        return Err(Failure::protocol("a close code that must not be sent"));
    }
    let reason = str::from_utf8(reason).map_err(|_| Failure::data("a reason is not UTF-8"))?;
    Ok(Some(CloseFrame::new(code, reason)))
}

/// Appends what has arrived. Grows twofold, but never beyond what is known to follow.
fn append(data: &mut Vec<u8>, piece: &[u8], missing: usize) {
    let needed = data.len() + piece.len();
    if needed > data.capacity() {
        let ahead = missing.min(data.len());
        data.reserve_exact(piece.len() + ahead);
    }
    data.extend_from_slice(piece);
}

/// Checks what is new in `data`. A character whose end has not arrived yet is no fault.
fn check_text(data: &[u8], checked: &mut usize) -> Result<(), Failure> {
    match str::from_utf8(&data[*checked..]) {
        Ok(_) => *checked = data.len(),
        Err(error) if error.error_len().is_none() => *checked += error.valid_up_to(),
        Err(_) => return Err(Failure::text()),
    }
    Ok(())
}
