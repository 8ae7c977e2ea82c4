//! Our ends of a child's pipes.

use crate::os::descriptor::Descriptor;
use crate::scheduler::lock::lock;
use crate::scheduler::thread::deadline_in;
use crate::sys::Interest;
use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// One end of a pipe.
struct Pipe {
    end: Descriptor<File>,
    timeout: Mutex<Option<Duration>>,
}

impl Pipe {
    fn new(fd: impl Into<OwnedFd>) -> io::Result<Self> {
        Ok(Self {
            end: Descriptor::new(File::from(fd.into()))?,
            timeout: Mutex::new(None),
        })
    }

    fn set_timeout(&self, timeout: Option<Duration>) {
        *lock(&self.timeout) = timeout;
    }

    fn deadline(&self) -> Option<Instant> {
        let timeout = *lock(&self.timeout);
        timeout.and_then(deadline_in)
    }

    fn read<T>(&self, mut read: impl FnMut(&File) -> io::Result<T>) -> io::Result<T> {
        self.end
            .wait(Interest::Readable, self.deadline(), |file| read(file))
    }

    fn write<T>(&self, mut write: impl FnMut(&File) -> io::Result<T>) -> io::Result<T> {
        self.end
            .wait(Interest::Writable, self.deadline(), |file| write(file))
    }

    /// For another process: one that blocks, as programs expect.
    fn into_fd(self) -> OwnedFd {
        let file = self.end.into_inner();
        // Fails for no descriptor that it could be set for.
        let _ = rustix::io::ioctl_fionbio(&file, false);
        file.into()
    }
}

/// What all three have in common.
macro_rules! pipe {
    ($(#[$doc:meta])* $name:ident, $set_timeout:ident) => {
        $(#[$doc])*
        pub struct $name(Pipe);

        impl $name {
            pub(super) fn new(std: std::process::$name) -> io::Result<Self> {
                Pipe::new(std).map(Self)
            }

            /// How long each call waits at most; then it gives
            /// [`TimedOut`](io::ErrorKind::TimedOut). Default: without limit.
            pub fn $set_timeout(&self, timeout: Option<Duration>) {
                self.0.set_timeout(timeout);
            }
        }

        impl AsFd for $name {
            /// It does not block: calls on it may say `WouldBlock`.
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.end.get().as_fd()
            }
        }

        /// One that blocks.
        impl From<$name> for OwnedFd {
            fn from(pipe: $name) -> Self {
                pipe.0.into_fd()
            }
        }

        /// For another child.
        impl From<$name> for Stdio {
            fn from(pipe: $name) -> Self {
                OwnedFd::from(pipe).into()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.0.end).finish()
            }
        }
    };
}

macro_rules! read {
    ($($type:ty),*) => {$(
        impl Read for $type {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.0.read(|mut file| file.read(buf))
            }
            fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                self.0.read(|mut file| file.read_vectored(bufs))
            }
        }
    )*};
}

macro_rules! write {
    ($($type:ty),*) => {$(
        impl Write for $type {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                self.0.write(|mut file| file.write(buf))
            }
            fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                self.0.write(|mut file| file.write_vectored(bufs))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    )*};
}

pipe!(
    /// The end of a pipe that a child reads its input from. The child sees the end of its input
    /// when this is dropped.
    ChildStdin,
    set_write_timeout
);
pipe!(
    /// The end of a pipe that a child writes its output to.
    ChildStdout,
    set_read_timeout
);
pipe!(
    /// The end of a pipe that a child writes its complaints to.
    ChildStderr,
    set_read_timeout
);
write!(ChildStdin, &ChildStdin);
read!(ChildStdout, &ChildStdout, ChildStderr, &ChildStderr);
