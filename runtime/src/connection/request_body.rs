//! A request's body, read from the client when the handler asks for it.

use super::client::{Lease, Using};
use super::io::BufferedIo;
use super::sending::of_client;
use super::transport::Transport;
use crate::green::embed::take_turn;
use crate::service::Lifecycle;
use bytes::Bytes;
use greenway_app::{HttpError, InputSource, StatusError};
use greenway_proto::http1::Step;
use http::StatusCode;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A client that goes on sending what nobody reads is closed after so long.
const LONGEST_DRAIN: Duration = Duration::from_secs(300);

/// The source behind an `Input`. It may outlive the request (in a body, in another green thread);
/// then reading fails.
pub(super) struct RequestBody<T: Transport> {
    lease: Lease<T>,
    length: Option<u64>,
    /// Most bytes that are accepted.
    limit: u64,
    chunk: Bytes,
}

impl<T: Transport> RequestBody<T> {
    pub(super) fn new(io: &Rc<BufferedIo<T>>) -> Self {
        let length = io.with_incoming(|incoming| {
            let body = incoming.body.as_mut()?;
            body.readers += 1;
            body.decoder.remaining()
        });
        Self {
            lease: Lease::new(io),
            length,
            limit: io.service.config.body_limit,
            chunk: Bytes::new(),
        }
    }

    /// Takes the next piece of the body; empty at its end.
    fn next_chunk(&self) -> io::Result<Bytes> {
        // One read may bring ten thousand chunks of a byte each. Before one is taken: whatever is
        // raised here must not lose it, for the handler may catch that and read on.
        take_turn();
        loop {
            let io = self.lease.get().ok_or_else(over)?;
            match self.take_buffered(&io)? {
                Taken::Data(chunk) => return Ok(chunk),
                Taken::End => return Ok(Bytes::new()),
                Taken::NeedMore { say_continue } => self.fill(&io, say_continue)?,
            }
        }
    }

    /// Waits for more of the body.
    fn fill(&self, io: &Using<T>, say_continue: bool) -> io::Result<()> {
        if say_continue && !io.exchange.get().is_answering() {
            io.say_continue();
        }
        // What has been answered so far must not wait for what the client sends next. If somebody
        // else is writing, it goes with that.
        if !io.is_writing() {
            io.flush()?;
        }
        let result = io.fill_body();
        if self.lease.is_over(io) {
            return Err(over()); // it has ended while this waited; the bytes are the next one's
        }
        match result {
            Ok(0) if io.end_of_body() => Ok(()),
            Ok(0) => Err(fail(io, truncated())),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                let status = StatusCode::REQUEST_TIMEOUT;
                let error = error_for(error.kind(), status, "the request body took too long");
                Err(fail(io, error))
            }
            Err(error) => Err(fail(io, of_client(error))),
        }
    }

    fn take_buffered(&self, io: &Using<T>) -> io::Result<Taken> {
        io.with_incoming(|incoming| {
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
                Ok(Step::End) => {
                    body.continue_expected = false; // as above, with nothing before the end
                    Ok(Taken::End)
                }
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

    /// Reads what the handler has left, so that the connection can be used again. False if it
    /// cannot: that takes too long, or the server stops.
    pub(super) fn drain(&self, lifecycle: &Lifecycle) -> bool {
        let begun = Instant::now();
        loop {
            match self.next_chunk() {
                Ok(chunk) if chunk.is_empty() => return true,
                Ok(_) if lifecycle.is_stopping() || begun.elapsed() > LONGEST_DRAIN => {
                    return false;
                }
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }
}

/// Notes that the rest of the body cannot be read.
fn fail<T: Transport>(io: &Using<T>, error: io::Error) -> io::Error {
    io.refuse_body();
    error
}

enum Taken {
    Data(Bytes),
    NeedMore { say_continue: bool },
    End,
}

fn over() -> io::Error {
    io::Error::other("the request of this input is over")
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
    io::Error::new(kind, StatusError::from(HttpError::new(status, reason)))
}

impl<T: Transport> Drop for RequestBody<T> {
    fn drop(&mut self) {
        if let Some(io) = self.lease.get() {
            io.with_incoming(|incoming| {
                if let Some(body) = &mut incoming.body {
                    body.readers -= 1;
                }
            });
        }
    }
}

impl<T: Transport> InputSource for RequestBody<T> {
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
