//! The way to a connection's bytes from any thread, for a protocol that has taken the place of HTTP.
//!
//! What must stay true: nothing here waits, but for [`Writer::write`]. Where a write gives
//! `WouldBlock`, whoever writes next brings the same bytes first: with TLS they may be encrypted
//! already.

use crate::green::embed::{Handle, Stream, unsent};
#[cfg(feature = "tls")]
use crate::tls::TlsHandle;
use socket2::SockRef;
use std::fmt;
use std::io::{self, IoSlice, Read};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// See the module's documentation. It reaches nothing once the connection is closed.
pub(crate) trait SharedSocket: fmt::Debug + Send + Sync {
    /// Writes what is taken at once: `WouldBlock` if that is nothing.
    fn write_now(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Shows what has come to `take`, for one who has the right to read: 0 at the end, `WouldBlock`
    /// if there is nothing.
    fn read_now(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<usize>;
    /// Bytes that the peer has not confirmed, as far as that is known.
    fn unsent(&self) -> u64;
    /// Ends the sending direction, behind all that was written.
    fn finish(&self);
    /// Ends the waits of those who read and write.
    fn shutdown(&self);
    /// As [`shutdown`](Self::shutdown); what the peer has not got yet is thrown away.
    fn reset(&self);
    /// What the thread that calls can wait with for room.
    fn writer(self: Arc<Self>) -> io::Result<Box<dyn Writer>>;
}

/// A thread's own way of writing to a [`SharedSocket`].
pub(crate) trait Writer {
    /// Writes some of `bufs`, waiting for room; `TimedOut` at the deadline.
    fn write(&self, bufs: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize>;
}

/// The socket of a plain connection.
impl SharedSocket for Handle {
    fn write_now(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        let written = self.with(|fd| match bufs {
            [one] => SockRef::from(&fd).send_with_flags(one, flags),
            many => SockRef::from(&fd).send_vectored_with_flags(many, flags),
        });
        written.unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into()))
    }

    fn read_now(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
        let mut bytes = [0; 4096];
        let read = self.with(|fd| (&*SockRef::from(&fd)).read(&mut bytes));
        let n = read.unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into()))?;
        take(&bytes[..n]);
        Ok(n)
    }

    fn unsent(&self) -> u64 {
        self.with(unsent).flatten().unwrap_or(0)
    }

    fn finish(&self) {
        self.with(|fd| {
            let _not_connected = SockRef::from(&fd).shutdown(Shutdown::Write);
        });
    }

    fn shutdown(&self) {
        self.with(|fd| {
            let _not_connected = SockRef::from(&fd).shutdown(Shutdown::Both);
        });
    }

    fn reset(&self) {
        self.with(|fd| {
            let socket = SockRef::from(&fd);
            let _not_a_socket = socket.set_linger(Some(Duration::ZERO));
            let _not_connected = socket.shutdown(Shutdown::Both);
        });
    }

    fn writer(self: Arc<Self>) -> io::Result<Box<dyn Writer>> {
        Ok(Box::new(self.stream_here()?))
    }
}

impl Writer for Stream {
    fn write(&self, bufs: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        self.write_vectored(bufs, deadline)
    }
}

/// The socket below is used as that of a plain connection; the bytes are the session's.
#[cfg(feature = "tls")]
impl SharedSocket for TlsHandle {
    fn write_now(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        Self::write_now(self, bufs)
    }

    fn read_now(&self, take: &mut dyn FnMut(&[u8])) -> io::Result<usize> {
        Self::read_now(self, take)
    }

    fn unsent(&self) -> u64 {
        Self::unsent(self)
    }

    fn finish(&self) {
        Self::finish(self);
    }

    fn shutdown(&self) {
        self.raw().shutdown();
    }

    fn reset(&self) {
        self.raw().reset();
    }

    fn writer(self: Arc<Self>) -> io::Result<Box<dyn Writer>> {
        let room = self.raw().stream_here()?;
        Ok(Box::new(TlsWriter { room, handle: self }))
    }
}

/// Waits with a stream of its own, and writes through the session.
#[cfg(feature = "tls")]
struct TlsWriter {
    room: Stream,
    handle: Arc<TlsHandle>,
}

#[cfg(feature = "tls")]
impl Writer for TlsWriter {
    fn write(&self, bufs: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        self.room
            .when_writable(deadline, || self.handle.write_now(bufs))
    }
}
