//! A request's body, read from the wire when the handler asks for it.

use super::transport::Transport;
use super::wire::Wire;
use crate::green::embed::take_turn;
use bytes::Bytes;
use greenway_app::{HttpError, InputSource};
use greenway_proto::http1::{self, Step};
use http::StatusCode;
use std::io;
use std::rc::Rc;

/// The source behind an `Input`. It may outlive the request (in a body, in another green
/// thread); then it reads nothing.
pub(super) struct BodySource<T> {
    wire: Rc<Wire<T>>,
    request: u64,
    length: Option<u64>,
    /// Most bytes that are accepted.
    limit: u64,
    chunk: Bytes,
}

impl<T: Transport> BodySource<T> {
    pub(super) fn new(wire: Rc<Wire<T>>, limit: u64) -> Self {
        let (request, length) = wire.with_incoming(|incoming| {
            (
                incoming.request,
                incoming
                    .body
                    .as_ref()
                    .and_then(|body| body.decoder.remaining()),
            )
        });
        Self {
            wire,
            request,
            length,
            limit,
            chunk: Bytes::new(),
        }
    }

    /// Takes the next piece of the body; empty at its end.
    fn next_chunk(&self) -> io::Result<Bytes> {
        // One read may bring ten thousand chunks of a byte each. Before one is taken: whatever is
        // raised here must not lose it, for the handler may catch that and read on.
        take_turn();
        loop {
            match self.take_buffered()? {
                Taken::Data(chunk) => return Ok(chunk),
                Taken::End => return Ok(Bytes::new()),
                Taken::NeedMore { say_continue } => {
                    if say_continue && !self.wire.is_answering() {
                        self.wire
                            .queue(|out| out.extend_from_slice(http1::CONTINUE));
                    }
                    // What has been answered so far must not wait for what the client sends next.
                    self.wire.flush()?;
                    match self.wire.fill_body() {
                        Ok(0) => return Err(self.fail(truncated())),
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                            return Err(self.fail(error_for(
                                io::ErrorKind::TimedOut,
                                StatusCode::REQUEST_TIMEOUT,
                                "the request body took too long",
                            )));
                        }
                        Err(error) => return Err(self.fail(error)),
                    }
                }
            }
        }
    }

    fn take_buffered(&self) -> io::Result<Taken> {
        self.wire.with_incoming(|incoming| {
            if incoming.request != self.request {
                return Err(io::Error::other("the request of this input is over"));
            }
            let Some(body) = &mut incoming.body else {
                return Ok(Taken::End);
            };
            if body.failed {
                return Err(truncated());
            }
            match body.decoder.next(&mut incoming.buf) {
                Ok(Step::Data(n)) => {
                    body.continue_expected = false; // it has not waited for it
                    let chunk = body.decoder.take(&mut incoming.buf, n);
                    if body.decoder.total() > self.limit {
                        body.failed = true;
                        return Err(error_for(
                            io::ErrorKind::FileTooLarge,
                            StatusCode::PAYLOAD_TOO_LARGE,
                            "the request body is too large",
                        ));
                    }
                    Ok(Taken::Data(chunk))
                }
                Ok(Step::End) => Ok(Taken::End),
                Ok(Step::NeedMore) => Ok(Taken::NeedMore {
                    say_continue: std::mem::take(&mut body.continue_expected),
                }),
                Err(reject) => {
                    body.failed = true;
                    Err(error_for(
                        io::ErrorKind::InvalidData,
                        reject.status,
                        reject.reason,
                    ))
                }
            }
        })
    }

    /// Notes that the rest of the body cannot be read.
    fn fail(&self, error: io::Error) -> io::Error {
        self.wire.with_incoming(|incoming| {
            if let Some(body) = &mut incoming.body {
                body.failed = true;
            }
        });
        error
    }

    /// Reads what the handler has left, up to a bound, so that the connection can be used again.
    /// False if it cannot.
    pub(super) fn drain(&self, most: usize) -> bool {
        let mut left = most;
        loop {
            match self.next_chunk() {
                Ok(chunk) if chunk.is_empty() => return true,
                Ok(chunk) if chunk.len() <= left => left -= chunk.len(),
                Ok(_) | Err(_) => return false,
            }
        }
    }
}

enum Taken {
    Data(Bytes),
    NeedMore { say_continue: bool },
    End,
}

fn truncated() -> io::Error {
    error_for(
        io::ErrorKind::UnexpectedEof,
        StatusCode::BAD_REQUEST,
        "the request body is incomplete",
    )
}

/// An error that also says which response it is: `HttpError::from` finds it inside.
fn error_for(kind: io::ErrorKind, status: StatusCode, reason: &'static str) -> io::Error {
    io::Error::new(kind, HttpError::new(status, reason))
}

impl<T: Transport> InputSource for BodySource<T> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.chunk.is_empty() {
            self.chunk = self.next_chunk()?;
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, n: usize) {
        self.chunk = self.chunk.slice(n..);
    }

    fn length(&self) -> Option<u64> {
        self.length
    }
}
