//! Taking connections: what both engines do with a new one, with one too many, and when the
//! process has run out of descriptors.

use crate::http1;
use crate::server::{Refused, Service};
use greenway_app::Connection as Facts;
use http::StatusCode;
use socket2::SockRef;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// What is known of a connection when it is accepted.
pub(super) fn facts(service: &Service, stream: &TcpStream) -> Arc<Facts> {
    let facts = Facts::new(stream.local_addr().ok(), stream.peer_addr().ok())
        .with_engine(service.config.engine.name())
        .with_multithread(true);
    let trusted = service.config.forwarded_allow.trusts_peer_of(&facts);
    Arc::new(facts.with_trusted_proxy(trusted))
}

/// Accepts a connection of whatever family the listener is of. Std's own `accept` throws away
/// one whose address is not an internet address.
pub(super) fn accept_now(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _address) = SockRef::from(listener).accept()?;
    Ok(stream.into())
}

/// Tells a client that there is no room for it, without waiting for it.
pub(super) fn refuse(service: &Service, stream: &TcpStream, why: Refused) {
    service.metrics.refused(why);
    let reason = match why {
        Refused::Connections => "too many connections",
        Refused::Handlers => "too many requests at once",
        Refused::Descriptors => "out of descriptors",
    };
    let mut response = Vec::new();
    http1::error_response(
        &mut response,
        StatusCode::SERVICE_UNAVAILABLE,
        reason,
        Some(1),
    );
    // Best effort from here on: the socket's empty buffer takes the response at once, and
    // reading what has come keeps the close from being a reset that would overtake it.
    let _ = stream.set_nonblocking(true);
    let _ = (&*stream).write(&response);
    let _ = stream.shutdown(Shutdown::Write);
    let _ = (&*stream).read(&mut [0; 4096]);
}

/// What to do when `accept` fails.
///
/// When the process (EMFILE) or the machine (ENFILE) is out of descriptors, `accept` fails and
/// leaves the client in the kernel's queue, where it hangs. So one descriptor is kept in reserve:
/// it is given up for the client, who is told 503 and closed, and then taken back.
#[derive(Debug)]
pub(super) struct Trouble {
    reserve: Option<File>,
    pause: Duration,
    /// An episode of trouble is logged once.
    reported: bool,
}

/// Trouble that goes on pauses accepting for so long at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Without descriptors, `accept` fails whether or not somebody waits, so the queue has to be
/// looked at now and then. A client waits for its 503 so long at most.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Trouble {
    pub(super) fn new() -> Self {
        Self {
            reserve: spare(),
            pause: FIRST_PAUSE,
            reported: false,
        }
    }

    /// `accept` has succeeded.
    pub(super) fn over(&mut self) {
        if self.reported {
            self.reported = false;
            self.pause = FIRST_PAUSE;
            self.reserve = self.reserve.take().or_else(spare);
        }
    }

    /// How long to leave `accept` alone after this error; zero if it concerns only the one
    /// connection, or was dealt with.
    pub(super) fn after(
        &mut self,
        error: &io::Error,
        service: &Service,
        listener: &TcpListener,
    ) -> Duration {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        if matches!(
            error.kind(),
            ConnectionAborted | ConnectionReset | Interrupted
        ) {
            return Duration::ZERO;
        }
        if !self.reported {
            self.reported = true;
            log::error!("connections cannot be accepted: {error}");
        }
        if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) {
            return match self.relieve(service, listener) {
                true => Duration::ZERO,
                false => LOOK_AGAIN,
            };
        }
        // Doubling from 5 ms to 1 s, as Go does.
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        pause
    }

    /// Takes a client out of the queue and sends it away. False if none was there, or the
    /// descriptor that was given up has gone to somebody else.
    fn relieve(&mut self, service: &Service, listener: &TcpListener) -> bool {
        if self.reserve.take().or_else(spare).is_none() {
            return false;
        }
        let relieved = accept_now(listener)
            .map(|stream| refuse(service, &stream, Refused::Descriptors))
            .is_ok();
        self.reserve = spare();
        relieved
    }
}

/// A descriptor for nothing.
fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}
