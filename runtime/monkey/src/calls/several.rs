//! Waiting for one of several descriptors.
//!
//! Each call looks once without waiting, then waits for whichever of its descriptors is ready first, and
//! looks again: so what it gives is what the kernel gives.

use super::time::duration;
use crate::descriptor::is_ready;
use crate::patch::{Patch, counts};
use crate::patience::Patience;
use crate::waiting::{wait_quietly, yield_quietly};
use crate::waits::{Place, Standing};
use crate::{errno, original};
use greenway_green::Awaited;
use greenway_green::embed::{Ended, Interest, Io, current, deadline_in, turn_is_over};
use libc::{c_int, c_short, epoll_event, fd_set, nfds_t, pollfd, sigset_t, timespec, timeval};
use std::os::fd::BorrowedFd;
use std::ptr::null;
use std::time::{Duration, Instant};

/// After so many wakes for nothing it may be that something is ready that was not asked for.
const IN_VAIN: u32 = 3;

/// How long a look takes.
const NOW: timespec = timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// The longest pause between two looks, where nothing tells that it is time for one.
const LONGEST: Duration = Duration::from_millis(20);

/// Waits until `look` gives something but 0, or the deadline: then it gives 0. `untold`: something is waited for
/// of which epoll does not tell in the same way, so `look` has to be asked again and again.
fn until_any(
    call: &'static str,
    fds: &[(c_int, Interest)],
    deadline: Option<Instant>,
    untold: bool,
    mut look: impl FnMut() -> c_int,
) -> c_int {
    let thread = current().handle();
    let borrowed: Vec<_> = fds
        .iter()
        .map(|(fd, interest)| {
            // SAFETY: the caller of `poll` keeps them open; who closes one all the same, through the C
            // library, ends this wait. A number that comes to mean another one touches no memory.
            (unsafe { BorrowedFd::borrow_raw(*fd) }, *interest)
        })
        .collect();
    let io = match &*borrowed {
        [] => Io::None,
        [(fd, interest)] => Io::Poll(*fd, *interest),
        _ => Io::PollAny(&borrowed),
    };
    let patience = Patience::new(LONGEST);
    loop {
        let places: Vec<_> = fds
            .iter()
            .map(|(fd, _)| Place::take(*fd, &thread))
            .collect();
        let (mut looks, mut error) = (0, 0);
        let look_at = untold.then(|| patience.next_look()).flatten();
        let until = look_at.into_iter().chain(deadline).min();
        let ended = wait_quietly(Awaited::Other(call), until, io, |_| {
            looks += 1;
            if looks == 1 {
                return None; // the caller has just looked
            }
            let standings = || places.iter().map(Place::standing);
            if standings().any(|standing| standing == Standing::Closed) {
                error = libc::EBADF;
                return Some(-1);
            }
            let result = look();
            error = errno::get();
            let anew = looks > IN_VAIN || standings().any(|it| it == Standing::LookAgain);
            (result != 0 || anew).then_some(result)
        });
        drop(places);
        match ended {
            Ok(0) if looks > IN_VAIN => {
                if fds.iter().any(|(fd, interest)| is_ready(*fd, *interest))
                    && let Err(Ended::Interrupted) = patience.pause(call, deadline)
                {
                    return errno::fail(libc::ECANCELED);
                }
            }
            Ok(0) => {} // one of the numbers means another descriptor
            Ok(result) => {
                errno::set(error); // others have run since
                return result;
            }
            Err(Ended::TimedOut) => {}
            // Not `EINTR`: libpq, libcurl and std take that for a signal, and go on waiting.
            Err(Ended::Interrupted) => return errno::fail(libc::ECANCELED),
        }
        let result = look();
        if result != 0 || deadline.is_some_and(|at| at <= Instant::now()) {
            return result;
        }
    }
}

/// Runs `wait`, and leaves `errno` as it was unless that fails.
fn kept(wait: impl FnOnce() -> c_int) -> c_int {
    let before = errno::get();
    let result = wait();
    if result >= 0 {
        errno::set(before);
    }
    result
}

/// Lets others run if it is their turn.
fn give_way() {
    if turn_is_over() {
        yield_quietly();
    }
}

