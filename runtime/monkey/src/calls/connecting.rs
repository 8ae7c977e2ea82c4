//! Connecting, accepting, and what ends a descriptor.
//!
//! `connect` and `accept` have no flag for "do not wait" (the kernel has none before that of io_uring in Linux
//! 6.10), so the descriptor is made non-blocking for the length of the call. Nobody is to be harmed by it:
//!
//! - `accept` does so only when a connection is there, for some microseconds. A listening socket has no calls that
//!   wait but `accept`, and an OS thread of this process whose `accept` falls into that moment looks again. Another
//!   process that shares the socket, and calls at that moment, sees `EAGAIN`.
//! - `connect` does so only for a stream that is not connected. Nobody reads or writes there yet: such calls fail
//!   with `ENOTCONN`. A datagram socket, which may be in use, is connected without waiting.
//!
//! Who asks here for the mode of such a descriptor is told what it was.

use super::reading::counts_for;
use crate::descriptor::{Errno, For, Made, is_nonblocking, is_ready, timeout, wait, when_ready};
use crate::patch::{Patch, is_patched};
use crate::patience::Patience;
use crate::{errno, original, waits};
use greenway_green::embed::{Ended, Interest, deadline_in};
use libc::{c_int, sockaddr, socklen_t, ssize_t, timespec};
use socket2::{SockRef, Type};
use std::os::fd::BorrowedFd;
use std::ptr::{self, null};
use std::time::{Duration, Instant};

const CONNECT: For = For::writing("connect");
const ACCEPT: For = For::reading("accept");

/// See `connect(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn connect(
    fd: c_int,
    to: *const sockaddr,
    length: socklen_t,
) -> c_int {
    if !counts_for(fd) || is_nonblocking(fd) || !is_unconnected_stream(fd) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::connect(fd, to, length) };
    }
    let deadline = timeout(fd, CONNECT).and_then(deadline_in);
    let patience = Patience::new(Duration::from_millis(20));
    loop {
        let result = {
            let _made = Made::nonblocking(fd);
            // SAFETY: the caller's arguments, unchanged.
            unsafe { original::connect(fd, to, length) }
        };
        match errno::get() {
            _ if result == 0 => return 0,
            // The second one: somebody has begun it without waiting for it.
            libc::EINPROGRESS | libc::EALREADY => {
                return match wait(fd, CONNECT, deadline) {
                    Ok(()) => outcome(fd),
                    // As the kernel has it when `SO_SNDTIMEO` is over: the attempt goes on.
                    Err(Errno(libc::EAGAIN)) => errno::fail(libc::EINPROGRESS),
                    Err(Errno(error)) => errno::fail(error),
                };
            }
            // A unix socket whose queue is full: nothing tells when there is room.
            libc::EAGAIN => match patience.pause("connect", deadline) {
                Ok(()) => {}
                Err(Ended::TimedOut) => return errno::fail(libc::EAGAIN),
                Err(Ended::Interrupted) => return errno::fail(libc::ECANCELED),
            },
            _ => return result,
        }
    }
}

/// Whether connecting a socket may wait.
fn is_unconnected_stream(fd: c_int) -> bool {
    errno::kept(|| {
        // SAFETY: it is open, or the calls fail.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let socket = SockRef::from(&fd);
        let is_stream = matches!(socket.r#type(), Ok(Type::STREAM | Type::SEQPACKET));
        is_stream && socket.peer_addr().is_err()
    })
}

/// Whether a socket accepts connections. If it does not, `accept` says so.
fn is_listening(fd: c_int) -> bool {
    // SAFETY: it is open, or the call fails.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    errno::kept(|| SockRef::from(&fd).is_listener().unwrap_or(false))
}

/// How an attempt to connect has ended that has ended.
fn outcome(fd: c_int) -> c_int {
    let mut error: c_int = 0;
    let mut length = size_of::<c_int>() as socklen_t;
    // SAFETY: the option is a number, which lives over the call, as does its length.
    let result = unsafe {
        let value = (&raw mut error).cast();
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ERROR, value, &raw mut length)
    };
    match error {
        0 => result,
        error => errno::fail(error),
    }
}

/// See `accept(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn accept(
    fd: c_int,
    from: *mut sockaddr,
    length: *mut socklen_t,
) -> c_int {
    // SAFETY: the caller's arguments; without flags the two calls are one.
    unsafe { accept4(fd, from, length, 0) }
}

/// See `accept(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn accept4(
    fd: c_int,
    from: *mut sockaddr,
    length: *mut socklen_t,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller's arguments, unchanged.
    let now = || unsafe { original::accept4(fd, from, length, flags) };
    if counts_for(fd) {
        let accepted = when_ready(fd, ACCEPT, false, || {
            if !is_ready(fd, Interest::Readable) && is_listening(fd) {
                return errno::fail(libc::EAGAIN);
            }
            let _made = Made::nonblocking(fd);
            now() as ssize_t
        });
        return accepted as c_int; // a descriptor, or -1
    }
    let begun = is_patched(Patch::SOCKETS).then(Instant::now);
    loop {
        let accepted = now();
        let Some(begun) = begun.filter(|_| accepted < 0 && errno::would_block()) else {
            return accepted;
        };
        if is_nonblocking(fd) {
            return errno::fail(libc::EAGAIN);
        }
        // It has come in between, or its own time is over.
        let left = timeout(fd, ACCEPT).map(|all| all.saturating_sub(begun.elapsed()));
        let left = left.map(|left| timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: left.subsec_nanos().into(),
        });
        let left = left.as_ref().map_or(null(), ptr::from_ref);
        let mut one = libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one entry and a time, which live over the call, and no mask.
        if unsafe { original::ppoll(&raw mut one, 1, left, null()) } == 0 {
            return errno::fail(libc::EAGAIN);
        }
    }
}

/// See `close(2)`. Whoever waits for the descriptor in a hooked call gets `EBADF`.
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn close(fd: c_int) -> c_int {
    // SAFETY: the caller's descriptor, of which it is the owner.
    waits::end_at(fd, || unsafe { original::close(fd) })
}

/// See `dup2(2)`. Whoever waits for what `to` was in a hooked call gets `EBADF`.
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn dup2(from: c_int, to: c_int) -> c_int {
    // SAFETY: the caller's descriptors.
    let copy = || unsafe { original::dup2(from, to) };
    if from == to {
        return copy();
    }
    waits::end_at(to, copy)
}

/// See `dup3(2)`. Whoever waits for what `to` was in a hooked call gets `EBADF`.
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn dup3(from: c_int, to: c_int, flags: c_int) -> c_int {
    // SAFETY: the caller's descriptors.
    waits::end_at(to, || unsafe { original::dup3(from, to, flags) })
}
