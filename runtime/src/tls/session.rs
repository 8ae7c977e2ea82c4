//! One side of a TLS connection, over bytes that somebody else reads and writes.
//!
//! A session keeps no buffers of its own while nothing is half done: records are decrypted where
//! they lie when they come, and encrypted into a buffer that all sessions of an OS thread share.
//! What a session keeps is the beginning of a record whose rest has not come, and what the kernel
//! has not taken yet of a record that was made. Ten thousand idle connections are measured in the
//! memory that they hold, and that of the cipher's keys is all that is needed.
//!
//! What must stay true:
//! - Bytes are given to a session in the order in which they came, and it gives none twice.
//! - A record that was made is sent whole, before anything else. Until it is, the bytes that it is
//!   made of do not count as written: whoever wants to write brings them again, as with OpenSSL.
//! - After an error nothing is encrypted or decrypted any more; the alert that tells of it is sent.

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{ClientConfig, CommonState, Error, ServerConfig};
use rustls_pki_types::ServerName;
use socket2::SockRef;
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::sync::Arc;

/// The most bytes that one call encrypts, as several records, to leave in one system call.
const AT_ONCE: usize = 64 * 1024;
/// The most bytes that are taken before anybody wants to read.
pub(super) const EARLY: usize = 64 * 1024;
/// What a record adds to its content, and some more.
const OVERHEAD: usize = 64;
/// The most bytes of content that a record has.
const RECORD: usize = 16 * 1024;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Session {
    side: Side,
    /// The beginning of a record, or of a handshake's message, whose rest has not come.
    incoming: Vec<u8>,
    /// What was in records that were taken before anybody wanted to read.
    early: Vec<u8>,
    /// Records that were made; those before `sent` the kernel has taken.
    outgoing: Vec<u8>,
    sent: usize,
    /// Bytes of the application's that are in `outgoing`.
    plain: usize,
    peer_closed: bool,
    /// Nothing more will be encrypted.
    closed: bool,
    error: Option<Error>,
}

enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// What the bytes are processed for.
enum Want<'a> {
    /// Whatever has come, shown to `take`.
    Read(&'a mut dyn FnMut(&[u8])),
    Encrypt {
        data: &'a [u8],
        out: &'a mut Vec<u8>,
    },
    Close,
}

/// What has come of one step.
enum Step {
    /// There may be more to do.
    Again,
    /// Nothing more can be done before more comes.
    Done,
}

/// One step's results.
struct Progress {
    step: Step,
    discard: usize,
    shown: usize,
}

