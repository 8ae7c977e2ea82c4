//! Waiting for one of several descriptors.
//!
//! Each call looks once without waiting, then waits for whichever of its descriptors is ready first, and
//! looks again: so what it gives is what the kernel gives.

use super::time::duration;
use crate::patch::{Patch, counts};
use crate::waits::Place;
use crate::{errno, original};
use greenway_green::Awaited;
use greenway_green::embed::{
    Ended, Interest, Io, current, deadline_in, take_turn_quietly, wait_quietly,
};
use libc::{c_int, c_short, epoll_event, fd_set, nfds_t, pollfd, sigset_t, timespec, timeval};
use std::os::fd::BorrowedFd;
use std::ptr::null;
use std::time::{Duration, Instant};

/// Waits until `look` gives something but 0, or the deadline: then it gives 0.
fn until_any(
    call: &'static str,
    fds: &[(c_int, Interest)],
    deadline: Option<Instant>,
    mut look: impl FnMut() -> c_int,
) -> c_int {
    let thread = current().handle();
    let places: Vec<_> = fds
        .iter()
        .map(|(fd, _)| Place::take(*fd, &thread))
        .collect();
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
    let mut looked = false;
    let ended = wait_quietly(Awaited::Other(call), deadline, io, |_| {
        if !std::mem::replace(&mut looked, true) {
            return None; // the caller has just looked
        }
        if !places.iter().all(Place::is_open) {
            return Some(errno::fail(libc::EBADF));
        }
        let result = look();
        (result != 0).then_some(result)
    });
    match ended {
        Ok(result) => result,
        Err(Ended::TimedOut) => 0,
        // Not `EINTR`: libpq, libcurl and std take that for a signal, and go on waiting for what they wait for.
        Err(Ended::Interrupted) => errno::fail(libc::ECANCELED),
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

/// As `poll`, on a green thread.
///
/// # Safety
/// `n` entries at `fds` may be read and written.
unsafe fn poll_until(fds: *mut pollfd, n: nfds_t, timeout: Option<Duration>) -> c_int {
    take_turn_quietly();
    // SAFETY: the caller's entries.
    let look = || unsafe { original::poll(fds, n, 0) };
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
    until_any("poll", &asked, timeout.and_then(deadline_in), look)
}

/// See `poll(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn poll(fds: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int {
    if timeout == 0 || !counts(Patch::SELECT) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::poll(fds, n, timeout) };
    }
    let timeout = u64::try_from(timeout).ok().map(Duration::from_millis);
    // SAFETY: the caller's entries.
    unsafe { poll_until(fds, n, timeout) }
}

/// See `poll(2)`. On a green thread the mask is not set: signals come to the process.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn ppoll(
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
        timeout => unsafe { poll_until(fds, n, timeout.flatten()) },
    }
}

/// As `select`, on a green thread.
///
/// # Safety
/// Each set is null or may be read and written.
unsafe fn select_until(n: c_int, sets: [*mut fd_set; 3], timeout: Option<Duration>) -> c_int {
    take_turn_quietly();
    // SAFETY: each is null or a set that can be read.
    let asked = sets.map(|set| unsafe { set.as_ref() }.copied());
    let look = || {
        for (set, asked) in sets.iter().zip(asked) {
            if let Some(asked) = asked {
                // SAFETY: it is not null, and may be written.
                unsafe { set.write(asked) };
            }
        }
        let mut now = timeval {
            tv_sec: 0,
            tv_usec: 0,
        };
        let [read, write, except] = sets;
        // SAFETY: the caller's sets, and a time that lives over the call.
        unsafe { original::select(n, read, write, except, &raw mut now) }
    };
    let result = look();
    if result != 0 || timeout == Some(Duration::ZERO) {
        return result;
    }
    let interests = [Interest::Readable, Interest::Writable, Interest::Readable];
    let mut fds = Vec::new();
    for (asked, interest) in asked.iter().zip(interests) {
        let Some(asked) = asked else { continue };
        let members = (0..n.min(libc::FD_SETSIZE as c_int)).filter(|fd| {
            // SAFETY: the number lies within the set.
            unsafe { libc::FD_ISSET(*fd, asked) }
        });
        fds.extend(members.map(|fd| (fd, interest)));
    }
    until_any("select", &fds, timeout.and_then(deadline_in), look)
}

/// See `select(2)`. On a green thread the timeout is left as it was.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn select(
    n: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *mut timeval,
) -> c_int {
    // SAFETY: null or a time that can be read.
    let time = unsafe { timeout.as_ref() }.map(|time| {
        let nanos = time.tv_usec.checked_mul(1_000)?;
        duration(timespec {
            tv_sec: time.tv_sec,
            tv_nsec: nanos,
        })
    });
    match time {
        Some(Some(time)) if counts(Patch::SELECT) => {
            // SAFETY: the caller's sets.
            unsafe { select_until(n, [read, write, except], Some(time)) }
        }
        None if counts(Patch::SELECT) => {
            // SAFETY: the caller's sets.
            unsafe { select_until(n, [read, write, except], None) }
        }
        // SAFETY: the caller's arguments, unchanged.
        _ => unsafe { original::select(n, read, write, except, timeout) },
    }
}

/// See `select(2)`. On a green thread the mask is not set: signals come to the process.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn pselect(
    n: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    if !counts(Patch::SELECT) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::pselect(n, read, write, except, timeout, mask) };
    }
    // SAFETY: null or a time that can be read.
    match unsafe { timeout.as_ref() }.map(|time| duration(*time)) {
        Some(None) => errno::fail(libc::EINVAL),
        // SAFETY: the caller's sets.
        timeout => unsafe { select_until(n, [read, write, except], timeout.flatten()) },
    }
}

/// See `epoll_wait(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn epoll_wait(
    fd: c_int,
    events: *mut epoll_event,
    n: c_int,
    timeout: c_int,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { epoll_pwait(fd, events, n, timeout, null()) }
}

/// See `epoll_wait(2)`. On a green thread the mask is not set: signals come to the process.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn epoll_pwait(
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
    take_turn_quietly();
    let result = call(0);
    if result != 0 {
        return result;
    }
    let deadline = u64::try_from(timeout).ok().map(Duration::from_millis);
    let deadline = deadline.and_then(deadline_in);
    until_any("epoll_wait", &[(fd, Interest::Readable)], deadline, || {
        call(0)
    })
}
