//! The few system calls that std does not offer: eventfd, timerfd, poll, epoll, dup with a floor.

use super::thread::Interest;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(super) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })
}

/// The bell of an OS thread that polls.
///
/// # Panics
/// When the process is out of descriptors: a wait that could not be ended would be worse.
pub(super) fn bell() -> OwnedFd {
    eventfd().unwrap_or_else(|error| panic!("no descriptor for an OS thread's bell: {error}"))
}

/// Adds one to an eventfd: whoever watches it is woken.
pub(super) fn ring(bell: &impl AsRawFd) {
    let one = 1u64.to_ne_bytes();
    // SAFETY: the buffer is valid for its length; the descriptor is open while borrowed.
    // The result is of no interest: the counter is never near its end, and that it is not
    // zero is all that counts.
    unsafe { libc::write(bell.as_raw_fd(), one.as_ptr().cast(), one.len()) };
}

/// Milliseconds of the kernel's coarse monotonic clock: a few milliseconds late, and a few
/// nanoseconds to look at.
pub(super) fn coarse_ms() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` lives over the call, which cannot fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut now) };
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

pub(super) fn timerfd() -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    owned(unsafe {
        libc::timerfd_create(
            libc::CLOCK_MONOTONIC,
            libc::TFD_CLOEXEC | libc::TFD_NONBLOCK,
        )
    })
}

/// Lets a timerfd fire once, `after` from now (at once if that is zero).
pub(super) fn set_timerfd(timer: &impl AsRawFd, after: Duration) {
    let after = after.max(Duration::from_nanos(1)); // zero would mean "never"
    let spec = libc::itimerspec {
        it_interval: libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
        it_value: libc::timespec {
            tv_sec: libc::time_t::try_from(after.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: after.subsec_nanos().into(),
        },
    };
    // SAFETY: `spec` lives over the call; the old value is not asked for.
    let result = unsafe {
        libc::timerfd_settime(timer.as_raw_fd(), 0, &raw const spec, std::ptr::null_mut())
    };
    debug_assert_eq!(result, 0, "timerfd_settime: {}", io::Error::last_os_error());
}

fn pollfd(fd: &impl AsRawFd, events: libc::c_short) -> libc::pollfd {
    libc::pollfd {
        fd: fd.as_raw_fd(),
        events,
        revents: 0,
    }
}

fn poll_events(interest: Interest) -> libc::c_short {
    match interest {
        Interest::Readable => libc::POLLIN | libc::POLLRDHUP,
        Interest::Writable => libc::POLLOUT,
    }
}

/// Waits for one of `fds` or for `bell`, at most `left`. Empties the bell.
pub(super) fn poll(fds: &[(BorrowedFd<'_>, Interest)], bell: &OwnedFd, left: Option<Duration>) {
    let asked = fds.iter().map(|(fd, what)| pollfd(fd, poll_events(*what)));
    let mut polled: Vec<_> = std::iter::once(pollfd(bell, libc::POLLIN))
        .chain(asked)
        .collect();
    let left = left.map(|left| libc::timespec {
        tv_sec: libc::time_t::try_from(left.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: left.subsec_nanos().into(),
    });
    let timeout = left.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let count = polled.len() as libc::nfds_t;
    // SAFETY: array and timeout live over the call. An error (EINTR) counts as an early return.
    unsafe { libc::ppoll(polled.as_mut_ptr(), count, timeout, std::ptr::null()) };
    if polled[0].revents != 0 {
        let mut count = [0u8; 8];
        // SAFETY: the buffer is valid for its length.
        unsafe { libc::read(bell.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

/// Whether a descriptor is ready now: an operation would not wait, be it that it fails.
pub(super) fn is_ready(fd: BorrowedFd<'_>, interest: Interest) -> bool {
    let mut polled = pollfd(&fd, poll_events(interest));
    // SAFETY: `polled` lives over the call, which does not wait.
    unsafe { libc::poll(&raw mut polled, 1, 0) == 1 }
}

/// What epoll is asked for and tells of a descriptor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Events(i32);

impl Events {
    const READABLE: i32 = libc::EPOLLIN | libc::EPOLLRDHUP;
    const WRITABLE: i32 = libc::EPOLLOUT;
    /// Told without being asked for. Whoever waits finds out more by trying.
    const BROKEN: i32 = libc::EPOLLHUP | libc::EPOLLERR;

    pub(super) fn told(flags: i32) -> Self {
        Self(flags)
    }

    pub(super) fn with(self, interest: Interest) -> Self {
        Self(match interest {
            Interest::Readable => self.0 | Self::READABLE,
            Interest::Writable => self.0 | Self::WRITABLE,
        })
    }

    pub(super) fn satisfy(self, interest: Interest) -> bool {
        self.0 & (Self::default().with(interest).0 | Self::BROKEN) != 0
    }
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
        // SAFETY: no pointers are passed.
        let copy = owned(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, at_least) });
        let copy = match copy {
            // The search has run beyond the limit: it goes on behind the last number that was taken.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput && floor > fitting => {
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

/// The soft limit on descriptors that the process was started with, once it was raised.
static STARTED_WITH: OnceLock<libc::rlimit> = OnceLock::new();

/// Raises the soft limit on open descriptors to the hard one, as Go's runtime does, and gives it.
/// The children of [`subprocess`](crate::subprocess) get the one that we were started with.
pub fn raise_descriptor_limit() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` lives over the calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
            return 1024;
        }
        if limit.rlim_cur < limit.rlim_max {
            let raised = libc::rlimit {
                rlim_cur: limit.rlim_max,
                ..limit
            };
            if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) == 0 {
                STARTED_WITH.get_or_init(|| limit);
                limit = raised;
            }
        }
    }
    limit.rlim_cur
}

