//! A connection that the server serves: reads and writes are waits like any other.
//!
//! Made on a green thread it belongs to that thread's worker, whose epoll watches it for good;
//! made on an OS thread it is polled by whichever OS thread uses it. So a connection that is read
//! and written on one worker costs no system call but the read and the write. What handlers use
//! is [`TcpStream`](super::TcpStream), which may be anywhere.

use crate::net::handle::{Handle, Opened};
use crate::runtime;
use crate::scheduler::no_wait::NoWaitCell;
use crate::scheduler::registered::Registered;
use crate::scheduler::thread::{Awaited, Io, wait_for};
use crate::scheduler::timed_out::TimedOut;
use crate::scheduler::worker;
use crate::sys;
use crate::sys::Interest;
use std::cell::{Cell, OnceCell};
use std::io::{self, IoSlice};
use std::net::{Shutdown, TcpStream as StdStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Epoll's flags for "nothing more will come": then a short read does not mean an empty socket.
const ENDED: usize = (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as usize;

/// What one read can take at most.
const SCRATCH_LEN: usize = 64 * 1024;

/// A connected stream.
pub struct Stream {
    /// Before the socket: it is to know of its end before the descriptor is closed.
    opened: OnceCell<Opened>,
    socket: Socket,
    /// The last read came back short, so there is nothing to read before the next event.
    drained: Cell<bool>,
    ended: Cell<bool>,
}

enum Socket {
    Green(Registered<StdStream>),
    Plain(StdStream),
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream(fd {})", self.std().as_raw_fd())
    }
}

impl Stream {
    /// A stream for the thread that calls, of a socket that is non-blocking already.
    ///
    /// # Errors
    /// When the process is out of descriptors or epoll refuses.
    pub fn new(stream: StdStream) -> io::Result<Self> {
        let socket = match worker::current() {
            None => Socket::Plain(stream),
            Some(here) => {
                let count = runtime::workers().len();
                let stream = if stream.as_raw_fd() as usize % count == here.index() {
                    stream
                } else {
                    sys::dup_for_worker(stream.as_fd(), here.index(), count)?.into()
                };
                Socket::Green(Registered::new(stream)?)
            }
        };
        Ok(Self {
            opened: OnceCell::new(),
            socket,
            drained: Cell::new(false),
            ended: Cell::new(false),
        })
    }

    /// The socket, for all threads, until the stream is dropped.
    pub fn handle(&self) -> Arc<Handle> {
        let opened = self
            .opened
            .get_or_init(|| Opened::new(self.std().as_raw_fd()));
        opened.handle().clone()
    }

    /// Whether a green thread uses it, on the worker that it belongs to.
    pub fn is_green(&self) -> bool {
        matches!(&self.socket, Socket::Green(stream) if stream.is_here())
    }

    /// The socket itself.
    pub fn std(&self) -> &StdStream {
        match &self.socket {
            Socket::Green(stream) => stream.get(),
            Socket::Plain(stream) => stream,
        }
    }

    /// The plain socket, for an owner on another thread. `None` if it is tied to a worker.
    pub fn into_plain(self) -> Option<StdStream> {
        match self.socket {
            Socket::Green(_) => None,
            Socket::Plain(stream) => Some(stream), // its handles reach nothing any more
        }
    }

    fn io(&self, interest: Interest) -> Io<'_> {
        match &self.socket {
            Socket::Green(stream) => stream.io(interest),
            Socket::Plain(stream) => Io::Poll(stream.as_fd(), interest),
        }
    }

    /// Another thread has used the stream, or another epoll has watched it: what is known of its
    /// state is old.
    pub fn came_back(&self) {
        self.drained.set(false);
    }

    /// Reads what is there and shows it to `take`, waiting until `deadline` for something to
    /// come. Gives its length; 0 at the end of the stream.
    ///
    /// The bytes lie in a buffer that all streams of this OS thread share, so that a connection
    /// that waits needs none of its own. `take` may change them there, as decryption in place does.
    ///
    /// # Errors
    /// `TimedOut` at the deadline; whatever the socket reports.
    pub fn read(
        &self,
        deadline: Option<Instant>,
        take: impl FnMut(&mut [u8]),
    ) -> io::Result<usize> {
        static NEVER: AtomicBool = AtomicBool::new(false);
        self.read_unless(&NEVER, deadline, take)
    }

    /// As [`read`](Self::read), but gives 0 as well when nothing is there and `stop` is set.
    /// Whoever sets it has to wake the thread then.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_unless(
        &self,
        stop: &AtomicBool,
        deadline: Option<Instant>,
        mut take: impl FnMut(&mut [u8]),
    ) -> io::Result<usize> {
        let result = wait_for(
            Awaited::Readable,
            deadline,
            self.io(Interest::Readable),
            |_, flags| {
                if flags & ENDED != 0 {
                    self.ended.set(true);
                }
                let stopped = stop.load(Ordering::SeqCst);
                // A green socket tells its worker when something comes, so an empty one need not be
                // asked there.
                if self.drained.get() && flags == 0 && !stopped && self.is_green() {
                    return None;
                }
                match self.read_now(&mut take) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        stopped.then_some(Ok(0))
                    }
                    done => Some(done),
                }
            },
        );
        result.unwrap_or_else(|TimedOut| Err(io::ErrorKind::TimedOut.into()))
    }

    /// As [`read`](Self::read), without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; whatever the socket reports.
    pub fn read_now(&self, take: &mut dyn FnMut(&mut [u8])) -> io::Result<usize> {
        thread_local!(static SCRATCH: NoWaitCell<Box<[u8]>> = NoWaitCell::new(vec![0; SCRATCH_LEN].into()));
        // Borrowed over one system call and one copy: nothing waits in between.
        SCRATCH.with(|scratch| {
            let scratch = &mut **scratch.borrow_mut();
            let result = retry(|| sys::receive(self.std(), scratch));
            match &result {
                Ok(n) => {
                    self.drained
                        .set(self.is_green() && *n < scratch.len() && !self.ended.get());
                    take(&mut scratch[..*n]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.drained.set(self.is_green());
                }
                Err(_) => {}
            }
            result
        })
    }

    /// As [`read_now`](Self::read_now), without asking a socket that is known to be empty.
    ///
    /// # Errors
    /// As there.
    pub fn read_if_any(&self, take: &mut dyn FnMut(&mut [u8])) -> io::Result<usize> {
        if self.drained.get() && self.is_green() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.read_now(take)
    }

    /// Waits for news of the socket, in whichever direction, or until `stop` is set. Whoever sets
    /// it has to wake the thread then. May return early.
    ///
    /// # Errors
    /// `TimedOut` at the deadline.
    pub fn wait_any(&self, stop: &AtomicBool, deadline: Option<Instant>) -> io::Result<()> {
        let fd = self.std().as_fd();
        let both = [(fd, Interest::Readable), (fd, Interest::Writable)];
        let io = match &self.socket {
            Socket::Green(stream) => stream.io(Interest::Readable), // epoll tells of both
            Socket::Plain(_) => Io::PollAny(&both),
        };
        let mut waited = false;
        let result = wait_for(Awaited::Readable, deadline, io, |_, flags| {
            if flags & ENDED != 0 {
                self.ended.set(true);
            }
            if flags != 0 {
                self.drained.set(false);
            }
            let done = flags != 0 || waited || stop.load(Ordering::SeqCst);
            waited = true;
            done.then_some(())
        });
        result.map_err(|TimedOut| io::ErrorKind::TimedOut.into())
    }

    /// Writes some of `bufs`, waiting until `deadline` for space.
    ///
    /// # Errors
    /// `TimedOut` at the deadline; whatever the socket reports.
    pub fn write_vectored(
        &self,
        bufs: &[IoSlice<'_>],
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        self.when_writable(deadline, || self.write_now(bufs))
    }

    /// Does what writes to the socket as soon as it does not fail with `WouldBlock`, waiting until
    /// `deadline` for space.
    ///
    /// # Errors
    /// `TimedOut` at the deadline; those of `attempt`.
    pub fn when_writable<R>(
        &self,
        deadline: Option<Instant>,
        mut attempt: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        let result = wait_for(
            Awaited::Writable,
            deadline,
            self.io(Interest::Writable),
            |_, flags| {
                if flags != 0 {
                    // The event may have been about input as well: the next read has to try the socket.
                    self.drained.set(false);
                }
                match attempt() {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
                    done => Some(done),
                }
            },
        );
        result.unwrap_or_else(|TimedOut| Err(io::ErrorKind::TimedOut.into()))
    }

    /// As [`write_vectored`](Self::write_vectored), without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when there is no space; whatever the socket reports.
    pub fn write_now(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match bufs {
            [one] => retry(|| sys::send(self.std(), one)),
            many => retry(|| sys::send_vectored(self.std(), many)),
        }
    }

    /// Ends one or both directions.
    pub fn shutdown(&self, how: Shutdown) {
        // Fails only if the peer has closed already, which is what we are after.
        let _ = self.std().shutdown(how);
    }
}

fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
