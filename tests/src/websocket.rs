//! A WebSocket client that sends whatever a test wants, byte by byte, and shows every frame.

use crate::{Client, Head};
use std::io::Write;
use std::net::{Shutdown, SocketAddr};

/// The first bytes of whole frames (RFC 6455 section 5.2).
pub mod first {
    /// A whole text.
    pub const TEXT: u8 = 0x81;
    /// A whole binary message.
    pub const BINARY: u8 = 0x82;
    /// A close frame.
    pub const CLOSE: u8 = 0x88;
    /// A ping.
    pub const PING: u8 = 0x89;
    /// A pong.
    pub const PONG: u8 = 0x8a;
}

/// A frame that the server has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// FIN, the reserved bits and the opcode.
    pub first: u8,
    /// What is in it.
    pub payload: Vec<u8>,
}

impl Frame {
    /// FIN: the message ends with it.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.first & 0x80 != 0
    }

    /// The three reserved bits; the first one is 4.
    #[must_use]
    pub fn rsv(&self) -> u8 {
        self.first >> 4 & 7
    }

    /// 0 continues, 1 is text, 2 binary, 8 close, 9 ping, 10 pong.
    #[must_use]
    pub fn opcode(&self) -> u8 {
        self.first & 0xf
    }
}

/// A WebSocket without manners of its own: nothing is answered that the test does not answer.
#[derive(Debug)]
pub struct RawSocket {
    client: Client,
    /// The server's answer to the handshake.
    pub head: Head,
}

/// A handshake for `path`, with further `fields`, each with its line's end.
#[must_use]
pub fn handshake(path: &str, fields: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    )
}

/// A client's frame, masked.
///
/// # Panics
/// Never: every length has its form.
#[must_use]
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![first];
    match payload.len() {
        n @ ..126 => bytes.push(0x80 | u8::try_from(n).expect("below 126")),
        n @ ..0x1_0000 => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(n).expect("below 65536").to_be_bytes());
        }
        n => {
            bytes.push(0x80 | 127);
            bytes.extend((n as u64).to_be_bytes());
        }
    }
    bytes.extend(KEY);
    let key = KEY.iter().cycle();
    bytes.extend(payload.iter().zip(key).map(|(byte, key)| byte ^ key));
    bytes
}

impl RawSocket {
    /// Connects to `path`.
    ///
    /// # Panics
    /// When the server does not accept.
    #[track_caller]
    #[must_use]
    pub fn connect(addr: SocketAddr, path: &str) -> Self {
        Self::upgrade(Client::connect(addr), &handshake(path, ""))
    }

    /// Sends a handshake over a connection.
    ///
    /// # Panics
    /// When the server does not accept.
    #[track_caller]
    #[must_use]
    pub fn upgrade(mut client: Client, handshake: &str) -> Self {
        client.send(handshake);
        let head = client.head();
        assert_eq!(head.status, 101, "the handshake is accepted: {head:?}");
        Self { client, head }
    }

    /// The connection.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    /// When the server does not take them.
    #[track_caller]
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.client.send(bytes);
        self
    }

    /// Sends a frame.
    ///
    /// # Panics
    /// When the server does not take it.
    #[track_caller]
    pub fn send(&mut self, first: u8, payload: impl AsRef<[u8]>) -> &mut Self {
        self.raw(&masked(first, payload.as_ref()))
    }

    /// Sends a text.
    ///
    /// # Panics
    /// When the server does not take it.
    #[track_caller]
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.send(first::TEXT, text)
    }

    /// Sends a close frame.
    ///
    /// # Panics
    /// When the server does not take it.
    #[track_caller]
    pub fn close(&mut self, code: u16) -> &mut Self {
        self.send(first::CLOSE, code.to_be_bytes())
    }

    /// Writes while `read` reads, so that neither end has to keep more than it wants to. The
    /// server may close before it has taken everything.
    ///
    /// # Panics
    /// When this process is out of descriptors.
    pub fn duplex<R>(&mut self, writes: &[Vec<u8>], read: impl FnOnce(&mut Self) -> R) -> R {
        let mut stream = self.client.stream().try_clone().expect("a descriptor");
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for bytes in writes {
                    if stream.write_all(bytes).is_err() {
                        break;
                    }
                }
            });
            read(self)
        })
    }

    /// The next frame.
    ///
    /// # Panics
    /// When none comes, or one with a mask or a length in more bytes than it needs.
    #[track_caller]
    pub fn frame(&mut self) -> Frame {
        let head = self.client.take(2);
        assert_eq!(
            head[1] & 0x80,
            0,
            "RFC 6455 section 5.1: servers do not mask"
        );
        let (length, least) = match head[1] {
            126 => (number(&self.client.take(2)), 126),
            127 => (number(&self.client.take(8)), 0x1_0000),
            n => (usize::from(n), 0),
        };
        assert!(
            length >= least,
            "RFC 6455 section 5.2: the shortest form of {length}"
        );
        Frame {
            first: head[0],
            payload: self.client.take(length),
        }
    }

    /// The next message, its fragments put together, or the next control frame. Control frames
    /// between fragments fail the test.
    ///
    /// # Panics
    /// As [`frame`](Self::frame), and when frames do not fit together.
    #[track_caller]
    pub fn message(&mut self) -> Frame {
        let mut message = self.frame();
        assert_ne!(message.opcode(), 0, "nothing to continue");
        while !message.is_last() {
            let more = self.frame();
            assert_eq!(more.first & 0x7f, 0, "it continues: {more:?}");
            message.payload.extend(more.payload);
            message.first |= more.first;
        }
        message
    }

    /// The next frame is a whole text; gives it.
    ///
    /// # Panics
    /// When it is something else.
    #[track_caller]
    pub fn next_text(&mut self) -> String {
        let frame = self.frame();
        assert_eq!(frame.first, first::TEXT, "{frame:?}");
        String::from_utf8(frame.payload).expect("text is UTF-8")
    }

    /// The next frame is a close frame with this code; gives its reason.
    ///
    /// # Panics
    /// When it is something else.
    #[track_caller]
    pub fn next_close(&mut self, code: u16) -> String {
        let frame = self.frame();
        assert_eq!(frame.first, first::CLOSE, "{frame:?}");
        assert_eq!(frame.payload[..2], code.to_be_bytes(), "{frame:?}");
        String::from_utf8(frame.payload[2..].to_vec()).expect("a reason is UTF-8")
    }

    /// The server ends the connection, and has nothing more to say.
    ///
    /// # Panics
    /// Otherwise.
    #[track_caller]
    pub fn end(&mut self) {
        self.client.end();
    }

    /// The connection is closed from this side, then by the server, which may reset it for what
    /// it has not read.
    ///
    /// # Panics
    /// When the server does neither, or has something more to say.
    #[track_caller]
    pub fn leave(&mut self) {
        // It may be gone already.
        let _gone = self.client.stream().shutdown(Shutdown::Write);
        let (rest, _) = self.client.rest_or_reset();
        assert!(rest.is_empty(), "{rest:?} behind a close frame");
    }

    /// Leaves with a reset.
    pub fn reset(self) {
        self.client.reset();
    }
}

fn number(bytes: &[u8]) -> usize {
    let number = bytes.iter().fold(0, |sum, &b| sum << 8 | u64::from(b));
    usize::try_from(number).expect("the tests' messages fit into memory")
}
