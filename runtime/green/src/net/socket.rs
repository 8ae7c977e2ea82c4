//! [`Socket`]: what all public sockets are made of.

use crate::os::descriptor::Descriptor;
use crate::scheduler::thread::{self, Awaited, deadline_in};
use crate::scheduler::timed_out::TimedOut;
use crate::sys::{self, Interest};
use crate::{sleep, threadpool, yield_now};
use socket2::SockRef;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
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
    /// A clone was given back to std: the socket blocks, for all. Nothing but `accept` depends on that.
    given_back: AtomicBool,
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
        self.modes.given_back.store(true, Ordering::SeqCst);
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
        give_way();
        if self.modes.nonblocking.load(Ordering::Relaxed) {
            return self.descriptor.now(operation);
        }
        let deadline = self.timeout(interest).and_then(deadline_in);
        self.descriptor.wait(interest, deadline, operation)
    }

    /// As [`when`](Self::when), for `accept`, until `deadline`.
    ///
    /// To accept has no flag for "do not wait". Once a clone was given back to std the socket blocks,
    /// and a connection that is there when we look may be taken by that clone before we accept it. So
    /// an OS thread accepts then, which may wait for the next one.
    pub(super) fn when_called<R: Send + 'static>(
        &self,
        deadline: Option<Instant>,
        accept: fn(&T) -> io::Result<R>,
    ) -> io::Result<R>
    where
        T: From<OwnedFd> + Send + 'static,
    {
        give_way();
        let nonblocking = self.modes.nonblocking.load(Ordering::Relaxed);
        let given_back = self.modes.given_back.load(Ordering::Relaxed);
        if !given_back && nonblocking {
            return self.descriptor.now(accept);
        }
        if !given_back {
            return self
                .descriptor
                .wait_as(Awaited::Accept, Interest::Readable, deadline, accept);
        }
        let ready = |std: &T| match sys::is_ready(std.as_fd(), Interest::Readable) {
            true => Ok(()),
            false => Err(io::ErrorKind::WouldBlock.into()),
        };
        if nonblocking {
            self.descriptor.now(ready)?;
        } else {
            self.descriptor
                .wait_as(Awaited::Accept, Interest::Readable, deadline, ready)?;
        }
        let copy = Descriptor::nonblocking(T::from(self.std().as_fd().try_clone_to_owned()?));
        let job = threadpool().spawn(move || copy.now(accept));
        match deadline {
            None => job.join(),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                job.join_timeout(left)
                    .unwrap_or_else(|| Ok(Err(TimedOut.into())))
            }
        }
        .unwrap_or_else(|_killed| Err(io::ErrorKind::Interrupted.into()))
    }

    /// As [`when`](Self::when), to write where the kernel does not tell of free space.
    pub(super) fn when_taken<R>(
        &self,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        give_way();
        if self.modes.nonblocking.load(Ordering::Relaxed) {
            return self.descriptor.now(operation);
        }
        let deadline = self.timeout(Interest::Writable).and_then(deadline_in);
        until_space(deadline, || self.descriptor.now(&mut operation))
    }
}

/// What the kernel does not tell of is tried again after so long: doubling, from and to.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Tries until a unix socket's queue has space, at most until `deadline`.
pub(super) fn until_space<R>(
    deadline: Option<Instant>,
    mut attempt: impl FnMut() -> io::Result<R>,
) -> io::Result<R> {
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
        if std::thread::panicking() || deadline.is_some_and(|at| at <= Instant::now()) {
            return Err(TimedOut.into());
        }
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        sleep(left.map_or(pause, |left| left.min(pause)));
        pause = (pause * 2).min(LONGEST_PAUSE);
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
    if !std::thread::panicking() && thread::with_current(|me| me.tick()) {
        yield_now();
    }
}
