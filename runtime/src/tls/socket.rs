//! A socket whose bytes are encrypted, as connections use sockets; and the way to it from other
//! threads.

use super::session::{EARLY, Session};
use crate::green::embed::{Handle, Locked, Stream, lock, take_turn, unsent};
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice, Read};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A session, and the stream that it goes over.
#[derive(Debug)]
pub(crate) struct TlsSocket {
    stream: Stream,
    /// Locked over system calls that do not wait, and never over a wait.
    session: Arc<Mutex<Session>>,
    /// The peer is to see that something is missing.
    cut: Cell<bool>,
}

/// A [`TlsSocket`] for all threads, until that is dropped.
#[derive(Debug)]
pub(crate) struct TlsHandle {
    handle: Arc<Handle>,
    session: Arc<Mutex<Session>>,
}

impl TlsSocket {
    /// After the handshake.
    pub(crate) fn new(stream: Stream, session: Session) -> Self {
        Self {
            stream,
            session: Arc::new(Mutex::new(session)),
            cut: Cell::new(false),
        }
    }

    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    pub(crate) fn session(&self) -> Locked<'_, Session> {
        lock(&self.session)
    }

    pub(crate) fn handle(&self) -> Arc<TlsHandle> {
        Arc::new(TlsHandle {
            handle: self.stream.handle(),
            session: self.session.clone(),
        })
    }

    /// Reads, and shows what has come to `take`, in one or several pieces. 0 when the peer has said
    /// that nothing more comes, and when nothing is there and `stop` is set.
    ///
    /// # Errors
    /// `TimedOut` at the deadline. `UnexpectedEof` if the connection has ended without a word:
    /// somebody else may have cut it. `ConnectionAborted` for what is not TLS, or was altered on its
    /// way: nothing more can be said over it. Whatever the socket reports.
    pub(crate) fn read_unless(
        &self,
        stop: &AtomicBool,
        deadline: Option<Instant>,
        take: &mut dyn FnMut(&[u8]),
    ) -> io::Result<usize> {
        loop {
            if let Some(early) = self.session().before_reading() {
                return Ok(show(&early, take));
            }
            let mut shown = Ok(0);
            let read = self.stream.read_unless(stop, deadline, |bytes| {
                if !bytes.is_empty() {
                    shown = self.receive(bytes, take);
                }
            })?;
            if read == 0 {
                if stop.load(Ordering::SeqCst) {
                    return Ok(0);
                }
                return Err(truncated());
            }
            match shown.map_err(aborted)? {
                0 => take_turn(), // it was of the protocol's own
                shown => return Ok(shown),
            }
        }
    }

    /// Shows what is there to `take`, without waiting. 0 when the peer has said that nothing more
    /// comes.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there; as [`read_unless`](Self::read_unless) otherwise.
    #[cfg(feature = "http2")]
    pub(crate) fn receive_now(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
        loop {
            if let Some(early) = self.session().before_reading() {
                return Ok(show(&early, take));
            }
            let mut shown = Ok(0);
            let read = self.stream.read_if_any(&mut |bytes| {
                if !bytes.is_empty() {
                    shown = self.receive(bytes, take);
                }
            })?;
            if read == 0 {
                return Err(truncated());
            }
            let shown = shown.map_err(aborted)?;
            if shown > 0 {
                return Ok(shown);
            }
        }
    }

    /// Whether the peer has said that nothing more will come, for one who does not read. That word
    /// is a small record, the last one that comes: what lies before it is kept for whoever reads
    /// next, as long as it is not more than a session keeps.
    pub(crate) fn has_said_end(&self) -> bool {
        thread_local!(static PEEKED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });
        let mut session = self.session();
        if session.is_peer_closed() {
            return true;
        }
        let Some(room) = session.room_for_early() else {
            return false;
        };
        // Borrowed over system calls that do not wait.
        PEEKED.with_borrow_mut(|bytes| {
            bytes.resize(EARLY, 0);
            let mut socket = self.stream.std();
            let length = socket.peek(&mut bytes[..room]).unwrap_or(0);
            let may_be = ends_with_small_record(&bytes[..length]);
            if !may_be || !matches!(socket.read(&mut bytes[..length]), Ok(n) if n == length) {
                return;
            }
            // What it says otherwise is for whoever reads next, as is an error.
            let _known_to_the_session = session.receive_early(&mut bytes[..length]);
        });
        session.is_peer_closed()
    }

    fn receive(&self, bytes: &mut [u8], take: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
        let mut session = self.session();
        let shown = session.receive(bytes, take);
        if session.unsent() > 0 {
            // An answer of the protocol's own: what has no room now goes with what follows.
            let _goes_later = session.send(self.stream.std().as_fd());
        }
        shown
    }

    pub(crate) fn write_now(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.session().write(self.stream.std().as_fd(), bufs)
    }

    pub(crate) fn write(
        &self,
        bufs: &[IoSlice<'_>],
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        self.stream.when_writable(deadline, || self.write_now(bufs))
    }

    /// Bytes that were written and that the peer has not confirmed, with what TLS has added.
    pub(crate) fn unsent(&self) -> Option<u64> {
        let here = self.session().unsent() as u64;
        Some(here + unsent(self.stream.std().as_fd())?)
    }

    /// Ends the sending direction. False if there is no room for the word that says so: again later.
    pub(crate) fn finish(&self) -> bool {
        let mut session = self.session();
        session.close();
        match session.send(self.stream.std().as_fd()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Ok(()) | Err(_) => {}
        }
        drop(session);
        self.stream.shutdown(Shutdown::Write);
        true
    }

    /// Ends both directions.
    pub(crate) fn shutdown(&self) {
        let _in_time_or_not = self.finish();
        self.stream.shutdown(Shutdown::Both);
    }

    /// Makes the coming close a reset, without a word.
    pub(crate) fn reset(&self) {
        self.cut.set(true);
        // Fails only on a descriptor that is no socket.
        let _ = SockRef::from(self.stream.std()).set_linger(Some(Duration::ZERO));
    }
}

