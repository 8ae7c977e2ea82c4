//! [`Socket`]: what all public sockets are made of.

use crate::green::descriptor::Descriptor;
use crate::green::thread::{self, Interest, deadline_in};
use crate::green::yield_now;
use socket2::SockRef;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A socket of std's, and how it waits. Clones of a socket share that, as they do in std.
pub(super) struct Socket<T> {
    descriptor: Descriptor<T>,
    modes: Arc<Modes>,
}

#[derive(Default)]
struct Modes {
    /// In nanoseconds, 0 for none.
    read_timeout: AtomicU64,
    write_timeout: AtomicU64,
    /// The user wants `WouldBlock` instead of a wait.
    nonblocking: AtomicBool,
}

impl Modes {
    fn timeout(&self, interest: Interest) -> &AtomicU64 {
        match interest {
            Interest::Readable => &self.read_timeout,
            Interest::Writable => &self.write_timeout,
        }
    }
}

impl<T: AsFd> Socket<T> {
    /// For a socket that is non-blocking already and has no timeouts.
    pub(super) fn new(std: T) -> Self {
        Self {
            descriptor: Descriptor::nonblocking(std),
            modes: Arc::default(),
        }
    }

    /// Takes over a socket of whatever mode, with its timeouts.
    pub(super) fn take_over(std: T) -> Self {
        let plain = SockRef::from(&std);
        plain
            .set_nonblocking(true)
            .expect("the mode of an open socket can be set");
        let timeouts = [
            (Interest::Readable, plain.read_timeout()),
            (Interest::Writable, plain.write_timeout()),
        ];
        let socket = Self::new(std);
        for (interest, timeout) in timeouts {
            if let Ok(Some(timeout)) = timeout {
                socket.modes.set(interest, timeout);
            }
        }
        socket
    }

    /// Gives the socket back as std makes them: blocking, with the timeouts that were set here.
    pub(super) fn give_back(self) -> T {
        let plain = SockRef::from(self.std());
        plain
            .set_nonblocking(false)
            .expect("the mode of an open socket can be set");
        // Cannot fail: the kernel takes any duration that is not negative.
        let _ = plain.set_read_timeout(self.timeout(Interest::Readable));
        let _ = plain.set_write_timeout(self.timeout(Interest::Writable));
        self.descriptor.into_inner()
    }

    pub(super) fn with_modes_of(self, other: &Self) -> Self {
        Self {
            modes: other.modes.clone(),
            ..self
        }
    }

    pub(super) fn std(&self) -> &T {
        self.descriptor.get()
    }

    pub(super) fn set_nonblocking(&self, nonblocking: bool) {
        self.modes.nonblocking.store(nonblocking, Ordering::Relaxed);
    }

    pub(super) fn timeout(&self, interest: Interest) -> Option<Duration> {
        let nanos = self.modes.timeout(interest).load(Ordering::Relaxed);
        (nanos != 0).then(|| Duration::from_nanos(nanos))
    }

    pub(super) fn set_timeout(
        &self,
        interest: Interest,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        match timeout {
            None => self.modes.timeout(interest).store(0, Ordering::Relaxed),
            Some(Duration::ZERO) => {
                let why = "a timeout of zero would never wait: use set_nonblocking";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
            Some(timeout) => self.modes.set(interest, timeout),
        }
        Ok(())
    }

    /// Does `operation` as soon as it would not block, under the socket's own timeout.
    pub(super) fn when<R>(
        &self,
        interest: Interest,
        operation: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        let deadline = self.timeout(interest).and_then(deadline_in);
        self.when_until(interest, deadline, operation)
    }

    /// As [`when`](Self::when), under another deadline.
    pub(super) fn when_until<R>(
        &self,
        interest: Interest,
        deadline: Option<Instant>,
        operation: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        give_way();
        if self.modes.nonblocking.load(Ordering::Relaxed) {
            return self.descriptor.now(operation);
        }
        self.descriptor.wait(interest, deadline, operation)
    }
}

impl Modes {
    fn set(&self, interest: Interest, timeout: Duration) {
        let nanos = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        self.timeout(interest)
            .store(nanos.max(1), Ordering::Relaxed);
    }
}

/// A peer that is always ready must not keep a worker to itself.
fn give_way() {
    if !std::thread::panicking() && thread::current().did() {
        yield_now();
    }
}

/// What every socket type has: its descriptor, the way from and to std, and that it can be shown.
macro_rules! plumbing {
    ($Type:ident, $Std:ty) => {
        impl $Type {
            /// With `true`, what would wait fails with `WouldBlock` instead. Clones share it.
            ///
            /// # Errors
            /// None; the `Result` is std's.
            pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
                self.socket.set_nonblocking(nonblocking);
                Ok(())
            }

            /// The error that the socket has met since it was last asked, which is forgotten then.
            ///
            /// # Errors
            /// Whatever the kernel reports.
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                self.socket.std().take_error()
            }

            /// Another handle to the same socket. It counts as an open descriptor of its own.
            ///
            /// # Errors
            /// When the process is out of descriptors.
            pub fn try_clone(&self) -> io::Result<Self> {
                let socket = Socket::new(self.socket.std().try_clone()?);
                Ok(Self {
                    socket: socket.with_modes_of(&self.socket),
                })
            }

            /// Ready when there is something to take: for [`select`](crate::green::select) and
            /// [`wait`](crate::green::wait).
            pub fn readable(&self) -> super::Ready<'_> {
                super::readable(self)
            }

