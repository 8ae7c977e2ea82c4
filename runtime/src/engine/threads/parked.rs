//! What a connection does while no thread of the pool is busy with it: all that waits for the
//! client and for nothing else. A slow client costs the poller an entry and nobody a thread.
//!
//! What must stay true: nothing here waits, and the application cannot tell. A request whose body
//! is not there gets a thread at once as long as few threads are with such requests (see
//! [`poller`](super::poller)); beyond that, it is waited for here. What does not come in time goes
//! to the handler as far as it has come, and reading it fails there at once.

use crate::connection::{After, Incoming, Patience, WritePace};
use crate::service::{Admission, Service, proxy_protocol};
use greenway_app::ConnectionInfo;
use greenway_proto::http1::{BodyLength, Reject, RequestHead};
use socket2::SockRef;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

/// So many bytes of a request's body are taken in before it has a thread.
const BODY_BYTES: usize = 64 * 1024;

/// After the last response, what the client still sends is thrown away for so long, and so many
/// bytes of it, lest the close become a reset that overtakes the response (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 * 1024;

/// A connection that no thread is busy with.
#[derive(Debug)]
pub(super) struct Parked {
    /// The poller's number for it.
    pub(super) token: mio::Token,
    pub(super) stream: TcpStream,
    pub(super) incoming: Incoming,
    pub(super) facts: Arc<ConnectionInfo>,
    pub(super) admission: Admission,
    pub(super) stage: Stage,
}

/// What is waited for.
#[derive(Debug)]
pub(super) enum Stage {
    /// A PROXY header, which comes before anything else.
    Proxy,
    /// A request's head, or its first byte.
    Head,
    /// The body of this request.
    Body {
        request: Box<RequestHead>,
        /// Its length, if it can be waited for here.
        length: Option<usize>,
        patience: Patience,
        /// It stands in the line of those who want a thread all the same.
        in_line: bool,
    },
    /// Room for the rest of a response.
    Sending {
        unsent: Vec<u8>,
        pace: WritePace,
        then: After,
        /// What the client still sends has to be waited for afterwards.
        linger: bool,
    },
    /// The client's end: all was sent.
    Lingering { left: usize },
}

/// What a look at a connection has led to.
pub(super) enum Progress {
    Waits,
    Request(Box<RequestHead>),
    Ended,
    Bad(Reject),
}