/// The peer is told that this is the end, if there is room for that.
impl Drop for TlsSocket {
    fn drop(&mut self) {
        if !self.cut.get() {
            let mut session = self.session();
            session.close();
            let _no_room_or_gone = session.send(self.stream.std().as_fd());
        }
    }
}

impl TlsHandle {
    fn lock(&self) -> Locked<'_, Session> {
        lock(&self.session)
    }

    pub(crate) fn raw(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn write_now(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = self.handle.with(|socket| self.lock().write(socket, bufs));
        written.unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into()))
    }

    /// Reads what is there, for one who has the right to. 0 at the end.
    pub(crate) fn read_now(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
        loop {
            if let Some(early) = self.lock().before_reading() {
                return Ok(show(&early, take));
            }
            let mut bytes = [0; 4096];
            let read = self
                .handle
                .with(|socket| (&*SockRef::from(&socket)).read(&mut bytes));
            let read = read.unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into()))?;
            if read == 0 {
                return Err(truncated());
            }
            let shown = self.lock().receive(&mut bytes[..read], take);
            let shown = shown.map_err(aborted)?;
            if shown > 0 {
                return Ok(shown);
            }
        }
    }

    pub(crate) fn unsent(&self) -> u64 {
        let here = self.lock().unsent() as u64;
        here + self.handle.with(unsent).flatten().unwrap_or(0)
    }

    /// Says that nothing more comes, if there is room for that, and ends the sending direction.
    pub(crate) fn finish(&self) {
        self.handle.with(|socket| {
            let mut session = self.lock();
            session.close();
            let _no_room_or_gone = session.send(socket);
            let _not_connected = SockRef::from(&socket).shutdown(Shutdown::Write);
        });
    }
}

/// The most bytes of a record that may say that nothing more comes: its header, two bytes, and what
/// ciphers add.
const SMALL_RECORD: usize = 64;
/// Types of records: an alert, and what is encrypted with TLS 1.3.
const ALERT: u8 = 21;
const ENCRYPTED: u8 = 23;

/// Whether these are whole records, of which the last one may be an alert.
fn ends_with_small_record(mut bytes: &[u8]) -> bool {
    let mut may_be = false;
    while let Some((header, rest)) = bytes.split_at_checked(5) {
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        let Some((_, rest)) = rest.split_at_checked(length) else {
            return false;
        };
        may_be = matches!(header[0], ALERT | ENCRYPTED) && header.len() + length <= SMALL_RECORD;
        bytes = rest;
    }
    may_be && bytes.is_empty()
}

/// Shows what there is, if there is anything. Gives how much that is.
fn show(bytes: &[u8], take: &mut dyn FnMut(&[u8])) -> usize {
    if !bytes.is_empty() {
        take(bytes);
    }
    bytes.len()
}

/// An error of the protocol's is the end of the connection.
fn aborted(error: io::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, error)
}

/// The connection has ended without the peer's word that this is the end.
fn truncated() -> io::Error {
    let why = "the connection was cut off (it has ended without TLS's close_notify)";
    io::Error::new(io::ErrorKind::UnexpectedEof, why)
}