thread_local! {
    /// What lies scattered and is to be encrypted, and what it is encrypted into. Borrowed over
    /// one call that does not wait.
    static GATHERED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static ENCRYPTED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Session {
    /// A server's.
    ///
    /// # Errors
    /// When the configuration does not hold together.
    pub(crate) fn server(config: Arc<ServerConfig>) -> io::Result<Self> {
        let connection = UnbufferedServerConnection::new(config).map_err(faulty)?;
        Ok(Self::new(Side::Server(connection)))
    }

    /// A client's, of the server with this name.
    ///
    /// # Errors
    /// When the configuration does not hold together.
    pub(crate) fn client(
        config: Arc<ClientConfig>,
        server: ServerName<'static>,
    ) -> io::Result<Self> {
        let connection = UnbufferedClientConnection::new(config, server).map_err(faulty)?;
        let mut session = Self::new(Side::Client(connection));
        session.receive(&mut [], &mut |_| {})?; // makes the hello
        Ok(session)
    }

    fn new(side: Side) -> Self {
        Self {
            side,
            incoming: Vec::new(),
            early: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            plain: 0,
            peer_closed: false,
            closed: false,
            error: None,
        }
    }

    /// What was agreed upon.
    pub(crate) fn state(&self) -> &CommonState {
        match &self.side {
            Side::Server(connection) => connection,
            Side::Client(connection) => connection,
        }
    }

    /// The peer has said that it sends nothing more.
    pub(crate) fn is_peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Bytes of memory that are kept for what is half done.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.incoming.capacity() + self.early.capacity() + self.outgoing.capacity()
    }

    /// Bytes that wait to be taken by the kernel.
    pub(crate) fn unsent(&self) -> usize {
        self.outgoing.len() - self.sent
    }

    /// What went wrong, if something has.
    pub(crate) fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// Takes in what has come, and shows what was in it. Gives how much that was.
    ///
    /// # Errors
    /// When it is not what a peer that speaks TLS would send, or is not whom we want to speak with;
    /// the alert that says so is then among what is to be sent.
    pub(crate) fn receive(
        &mut self,
        bytes: &mut [u8],
        take: &mut dyn FnMut(&[u8]),
    ) -> io::Result<usize> {
        if self.incoming.is_empty() {
            let (used, shown) = self.process(bytes, &mut Want::Read(take))?;
            self.incoming = bytes[used..].to_vec();
            return Ok(shown);
        }
        let mut all = std::mem::take(&mut self.incoming);
        all.extend_from_slice(bytes);
        let (used, shown) = self.process(&mut all, &mut Want::Read(take))?;
        all.drain(..used);
        all.shrink_to_fit(); // it may stay for long
        self.incoming = all;
        Ok(shown)
    }

    /// As [`receive`](Self::receive), for one who does not read: what was in it is kept for the next
    /// who does.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub(super) fn receive_early(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let mut early = std::mem::take(&mut self.early);
        let received = self.receive(bytes, &mut |plain| early.extend_from_slice(plain));
        self.early = early;
        received.map(drop)
    }

    /// What was taken early, or nothing if nothing more will come. `None`: more has to be read.
    pub(super) fn before_reading(&mut self) -> Option<Vec<u8>> {
        let early = std::mem::take(&mut self.early);
        (!early.is_empty() || self.peer_closed).then_some(early)
    }

    /// How many bytes may be taken before anybody wants to read; `None` within a record.
    pub(super) fn room_for_early(&self) -> Option<usize> {
        let room = EARLY.saturating_sub(self.early.len());
        self.incoming.is_empty().then_some(room)
    }

    /// Processes `bytes`, and gives how many of them were used up, and how much was shown.
    fn process(&mut self, bytes: &mut [u8], want: &mut Want<'_>) -> io::Result<(usize, usize)> {
        if let Some(error) = &self.error {
            return Err(faulty(error.clone()));
        }
        let (mut used, mut shown) = (0, 0);
        loop {
            let progress = self.step(&mut bytes[used..], want);
            match progress {
                Ok(progress) => {
                    used += progress.discard;
                    shown += progress.shown;
                    if matches!(progress.step, Step::Done) {
                        return Ok((used, shown));
                    }
                }
                Err((discard, error)) => {
                    used += discard;
                    self.error = Some(error.clone());
                    // The alert is the first thing that is there to do. Nothing behind it may be done:
                    // it would be a second error.
                    let mut nobody = |_: &[u8]| {};
                    while self.state().wants_write()
                        && self
                            .step(&mut bytes[used..], &mut Want::Read(&mut nobody))
                            .is_ok()
                    {}
                    self.closed = true;
                    return Err(faulty(error));
                }
            }
        }
    }

    fn step(&mut self, bytes: &mut [u8], want: &mut Want<'_>) -> Result<Progress, (usize, Error)> {
        let (outgoing, closed) = (&mut self.outgoing, &mut self.peer_closed);
        match &mut self.side {
            Side::Server(connection) => handle(
                connection.process_tls_records(bytes),
                outgoing,
                closed,
                want,
            ),
            Side::Client(connection) => handle(
                connection.process_tls_records(bytes),
                outgoing,
                closed,
                want,
            ),
        }
    }

    /// Encrypts some of `bufs` and sends it, without waiting. Gives how much was sent altogether.
    ///
    /// # Errors
    /// `WouldBlock` when the kernel has not taken all that was made: the same bytes are to be brought
    /// again. Whatever the socket reports; those of [`receive`](Self::receive).
    pub(crate) fn write(
        &mut self,
        socket: BorrowedFd<'_>,
        bufs: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        self.send(socket)?;
        let before = std::mem::take(&mut self.plain);
        if before > 0 {
            return Ok(before);
        }
        match bufs.iter().filter(|buf| !buf.is_empty()).count() {
            0 => Ok(0),
            1 => {
                let mut buf = bufs.iter().find(|buf| !buf.is_empty());
                let data = buf
                    .take()
                    .map_or(&[][..], |buf| &buf[..buf.len().min(AT_ONCE)]);
                self.write_one(socket, data)
            }
            _ => GATHERED.with_borrow_mut(|gathered| {
                gathered.clear();
                for buf in bufs {
                    let left = AT_ONCE - gathered.len();
                    gathered.extend_from_slice(&buf[..buf.len().min(left)]);
                }
                self.write_one(socket, gathered)
            }),
        }
    }

    fn write_one(&mut self, socket: BorrowedFd<'_>, data: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        ENCRYPTED.with_borrow_mut(|out| {
            out.clear();
            let mut incoming = std::mem::take(&mut self.incoming);
            let processed = self.process(&mut incoming, &mut Want::Encrypt { data, out });
            self.incoming = incoming;
            processed?;
            if out.is_empty() {
                return Err(io::ErrorKind::NotConnected.into()); // within the handshake
            }
            if !self.outgoing.is_empty() {
                // An answer of the protocol's own was made before.
                self.outgoing.extend_from_slice(out);
                self.plain = data.len();
                self.send(socket)?;
                self.plain = 0;
                return Ok(data.len());
            }
            let sent = match send(socket, out) {
                Ok(sent) => sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error),
            };
            if sent == out.len() {
                return Ok(data.len());
            }
            self.outgoing.extend_from_slice(&out[sent..]);
            self.plain = data.len();
            Err(io::ErrorKind::WouldBlock.into())
        })
    }

    /// Sends what was made, without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when the kernel has not taken all of it; whatever the socket reports.
    pub(crate) fn send(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        while self.sent < self.outgoing.len() {
            self.sent += send(socket, &self.outgoing[self.sent..])?;
        }
        self.outgoing = Vec::new();
        self.sent = 0;
        Ok(())
    }

    /// Says to the peer that nothing more will come, behind all that was written. It is to be
    /// [sent](Self::send).
    pub(crate) fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let mut incoming = std::mem::take(&mut self.incoming);
        let _has_an_error = self.process(&mut incoming, &mut Want::Close);
        self.incoming = incoming;
    }
}

