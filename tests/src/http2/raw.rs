//! A client that sends whatever frames it likes, and the frames themselves.

use crate::DEADLINE;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Types of frames.
pub mod kind {
    #![allow(missing_docs, reason = "their names are those of RFC 9113")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// The flags `END_STREAM` and `END_HEADERS`.
pub const END_STREAM: u8 = 1;
/// See [`END_STREAM`].
pub const END_HEADERS: u8 = 4;

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its type: see [`kind`].
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The code of a reset or of a GOAWAY.
    #[must_use]
    pub fn code(&self) -> Option<u32> {
        let at = if self.kind == kind::GOAWAY { 4 } else { 0 };
        let bytes = self.payload.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes))
    }
}

/// A connection on which anything may be sent.
#[derive(Debug)]
pub struct RawHttp2(TcpStream);

impl RawHttp2 {
    /// Connects, and sends the preface and empty settings.
    ///
    /// # Panics
    /// When it cannot connect.
    #[track_caller]
    #[must_use]
    pub fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).expect("the server listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream.set_write_timeout(Some(DEADLINE)).expect("a timeout");
        let mut raw = Self(stream);
        raw.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        raw.frame(kind::SETTINGS, 0, 0, &[]);
        raw
    }

    /// Writes bytes. False if the server has closed.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Writes a frame. False if the server has closed.
    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.write(&frame(kind, flags, stream, payload))
    }

    /// The next frame; `None` at the end of the connection.
    ///
    /// # Panics
    /// When nothing comes.
    #[track_caller]
    pub fn next_frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.read(&mut head)?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)];
        self.read(&mut payload)?;
        Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & (u32::MAX >> 1),
            payload,
        })
    }

    #[track_caller]
    fn read(&mut self, buf: &mut [u8]) -> Option<()> {
        match self.0.read_exact(buf) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                panic!("nothing comes within {DEADLINE:?}")
            }
            result => result.ok(),
        }
    }

    /// Reads until a frame of this type comes; `None` at the end of the connection.
    ///
    /// # Panics
    /// When neither comes.
    #[track_caller]
    pub fn until(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next_frame()?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }
}

/// A frame as bytes.
///
/// # Panics
/// When its payload is too long for one.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Fields as HPACK has them, without compression.
///
/// # Panics
/// When a name or value has more than 16,000 bytes.
#[must_use]
pub fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    fn text(out: &mut Vec<u8>, text: &str) {
        let length = text.len();
        if length < 127 {
            out.push(length as u8);
        } else {
            let rest = length - 127;
            assert!(rest < 1 << 14, "too long for this encoder");
            out.extend_from_slice(&[127, (rest & 127) as u8 | 128, (rest >> 7) as u8]);
        }
        out.extend_from_slice(text.as_bytes());
    }
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0); // a literal that is not to be remembered
        text(&mut out, name);
        text(&mut out, value);
    }
    out
}

/// The fields of a request.
#[must_use]
pub fn request_fields(method: &str, path: &str) -> Vec<u8> {
    fields(&[
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
    ])
}
