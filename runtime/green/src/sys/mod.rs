//! The system calls that std does not offer, by way of `rustix` wherever it has them.
//!
//! Nothing here knows what a green thread is.

mod epoll;
mod poll;
pub(crate) mod signal;
mod transfer;

pub use epoll::PeerEpoll;
pub(crate) use epoll::{Epoll, Events};
pub use poll::{PeerNews, peer_news};
pub(crate) use poll::{is_ready, poll};
pub use transfer::send_with_more;
pub(crate) use transfer::{
    peek, receive, receive_from, receive_vectored, send, send_to, send_vectored,
};

use rustix::event::EventfdFlags;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec,
};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What a descriptor is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Something to read, or the end of what there is.
    Readable,
    /// That it takes something.
    Writable,
}

pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    Ok(rustix::event::eventfd(
        0,
        EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
    )?)
}

/// The bell of an OS thread that polls.
///
/// # Panics
/// When the process is out of descriptors: a wait that could not be ended would be worse.
pub(crate) fn bell() -> OwnedFd {
    eventfd().unwrap_or_else(|error| panic!("no descriptor for an OS thread's bell: {error}"))
}

/// Adds one to an eventfd: whoever watches it is woken.
pub(crate) fn ring(bell: &OwnedFd) {
    // The counter is never near its end, and that it is not zero is all that counts.
    let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
}

/// Milliseconds of the kernel's coarse monotonic clock: a few milliseconds late, and a few
/// nanoseconds to look at.
pub(crate) fn coarse_ms() -> u64 {
    let now = rustix::time::clock_gettime(ClockId::MonotonicCoarse);
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

pub(crate) fn timerfd() -> io::Result<OwnedFd> {
    let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
    Ok(rustix::time::timerfd_create(
        TimerfdClockId::Monotonic,
        flags,
    )?)
}

/// Lets a timerfd fire once, `after` from now (at once if that is zero).
pub(crate) fn set_timerfd(timer: &OwnedFd, after: Duration) {
    let spec = Itimerspec {
        it_interval: timespec(Duration::ZERO),
        it_value: timespec(after.max(Duration::from_nanos(1))), // zero would mean "never"
    };
    let set = rustix::time::timerfd_settime(timer, TimerfdTimerFlags::empty(), &spec);
    debug_assert!(set.is_ok(), "timerfd_settime: {set:?}");
}

/// As the kernel wants it; the largest that it knows for what is longer.
fn timespec(time: Duration) -> Timespec {
    Timespec::try_from(time).unwrap_or(Timespec {
        tv_sec: i64::MAX,
        tv_nsec: 0,
    })
}

/// A duplicate of `fd` whose number leaves the remainder `remainder` when divided by `workers`.
///
/// `may` watches a descriptor on the worker `fd % workers`, so this is how a socket is put on a
/// worker of our choice. The kernel gives the lowest free number from a floor on. Where the low
/// fitting ones are taken, the search goes on where it last ended, in doubling steps.
///
/// # Errors
/// When no fitting number was found below the limit on descriptors.
pub(crate) fn dup_for_worker(
    fd: BorrowedFd<'_>,
    remainder: usize,
    workers: usize,
) -> io::Result<OwnedFd> {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    let mut floor = 3;
    let mut fitting = floor;
    for attempt in 0..32 {
        let at_least = RawFd::try_from(floor).unwrap_or(RawFd::MAX);
        let copy = match rustix::io::fcntl_dupfd_cloexec(fd, at_least) {
            // The search has run beyond the limit: it goes on behind the last number that was taken.
            Err(rustix::io::Errno::INVAL) if floor > fitting => {
                LAST.store(0, Ordering::Relaxed);
                floor = fitting;
                continue;
            }
            copy => copy?,
        };
        let number = copy.as_raw_fd() as usize;
        if number % workers == remainder {
            if attempt > 1 {
                LAST.store(number, Ordering::Relaxed);
            }
            return Ok(copy);
        }
        fitting = number + (remainder + workers - number % workers) % workers;
        floor = match attempt {
            0 => fitting,
            1 => LAST.load(Ordering::Relaxed).max(fitting),
            2 => fitting,
            later => fitting + (workers << (later - 3).min(16)),
        };
    }
    Err(io::Error::other(
        "no descriptor with a fitting number was found",
    ))
}

/// The limit on descriptors that the process was started with, once it was raised.
static STARTED_WITH: OnceLock<Rlimit> = OnceLock::new();

/// Raises the soft limit on open descriptors to the hard one, as Go's runtime does, and gives it.
/// The children of [`subprocess`](crate::subprocess) get the one that we were started with.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let in_effect = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => {
            if raised != limit {
                STARTED_WITH.get_or_init(|| limit);
            }
            raised.current
        }
        Err(_) => limit.current,
    };
    in_effect.unwrap_or(u64::MAX) // there is no limit
}