/// Lets the children that `command` starts have the limit on descriptors that we were started
/// with: programs that use `select`, or close all descriptors that there may be, rely on it.
pub(super) fn restore_descriptor_limit(command: &mut std::process::Command) {
    let Some(&limit) = STARTED_WITH.get() else {
        return;
    };
    let restore = move || {
        // SAFETY: `limit` lives over the call. A failure leaves the child with more than it needs.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
        Ok(())
    };
    // SAFETY: the closure runs between fork and exec, where only what is safe in a signal handler
    // may be done. It does one system call, and touches no memory but its own copy.
    unsafe { command.pre_exec(restore) };
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
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, ptr::null_mut());
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
    // SAFETY: as above.
    if unsafe { libc::fcntl(number, libc::F_SETFD, flags | libc::FD_CLOEXEC) } < 0 {
        return None;
    }
    // SAFETY: all that Rust's std and we open is closed on exec, so nobody in this program has
    // opened it: it has lived through the exec, and whoever has started us names it to hand it
    // over. Nobody can take it a second time, as it is closed on exec from now on.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// What has become of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerNews {
    /// It has said that it will send nothing more (FIN).
    Finished,
    /// It has gone: a reset, or an error such as a dead peer's time-out.
    Gone,
}

fn news(finished: bool, gone: bool) -> Option<PeerNews> {
    match (gone, finished) {
        (true, _) => Some(PeerNews::Gone),
        (false, true) => Some(PeerNews::Finished),
        (false, false) => None,
    }
}

/// What has become of the peer of a socket, if anything has.
pub fn peer_news(fd: BorrowedFd<'_>) -> Option<PeerNews> {
    let mut fds = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLRDHUP,
        revents: 0,
    };
    // SAFETY: `fds` lives over the call, which does not wait.
    unsafe { libc::poll(&raw mut fds, 1, 0) };
    news(
        fds.revents & libc::POLLRDHUP != 0,
        fds.revents & (libc::POLLHUP | libc::POLLERR) != 0,
    )
}

/// Bytes that were written to a socket and that its peer has not confirmed.
pub fn unsent(fd: BorrowedFd<'_>) -> Option<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: TIOCOUTQ writes one int, which lives over the call.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    (result == 0).then(|| u64::try_from(bytes).unwrap_or(0))
}