/// What of a descriptor is waited for. Urgent data is seen with what can be read.
fn interests(fd: c_int, events: c_short) -> impl Iterator<Item = (c_int, Interest)> {
    let reads = events & (libc::POLLIN | libc::POLLPRI | libc::POLLRDHUP | libc::POLLRDNORM) != 0;
    let writes = events & (libc::POLLOUT | libc::POLLWRNORM) != 0;
    // Without either, an error or a hang-up is what ends the wait, of which both tell.
    let reads = (reads || !writes).then_some((fd, Interest::Readable));
    let writes = writes.then_some((fd, Interest::Writable));
    reads.into_iter().chain(writes)
}

/// As `poll`, on a green thread. A mask of signals holds for each look: those that it lets through end the call.
///
/// # Safety
/// `n` entries at `fds` may be read and written; `mask` is null or can be read.
unsafe fn poll_until(
    fds: *mut pollfd,
    n: nfds_t,
    timeout: Option<Duration>,
    mask: *const sigset_t,
) -> c_int {
    give_way();
    // SAFETY: the caller's entries and mask, and a time that lives over the call.
    let look = || unsafe { original::ppoll(fds, n, &NOW, mask) };
    let result = look();
    if result != 0 || timeout == Some(Duration::ZERO) {
        return result;
    }
    let entries = if n == 0 {
        &[]
    } else {
        // SAFETY: the caller gives `n` entries. They are copied before anybody writes.
        unsafe { std::slice::from_raw_parts(fds, n as usize) }
    };
    let asked: Vec<_> = entries
        .iter()
        .filter(|entry| entry.fd >= 0)
        .flat_map(|entry| interests(entry.fd, entry.events))
        .collect();
    let urgent = |entry: &pollfd| entry.events & libc::POLLPRI != 0;
    let untold = !mask.is_null() || entries.iter().any(urgent);
    let deadline = timeout.and_then(deadline_in);
    kept(|| until_any("poll", &asked, deadline, untold, look))
}

/// See `poll(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn poll(fds: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int {
    if timeout == 0 || !counts(Patch::SELECT) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::poll(fds, n, timeout) };
    }
    let timeout = u64::try_from(timeout).ok().map(Duration::from_millis);
    // SAFETY: the caller's entries.
    unsafe { poll_until(fds, n, timeout, null()) }
}

/// See `poll(2)`. On a green thread the mask is set whenever it looks.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn ppoll(
    fds: *mut pollfd,
    n: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    if !counts(Patch::SELECT) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::ppoll(fds, n, timeout, mask) };
    }
    // SAFETY: null or a time that can be read.
    match unsafe { timeout.as_ref() }.map(|time| duration(*time)) {
        Some(None) => errno::fail(libc::EINVAL),
        // SAFETY: the caller's entries.
        timeout => unsafe { poll_until(fds, n, timeout.flatten(), mask) },
    }
}

/// The words of the largest set that `select` is to have (`FD_SETSIZE`), and the bits of one.
const WORDS: usize = 16;
const BITS: usize = 64;

/// A copy of a set: of as much of it as the kernel reads, since a program may have no more.
type Set = [u64; WORDS];

/// As `select`, on a green thread. More descriptors than a set has place for are left to the kernel.
///
/// # Safety
/// Each set is null or may be read and written, as far as `n` descriptors need; `mask` is null or can be read.
unsafe fn select_until(
    n: c_int,
    sets: [*mut fd_set; 3],
    timeout: Option<Duration>,
    mask: *const sigset_t,
) -> c_int {
    give_way();
    let words = usize::try_from(n).unwrap_or(0).div_ceil(BITS);
    let sets = sets.map(|set| set.cast::<u64>());
    let asked = sets.map(|set| {
        let mut copy: Set = [0; WORDS];
        if !set.is_null() {
            // SAFETY: the caller's set, and a copy that is as long: `selects` has looked.
            unsafe { set.copy_to(copy.as_mut_ptr(), words) };
        }
        copy
    });
    let look = || {
        for (set, asked) in sets.iter().zip(&asked) {
            if !set.is_null() {
                // SAFETY: as above, the other way.
                unsafe { set.copy_from(asked.as_ptr(), words) };
            }
        }
        let [read, write, except] = sets.map(|set| set.cast::<fd_set>());
        // SAFETY: the caller's sets and mask, and a time that lives over the call.
        unsafe { original::pselect(n, read, write, except, &NOW, mask) }
    };
    let result = look();
    if result != 0 || timeout == Some(Duration::ZERO) {
        return result;
    }
    let interests = [Interest::Readable, Interest::Writable, Interest::Readable];
    let mut fds = Vec::new();
    for (asked, interest) in asked.iter().zip(interests) {
        let members = (0..n).filter(|fd| {
            let fd = *fd as usize;
            asked[fd / BITS] >> (fd % BITS) & 1 != 0
        });
        fds.extend(members.map(|fd| (fd, interest)));
    }
    let untold = !mask.is_null() || asked[2].iter().any(|word| *word != 0);
    let deadline = timeout.and_then(deadline_in);
    kept(|| until_any("select", &fds, deadline, untold, look))
}

