//! Clients of HTTP/2: one that follows the rules, with the state machine of the crate `h2`, and one
//! that sends frames of its own making.

mod polled;
mod raw;

pub use raw::{END_HEADERS, END_STREAM, Frame, RawHttp2, fields, frame, kind, request_fields};

use crate::DEADLINE;
use bytes::Bytes;
use h2::client::{Connection, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use polled::Polled;
use rustls::ClientConfig;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

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
        Self::over(Polled::plain(addr), builder)
    }

    /// Connects with TLS, over which both sides have agreed on HTTP/2 (ALPN). `config` offers it.
    ///
    /// # Panics
    /// As [`connect`](Self::connect), and when the server does not want to speak HTTP/2.
    #[track_caller]
    #[must_use]
    pub fn secure(addr: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        Self::over(Polled::secure(addr, config), &h2::client::Builder::new())
    }

    #[track_caller]
    fn over(polled: Polled, builder: &h2::client::Builder) -> Self {
        let mut handshake = Box::pin(builder.handshake(polled));
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