/// Lets the children that `command` starts have the limit on descriptors that we were started
/// with: programs that use `select`, or close all descriptors that there may be, rely on it.
pub(crate) fn restore_descriptor_limit(command: &mut std::process::Command) {
    let Some(limit) = STARTED_WITH.get() else {
        return;
    };
    let restore = move || {
        // A failure leaves the child with more than it needs.
        let _restored = setrlimit(Resource::Nofile, *limit);
        Ok(())
    };
    // SAFETY: the closure runs between fork and exec, where only what is safe in a signal handler
    // may be done. It does one system call with a plain value, and takes no lock.
    unsafe { command.pre_exec(restore) };
}

/// Lets the children that `command` starts have these descriptors, under the numbers that they have
/// here. They are closed here with `command`.
pub fn pass_on(command: &mut std::process::Command, descriptors: Vec<OwnedFd>) {
    let pass = move || {
        for descriptor in &descriptors {
            rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: the closure runs between fork and exec, where only what is safe in a signal handler
    // may be done. It does one system call for each descriptor, with plain values. It takes no
    // lock, and an error is a number, so nothing is allocated. The descriptors are open, as the
    // closure owns them.
    unsafe { command.pre_exec(pass) };
}

/// Lets all OS threads that start from here on use one heap. glibc's allocator reserves 64 MiB of
/// address space for each thread that allocates, up to eight for each core, which is more than there
/// is where address space is limited. Other allocators are not changed.
pub fn share_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: passes two numbers. glibc takes its own lock for the change.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Takes signals on this OS thread, also if whoever has started the process has blocked them.
pub fn unblock_signals(signals: &[i32]) {
    // SAFETY: a signal set is a plain value, for which all zeros is valid, and it lives over the
    // calls. A number that is no signal is refused by `sigaddset`.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for &signal in signals {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// Takes over a descriptor that the program was given by number when it was started; from then
/// on children do not get it. `None` if it was opened by this program itself, or by nobody.
pub fn take_over(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: no memory is passed; a number that is no descriptor is refused.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if number <= 2 || flags < 0 || flags & libc::FD_CLOEXEC != 0 {
        return None;
    }
    // SAFETY: as for the call above; the flags are those that were read, and one more.
    if unsafe { libc::fcntl(number, libc::F_SETFD, flags | libc::FD_CLOEXEC) } < 0 {
        return None;
    }
    // SAFETY: all that Rust's std and we open is closed on exec, so nobody in this program has
    // opened it: it has lived through the exec, and whoever has started us names it to hand it
    // over. Nobody can take it a second time, as it is closed on exec from now on.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Bytes that were written to a socket and that its peer has not confirmed; `None` if the kernel
/// does not tell.
pub fn unsent(socket: BorrowedFd<'_>) -> Option<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: TIOCOUTQ writes one int, which lives over the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    (result == 0).then(|| u64::try_from(bytes).unwrap_or(0))
}

/// Moves up to `n` bytes of a file, from its position on, to a socket that does not block. Gives
/// how many; 0 at the end of the file.
///
/// # Errors
/// `WouldBlock` when the socket takes nothing now; whatever else the kernel reports.
pub fn send_file(socket: impl AsFd, file: impl AsFd, n: usize) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(|| {
        rustix::fs::sendfile(&socket, &file, None, n)
    })?)
}