/// Deals with what a connection has come to.
fn handle<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    outgoing: &mut Vec<u8>,
    peer_closed: &mut bool,
    want: &mut Want<'_>,
) -> Result<Progress, (usize, Error)> {
    let mut discard = status.discard;
    let mut shown = 0;
    let failed = |discard, error| Err((discard, error));
    let state = match status.state {
        Ok(state) => state,
        Err(error) => return failed(discard, error),
    };
    let step = match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                let record = record.map_err(|error| (discard, error))?;
                discard += record.discard;
                let Want::Read(take) = want else {
                    let why = "content was found where there was none".into();
                    return failed(discard, Error::General(why));
                };
                if !record.payload.is_empty() {
                    shown += record.payload.len();
                    take(record.payload);
                }
            }
            Step::Again
        }
        ConnectionState::EncodeTlsData(mut record) => {
            let start = outgoing.len();
            let mut length = record.encode(&mut []);
            if let Err(EncodeError::InsufficientSize(needed)) = length {
                outgoing.resize(start + needed.required_size, 0);
                length = record.encode(&mut outgoing[start..]);
            }
            outgoing.truncate(start + length.unwrap_or(0));
            Step::Again
        }
        ConnectionState::TransmitTlsData(record) => {
            record.done(); // it is sent before anything else
            Step::Again
        }
        ConnectionState::PeerClosed => {
            *peer_closed = true;
            Step::Again
        }
        ConnectionState::WriteTraffic(mut traffic) => {
            let written = match want {
                Want::Read(_) => Ok(()),
                Want::Encrypt { data, out } => {
                    let records = data.len().div_ceil(RECORD) + 1;
                    grow(out, data.len() + records * OVERHEAD, |out| {
                        traffic.encrypt(data, out)
                    })
                }
                Want::Close => {
                    let mut alert = Vec::new();
                    let made = grow(&mut alert, OVERHEAD, |out| traffic.queue_close_notify(out));
                    outgoing.extend_from_slice(&alert);
                    made
                }
            };
            written.map_err(|_| (discard, Error::EncryptError))?;
            Step::Done
        }
        ConnectionState::ReadEarlyData(_) => {
            let why = "there is early data, which nobody has allowed".into();
            return failed(discard, Error::General(why));
        }
        ConnectionState::BlockedHandshake | ConnectionState::Closed | _ => Step::Done,
    };
    Ok(Progress {
        step,
        discard,
        shown,
    })
}

/// Lets `write` write into `out`, with as much space as it needs.
fn grow(
    out: &mut Vec<u8>,
    space: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), EncryptError> {
    out.resize(space, 0);
    let length = match write(out) {
        Err(EncryptError::InsufficientSize(needed)) => {
            out.resize(needed.required_size, 0);
            write(out)?
        }
        length => length?,
    };
    out.truncate(length);
    Ok(())
}

/// Sends some of `bytes`, without waiting.
fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    loop {
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        match SockRef::from(&socket).send_with_flags(bytes, flags) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            done => return done,
        }
    }
}

/// An error of the protocol's, as one of reading and writing.
pub(super) fn faulty(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl std::fmt::Debug for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Server(_) => "Server",
            Self::Client(_) => "Client",
        })
    }
}
