//! A WebSocket client that sends whatever a test wants, byte by byte, and shows every frame.

use crate::{Client, Head};
use std::net::SocketAddr;

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

    /// The next frame.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    pub fn frame(&mut self) -> Frame {
        let head = self.client.take(2);
        assert_eq!(
            head[1] & 0x80,
            0,
            "RFC 6455 section 5.1: servers do not mask"
        );
        let length = match head[1] {
            126 => usize::from(u16::from_be_bytes(number(&self.client.take(2)))),
            127 => usize::try_from(u64::from_be_bytes(number(&self.client.take(8))))
                .expect("the tests' messages fit into memory"),
            n => usize::from(n),
        };
        Frame {
            first: head[0],
            payload: self.client.take(length),
        }
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

    /// Leaves with a reset.
    pub fn reset(self) {
        self.client.reset();
    }
}

fn number<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("so many were taken")
}