impl Parked {
    /// Something has begun that has to come to its end.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.stage, Stage::Head) || !self.incoming.buf.is_empty()
    }

    /// Nothing has come that has to be answered, and nothing is to go.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Proxy | Stage::Head) && self.incoming.buf.is_empty()
    }

    /// How long it may wait from now on.
    pub(super) fn clock(&self, service: &Service) -> Duration {
        let clocks = &service.config.clocks;
        match &self.stage {
            Stage::Head if self.incoming.buf.is_empty() => clocks.keep_alive,
            Stage::Proxy | Stage::Head => clocks.head,
            Stage::Body { patience, .. } => patience.left(),
            Stage::Sending { pace, .. } => pace.left(),
            Stage::Lingering { .. } => clocks.write.min(LINGER),
        }
    }

    /// Whether each piece of progress changes the clock.
    pub(super) fn has_patience(&self) -> bool {
        matches!(self.stage, Stage::Body { .. } | Stage::Sending { .. })
    }

    /// It was waited for.
    pub(super) fn waited(&mut self, time: Duration) {
        match &mut self.stage {
            Stage::Body { patience, .. } => *patience = patience.waited(time),
            Stage::Sending { pace, .. } => *pace = pace.waited(time),
            Stage::Proxy | Stage::Head | Stage::Lingering { .. } => {}
        }
    }

    /// Its clock has run out.
    pub(super) fn out_of_time(&mut self) -> Progress {
        match &mut self.stage {
            Stage::Head if !self.incoming.buf.is_empty() => {
                Progress::Bad(Reject::timeout("the request head took too long"))
            }
            Stage::Body {
                length, patience, ..
            } => {
                if length.is_none() {
                    *patience = patience.moved(u64::MAX); // it was not for the client to go on
                }
                self.take_request()
            }
            Stage::Sending { pace, .. } => {
                *pace = pace.seen(crate::green::embed::unsent(self.stream.as_fd()));
                if !pace.left().is_zero() {
                    return Progress::Waits;
                }
                // What the kernel still has for it is not to be kept for one who does not read.
                let _fails_only_on_no_socket =
                    SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
                Progress::Ended
            }
            Stage::Proxy | Stage::Head | Stage::Lingering { .. } => Progress::Ended,
        }
    }

    /// Whether it has a request whose body is waited for, and no place in the line yet.
    pub(super) fn wants_place_in_line(&mut self) -> bool {
        match &mut self.stage {
            Stage::Body { in_line, .. } => !std::mem::replace(in_line, true),
            _ => false,
        }
    }

    pub(super) fn has_place_in_line(&self) -> bool {
        matches!(self.stage, Stage::Body { in_line: true, .. })
    }

    /// The request whose body is waited for, as far as it has come.
    pub(super) fn take_request(&mut self) -> Progress {
        match std::mem::replace(&mut self.stage, Stage::Head) {
            Stage::Body {
                request, patience, ..
            } => {
                self.incoming.begun = Some((patience, self.incoming.buf.len() as u64));
                Progress::Request(request)
            }
            stage => {
                self.stage = stage;
                Progress::Waits
            }
        }
    }

    /// Goes on as far as it can without waiting.
    pub(super) fn go_on(&mut self, service: &Service, buffer: &mut [u8]) -> Progress {
        loop {
            match &mut self.stage {
                Stage::Proxy => match self.take_proxy_header(service) {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(ended) => return ended,
                },
                Stage::Head => match self.incoming.take_head(&service.config.head_limits) {
                    Ok(Some(request)) if request.body == BodyLength::None => {
                        return Progress::Request(Box::new(request));
                    }
                    Ok(Some(request)) => {
                        self.stage = Stage::Body {
                            length: length_to_wait_for(&request),
                            request: Box::new(request),
                            patience: Patience::new(service.config.clocks.body),
                            in_line: false,
                        };
                        continue;
                    }
                    Ok(None) => {}
                    Err(reject) => return Progress::Bad(reject),
                },
                Stage::Body { length, .. } => {
                    let there = self.incoming.buf.len();
                    if length.is_some_and(|length| there >= length) {
                        return self.take_request();
                    }
                    if there >= BODY_BYTES {
                        return Progress::Waits;
                    }
                }
                Stage::Sending { .. } => match self.send() {
                    Progress::Waits if matches!(self.stage, Stage::Sending { .. }) => {
                        return Progress::Waits;
                    }
                    Progress::Waits => continue,
                    ended => return ended,
                },
                Stage::Lingering { .. } => {}
            }
            match self.stream.read(buffer) {
                Ok(n @ 1..) => self.take(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Waits,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Who serves the request sees it as well.
                Ok(0) | Err(_) if matches!(self.stage, Stage::Body { .. }) => {
                    return self.take_request();
                }
                Ok(0) if matches!(self.stage, Stage::Head) && !self.is_idle() => {
                    return Progress::Bad(Reject::bad("the request head is incomplete"));
                }
                Ok(_) | Err(_) => return Progress::Ended,
            }
            if matches!(self.stage, Stage::Lingering { left: 0 }) {
                return Progress::Ended;
            }
        }
    }

    /// Something has come.
    fn take(&mut self, bytes: &[u8]) {
        if let Stage::Lingering { left } = &mut self.stage {
            *left = left.saturating_sub(bytes.len());
            return;
        }
        self.incoming.buf.extend_from_slice(bytes);
        if let Stage::Body { patience, .. } = &mut self.stage {
            *patience = patience.moved(bytes.len() as u64);
        }
    }

    /// True if there was a PROXY header.
    fn take_proxy_header(&mut self, service: &Service) -> Result<bool, Progress> {
        let trust = &service.config.forwarded_allow;
        match proxy_protocol::take(&mut self.incoming.buf, &self.facts, trust) {
            Ok(Some(told)) => {
                self.facts = told;
                self.stage = Stage::Head;
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(why) => {
                proxy_protocol::report(service, &self.facts, why);
                Err(Progress::Ended)
            }
        }
    }

    /// Sends what the kernel takes.
    fn send(&mut self) -> Progress {
        let Stage::Sending {
            unsent,
            pace,
            then,
            linger,
        } = &mut self.stage
        else {
            return Progress::Waits;
        };
        while !unsent.is_empty() {
            match (&self.stream).write(unsent) {
                Ok(n @ 1..) => {
                    unsent.drain(..n);
                    *pace = pace.gave(n);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    *pace = pace.seen(crate::green::embed::unsent(self.stream.as_fd()));
                    return Progress::Waits;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return Progress::Ended,
            }
        }
        match (*then, *linger) {
            (After::Reuse, _) => self.stage = Stage::Head,
            (After::Close, true) => {
                let _gone_already = self.stream.shutdown(Shutdown::Write);
                self.stage = Stage::Lingering { left: LINGER_BYTES };
            }
            (After::Close, false) => return Progress::Ended,
        }
        Progress::Waits
    }

    /// Tells a client why it is not served, if the kernel has room for that.
    pub(super) fn tell(&self, response: &[u8], buffer: &mut [u8]) -> io::Result<()> {
        (&self.stream).write_all(response)?;
        self.stream.shutdown(Shutdown::Write)?;
        (&self.stream).read(buffer).map(|_| ())
    }
}

/// The length of a body that can be waited for without a thread. Not one that the client sends only
/// when it is told to go on, which the handler decides; nor a chunked one, which has to be decoded
/// to see its end.
fn length_to_wait_for(request: &RequestHead) -> Option<usize> {
    let BodyLength::Length(length) = request.body else {
        return None;
    };
    let length = usize::try_from(length).ok()?;
    (length <= BODY_BYTES && !request.expect_continue).then_some(length)
}
