//! What the public sockets have in common, as macros: Rust has no other way to give several types the
//! same methods and traits.

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

            /// Ready when there is something to take: for [`select`](crate::select) and
            /// [`wait`](crate::sync::wait).
            pub fn readable(&self) -> super::Ready<'_> {
                super::readable(self)
            }

            /// Ready when there is space to write: for [`select`](crate::select) and
            /// [`wait`](crate::sync::wait).
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

        /// Makes the socket blocking, with its timeouts. Clones that stay here wait as before: what
        /// they do says for itself that it does not block.
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
            /// Clones share it. An enclosing [`Timeout`](crate::Timeout) counts as well.
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
                let reading = |std: &_| sys::receive(std, buf);
                self.socket.when(Interest::Readable, reading)
            }
            fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                let reading = |std: &_| sys::receive_vectored(std, bufs);
                self.socket.when(Interest::Readable, reading)
            }
        }

        impl Write for &$Type {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                let writing = |std: &_| sys::send(std, buf);
                self.socket.when(Interest::Writable, writing)
            }
            fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                let writing = |std: &_| sys::send_vectored(std, bufs);
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
    ($Type:ident, $Stream:ty, $Std:ty, $Addr:ty) => {
        impl $Type {
            /// Waits for a connection, and gives it with the address of the other side. Several
            /// may wait at once; one of them gets it.
            ///
            /// # Errors
            /// Whatever the kernel reports. What concerns only one connection
            /// (`ConnectionAborted`) or passes (out of descriptors) is no reason to stop; wait a
            /// little before the next attempt.
            pub fn accept(&self) -> io::Result<($Stream, $Addr)> {
                Self::accepted(self.socket.when_called(None, |std| std.accept()))
            }

            /// As [`accept`](Self::accept), waiting at most `timeout`.
            ///
            /// # Errors
            /// `TimedOut` when nobody came; otherwise as `accept`.
            pub fn accept_timeout(&self, timeout: Duration) -> io::Result<($Stream, $Addr)> {
                let deadline = deadline_in(timeout);
                Self::accepted(self.socket.when_called(deadline, |std| std.accept()))
            }

            fn accepted(accepted: io::Result<($Std, $Addr)>) -> io::Result<($Stream, $Addr)> {
                let (std, addr) = accepted?;
                std.set_nonblocking(true)?;
                Ok((<$Stream>::connected(std), addr))
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
