//! One request and its response over a connection of their own.
//!
//! A response may come before the request is sent to its end, and a server may close without
//! reading the rest; so sending stops where nobody takes it, and what counts is the response.

use super::PATIENCE;
use crate::green::embed::{Stream, deadline_in};
use bytes::{Bytes, BytesMut};
use greenway_app::testing::{Incoming, Outgoing};
use greenway_app::{BodyError, Version};
use greenway_proto::http1::{self, BodyLength, Decoder, ResponseHead, Step};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode};
use std::io::{self, BufRead, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::time::{Duration, Instant};

/// How long to wait for space in the socket before looking whether something has come.
const LOOK: Duration = Duration::from_millis(10);

/// See the module's documentation. Dropping it closes the connection.
pub(super) struct Exchange {
    pub(super) stream: Stream,
    pub(super) come: BytesMut,
    method: Method,
    head: Option<ResponseHead>,
    body: Body,
}

/// Where the response's body ends.
enum Body {
    Framed(Decoder, BytesMut),
    UntilClose,
}

impl Exchange {
    /// A connection on which nothing was sent.
    pub(super) fn new(stream: Stream, method: Method) -> Self {
        Self {
            stream,
            come: BytesMut::new(),
            method,
            head: None,
            body: Body::UntilClose,
        }
    }

    /// Sends a request, as far as it is taken.
    pub(super) fn begin(stream: Stream, request: Outgoing) -> Self {
        let mut exchange = Self::new(stream, request.method.clone());
        let _answered_or_gone = exchange.send_request(request);
        exchange
    }

    fn send_request(&mut self, request: Outgoing) -> io::Result<()> {
        let Outgoing {
            method,
            target,
            version,
            mut headers,
            mut body,
            ..
        } = request;
        if !headers.contains_key(CONNECTION) {
            headers.insert(CONNECTION, http::HeaderValue::from_static("close"));
        }
        let minor = u8::from(version != Version::HTTP_10);
        let mut head = format!("{method} {target} HTTP/1.{minor}\r\n").into_bytes();
        for (name, value) in &headers {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                head.extend_from_slice(part);
            }
        }
        head.extend_from_slice(b"\r\n");
        self.send(&head)?;
        let chunked = headers.contains_key(TRANSFER_ENCODING);
        loop {
            let piece = match body.fill_buf() {
                Ok(piece) => piece,
                Err(_) => {
                    // A client that leaves within its request.
                    self.stream.shutdown(Shutdown::Write);
                    return Ok(());
                }
            };
            let length = piece.len();
            if length == 0 {
                break;
            }
            if chunked {
                self.send(http1::chunk_head(length).as_bytes())?;
            }
            self.send(piece)?;
            if chunked {
                self.send(http1::CHUNK_END)?;
            }
            body.consume(length);
        }
        if chunked {
            self.send(http1::LAST_CHUNK)?;
        }
        Ok(())
    }

    /// Sends all of `bytes`, and takes in what comes meanwhile: who answers while it is sent to
    /// does not take more before that is taken.
    pub(super) fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let mut moved = Instant::now();
        while !bytes.is_empty() {
            let written = self
                .stream
                .write_vectored(&[IoSlice::new(bytes)], deadline_in(LOOK));
            match written {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    bytes = &bytes[n..];
                    moved = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    let come = &mut self.come;
                    let read = self
                        .stream
                        .read_now(&mut |bytes| come.extend_from_slice(bytes));
                    if matches!(read, Ok(1..)) {
                        moved = Instant::now();
                    } else if moved.elapsed() > PATIENCE {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads once. 0 at the end.
    ///
    /// # Panics
    /// When nothing has come for [`PATIENCE`].
    fn fill(&mut self) -> io::Result<usize> {
        let come = &mut self.come;
        let read = self.stream.read(deadline_in(PATIENCE), |bytes| {
            come.extend_from_slice(bytes);
        });
        match read {
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                panic!("nothing has come of the response for {PATIENCE:?}")
            }
            read => read,
        }
    }

    /// Waits for the head of the response.
    pub(super) fn head(&mut self) -> io::Result<&ResponseHead> {
        while self.head.is_none() {
            let read = ResponseHead::read(&mut self.come);
            match read.map_err(|why| io::Error::new(ErrorKind::InvalidData, why))? {
                Some(head) if is_interim(head.status) => {}
                Some(head) => {
                    self.body = self.body_of(&head)?;
                    self.head = Some(head);
                }
                None if self.fill()? == 0 => return Err(ErrorKind::UnexpectedEof.into()),
                None => {}
            }
        }
        Ok(self.head.as_ref().expect("the loop ends with one"))
    }

    fn body_of(&self, head: &ResponseHead) -> io::Result<Body> {
        let framed = |length| Ok(Body::Framed(Decoder::new(length), BytesMut::new()));
        let without = matches!(head.status.as_u16(), 101 | 204 | 304);
        if self.method == Method::HEAD || without {
            return framed(BodyLength::None);
        }
        if head.headers.contains_key(TRANSFER_ENCODING) {
            return framed(BodyLength::Chunked); // our servers know no other coding
        }
        let Some(length) = head.headers.get(CONTENT_LENGTH) else {
            return Ok(Body::UntilClose);
        };
        let length = length.to_str().ok().and_then(|text| text.parse().ok());
        match length {
            Some(length) => framed(BodyLength::Length(length)),
            None => Err(io::Error::new(
                ErrorKind::InvalidData,
                "its Content-Length is none",
            )),
        }
    }

    /// The next chunk, once there was a head; `None` at the end.
    pub(super) fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        self.head()?;
        loop {
            let Body::Framed(decoder, part) = &mut self.body else {
                if self.come.is_empty() && self.fill()? == 0 {
                    return Ok(None);
                }
                return Ok(Some(self.come.split().freeze()));
            };
            let step = decoder.next(&mut self.come);
            let step = step.map_err(|why| io::Error::new(ErrorKind::InvalidData, why.reason))?;
            match step {
                Step::End => return Ok(None),
                Step::NeedMore => {
                    if self.fill()? == 0 {
                        let why = "the response was cut off";
                        return Err(io::Error::new(ErrorKind::UnexpectedEof, why));
                    }
                }
                Step::Data(n) => {
                    part.extend_from_slice(&decoder.take(&mut self.come, n));
                    if decoder.is_between_chunks() {
                        return Ok(Some(part.split().freeze()));
                    }
                }
            }
        }
    }
}

/// Whether a final response follows. 101 is one: what follows is another protocol.
fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// Of an exchange whose head has come.
impl Incoming for Exchange {
    fn status(&self) -> StatusCode {
        self.head
            .as_ref()
            .map_or(StatusCode::OK, |head| head.status)
    }

    fn headers(&self) -> &HeaderMap {
        &self
            .head
            .as_ref()
            .expect("it is shown with its head")
            .headers
    }

    fn next_chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        Ok(self.chunk()?)
    }
}
