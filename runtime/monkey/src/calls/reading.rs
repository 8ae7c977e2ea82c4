//! Reading: sockets with a flag that says "do not wait", all else by other ways to the same end.

use crate::descriptor::{For, is_ready, when_ready};
use crate::patch::{Patch, counts, is_patched};
use crate::{errno, original};
use greenway_green::embed::Interest;
use libc::{
    c_int, c_uint, c_void, iovec, mmsghdr, msghdr, off_t, off64_t, size_t, sockaddr, socklen_t,
    ssize_t, timespec,
};

/// Whether a call on `fd` is to wait as green threads do. Standard output and error are written under a
/// lock of std's that is one for the whole OS thread, and its standard input is like them.
pub(super) fn counts_for(fd: c_int) -> bool {
    fd > libc::STDERR_FILENO && counts(Patch::SOCKETS)
}

/// Reads what there is of whatever kind of descriptor, or fails with `EAGAIN`.
///
/// # Safety
/// `parts` are `n` parts of memory that may be written.
unsafe fn read_now(fd: c_int, parts: *const iovec, n: c_int) -> ssize_t {
    let mut message: msghdr = EMPTY;
    message.msg_iov = parts.cast_mut();
    message.msg_iovlen = n as usize;
    // SAFETY: the message consists of the caller's parts.
    let received = unsafe { original::recvmsg(fd, &raw mut message, libc::MSG_DONTWAIT) };
    if received >= 0 || errno::get() != libc::ENOTSOCK {
        return received;
    }
    // SAFETY: the caller's parts; -1 is "from the present position on".
    let read = unsafe { original::preadv2(fd, parts, n, -1, libc::RWF_NOWAIT) };
    if read >= 0 {
        return read;
    }
    match errno::get() {
        libc::EAGAIN if !is_file(fd) => read,
        // A file that is not in memory: the disk answers, soon or late.
        libc::EAGAIN => super::files_read(|| {
            // SAFETY: the caller's parts.
            unsafe { original::readv(fd, parts, n) }
        }),
        libc::EOPNOTSUPP | libc::EINVAL | libc::ENOSYS | libc::ESPIPE => {
            if !is_ready(fd, Interest::Readable) {
                return errno::fail(libc::EAGAIN);
            }
            // SAFETY: the caller's parts.
            unsafe { original::readv(fd, parts, n) }
        }
        _ => read,
    }
}

pub(super) const EMPTY: msghdr = msghdr {
    msg_name: std::ptr::null_mut(),
    msg_namelen: 0,
    msg_iov: std::ptr::null_mut(),
    msg_iovlen: 0,
    msg_control: std::ptr::null_mut(),
    msg_controllen: 0,
    msg_flags: 0,
};

fn is_file(fd: c_int) -> bool {
    let mut status = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the status lives over the call.
    let result = unsafe { libc::fstat(fd, status.as_mut_ptr()) };
    if result != 0 {
        return false;
    }
    // SAFETY: a call that has not failed has filled it.
    let kind = unsafe { status.assume_init() }.st_mode & libc::S_IFMT;
    matches!(kind, libc::S_IFREG | libc::S_IFBLK)
}

/// See `read(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn read(fd: c_int, buffer: *mut c_void, n: size_t) -> ssize_t {
    if n == 0 || !counts_for(fd) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::read(fd, buffer, n) };
    }
    let part = iovec {
        iov_base: buffer,
        iov_len: n,
    };
    when_ready(fd, For::reading("read"), false, || {
        // SAFETY: the caller's buffer, as one part.
        unsafe { read_now(fd, &raw const part, 1) }
    })
}

/// See `readv(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn readv(fd: c_int, parts: *const iovec, n: c_int) -> ssize_t {
    if n <= 0 || !counts_for(fd) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::readv(fd, parts, n) };
    }
    when_ready(fd, For::reading("readv"), false, || {
        // SAFETY: the caller's parts.
        unsafe { read_now(fd, parts, n) }
    })
}

/// See `pread(2)`: a file never waits for anybody, but a disk may be slow.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn pread(
    fd: c_int,
    buffer: *mut c_void,
    n: size_t,
    at: off_t,
) -> ssize_t {
    // SAFETY: the caller's arguments.
    unsafe { pread64(fd, buffer, n, at) }
}

