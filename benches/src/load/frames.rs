//! The client's side of WebSockets (RFC 6455), without I/O: as little of it as a load
//! generator needs, and as cheap as that.
//!
//! The handshake's answer is taken for good with its status 101: whether a server computes
//! `Sec-WebSocket-Accept` well is a matter for tests. The mask of what we send is constant,
//! which costs the server the same. Pings are not answered: nobody sends one within the
//! seconds for which a job lasts.

use memchr::memmem;

use super::reply::{BadReply, ReplyReader};

/// Longest answer to a handshake, and longest message.
const MAX_PARTIAL: usize = 64 * 1024;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A binary message as a client sends it: one frame, masked (RFC 6455, 5.2 and 5.3).
#[must_use]
pub fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x82];
    match u16::try_from(payload.len()) {
        Ok(length @ 0..=125) => frame.push(0x80 | length as u8),
        Ok(length) => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    let masked = payload.iter().zip(MASK.iter().cycle());
    frame.extend(masked.map(|(byte, mask)| byte ^ mask));
    frame
}

/// What a message or chunk of ours says of its own birth: `t=`, nanoseconds since 1970 in
/// decimal digits, and something that is no digit.
pub(super) fn stamp(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.get(memmem::find(bytes, b"t=")? + 2..)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

/// The reading side of a connection, whatever is spoken on it.
#[derive(Debug)]
pub(super) enum Reader {
    /// HTTP answers.
    Http(ReplyReader),
    /// A WebSocket whose handshake is not answered yet, and what has come of the answer.
    Upgrading(Vec<u8>),
    /// A WebSocket, and the beginning of a frame that has not ended.
    Frames(Vec<u8>),
}

impl Reader {
    /// Takes what was read of a WebSocket and calls `message` with the payload of each frame
    /// that ends a message. Says whether this has completed the handshake.
    ///
    /// # Errors
    /// On a refused handshake, and on what is no frame of a server.
    pub(super) fn feed(
        &mut self,
        read: &[u8],
        mut message: impl FnMut(&[u8]),
    ) -> Result<bool, BadReply> {
        match self {
            Self::Http(_) => Err(BadReply("not a WebSocket")),
            Self::Frames(partial) => frames(partial, read, &mut message).map(|()| false),
            Self::Upgrading(partial) => {
                partial.extend_from_slice(read);
                let Some(end) = memmem::find(partial, b"\r\n\r\n") else {
                    return match partial.len() {
                        0..=MAX_PARTIAL => Ok(false),
                        _ => Err(BadReply("the head of the handshake is larger than 64 KiB")),
                    };
                };
                if !partial.starts_with(b"HTTP/1.1 101 ") {
                    return Err(BadReply("the handshake was refused"));
                }
                let rest = partial.split_off(end + 4);
                let mut partial = Vec::new();
                frames(&mut partial, &rest, &mut message)?;
                *self = Self::Frames(partial);
                Ok(true)
            }
        }
    }
}

fn frames(
    partial: &mut Vec<u8>,
    read: &[u8],
    message: &mut impl FnMut(&[u8]),
) -> Result<(), BadReply> {
    let joined;
    let mut rest = if partial.is_empty() {
        read
    } else {
        partial.extend_from_slice(read);
        joined = std::mem::take(partial);
        &joined[..]
    };
    while let Some((head, length)) = head(rest)? {
        let Some(payload) = rest.get(head..head + length) else {
            break;
        };
        match rest[0] {
            // The end of a message: continuation, text, binary.
            0x80..=0x82 => message(payload),
            0x88 => return Err(BadReply("the server has closed the WebSocket")),
            // A part of a message, a ping, a pong.
            0x00..=0x02 | 0x89 | 0x8a => {}
            _ => return Err(BadReply("a frame that nobody has agreed upon")),
        }
        rest = &rest[head + length..];
    }
    if !rest.is_empty() {
        *partial = rest.to_vec();
    }
    Ok(())
}

/// Lengths of the head and of the payload of a server's frame, once they are there.
fn head(bytes: &[u8]) -> Result<Option<(usize, usize)>, BadReply> {
    let (head, length) = match bytes {
        [_, 0x80..=0xff, ..] => return Err(BadReply("a server must not mask")),
        [_, short @ 0..=125, ..] => (2, u64::from(*short)),
        [_, 126, high, low, ..] => (4, u64::from(u16::from_be_bytes([*high, *low]))),
        [_, 127, a, b, c, d, e, f, g, h, ..] => {
            (10, u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]))
        }
        _ => return Ok(None),
    };
    if length > MAX_PARTIAL as u64 {
        return Err(BadReply("a frame is larger than 64 KiB"));
    }
    // Below 64 KiB by the line above.
    Ok(Some((head, length as usize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

    fn heard(reads: &[&[u8]]) -> Result<(usize, Vec<Vec<u8>>), BadReply> {
        let (mut reader, mut upgraded, mut messages) = (Reader::Upgrading(vec![]), 0, vec![]);
        for read in reads {
            let now = reader.feed(read, |message| messages.push(message.to_vec()))?;
            upgraded += usize::from(now);
        }
        Ok((upgraded, messages))
    }

    #[test]
    fn every_split_gives_the_same_messages() {
        let long = [&[0x82, 126, 1, 0][..], &[7; 256]].concat();
        let stream = [ANSWER, b"\x81\x02hi\x89\x01p", &long, b"\x01\x01a\x80\x01b"].concat();
        let whole = heard(&[&stream]).unwrap();
        assert_eq!(whole.0, 1);
        assert_eq!(whole.1, [b"hi".to_vec(), vec![7; 256], b"b".to_vec()]);
        for at in 0..stream.len() {
            let (left, right) = stream.split_at(at);
            assert_eq!(heard(&[left, right]).unwrap(), whole, "split at {at}");
        }
    }

    #[test]
    fn what_is_no_websocket_is_refused() {
        assert!(heard(&[b"HTTP/1.1 400 Bad Request\r\n\r\n"]).is_err());
        for frame in [
            &b"\x88\x00"[..],
            b"\x81\x81",
            b"\xc1\x00",
            b"\x82\x7f\0\0\0\0\0\x01\0\x01",
        ] {
            assert!(heard(&[ANSWER, frame]).is_err(), "{frame:?}");
        }
    }

    #[test]
    fn frames_are_masked() {
        let sent = frame(b"Hello");
        // The example of RFC 6455, 5.7, but binary.
        assert_eq!(sent, b"\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        assert_eq!(frame(&[0; 200])[..4], [0x82, 0xfe, 0, 200]);
    }

    #[test]
    fn stamps_are_found() {
        assert_eq!(stamp(b"20\r\nt=1234567 \n"), Some(1_234_567));
        for none in [&b"t=12"[..], b"", b"x=12\n", b"t=\n"] {
            assert_eq!(stamp(none), None);
        }
    }
}
