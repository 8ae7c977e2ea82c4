//! Reading: sockets with a flag that says "do not wait", all else by other ways to the same end.

use super::time::duration;
use crate::descriptor::{Call, For, is_ready, when_ready};
use crate::patch::{Patch, counts, is_patched};
use crate::{errno, original};
use greenway_green::embed::{Interest, deadline_in};
use libc::{
    c_int, c_uint, c_void, iovec, mmsghdr, msghdr, off_t, off64_t, size_t, sockaddr, socklen_t,
    ssize_t, timespec,
};
use std::time::Instant;

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

/// How many bytes these parts have; 0 for a list that the kernel refuses.
///
/// # Safety
/// `parts` is null, or `n` parts that can be read.
pub(super) unsafe fn total(parts: *const iovec, n: usize) -> size_t {
    if parts.is_null() || n > libc::UIO_MAXIOV as usize {
        return 0;
    }
    // SAFETY: the caller's promise.
    let parts = unsafe { std::slice::from_raw_parts(parts, n) };
    parts
        .iter()
        .fold(0, |total, part| part.iov_len.saturating_add(total))
}

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
pub(crate) unsafe extern "C-unwind" fn read(fd: c_int, buffer: *mut c_void, n: size_t) -> ssize_t {
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
pub(crate) unsafe extern "C-unwind" fn readv(fd: c_int, parts: *const iovec, n: c_int) -> ssize_t {
    // SAFETY: the caller's parts.
    if !counts_for(fd) || unsafe { total(parts, n as usize) } == 0 {
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
pub(crate) unsafe extern "C-unwind" fn pread(
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
pub(crate) unsafe extern "C-unwind" fn pread64(
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

/// Whether a call with these flags never waits: it is asked not to, or for what is there or is not.
fn asks_not_to_wait(flags: c_int) -> bool {
    flags & (libc::MSG_DONTWAIT | libc::MSG_ERRQUEUE | libc::MSG_OOB) != 0
}

/// Whether a socket's bytes are one stream. Else `MSG_WAITALL` means nothing.
fn is_stream(fd: c_int) -> bool {
    let mut kind: c_int = 0;
    let mut length = size_of::<c_int>() as socklen_t;
    // SAFETY: the option is a number, which lives over the call, as does its length.
    let result = unsafe {
        let value = (&raw mut kind).cast();
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_TYPE, value, &raw mut length)
    };
    result == 0 && kind == libc::SOCK_STREAM
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
    let mut once = Call::new(fd, For::reading(call), asks_not_to_wait(flags));
    let now = (flags | libc::MSG_DONTWAIT) & !libc::MSG_WAITALL;
    let first = once.until_done(|| receive(0, now));
    let enough = usize::try_from(first).map_or(true, |first| first == 0 || first >= n);
    if enough || flags & libc::MSG_WAITALL == 0 || once.takes_a_part() || !is_stream(fd) {
        return first;
    }
    errno::kept(|| {
        receive_rest(&mut once, n, first, flags & libc::MSG_PEEK != 0, |done| {
            receive(done, now)
        })
    })
}

/// What [`receive`] does after the first part.
fn receive_rest(
    once: &mut Call,
    n: size_t,
    first: ssize_t,
    peeks: bool,
    mut receive: impl FnMut(size_t) -> ssize_t,
) -> ssize_t {
    let mut done = first as usize;
    while done < n {
        if peeks && once.pause_for_more().is_err() {
            break;
        }
        match once.until_done(|| receive(if peeks { 0 } else { done })) {
            ..=0 => break, // what there is comes before an error, or the end
            more if peeks => done = more as usize,
            more => done += more as usize,
        }
    }
    done as ssize_t
}

/// See `recv(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn recv(
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
        unsafe { original::recv(fd, buffer.wrapping_byte_add(done), n - done, flags) }
    })
}

/// See `recvfrom(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn recvfrom(
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
        unsafe {
            let rest = buffer.wrapping_byte_add(done);
            original::recvfrom(fd, rest, n - done, flags, from, length)
        }
    })
}

/// See `recvmsg(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn recvmsg(
    fd: c_int,
    message: *mut msghdr,
    flags: c_int,
) -> ssize_t {
    if !counts_for(fd) || message.is_null() {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::recvmsg(fd, message, flags) };
    }
    // Whatever comes along with later bytes would have no place, so who asks for it gets a part.
    // SAFETY: the caller's message.
    let n = unsafe {
        match (*message).msg_controllen {
            0 => total((*message).msg_iov, (*message).msg_iovlen),
            _ => 0,
        }
    };
    receive(fd, "recvmsg", n, flags, |done, flags| {
        if done == 0 {
            // SAFETY: the caller's message.
            return unsafe { original::recvmsg(fd, message, flags) };
        }
        // SAFETY: the caller's parts, of which there are as many as it says. `done` is less than their length.
        let (first, _) = unsafe {
            let parts = std::slice::from_raw_parts((*message).msg_iov, (*message).msg_iovlen);
            rest(parts, done)
        };
        // SAFETY: what is left of one of the caller's parts.
        unsafe { original::recv(fd, first.iov_base, first.iov_len, flags) }
    })
}

/// What is left of `parts` after `done` bytes: of the part where that is, and of the others.
pub(super) fn rest(mut parts: &[iovec], mut done: usize) -> (iovec, &[iovec]) {
    while let [first, others @ ..] = parts {
        if done < first.iov_len {
            let first = iovec {
                iov_base: first.iov_base.wrapping_byte_add(done),
                iov_len: first.iov_len - done,
            };
            return (first, others);
        }
        done -= first.iov_len;
        parts = others;
    }
    let nothing = iovec {
        iov_base: std::ptr::null_mut(),
        iov_len: 0,
    };
    (nothing, parts)
}

/// See `recvmmsg(2)`. As the kernel's own, it looks at its timeout when a message has come.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn recvmmsg(
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
    // SAFETY: null or a time that can be read.
    let timeout = match unsafe { timeout.as_ref() }.map(|time| duration(*time)) {
        Some(None) => return errno::fail(libc::EINVAL),
        timeout => timeout.flatten().and_then(deadline_in),
    };
    let mut once = Call::new(fd, For::reading("recvmmsg"), asks_not_to_wait(flags));
    let now = (flags | libc::MSG_DONTWAIT) & !libc::MSG_WAITFORONE;
    let mut done: c_uint = 0;
    loop {
        let received = once.until_done(|| {
            // SAFETY: what is left of the caller's messages: `done` is at most `n`. It does not wait.
            unsafe {
                let rest = messages.wrapping_add(done as usize);
                original::recvmmsg(fd, rest, n - done, now, std::ptr::null_mut()) as ssize_t
            }
        });
        match c_uint::try_from(received) {
            Ok(more) => done += more,
            Err(_) if done > 0 => return done as c_int,
            Err(_) => return -1,
        }
        let late = timeout.is_some_and(|at| at <= Instant::now());
        if received == 0
            || done >= n
            || late
            || flags & libc::MSG_WAITFORONE != 0
            || once.takes_a_part()
        {
            return done as c_int; // at most `n`
        }
    }
}

/// See `eventfd(2)`: the C library reads past our `read`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn eventfd_read(fd: c_int, value: *mut u64) -> c_int {
    // SAFETY: the caller's number.
    let n = unsafe { read(fd, value.cast(), size_of::<u64>()) };
    if n == size_of::<u64>() as ssize_t {
        0
    } else {
        -1
    }
}
