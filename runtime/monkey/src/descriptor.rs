//! Waiting for a descriptor, as a call that comes out of C.

use crate::errno;
use crate::original;
use crate::waits::Place;
use greenway_green::Awaited;
use greenway_green::embed::{
    Ended, Interest, Io, current, deadline_in, lock, take_turn_quietly, wait_quietly,
};
use libc::{c_int, socklen_t, ssize_t, timeval};
use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

/// Why a wait has ended without the descriptor being ready, as the number that the call fails with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) c_int);

/// What a call waits for: how the dump calls it, and what of the descriptor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct For {
    pub(crate) call: &'static str,
    pub(crate) interest: Interest,
}

impl For {
    pub(crate) const fn reading(call: &'static str) -> Self {
        let interest = Interest::Readable;
        Self { call, interest }
    }

    pub(crate) const fn writing(call: &'static str) -> Self {
        let interest = Interest::Writable;
        Self { call, interest }
    }

    /// The socket's own timeout for it.
    fn timeout_option(self) -> c_int {
        match self.interest {
            Interest::Readable => libc::SO_RCVTIMEO,
            Interest::Writable => libc::SO_SNDTIMEO,
        }
    }
}

/// Does what `attempt` does without blocking, as soon as it does not fail with `EAGAIN`: what a blocking call
/// on `fd` would have done. `asked_not_to_wait`: the call itself said so, whatever the descriptor's mode.
///
/// `attempt` gives a negative number when it has failed.
pub(crate) fn when_ready(
    fd: c_int,
    what: For,
    asked_not_to_wait: bool,
    mut attempt: impl FnMut() -> ssize_t,
) -> ssize_t {
    take_turn_quietly();
    let mut deadline = None;
    let mut first = true;
    loop {
        let result = attempt();
        if result >= 0 || !errno::would_block() {
            return result;
        }
        if first {
            if asked_not_to_wait || is_nonblocking(fd) {
                return errno::fail(libc::EAGAIN);
            }
            deadline = timeout(fd, what).and_then(deadline_in);
            first = false;
        }
        if let Err(Errno(error)) = wait(fd, what, deadline) {
            return errno::fail(error);
        }
    }
}

/// Waits until `fd` may be ready.
///
/// # Errors
/// `EAGAIN` when the deadline has passed, `ECANCELED` when the thread is to end, `EBADF` when somebody
/// has closed the descriptor.
#[inline(never)] // off the stack of calls that need not wait
pub(crate) fn wait(fd: c_int, what: For, deadline: Option<Instant>) -> Result<(), Errno> {
    // SAFETY: whoever closes it through the C library ends this wait first. A number that comes to
    // mean another descriptor makes the wait end early or late, and touches no memory.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let place = Place::take(fd, &current().handle());
    let mut looked = false;
    let ended = wait_quietly(
        Awaited::Other(what.call),
        deadline,
        Io::Poll(borrowed, what.interest),
        |_| {
            // The caller has just tried. Woken for nothing, it goes on waiting.
            let came_back = std::mem::replace(&mut looked, true);
            (came_back && (!place.is_open() || is_ready(fd, what.interest))).then_some(())
        },
    );
    if !place.is_open() {
        return Err(Errno(libc::EBADF));
    }
    ended.map_err(|ended| match ended {
        Ended::TimedOut => Errno(libc::EAGAIN),
        Ended::Interrupted => Errno(libc::ECANCELED),
    })
}

/// Whether the descriptor's owner wants `EAGAIN` instead of a wait.
pub(crate) fn is_nonblocking(fd: c_int) -> bool {
    if let Some(was) = Made::mode_before(fd) {
        return was;
    }
    mode(fd) & libc::O_NONBLOCK != 0
}

fn mode(fd: c_int) -> c_int {
    // SAFETY: asks for flags, and passes no memory.
    unsafe { original::fcntl(fd, libc::F_GETFL, 0) }
}

/// A socket's own timeout; `None` if it has none, or is no socket.
pub(crate) fn timeout(fd: c_int, what: For) -> Option<Duration> {
    let mut time = timeval {
        tv_sec: 0,
        tv_usec: 0,
    };
    let mut length = size_of::<timeval>() as socklen_t;
    // SAFETY: the option is a `timeval`, which lives over the call, as does its length.
    let result = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            what.timeout_option(),
            (&raw mut time).cast(),
            &raw mut length,
        )
    };
    let time = Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1_000);
    (result == 0 && !time.is_zero()).then_some(time)
}

/// Descriptors that were made non-blocking for the length of a call that has no other way to say so: how
/// many such calls are under way, and whether the descriptor was non-blocking before.
static MADE: LazyLock<Mutex<HashMap<c_int, (usize, bool)>>> = LazyLock::new(Mutex::default);
static HOW_MANY: AtomicUsize = AtomicUsize::new(0);

/// While it lives, a descriptor does not block. Its mode is that of all who share it, so others
/// ask [`is_nonblocking`], which knows what it was.
pub(crate) struct Made(c_int);

impl Made {
    /// For a call that is over at once.
    pub(crate) fn nonblocking(fd: c_int) -> Self {
        HOW_MANY.fetch_add(1, Ordering::SeqCst);
        let mut made = lock(&MADE);
        if let Some((calls, _)) = made.get_mut(&fd) {
            *calls += 1;
            return Self(fd);
        }
        let mode = mode(fd);
        let was = mode < 0 || mode & libc::O_NONBLOCK != 0;
        made.insert(fd, (1, was));
        if !was {
            set_mode(fd, mode | libc::O_NONBLOCK);
        }
        Self(fd)
    }

    /// What the mode of a descriptor was before we changed it, if we have.
    fn mode_before(fd: c_int) -> Option<bool> {
        if HOW_MANY.load(Ordering::SeqCst) == 0 {
            return None;
        }
        lock(&MADE).get(&fd).map(|(_, was)| *was)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let error = errno::get(); // what the call has left
        let mut made = lock(&MADE);
        if let Some((calls, was)) = made.get_mut(&self.0) {
            *calls -= 1;
            if *calls == 0 {
                let was = *was;
                made.remove(&self.0);
                let mode = mode(self.0);
                if !was && mode >= 0 {
                    set_mode(self.0, mode & !libc::O_NONBLOCK);
                }
            }
        }
        drop(made);
        HOW_MANY.fetch_sub(1, Ordering::SeqCst);
        errno::set(error);
    }
}

fn set_mode(fd: c_int, mode: c_int) {
    // SAFETY: sets flags, and passes no memory. It cannot fail for a descriptor that is open.
    unsafe { original::fcntl(fd, libc::F_SETFL, mode as libc::c_ulong) };
}

/// Whether a descriptor is ready now, or has an error.
pub(crate) fn is_ready(fd: c_int, interest: Interest) -> bool {
    let mut one = libc::pollfd {
        fd,
        events: match interest {
            Interest::Readable => libc::POLLIN,
            Interest::Writable => libc::POLLOUT,
        },
        revents: 0,
    };
    // SAFETY: one entry, which lives over the call.
    unsafe { original::poll(&raw mut one, 1, 0) != 0 }
}
