//! The names under which C code that was compiled with `_FORTIFY_SOURCE` makes the same calls, with the size of
//! its buffer as one argument more.

use super::opening::{open, open64, openat, openat64};
use super::reading::{pread64, read, recv, recvfrom};
use super::several::{poll, ppoll};
use libc::{
    c_char, c_int, c_void, nfds_t, off64_t, pollfd, sigset_t, size_t, sockaddr, socklen_t, ssize_t,
    timespec,
};

/// Ends the process, as the C library does, if a buffer is shorter than the call assumes.
fn check(n: size_t, room: size_t) {
    if n > room {
        eprintln!("*** buffer overflow detected ***: terminated");
        std::process::abort();
    }
}

/// As `read`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn __read_chk(
    fd: c_int,
    buffer: *mut c_void,
    n: size_t,
    room: size_t,
) -> ssize_t {
    check(n, room);
    // SAFETY: the caller's arguments.
    unsafe { read(fd, buffer, n) }
}

/// As `pread`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn __pread64_chk(
    fd: c_int,
    buffer: *mut c_void,
    n: size_t,
    at: off64_t,
    room: size_t,
) -> ssize_t {
    check(n, room);
    // SAFETY: the caller's arguments.
    unsafe { pread64(fd, buffer, n, at) }
}

/// As `pread`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn __pread_chk(
    fd: c_int,
    buffer: *mut c_void,
    n: size_t,
    at: off64_t,
    room: size_t,
) -> ssize_t {
    // SAFETY: the caller's arguments; here both offsets are one type.
    unsafe { __pread64_chk(fd, buffer, n, at, room) }
}

/// As `recv`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn __recv_chk(
    fd: c_int,
    buffer: *mut c_void,
    n: size_t,
    room: size_t,
    flags: c_int,
) -> ssize_t {
    check(n, room);
    // SAFETY: the caller's arguments.
    unsafe { recv(fd, buffer, n, flags) }
}

/// As `recvfrom`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn __recvfrom_chk(
    fd: c_int,
    buffer: *mut c_void,
    n: size_t,
    room: size_t,
    flags: c_int,
    from: *mut sockaddr,
    length: *mut socklen_t,
) -> ssize_t {
    check(n, room);
    // SAFETY: the caller's arguments.
    unsafe { recvfrom(fd, buffer, n, flags, from, length) }
}

/// As `poll`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn __poll_chk(
    fds: *mut pollfd,
    n: nfds_t,
    timeout: c_int,
    room: size_t,
) -> c_int {
    check(n as usize, room / size_of::<pollfd>());
    // SAFETY: the caller's arguments.
    unsafe { poll(fds, n, timeout) }
}

/// As `ppoll`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn __ppoll_chk(
    fds: *mut pollfd,
    n: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
    room: size_t,
) -> c_int {
    check(n as usize, room / size_of::<pollfd>());
    // SAFETY: the caller's arguments.
    unsafe { ppoll(fds, n, timeout, mask) }
}

/// Defines the names of `open` for callers that make no file, and so give no mode.
macro_rules! without_mode {
    ($($open:ident => $to_open:ident, $open_at:ident => $to_open_at:ident;)*) => {$(
        /// As `open`.
        ///
        /// # Safety
        /// That of the C function.
        #[unsafe(no_mangle)]
        unsafe extern "C-unwind" fn $open(path: *const c_char, flags: c_int) -> c_int {
            // SAFETY: the caller's arguments.
            unsafe { $to_open(path, flags, 0) }
        }

        /// As `openat`.
        ///
        /// # Safety
        /// That of the C function.
        #[unsafe(no_mangle)]
        unsafe extern "C-unwind" fn $open_at(folder: c_int, path: *const c_char, flags: c_int) -> c_int {
            // SAFETY: the caller's arguments.
            unsafe { $to_open_at(folder, path, flags, 0) }
        }
    )*};
}

without_mode! {
    __open_2 => open, __openat_2 => openat;
    __open64_2 => open64, __openat64_2 => openat64;
}
