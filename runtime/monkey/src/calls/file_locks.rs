//! Locks of files: nothing tells when one is free, so these look again and again.

use crate::original;
use crate::patch::{Patch, counts};
use crate::patience::until_done;
use libc::{c_int, c_ulong, off_t, off64_t, ssize_t};

/// Calls `lock`, which does not wait, until it does not fail because somebody has the lock.
fn until_free(call: &'static str, mut lock: impl FnMut() -> c_int) -> c_int {
    let busy = [libc::EAGAIN, libc::EACCES];
    until_done(call, &busy, None, || lock() as ssize_t) as c_int
}

/// See `flock(2)`.
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn flock(fd: c_int, operation: c_int) -> c_int {
    // SAFETY: passes no memory.
    let lock = |operation| unsafe { original::flock(fd, operation) };
    if operation & (libc::LOCK_NB | libc::LOCK_UN) != 0 || !counts(Patch::FILE_LOCKS) {
        return lock(operation);
    }
    until_free("flock", || lock(operation | libc::LOCK_NB))
}

/// See `lockf(3)`.
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn lockf(fd: c_int, command: c_int, n: off_t) -> c_int {
    // SAFETY: passes no memory.
    let lock = |command| unsafe { original::lockf(fd, command, n) };
    if command != libc::F_LOCK || !counts(Patch::FILE_LOCKS) {
        return lock(command);
    }
    until_free("lockf", || lock(libc::F_TLOCK))
}

/// As [`lockf`]: the name that is used by programs with 64-bit offsets, which here is the same.
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn lockf64(fd: c_int, command: c_int, n: off64_t) -> c_int {
    lockf(fd, command, n)
}

/// See `fcntl(2)`. In C it takes what the command takes; here always one argument more, which is ignored by
/// those that take none.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn fcntl(
    fd: c_int,
    command: c_int,
    argument: c_ulong,
) -> c_int {
    // SAFETY: the caller's arguments, but for a command that does not wait.
    let call = |command| unsafe { original::fcntl(fd, command, argument) };
    let at_once = match command {
        libc::F_SETLKW => libc::F_SETLK,
        libc::F_OFD_SETLKW => libc::F_OFD_SETLK,
        _ => return call(command),
    };
    if !counts(Patch::FILE_LOCKS) {
        return call(command);
    }
    until_free("fcntl", || call(at_once))
}

/// As [`fcntl`]: the name that is used by programs with 64-bit offsets, which here is the same.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn fcntl64(
    fd: c_int,
    command: c_int,
    argument: c_ulong,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { fcntl(fd, command, argument) }
}
