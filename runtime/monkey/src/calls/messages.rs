//! Queues of messages between processes, POSIX's and System V's.

use super::reading::counts_for;
use super::time::deadline_of;
use crate::descriptor::{Errno, For, wait};
use crate::patch::{Patch, counts};
use crate::patience::until_done_or_removed;
use crate::{errno, original};
use libc::{
    CLOCK_REALTIME, c_char, c_int, c_long, c_uint, c_void, mqd_t, size_t, ssize_t, timespec,
};
use std::ptr::null;

/// A time that is over: a call that takes one does not wait.
const PAST: timespec = timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// Makes a call on a queue, which is a descriptor, when it is its turn. `attempt` takes a time until which
/// it may wait.
///
/// # Safety
/// `until` is null or a time that can be read.
unsafe fn when_ready(
    queue: mqd_t,
    what: For,
    until: *const timespec,
    mut attempt: impl FnMut(*const timespec) -> ssize_t,
) -> ssize_t {
    let before = errno::get();
    let mut result = attempt(&PAST);
    if result < 0 && errno::get() == libc::ETIMEDOUT {
        // SAFETY: the caller's time.
        let deadline = match unsafe { deadline_of(CLOCK_REALTIME, until) } {
            Ok(deadline) => deadline,
            Err(error) => return errno::fail(error),
        };
        while result < 0 && errno::get() == libc::ETIMEDOUT {
            match wait(queue, what, deadline) {
                Ok(()) => result = attempt(&PAST),
                Err(Errno(libc::EAGAIN)) => return errno::fail(libc::ETIMEDOUT),
                Err(Errno(error)) => return errno::fail(error),
            }
        }
    }
    if result >= 0 {
        errno::set(before);
    }
    result
}

/// See `mq_receive(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn mq_receive(
    queue: mqd_t,
    buffer: *mut c_char,
    n: size_t,
    priority: *mut c_uint,
) -> ssize_t {
    if !counts_for(queue) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::mq_receive(queue, buffer, n, priority) };
    }
    // SAFETY: the caller's arguments, and no time.
    unsafe { mq_timedreceive(queue, buffer, n, priority, null()) }
}

/// See `mq_receive(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn mq_timedreceive(
    queue: mqd_t,
    buffer: *mut c_char,
    n: size_t,
    priority: *mut c_uint,
    until: *const timespec,
) -> ssize_t {
    // SAFETY: the caller's arguments, but for the time.
    let call = |until| unsafe { original::mq_timedreceive(queue, buffer, n, priority, until) };
    if !counts_for(queue) {
        return call(until);
    }
    // SAFETY: the caller's time.
    unsafe { when_ready(queue, For::reading("mq_receive"), until, call) }
}

/// See `mq_send(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn mq_send(
    queue: mqd_t,
    message: *const c_char,
    n: size_t,
    priority: c_uint,
) -> c_int {
    if !counts_for(queue) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::mq_send(queue, message, n, priority) };
    }
    // SAFETY: the caller's arguments, and no time.
    unsafe { mq_timedsend(queue, message, n, priority, null()) }
}

/// See `mq_send(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn mq_timedsend(
    queue: mqd_t,
    message: *const c_char,
    n: size_t,
    priority: c_uint,
    until: *const timespec,
) -> c_int {
    // SAFETY: the caller's arguments, but for the time.
    let call = |until| unsafe { original::mq_timedsend(queue, message, n, priority, until) };
    if !counts_for(queue) {
        return call(until);
    }
    let call = |until| call(until) as ssize_t;
    // SAFETY: the caller's time.
    unsafe { when_ready(queue, For::writing("mq_send"), until, call) as c_int }
}

/// See `msgrcv(2)`: nothing tells when there is a message.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn msgrcv(
    queue: c_int,
    buffer: *mut c_void,
    n: size_t,
    kind: c_long,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's arguments, but for the flags.
    let call = |flags| unsafe { original::msgrcv(queue, buffer, n, kind, flags) };
    if flags & libc::IPC_NOWAIT != 0 || !counts(Patch::SOCKETS) {
        return call(flags);
    }
    until_done_or_removed("msgrcv", &[libc::ENOMSG], None, || {
        call(flags | libc::IPC_NOWAIT)
    })
}

/// See `msgsnd(2)`: nothing tells when there is room.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn msgsnd(
    queue: c_int,
    message: *const c_void,
    n: size_t,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller's arguments, but for the flags.
    let call = |flags| unsafe { original::msgsnd(queue, message, n, flags) };
    if flags & libc::IPC_NOWAIT != 0 || !counts(Patch::SOCKETS) {
        return call(flags);
    }
    let now = || call(flags | libc::IPC_NOWAIT) as ssize_t;
    until_done_or_removed("msgsnd", &[libc::EAGAIN], None, now) as c_int
}