/// See `pread(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn pread64(
    fd: c_int,
    buffer: *mut c_void,
    n: size_t,
    at: off64_t,
) -> ssize_t {
    if !is_patched(Patch::FILES) || !counts(Patch::FILES) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::pread64(fd, buffer, n, at) };
    }
    let part = iovec {
        iov_base: buffer,
        iov_len: n,
    };
    // SAFETY: the caller's buffer, as one part.
    let read = unsafe { original::preadv2(fd, &raw const part, 1, at, libc::RWF_NOWAIT) };
    if read >= 0 || !errno::would_block() {
        return read;
    }
    super::files_read(|| {
        // SAFETY: the caller's arguments, unchanged.
        unsafe { original::pread64(fd, buffer, n, at) }
    })
}

/// Receives as often as `MSG_WAITALL` asks for.
///
/// `receive` takes the bytes that there are already, and flags.
fn receive(
    fd: c_int,
    call: &'static str,
    n: size_t,
    flags: c_int,
    mut receive: impl FnMut(size_t, c_int) -> ssize_t,
) -> ssize_t {
    let asked_not_to_wait = flags & libc::MSG_DONTWAIT != 0;
    let all = flags & libc::MSG_WAITALL != 0 && flags & libc::MSG_PEEK == 0 && !asked_not_to_wait;
    let flags = (flags | libc::MSG_DONTWAIT) & !libc::MSG_WAITALL;
    let mut done = 0;
    loop {
        let received = when_ready(fd, For::reading(call), asked_not_to_wait, || {
            receive(done, flags)
        });
        match usize::try_from(received) {
            Ok(more) => done += more,
            Err(_) if done > 0 => return done as ssize_t, // what there is comes before the error
            Err(_) => return received,
        }
        if received == 0 || !all || done >= n {
            return done as ssize_t;
        }
    }
}

/// See `recv(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn recv(
    fd: c_int,
    buffer: *mut c_void,
    n: size_t,
    flags: c_int,
) -> ssize_t {
    if !counts_for(fd) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::recv(fd, buffer, n, flags) };
    }
    receive(fd, "recv", n, flags, |done, flags| {
        // SAFETY: what is left of the caller's buffer: `done` is at most `n`.
        unsafe { original::recv(fd, buffer.byte_add(done), n - done, flags) }
    })
}

/// See `recvfrom(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn recvfrom(
    fd: c_int,
    buffer: *mut c_void,
    n: size_t,
    flags: c_int,
    from: *mut sockaddr,
    length: *mut socklen_t,
) -> ssize_t {
    if !counts_for(fd) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::recvfrom(fd, buffer, n, flags, from, length) };
    }
    receive(fd, "recvfrom", n, flags, |done, flags| {
        // SAFETY: what is left of the caller's buffer: `done` is at most `n`; its other arguments.
        unsafe { original::recvfrom(fd, buffer.byte_add(done), n - done, flags, from, length) }
    })
}

/// See `recvmsg(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    if !counts_for(fd) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::recvmsg(fd, message, flags) };
    }
    let asked_not_to_wait = flags & libc::MSG_DONTWAIT != 0;
    when_ready(fd, For::reading("recvmsg"), asked_not_to_wait, || {
        // SAFETY: the caller's arguments, and a flag more.
        unsafe { original::recvmsg(fd, message, flags | libc::MSG_DONTWAIT) }
    })
}

/// See `recvmmsg(2)`. Gives what has come as soon as there is anything; the kernel's own would wait for all
/// `n`, and says itself that its timeout is broken.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn recvmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    n: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> c_int {
    if !counts_for(fd) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::recvmmsg(fd, messages, n, flags, timeout) };
    }
    let asked_not_to_wait = flags & libc::MSG_DONTWAIT != 0;
    let flags = (flags | libc::MSG_DONTWAIT) & !libc::MSG_WAITFORONE;
    let received = when_ready(fd, For::reading("recvmmsg"), asked_not_to_wait, || {
        // SAFETY: the caller's arguments; without a timeout, since it does not wait.
        unsafe { original::recvmmsg(fd, messages, n, flags, std::ptr::null_mut()) as ssize_t }
    });
    received as c_int // at most `n`
}