/// Moves up to `n` bytes of a file, from its position on, to a socket that does not block.
pub fn send_file(socket: BorrowedFd<'_>, file: BorrowedFd<'_>, n: usize) -> io::Result<usize> {
    loop {
        let (to, from) = (socket.as_raw_fd(), file.as_raw_fd());
        // SAFETY: no memory is passed; without an offset the file's own position is used.
        let sent = unsafe { libc::sendfile(to, from, ptr::null_mut(), n) };
        match usize::try_from(sent) {
            Ok(sent) => return Ok(sent),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// An epoll of our own, beside those of `may`'s workers. What it watches is told under numbers.
#[derive(Debug)]
pub(super) struct Epoll(OwnedFd);

impl Epoll {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }).map(Self)
    }

    /// Tells once that something has come, or that the peer has ended. Again after a next call.
    pub(super) fn watch_once(&self, fd: BorrowedFd<'_>, number: u64) -> io::Result<()> {
        let events = libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLONESHOT;
        match self.control(libc::EPOLL_CTL_ADD, fd.as_raw_fd(), events, number) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.control(libc::EPOLL_CTL_MOD, fd.as_raw_fd(), events, number)
            }
            done => done,
        }
    }

    /// Tells once that a descriptor is ready, under its own number; `again` for one that was asked
    /// for before and not forgotten.
    pub(super) fn ask(&self, fd: RawFd, events: Events, again: bool) -> io::Result<()> {
        let what = if again {
            libc::EPOLL_CTL_MOD
        } else {
            libc::EPOLL_CTL_ADD
        };
        self.control(what, fd, events.0 | libc::EPOLLONESHOT, fd as u64)
    }

    /// Forgets a descriptor.
    pub(super) fn forget(&self, fd: RawFd) {
        // Fails if it was closed, against all rules; then it is forgotten already.
        let _ = self.control(libc::EPOLL_CTL_DEL, fd, 0, 0);
    }

    fn control(&self, what: i32, fd: RawFd, events: i32, number: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: events as u32,
            u64: number,
        };
        // SAFETY: `event` lives over the call.
        let result = unsafe { libc::epoll_ctl(self.0.as_raw_fd(), what, fd, &raw mut event) };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// Shows what there is to tell; waits for something if it is to. True if there may be more.
    pub(super) fn wait(&self, block: bool, mut tell: impl FnMut(u64, i32)) -> io::Result<bool> {
        const MOST: usize = 256;
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; MOST];
        let timeout = if block { -1 } else { 0 };
        // SAFETY: the array lives over the call and has room for MOST events.
        let count = unsafe {
            libc::epoll_wait(
                self.0.as_raw_fd(),
                events.as_mut_ptr(),
                MOST as i32,
                timeout,
            )
        };
        let count = usize::try_from(count).map_err(|_negative| io::Error::last_os_error())?;
        for event in &events[..count] {
            tell(event.u64, event.events as i32);
        }
        Ok(count == MOST)
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// An epoll that tells what becomes of peers, once for each piece of news.
#[derive(Debug)]
pub struct PeerEpoll(Epoll);

impl PeerEpoll {
    pub fn new() -> io::Result<Self> {
        Epoll::new().map(Self)
    }

    /// Watches a socket under a number, until it is closed.
    pub fn watch(&self, fd: BorrowedFd<'_>, number: u64) -> io::Result<()> {
        // Hang-ups and errors are reported always.
        let events = libc::EPOLLRDHUP | libc::EPOLLET;
        self.0
            .control(libc::EPOLL_CTL_ADD, fd.as_raw_fd(), events, number)
    }

    /// Waits for news, and shows it.
    pub fn wait(&self, mut tell: impl FnMut(u64, PeerNews)) -> io::Result<()> {
        self.0.wait(true, |number, flags| {
            let finished = flags & libc::EPOLLRDHUP != 0;
            let gone = flags & (libc::EPOLLHUP | libc::EPOLLERR) != 0;
            if let Some(news) = news(finished, gone) {
                tell(number, news);
            }
        })?;
        Ok(())
    }
}
