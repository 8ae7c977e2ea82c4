//! Clients of HTTP/2: one that follows the rules, with the state machine of the crate `h2`, and one
//! that sends frames of its own making.

use crate::DEADLINE;
use bytes::Bytes;
use h2::client::{Connection, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection that follows the rules. It makes progress while something is asked of it.
pub struct Http2 {
    send: SendRequest<Bytes>,
    connection: Connection<Polled, Bytes>,
    /// How the connection has ended.
    end: Option<Result<(), h2::Error>>,
}

/// A request that was sent.
pub struct Sent {
    /// What it is answered with.
    pub response: ResponseFuture,
    /// Where its body goes.
    pub body: SendStream<Bytes>,
}

/// A whole response.
#[derive(Debug)]
pub struct Whole {
    /// The status code.
    pub status: u16,
    /// The fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Whole {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Http2 {
    /// Connects with prior knowledge.
    ///
    /// # Panics
    /// When that fails; here and below also when something takes longer than [`DEADLINE`].
    #[track_caller]
    #[must_use]
    pub fn connect(addr: SocketAddr) -> Self {
        Self::with(addr, &h2::client::Builder::new())
    }

    /// As [`connect`](Self::connect), with settings of its own.
    ///
    /// # Panics
    /// As there.
    #[track_caller]
    #[must_use]
    pub fn with(addr: SocketAddr, builder: &h2::client::Builder) -> Self {
        let stream = TcpStream::connect(addr).expect("the server listens");
        stream.set_nonblocking(true).expect("a mode of sockets");
        let mut handshake = Box::pin(builder.handshake(Polled(stream)));
        let (send, connection) = wait("the handshake", |context| handshake.as_mut().poll(context))
            .expect("the server speaks HTTP/2");
        Self {
            send,
            connection,
            end: None,
        }
    }

    /// Polls until there is a result, and drives the connection meanwhile.
    ///
    /// # Panics
    /// When there is none in time.
    #[track_caller]
    pub fn wait<R>(
        &mut self,
        what: &str,
        mut poll: impl FnMut(&mut SendRequest<Bytes>, &mut Context<'_>) -> Poll<R>,
    ) -> R {
        wait(what, |context| {
            if self.end.is_none()
                && let Poll::Ready(end) = Pin::new(&mut self.connection).poll(context)
            {
                self.end = Some(end);
            }
            poll(&mut self.send, context)
        })
    }

    /// Drives the connection, and waits for nothing.
    pub fn turn(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        if self.end.is_none()
            && let Poll::Ready(end) = Pin::new(&mut self.connection).poll(&mut context)
        {
            self.end = Some(end);
        }
    }

    /// Sends a request; with `end`, without a body.
    ///
    /// # Panics
    /// When the connection takes no request.
    #[track_caller]
    pub fn send(&mut self, request: Request<()>, end: bool) -> Sent {
        self.wait("room for a request", |send, context| {
            send.poll_ready(context)
        })
        .expect("the connection takes requests");
        let (response, body) = self.send.send_request(request, end).expect("a request");
        self.turn();
        Sent { response, body }
    }

    /// Sends a GET.
    ///
    /// # Panics
    /// As [`send`](Self::send).
    #[track_caller]
    pub fn send_get(&mut self, path: &str) -> Sent {
        self.send(request("GET", path), true)
    }

    /// Waits for the head of a response.
    ///
    /// # Errors
    /// When the stream or the connection is reset.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn head(&mut self, sent: &mut Sent) -> Result<Response<RecvStream>, h2::Error> {
        self.wait("a response's head", |_, context| {
            Pin::new(&mut sent.response).poll(context)
        })
    }

    /// The next piece of a body; `None` at its end. Gives its window back.
    ///
    /// # Errors
    /// When the stream or the connection is reset.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    pub fn data(&mut self, body: &mut RecvStream) -> Option<Result<Bytes, h2::Error>> {
        let piece = self.wait("a piece of a body", |_, context| {
            loop {
                match body.poll_data(context) {
                    Poll::Ready(Some(Ok(data))) if data.is_empty() => {} // the end, by itself
                    other => return other,
                }
            }
        });
        if let Some(Ok(data)) = &piece {
            let _over = body.flow_control().release_capacity(data.len());
        }
        self.turn();
        piece
    }

    /// Waits for a whole response.
    ///
    /// # Errors
    /// When the stream or the connection is reset.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn whole(&mut self, mut sent: Sent) -> Result<Whole, h2::Error> {
        let (head, mut body) = self.head(&mut sent)?.into_parts();
        let mut bytes = Vec::new();
        while let Some(data) = self.data(&mut body) {
            bytes.extend_from_slice(&data?);
        }
        Ok(Whole {
            status: head.status.as_u16(),
            headers: head.headers,
            body: bytes,
        })
    }

    /// GETs a path.
    ///
    /// # Panics
    /// When there is no whole response.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Whole {
        let sent = self.send_get(path);
        self.whole(sent).expect("a whole response")
    }

    /// Sends all of a body, as the windows allow, and its end.
    ///
    /// # Errors
    /// When the stream or the connection is reset.
    ///
    /// # Panics
    /// When the server leaves no room for it.
    #[track_caller]
    pub fn upload(&mut self, sent: &mut Sent, mut bytes: Bytes) -> Result<(), h2::Error> {
        while !bytes.is_empty() {
            let n = self.upload_some(sent, &bytes)?;
            bytes = bytes.slice(n..);
        }
        sent.body.send_data(Bytes::new(), true)?;
        self.turn();
        Ok(())
    }

    /// Sends as much of a body as there is room for, at least a byte.
    ///
    /// # Errors
    /// When the stream or the connection is reset.
    ///
    /// # Panics
    /// When the server leaves no room for it.
    #[track_caller]
    pub fn upload_some(&mut self, sent: &mut Sent, bytes: &Bytes) -> Result<usize, h2::Error> {
        sent.body.reserve_capacity(bytes.len());
        let body = &mut sent.body;
        let room = self.wait("room for a body", |_, context| match body.capacity() {
            0 => body.poll_capacity(context),
            room => Poll::Ready(Some(Ok(room))),
        });
        let room = room.unwrap_or(Err(Reason::CANCEL.into()))?.min(bytes.len());
        sent.body.send_data(bytes.slice(..room), false)?;
        self.turn();
        Ok(room)
    }

    /// Waits for the end of the connection.
    ///
    /// # Errors
    /// When it is not a good one.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn end(&mut self) -> Result<(), h2::Error> {
        if let Some(end) = self.end.take() {
            return end;
        }
        let connection = &mut self.connection;
        wait("the connection's end", |context| {
            Pin::new(&mut *connection).poll(context)
        })
    }

    /// Whether the connection has ended, after a turn.
    #[must_use]
    pub fn has_ended(&mut self) -> bool {
        self.turn();
        self.end.is_some()
    }
}

/// A request for a path.
///
/// # Panics
/// When it cannot be one.
#[must_use]
pub fn request(method: &str, path: &str) -> Request<()> {
    Request::builder()
        .method(method)
        .uri(format!("http://localhost{path}"))
        .body(())
        .expect("a request")
}

#[track_caller]
fn wait<R>(what: &str, mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>) -> R {
    let deadline = Instant::now() + DEADLINE;
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = poll(&mut context) {
            return result;
        }
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// A socket that is asked again and again.
struct Polled(TcpStream);

fn poll_io<R>(result: io::Result<R>) -> Poll<io::Result<R>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        done => Poll::Ready(done),
    }
}

impl AsyncRead for Polled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = self.0.read(buf.initialize_unfilled());
        poll_io(result).map_ok(|n| buf.advance(n))
    }
}

impl AsyncWrite for Polled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        poll_io(self.0.write(buf))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.shutdown(std::net::Shutdown::Write))
    }
}

impl std::fmt::Debug for Http2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http2")
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sent")
    }
}

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
