//! [`Descriptor`]: any descriptor that can be polled, waited for by whoever uses it.
//!
//! It belongs to no worker: pipes and processes are made on one thread and used on another. While
//! it has something to give, it costs plain system calls and nothing else.
//!
//! # Implementation
//!
//! A green thread that has to wait registers a copy of the descriptor with the epoll of its own
//! worker, and leaves the registration behind for the next wait there. While somebody waits, the
//! registration is his alone, since `may` can wake one waiter for each: a second one at the same
//! time makes another. OS threads poll.
//!
//! A copy is closed after epoll has forgotten it. `may`'s `CoIo` does it the other way round with
//! what it owns, and then a new descriptor of the same number can lose its registration; so here
//! it owns nothing.

use super::line::lock;
use super::sys;
use super::thread::{Interest, Io, TimedOut, wait_for};
use super::worker::{self, Worker};
use may::io::CoIo;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Mutex;
use std::time::Instant;

/// A descriptor that does not block.
pub(super) struct Descriptor<F> {
    fd: F,
    /// What the last wait has left behind.
    idle: Mutex<Option<Registration>>,
}

/// A copy of a descriptor, watched by the epoll of a worker.
struct Registration {
    // The order matters: epoll forgets the copy before it is closed.
    watch: CoIo<RawFd>,
    _copy: OwnedFd,
    worker: usize,
}

impl Registration {
    fn new(fd: &impl AsFd, here: &Worker) -> io::Result<Self> {
        let copy = sys::dup_for_worker(fd.as_fd(), here.index(), worker::workers().len())?;
        Ok(Self {
            watch: CoIo::new(copy.as_raw_fd()).map_err(io::Error::from)?,
            _copy: copy,
            worker: here.index(),
        })
    }
}

impl<F: AsFd> Descriptor<F> {
    /// Makes it one that does not block.
    pub(super) fn new(fd: F) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self {
            fd,
            idle: Mutex::new(None),
        })
    }

    pub(super) fn get(&self) -> &F {
        &self.fd
    }

    /// The descriptor; it still does not block.
    pub(super) fn into_inner(self) -> F {
        self.fd
    }

    /// Waits until `attempt` does not say `WouldBlock`, at most until `deadline`.
    ///
    /// # Errors
    /// `TimedOut` at the deadline; what `attempt` gives; what registering gives.
    pub(super) fn wait<T>(
        &self,
        interest: Interest,
        deadline: Option<Instant>,
        mut attempt: impl FnMut(&F) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut attempt = || loop {
            match attempt(&self.fd) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                done => return Some(done),
            }
        };
        if let Some(done) = attempt() {
            return done;
        }
        let result = match worker::current() {
            None => {
                let io = Io::Poll(self.fd.as_fd(), interest);
                wait_for(deadline, io, |_, _| attempt())
            }
            Some(here) => {
                let lent = self.lend(here)?;
                wait_for(deadline, Io::Green(&lent.registration().watch), |_, _| {
                    attempt()
                })
            }
        };
        result.unwrap_or_else(|TimedOut| Err(TimedOut.into()))
    }

    fn lend(&self, here: &Worker) -> io::Result<Lent<'_>> {
        let left = lock(&self.idle).take();
        let registration = match left {
            Some(registration) if registration.worker == here.index() => registration,
            _elsewhere_or_none => Registration::new(&self.fd, here)?,
        };
        Ok(Lent {
            idle: &self.idle,
            registration: Some(registration),
        })
    }
}

/// A registration for as long as somebody waits.
struct Lent<'a> {
    idle: &'a Mutex<Option<Registration>>,
    registration: Option<Registration>,
}

impl Lent<'_> {
    fn registration(&self) -> &Registration {
        self.registration.as_ref().expect("taken when dropped")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let second = std::mem::replace(&mut *lock(self.idle), self.registration.take());
        drop(second); // not under the lock: these are system calls
    }
}

impl<F: AsFd> fmt::Debug for Descriptor<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fd {}", self.fd.as_fd().as_raw_fd())
    }
}
