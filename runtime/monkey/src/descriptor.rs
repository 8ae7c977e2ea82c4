//! Waiting for a descriptor, as a call that comes out of C.

use crate::errno;
use crate::original;
use crate::patience::Patience;
use crate::waiting::{may_be_handler, wait_quietly, yield_quietly};
use crate::waits::{Place, Standing};
use greenway_green::Awaited;
use greenway_green::embed::{Ended, Interest, Io, current, deadline_in, lock, turn_is_over};
use libc::{c_int, c_short, socklen_t, ssize_t, timeval};
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

/// A call on a descriptor that is made without blocking, and made again, until it is done or may wait no longer:
/// what a blocking call would have done.
pub(crate) struct Call {
    fd: c_int,
    what: For,
    /// The call itself says so, whatever the descriptor's mode.
    asked_not_to_wait: bool,
    /// From the first wait on: when the socket's own timeout is over, which is one for the whole call.
    deadline: Option<Option<Instant>>,
    /// From the first time on that the descriptor was said to be ready, and was not.
    patience: Option<Patience>,
}

/// The longest pause where a descriptor is said to be ready, and is not.
const LONGEST: Duration = Duration::from_millis(20);

impl Call {
    pub(crate) fn new(fd: c_int, what: For, asked_not_to_wait: bool) -> Self {
        // Who has asked for a descriptor that does not block sees to others in another way.
        if turn_is_over() && !asked_not_to_wait && !is_nonblocking(fd) && !may_be_handler() {
            yield_quietly();
        }
        Self {
            fd,
            what,
            asked_not_to_wait,
            deadline: None,
            patience: None,
        }
    }

    /// Does what `attempt` does as soon as that does not fail with `EAGAIN`. It gives a negative number when
    /// it has failed. Where it succeeds, `errno` is what it was.
    pub(crate) fn until_done(&mut self, mut attempt: impl FnMut() -> ssize_t) -> ssize_t {
        let before = errno::get();
        let mut waited = false;
        loop {
            let result = attempt();
            if result >= 0 {
                errno::set(before);
                return result;
            }
            if !errno::would_block() {
                return result;
            }
            if let Err(Errno(error)) = self.wait(waited) {
                return errno::fail(error);
            }
            waited = true;
        }
    }

    /// Whether a part of what was asked for is all that the call is to give.
    pub(crate) fn takes_a_part(&self) -> bool {
        self.asked_not_to_wait || is_nonblocking(self.fd)
    }

    /// Waits until another attempt makes sense.
    #[inline(never)] // off the stack of calls that need not wait
    fn wait(&mut self, again: bool) -> Result<(), Errno> {
        let deadline = match self.deadline {
            Some(deadline) => deadline,
            None if self.takes_a_part() => return Err(Errno(libc::EAGAIN)),
            None => {
                let deadline = timeout(self.fd, self.what).and_then(deadline_in);
                *self.deadline.insert(deadline)
            }
        };
        // Some are said to be ready and are not: a full queue of somebody whom nobody is connected to.
        if again && is_ready(self.fd, self.what.interest) {
            return self.pause(deadline);
        }
        wait(self.fd, self.what, deadline)
    }

    /// Waits for more than there is, of which nothing tells.
    ///
    /// # Errors
    /// There will be no more, or not in time.
    pub(crate) fn pause_for_more(&mut self) -> Result<(), Errno> {
        if events(self.fd, libc::POLLRDHUP) != 0 {
            return Err(Errno(libc::EAGAIN));
        }
        let deadline = self.deadline.flatten();
        self.pause(deadline)
    }

    /// Waits for a while, since nothing tells when another attempt makes sense.
    fn pause(&mut self, deadline: Option<Instant>) -> Result<(), Errno> {
        let patience = self.patience.get_or_insert_with(|| Patience::new(LONGEST));
        let paused = patience.pause(self.what.call, deadline);
        paused.map_err(Errno::from)
    }
}

impl From<Ended> for Errno {
    fn from(ended: Ended) -> Self {
        Self(match ended {
            Ended::TimedOut => libc::EAGAIN,
            Ended::Interrupted => libc::ECANCELED,
        })
    }
}

/// As [`Call::until_done`], for a call that is made once.
pub(crate) fn when_ready(
    fd: c_int,
    what: For,
    asked_not_to_wait: bool,
    attempt: impl FnMut() -> ssize_t,
) -> ssize_t {
    Call::new(fd, what, asked_not_to_wait).until_done(attempt)
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
            let over = || place.standing() != Standing::Open || is_ready(fd, what.interest);
            (came_back && over()).then_some(())
        },
    );
    match place.standing() {
        Standing::Closed => Err(Errno(libc::EBADF)),
        Standing::LookAgain => Ok(()),
        Standing::Open => ended.map_err(Errno::from),
    }
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

pub(crate) fn set_mode(fd: c_int, mode: c_int) {
    // SAFETY: sets flags, and passes no memory. It cannot fail for a descriptor that is open.
    unsafe { original::fcntl(fd, libc::F_SETFL, mode as libc::c_ulong) };
}

/// Whether a descriptor is ready now, or has an error.
pub(crate) fn is_ready(fd: c_int, interest: Interest) -> bool {
    let asked = match interest {
        Interest::Readable => libc::POLLIN,
        Interest::Writable => libc::POLLOUT,
    };
    events(fd, asked) != 0
}

/// Which of these there are now, and errors.
pub(crate) fn events(fd: c_int, events: c_short) -> c_short {
    let mut one = libc::pollfd {
        fd,
        events,
        revents: 0,
    };
    // SAFETY: one entry, which lives over the call.
    let found = unsafe { original::poll(&raw mut one, 1, 0) };
    // One that cannot be asked is tried.
    if found < 0 { events } else { one.revents }
}
