//! The beginning of a TLS connection.

use super::server::take_asked;
use super::session::Session;
use super::socket::TlsSocket;
use crate::green::embed::{Stream, take_turn};
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::ServerName;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// What is called before each wait of a handshake: whether anything has come from the peer. Gives
/// the flag that ends the wait; whoever sets it wakes the thread.
pub(crate) type BeforeWait<'a> = &'a dyn Fn(bool) -> &'a AtomicBool;

/// Why there was no handshake.
#[derive(Debug)]
pub(crate) enum HandshakeError {
    /// The peer has not said a word, or was not to be waited for.
    Silent,
    /// It has begun, and took too long.
    TimedOut,
    /// What has come is HTTP without TLS.
    PlainHttp,
    /// What has come is not what it should be, or the peer does not like what we are.
    Failed(rustls::Error),
    /// The connection is lost.
    Lost(io::Error),
}

/// A handshake that is over.
#[derive(Debug)]
pub(crate) struct Shaken {
    pub(crate) session: Session,
    /// What has come within TLS already.
    pub(crate) early: Vec<u8>,
    /// The name that the client has asked for.
    pub(crate) asked: Option<Box<str>>,
}

/// Shakes hands as a server. `first` has come already.
///
/// # Errors
/// An alert was sent where it makes sense.
pub(crate) fn accept(
    stream: &Stream,
    config: Arc<ServerConfig>,
    first: &mut [u8],
    deadline: Option<Instant>,
    before_wait: BeforeWait<'_>,
) -> Result<Shaken, HandshakeError> {
    let session = Session::server(config).map_err(HandshakeError::Lost)?;
    let mut handshake = Handshake {
        stream,
        session,
        early: Vec::new(),
        asked: None,
        begun: false,
    };
    handshake.run(first, deadline, before_wait)?;
    let Handshake {
        session,
        early,
        asked,
        ..
    } = handshake;
    Ok(Shaken {
        session,
        early,
        asked,
    })
}

/// Connects with TLS to the server of this name, over a connection that is open.
///
/// # Errors
/// `TimedOut` at the deadline; when the server is not whom its name says, or does not speak TLS as
/// we do; whatever the socket reports.
pub(crate) fn connect(
    stream: Stream,
    config: Arc<ClientConfig>,
    server: ServerName<'static>,
    deadline: Option<Instant>,
) -> io::Result<TlsSocket> {
    static NEVER: AtomicBool = AtomicBool::new(false);
    let session = Session::client(config, server)?;
    let mut handshake = Handshake {
        stream: &stream,
        session,
        early: Vec::new(),
        asked: None,
        begun: true,
    };
    handshake
        .run(&mut [], deadline, &|_| &NEVER)
        .map_err(io::Error::from)?;
    let Handshake { session, .. } = handshake;
    Ok(TlsSocket::new(stream, session))
}

struct Handshake<'s> {
    stream: &'s Stream,
    session: Session,
    /// What has come within TLS already.
    early: Vec<u8>,
    asked: Option<Box<str>>,
    begun: bool,
}

impl Handshake<'_> {
    fn run(
        &mut self,
        first: &mut [u8],
        deadline: Option<Instant>,
        before_wait: BeforeWait<'_>,
    ) -> Result<(), HandshakeError> {
        if !first.is_empty() {
            self.take_in(first)?;
        }
        loop {
            self.flush(deadline)?;
            if !self.session.state().is_handshaking() {
                return Ok(());
            }
            if self.session.is_peer_closed() {
                return Err(HandshakeError::Silent);
            }
            take_turn();
            self.read(deadline, before_wait)?;
        }
    }

    fn read(
        &mut self,
        deadline: Option<Instant>,
        before_wait: BeforeWait<'_>,
    ) -> Result<(), HandshakeError> {
        let stop = before_wait(self.begun);
        let (stream, mut taken) = (self.stream, Ok(()));
        let read = stream.read_unless(stop, deadline, |bytes| {
            if !bytes.is_empty() {
                taken = self.take_in(bytes);
            }
        });
        let silent = |begun, error: io::Error| match error.kind() {
            io::ErrorKind::TimedOut if begun => HandshakeError::TimedOut,
            io::ErrorKind::TimedOut => HandshakeError::Silent,
            _ => HandshakeError::Lost(error),
        };
        match read.map_err(|error| silent(self.begun, error))? {
            0 if self.begun => Err(HandshakeError::Lost(io::ErrorKind::UnexpectedEof.into())),
            0 => Err(HandshakeError::Silent),
            _ => taken,
        }
    }

    fn take_in(&mut self, bytes: &mut [u8]) -> Result<(), HandshakeError> {
        // A record of TLS begins with a number below 32; a request with a method.
        if !self.begun && bytes[0].is_ascii_alphabetic() {
            return Err(HandshakeError::PlainHttp);
        }
        self.begun = true;
        let early = &mut self.early;
        let received = self
            .session
            .receive(bytes, &mut |plain| early.extend_from_slice(plain));
        self.asked = take_asked().or(self.asked.take());
        received.map(drop).map_err(|error| {
            let _no_room_or_gone = self.session.send(self.stream.std().as_fd());
            match self.session.error() {
                Some(error) => HandshakeError::Failed(error.clone()),
                None => HandshakeError::Lost(error),
            }
        })
    }

    /// Sends what was made.
    fn flush(&mut self, deadline: Option<Instant>) -> Result<(), HandshakeError> {
        if self.session.unsent() == 0 {
            return Ok(());
        }
        let (stream, session) = (self.stream, &mut self.session);
        let sent = stream.when_writable(deadline, || session.send(stream.std().as_fd()));
        sent.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => HandshakeError::TimedOut,
            _ => HandshakeError::Lost(error),
        })
    }
}

impl From<HandshakeError> for io::Error {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Lost(error) => error,
            HandshakeError::Failed(error) => super::session::faulty(error),
            HandshakeError::TimedOut => Self::new(io::ErrorKind::TimedOut, error),
            HandshakeError::Silent => Self::new(io::ErrorKind::UnexpectedEof, error),
            HandshakeError::PlainHttp => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("no TLS handshake has come"),
            Self::TimedOut => f.write_str("the TLS handshake took too long"),
            Self::PlainHttp => f.write_str("HTTP without TLS has come"),
            Self::Failed(error) => {
                write!(f, "the TLS handshake has failed: {error}{}", hint(error))
            }
            Self::Lost(error) => write!(f, "the connection was lost within the handshake: {error}"),
        }
    }
}

/// What is behind errors that say it in the words of a library.
fn hint(error: &rustls::Error) -> &'static str {
    if !matches!(error, rustls::Error::InvalidCertificate(_)) {
        return "";
    }
    let text = error.to_string();
    if text.contains("UnsupportedCertVersion") {
        " (the peer's certificate is of version 1, without extensions: make it anew as version 3, \
         for example with `openssl x509 -extfile`)"
    } else if text.contains("CaUsedAsEndEntity") {
        " (the peer shows an authority's certificate as its own, as one that has signed itself often \
         is)"
    } else {
        ""
    }
}

impl std::error::Error for HandshakeError {}
