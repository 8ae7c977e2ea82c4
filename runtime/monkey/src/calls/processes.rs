//! Waiting for children: by a descriptor of the process where one is waited for, else by looking again.

use super::elsewhere::{lent, owned};
use crate::descriptor::{Errno, For, is_nonblocking, wait as wait_for};
use crate::patch::{Patch, counts};
use crate::patience::Patience;
use crate::{errno, original};
use greenway_green::ThreadPool;
use libc::{FILE, c_char, c_int, id_t, idtype_t, pid_t, rusage, siginfo_t};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::LazyLock;
use std::time::Duration;

/// The longest pause between two looks for one of several children.
const LONGEST: Duration = Duration::from_millis(20);

const CHILD: For = For::reading("child process");

/// A descriptor that is readable when the process has ended.
fn pidfd(pid: pid_t) -> Option<OwnedFd> {
    // SAFETY: passes numbers.
    let fd = unsafe { original::syscall(libc::SYS_pidfd_open, [pid.into(), 0, 0, 0, 0, 0]) };
    // SAFETY: a call that has not failed gives a descriptor that nobody else has.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd as c_int) })
}

/// Calls `look`, which does not wait, until it gives something but "not yet".
fn until_ended(
    pid: Option<pid_t>,
    fd: Option<c_int>,
    mut look: impl FnMut() -> Option<c_int>,
) -> c_int {
    let patience = Patience::new(LONGEST);
    if let Some(result) = look() {
        return result;
    }
    let own = pid.and_then(pidfd);
    // Somebody else may have waited for the child meanwhile, and its number may be another process's by now.
    if own.is_some()
        && let Some(result) = look()
    {
        return result;
    }
    let fd = fd.or_else(|| own.as_ref().map(AsRawFd::as_raw_fd));
    loop {
        let ended = match fd {
            Some(fd) => wait_for(fd, CHILD, None).map_err(|Errno(error)| error),
            None => patience
                .pause("child process", None)
                .map_err(|_| libc::ECANCELED),
        };
        if let Err(error) = ended {
            return errno::fail(error);
        }
        if let Some(result) = look() {
            return result;
        }
    }
}

/// See `waitpid(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn waitpid(
    pid: pid_t,
    status: *mut c_int,
    options: c_int,
) -> pid_t {
    // SAFETY: the caller's arguments; without a place for the usage.
    unsafe { wait4(pid, status, options, std::ptr::null_mut()) }
}

/// See `wait(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn wait(status: *mut c_int) -> pid_t {
    // SAFETY: the caller's argument: `wait(2)` says that the two are one.
    unsafe { waitpid(-1, status, 0) }
}

/// See `wait3(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn wait3(status: *mut c_int, options: c_int, usage: *mut rusage) -> pid_t {
    // SAFETY: the caller's arguments: `wait3(2)` says that the two are one.
    unsafe { wait4(-1, status, options, usage) }
}

/// See `wait4(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn wait4(
    pid: pid_t,
    status: *mut c_int,
    options: c_int,
    usage: *mut rusage,
) -> pid_t {
    // SAFETY: the caller's arguments, but for the options.
    let call = |options| unsafe { original::wait4(pid, status, options, usage) };
    if options & libc::WNOHANG != 0 || !counts(Patch::SUBPROCESS) {
        return call(options);
    }
    // A child that is stopped or goes on makes no descriptor readable.
    let by_descriptor = pid > 0 && options & (libc::WUNTRACED | libc::WCONTINUED) == 0;
    until_ended(by_descriptor.then_some(pid), None, || {
        let result = call(options | libc::WNOHANG);
        (result != 0).then_some(result)
    })
}

/// See `waitid(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn waitid(
    kind: idtype_t,
    id: id_t,
    info: *mut siginfo_t,
    options: c_int,
) -> c_int {
    // SAFETY: the caller's arguments, but for the options.
    let call = |info, options| unsafe { original::waitid(kind, id, info, options) };
    if options & libc::WNOHANG != 0 || !counts(Patch::SUBPROCESS) {
        return call(info, options);
    }
    // Such a descriptor may say itself that nobody is to wait.
    if kind == libc::P_PIDFD && is_nonblocking(id as c_int) {
        return call(info, options);
    }
    let for_the_end = options & (libc::WSTOPPED | libc::WCONTINUED) == 0;
    let pid = (for_the_end && kind == libc::P_PID).then_some(id as pid_t);
    let fd = (for_the_end && kind == libc::P_PIDFD).then_some(id as c_int);
    // SAFETY: all zeros is a valid `siginfo_t`, which is a plain value.
    let mut own: siginfo_t = unsafe { std::mem::zeroed() };
    let to = if info.is_null() { &raw mut own } else { info };
    until_ended(pid, fd, || {
        // "Not yet" leaves the number of the process at 0.
        // SAFETY: ours or the caller's, which may be written.
        unsafe { to.write(std::mem::zeroed()) };
        let result = call(to, options | libc::WNOHANG);
        // SAFETY: the call has filled it, or it is still zero; for a child it has a number.
        let nobody = result == 0 && unsafe { (*to).si_pid() } == 0;
        (!nobody).then_some(result)
    })
}

/// Threads for commands. They may take long, and are none of [`unblock`](greenway_green::unblock)'s business, whose
/// threads are few.
fn commands() -> &'static ThreadPool {
    static COMMANDS: LazyLock<ThreadPool> = LazyLock::new(|| ThreadPool::new(128, 1024));
    &COMMANDS
}

/// See `system(3)`. The command runs on when its green thread is to end.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn system(command: *const c_char) -> c_int {
    if command.is_null() || !counts(Patch::SUBPROCESS) {
        // SAFETY: the caller's argument, unchanged.
        return unsafe { original::system(command) };
    }
    // SAFETY: the caller's string.
    let command = unsafe { CStr::from_ptr(command) }.to_owned();
    let before = errno::get();
    let call = move || {
        // SAFETY: a string of our own.
        let result = unsafe { original::system(command.as_ptr()) };
        (result, errno::get())
    };
    match owned(commands(), "system", call) {
        Ok((result, error)) => {
            errno::set(if result < 0 { error } else { before });
            result
        }
        Err(Some(_)) => errno::fail(libc::ECANCELED),
        Err(None) => errno::fail(libc::EAGAIN),
    }
}

/// See `pclose(3)`: it waits for the child, whatever happens to its green thread.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pclose(stream: *mut FILE) -> c_int {
    // SAFETY: the caller's stream.
    let close = || unsafe { original::pclose(stream) };
    if !counts(Patch::SUBPROCESS) {
        return close();
    }
    let before = errno::get();
    match lent(commands(), "pclose", || (close(), errno::get())) {
        Some((result, error)) => {
            errno::set(if result < 0 { error } else { before });
            result
        }
        None => close(),
    }
}