/// Whether a `select` of `n` descriptors is to wait as green threads do.
fn selects(n: c_int) -> bool {
    n <= (WORDS * BITS) as c_int && counts(Patch::SELECT)
}

/// See `select(2)`. As in the kernel, the timeout is what is left of it afterwards.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn select(
    n: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *mut timeval,
) -> c_int {
    if !selects(n) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::select(n, read, write, except, timeout) };
    }
    // SAFETY: null or a time that can be read.
    let time = match unsafe { timeout.as_ref() }.map(|time| of_timeval(*time)) {
        Some(None) => return errno::fail(libc::EINVAL),
        time => time.flatten(),
    };
    let start = Instant::now();
    // SAFETY: the caller's sets.
    let result = unsafe { select_until(n, [read, write, except], time, null()) };
    if let Some(time) = time {
        let left = time.saturating_sub(start.elapsed());
        // SAFETY: it is not null, and may be written.
        unsafe {
            timeout.write(timeval {
                tv_sec: left.as_secs() as i64,
                tv_usec: left.subsec_micros().into(),
            });
        }
    }
    result
}

/// As a duration; `None` for what the kernel refuses. More than a second of microseconds is fine.
fn of_timeval(time: timeval) -> Option<Duration> {
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).ok()?);
    let micros = Duration::from_micros(u64::try_from(time.tv_usec).ok()?);
    Some(seconds.saturating_add(micros))
}

/// See `select(2)`. On a green thread the mask is set whenever it looks.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pselect(
    n: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    if !selects(n) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::pselect(n, read, write, except, timeout, mask) };
    }
    // SAFETY: null or a time that can be read.
    match unsafe { timeout.as_ref() }.map(|time| duration(*time)) {
        Some(None) => errno::fail(libc::EINVAL),
        // SAFETY: the caller's sets.
        timeout => unsafe { select_until(n, [read, write, except], timeout.flatten(), mask) },
    }
}

/// See `epoll_wait(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn epoll_wait(
    fd: c_int,
    events: *mut epoll_event,
    n: c_int,
    timeout: c_int,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { epoll_pwait(fd, events, n, timeout, null()) }
}

/// See `epoll_wait(2)`. On a green thread the mask is set whenever it looks.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn epoll_pwait(
    fd: c_int,
    events: *mut epoll_event,
    n: c_int,
    timeout: c_int,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's arguments, but for the time.
    let call = |timeout| unsafe { original::epoll_pwait(fd, events, n, timeout, mask) };
    if timeout == 0 || !counts(Patch::EPOLL) {
        return call(timeout);
    }
    let timeout = u64::try_from(timeout).ok().map(Duration::from_millis);
    epoll_until(fd, timeout, !mask.is_null(), || call(0))
}

/// See `epoll_wait(2)`. On a green thread the mask is set whenever it looks.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn epoll_pwait2(
    fd: c_int,
    events: *mut epoll_event,
    n: c_int,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    if !counts(Patch::EPOLL) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::epoll_pwait2(fd, events, n, timeout, mask) };
    }
    // SAFETY: the caller's arguments, but for the time.
    let look = || unsafe { original::epoll_pwait(fd, events, n, 0, mask) };
    // SAFETY: null or a time that can be read.
    match unsafe { timeout.as_ref() }.map(|time| duration(*time)) {
        Some(None) => errno::fail(libc::EINVAL),
        timeout => epoll_until(fd, timeout.flatten(), !mask.is_null(), look),
    }
}

/// As `epoll_wait`, on a green thread.
fn epoll_until(
    fd: c_int,
    timeout: Option<Duration>,
    untold: bool,
    mut look: impl FnMut() -> c_int,
) -> c_int {
    give_way();
    let result = look();
    if result != 0 || timeout == Some(Duration::ZERO) {
        return result;
    }
    let deadline = timeout.and_then(deadline_in);
    let fds = [(fd, Interest::Readable)];
    kept(|| until_any("epoll_wait", &fds, deadline, untold, look))
}