            /// Ready when there is room to write: for [`select`](crate::green::select) and
            /// [`wait`](crate::green::wait).
            pub fn writable(&self) -> super::Ready<'_> {
                super::writable(self)
            }
        }

        impl AsFd for $Type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.socket.std().as_fd()
            }
        }

        impl AsRawFd for $Type {
            fn as_raw_fd(&self) -> RawFd {
                self.socket.std().as_raw_fd()
            }
        }

        /// Makes the socket non-blocking and takes its timeouts over. Clones that stay with std
        /// become non-blocking too: the kernel keeps that with the socket, not with the handle.
        impl From<$Std> for $Type {
            fn from(std: $Std) -> Self {
                Self {
                    socket: Socket::take_over(std),
                }
            }
        }

        /// Makes the socket blocking, with its timeouts. Clones that stay here would then block
        /// their worker, so there must be none.
        impl From<$Type> for $Std {
            fn from(socket: $Type) -> Self {
                socket.socket.give_back()
            }
        }

        /// As for std's socket: it is blocking then.
        impl From<$Type> for OwnedFd {
            fn from(socket: $Type) -> Self {
                socket.socket.give_back().into()
            }
        }

        impl fmt::Debug for $Type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.socket.std().fmt(f)
            }
        }
    };
}

/// The timeouts of what is read and written.
macro_rules! timeouts {
    ($Type:ident) => {
        impl $Type {
            /// How long one read waits at most; `None`, the default, does not end by itself. A read
            /// that has waited in vain fails with `TimedOut` (std's fails with `WouldBlock`).
            /// Clones share it. An enclosing [`Timeout`](crate::green::Timeout) counts as well.
            ///
            /// # Errors
            /// `InvalidInput` for a timeout of zero.
            pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                self.socket.set_timeout(Interest::Readable, timeout)
            }

            /// How long one write waits at most, as [`set_read_timeout`](Self::set_read_timeout).
            ///
            /// # Errors
            /// `InvalidInput` for a timeout of zero.
            pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                self.socket.set_timeout(Interest::Writable, timeout)
            }

            /// How long one read waits at most.
            ///
            /// # Errors
            /// None; the `Result` is std's.
            pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
                Ok(self.socket.timeout(Interest::Readable))
            }

            /// How long one write waits at most.
            ///
            /// # Errors
            /// None; the `Result` is std's.
            pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
                Ok(self.socket.timeout(Interest::Writable))
            }
        }
    };
}

/// `Read` and `Write` of a stream, for itself and for a reference: one may read while another
/// writes.
macro_rules! stream {
    ($Type:ident) => {
        impl $Type {
            /// Ends one or both directions; the other side reads what was written, and then the
            /// end. Waits on this side end as well.
            ///
            /// # Errors
            /// `NotConnected` when the other side has closed already.
            pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                self.socket.std().shutdown(how)
            }
        }

        impl Read for &$Type {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                let reading = |mut std: &_| Read::read(&mut std, buf);
                self.socket.when(Interest::Readable, reading)
            }
            fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                let reading = |mut std: &_| Read::read_vectored(&mut std, bufs);
                self.socket.when(Interest::Readable, reading)
            }
        }

        impl Write for &$Type {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                let writing = |mut std: &_| Write::write(&mut std, buf);
                self.socket.when(Interest::Writable, writing)
            }
            fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                let writing = |mut std: &_| Write::write_vectored(&mut std, bufs);
                self.socket.when(Interest::Writable, writing)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        impl Read for $Type {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                (&*self).read(buf)
            }
            fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                (&*self).read_vectored(bufs)
            }
        }

        impl Write for $Type {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                (&*self).write(buf)
            }
            fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                (&*self).write_vectored(bufs)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    };
}

/// Waiting for connections.
macro_rules! listener {
    ($Type:ident, $Stream:ty, $Addr:ty) => {
        impl $Type {
            fn accept_now(std: &impl AsFd) -> io::Result<(socket2::Socket, socket2::SockAddr)> {
                let (stream, addr) = SockRef::from(std).accept()?;
                stream.set_nonblocking(true)?;
                Ok((stream, addr))
            }

            /// Waits for a connection, and gives it with the address of the other side. Several
            /// may wait at once; one of them gets it.
            ///
            /// # Errors
            /// Whatever the kernel reports. What concerns only one connection
            /// (`ConnectionAborted`) or passes (out of descriptors) is no reason to stop; wait a
            /// little before the next attempt.
            pub fn accept(&self) -> io::Result<($Stream, $Addr)> {
                self.socket
                    .when(Interest::Readable, |std| Self::accept_now(std))
                    .and_then(Self::accepted)
            }

            /// As [`accept`](Self::accept), waiting at most `timeout`.
            ///
            /// # Errors
            /// `TimedOut` when nobody came; otherwise as `accept`.
            pub fn accept_timeout(&self, timeout: Duration) -> io::Result<($Stream, $Addr)> {
                let deadline = deadline_in(timeout);
                let accept = |std: &_| Self::accept_now(std);
                self.socket
                    .when_until(Interest::Readable, deadline, accept)
                    .and_then(Self::accepted)
            }

            /// The connections that come, one after the other; never ends.
            pub fn incoming(&self) -> impl Iterator<Item = io::Result<$Stream>> + fmt::Debug + '_ {
                Incoming(self)
            }
        }

        #[derive(Debug)]
        struct Incoming<'a>(&'a $Type);

        impl Iterator for Incoming<'_> {
            type Item = io::Result<$Stream>;

            fn next(&mut self) -> Option<Self::Item> {
                Some(self.0.accept().map(|(stream, _)| stream))
            }
        }
    };
}

pub(super) use {listener, plumbing, stream, timeouts};
