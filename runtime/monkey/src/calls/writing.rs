//! Writing: a blocking descriptor takes all that it is given before the call returns, so do these.

use super::reading::{EMPTY, counts_for, rest, total};
use super::splicing::kind;
use crate::descriptor::{Call, For, Made, is_ready};
use crate::patch::{Patch, counts};
use crate::{errno, original};
use greenway_green::embed::Interest;
use libc::{c_int, c_uint, c_void, iovec, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t};

/// The most bytes that a pipe takes at once if it takes anything (`pipe(7)`).
const PIPE_BUF: usize = 4096;

/// Writes what goes of one part, to whatever kind of descriptor, or fails with `EAGAIN`.
///
/// # Safety
/// `n` bytes at `buffer` may be read.
pub(super) unsafe fn write_now(fd: c_int, buffer: *const c_void, n: size_t) -> ssize_t {
    // SAFETY: the caller's buffer. As `write` does, it raises SIGPIPE where nobody reads.
    let sent = unsafe { original::send(fd, buffer, n, libc::MSG_DONTWAIT) };
    if sent >= 0 || errno::get() != libc::ENOTSOCK {
        return sent;
    }
    let part = iovec {
        iov_base: buffer.cast_mut(),
        iov_len: n,
    };
    // SAFETY: the caller's buffer; -1 is "at the present position".
    let wrote = unsafe { original::pwritev2(fd, &raw const part, 1, -1, libc::RWF_NOWAIT) };
    if wrote >= 0 {
        return wrote;
    }
    match errno::get() {
        // A file that has to be made longer, or what does not know the flag.
        libc::EAGAIN | libc::EOPNOTSUPP | libc::EINVAL | libc::ENOSYS | libc::ESPIPE => {
            if !is_ready(fd, Interest::Writable) {
                return errno::fail(libc::EAGAIN);
            }
            let kind = kind(fd);
            let n = if is_file(kind) { n } else { n.min(PIPE_BUF) };
            // An eventfd that takes one need not take more, and has no other way to be told not to wait.
            // SAFETY: the caller's buffer, from which as many bytes may be read.
            let adds =
                n == size_of::<u64>() && unsafe { buffer.cast::<u64>().read_unaligned() } > 1;
            let _made = (adds && kind == 0).then(|| Made::nonblocking(fd));
            // SAFETY: the caller's buffer, or the beginning of it.
            unsafe { original::write(fd, buffer, n) }
        }
        _ => wrote,
    }
}

fn is_file(kind: libc::mode_t) -> bool {
    matches!(kind, libc::S_IFREG | libc::S_IFBLK)
}

/// Whether a write of any length does not block: a file's.
pub(super) fn takes_all(fd: c_int) -> bool {
    is_file(kind(fd))
}

/// Writes until all `n` bytes are gone, as a blocking descriptor has it; `write` takes how many are.
fn write_all(
    fd: c_int,
    call: &'static str,
    n: size_t,
    asked_not_to_wait: bool,
    write: impl FnMut(size_t) -> ssize_t,
) -> ssize_t {
    go_on(
        &mut Call::new(fd, For::writing(call), asked_not_to_wait),
        n,
        0,
        write,
    )
}

/// As [`write_all`], after `done` bytes.
pub(super) fn go_on(
    call: &mut Call,
    n: size_t,
    mut done: size_t,
    mut write: impl FnMut(size_t) -> ssize_t,
) -> ssize_t {
    let before = errno::get();
    loop {
        let wrote = call.until_done(|| write(done));
        match usize::try_from(wrote) {
            Ok(more) => done += more,
            Err(_) if done > 0 => {
                errno::set(before); // the error comes again with the rest
                return done as ssize_t;
            }
            Err(_) => return wrote,
        }
        if done >= n || wrote == 0 || call.takes_a_part() {
            return done as ssize_t;
        }
    }
}

/// See `write(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn write(
    fd: c_int,
    buffer: *const c_void,
    n: size_t,
) -> ssize_t {
    if n == 0 || !counts_for(fd) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::write(fd, buffer, n) };
    }
    write_all(fd, "write", n, false, |done| {
        // SAFETY: what is left of the caller's buffer: `done` is less than `n`.
        unsafe { write_now(fd, buffer.wrapping_byte_add(done), n - done) }
    })
}

/// See `writev(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn writev(fd: c_int, parts: *const iovec, n: c_int) -> ssize_t {
    let all = if counts_for(fd) {
        // SAFETY: the caller gives `n` parts; a negative number is more than may be.
        unsafe { total(parts, n as usize) }
    } else {
        0
    };
    if all == 0 {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::writev(fd, parts, n) };
    }
    // SAFETY: the caller gives `n` parts, of which there is one at least.
    let parts = unsafe { std::slice::from_raw_parts(parts, n as usize) };
    write_all(fd, "writev", all, false, |done| {
        // SAFETY: the caller's parts, of which `done` bytes are gone.
        let sent = unsafe { send_now(fd, parts, done, 0) };
        if sent >= 0 || errno::get() != libc::ENOTSOCK {
            return sent;
        }
        let (first, _) = rest(parts, done);
        // SAFETY: what is left of the caller's part.
        unsafe { write_now(fd, first.iov_base, first.iov_len) }
    })
}

/// Sends what goes of parts of which the first `done` bytes are gone, or fails with `EAGAIN`.
///
/// # Safety
/// All parts may be read.
unsafe fn send_now(fd: c_int, parts: &[iovec], done: usize, flags: c_int) -> ssize_t {
    let flags = flags | libc::MSG_DONTWAIT;
    let (first, others) = rest(parts, done);
    if done > 0 || others.is_empty() {
        // The part that is half gone goes alone: then no list has to be made.
        // SAFETY: what is left of the caller's part.
        return unsafe { original::send(fd, first.iov_base, first.iov_len, flags) };
    }
    let mut message: msghdr = EMPTY;
    message.msg_iov = parts.as_ptr().cast_mut();
    message.msg_iovlen = parts.len();
    // SAFETY: the message consists of the caller's parts.
    unsafe { original::sendmsg(fd, &raw const message, flags) }
}

/// See `send(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn send(
    fd: c_int,
    buffer: *const c_void,
    n: size_t,
    flags: c_int,
) -> ssize_t {
    if !counts_for(fd) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::send(fd, buffer, n, flags) };
    }
    let asked_not_to_wait = flags & libc::MSG_DONTWAIT != 0;
    write_all(fd, "send", n, asked_not_to_wait, |done| {
        // SAFETY: what is left of the caller's buffer: `done` is at most `n`.
        unsafe {
            original::send(
                fd,
                buffer.wrapping_byte_add(done),
                n - done,
                flags | libc::MSG_DONTWAIT,
            )
        }
    })
}

/// See `sendto(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn sendto(
    fd: c_int,
    buffer: *const c_void,
    n: size_t,
    flags: c_int,
    to: *const sockaddr,
    length: socklen_t,
) -> ssize_t {
    if !counts_for(fd) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::sendto(fd, buffer, n, flags, to, length) };
    }
    let asked_not_to_wait = flags & libc::MSG_DONTWAIT != 0;
    write_all(fd, "sendto", n, asked_not_to_wait, |done| {
        let flags = flags | libc::MSG_DONTWAIT;
        // SAFETY: what is left of the caller's buffer: `done` is at most `n`; its other arguments.
        unsafe {
            original::sendto(
                fd,
                buffer.wrapping_byte_add(done),
                n - done,
                flags,
                to,
                length,
            )
        }
    })
}

/// See `sendmsg(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn sendmsg(
    fd: c_int,
    message: *const msghdr,
    flags: c_int,
) -> ssize_t {
    if !counts_for(fd) || message.is_null() {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::sendmsg(fd, message, flags) };
    }
    let asked_not_to_wait = flags & libc::MSG_DONTWAIT != 0;
    let mut call = Call::new(fd, For::writing("sendmsg"), asked_not_to_wait);
    let sent = call.until_done(|| {
        // SAFETY: the caller's arguments, and a flag more.
        unsafe { original::sendmsg(fd, message, flags | libc::MSG_DONTWAIT) }
    });
    // SAFETY: the caller's message.
    unsafe { send_rest(&mut call, fd, &*message, sent, flags) }
}

/// Sends what is left of a message of which a part was sent, as a blocking socket does. What came along with
/// it has gone with the first part.
///
/// # Safety
/// It is a message that can be read.
unsafe fn send_rest(
    call: &mut Call,
    fd: c_int,
    message: &msghdr,
    sent: ssize_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the message's own parts.
    let all = unsafe { total(message.msg_iov, message.msg_iovlen) };
    match usize::try_from(sent) {
        Ok(sent) if 0 < sent && sent < all && !call.takes_a_part() => {
            // SAFETY: they are there, since a part of them was sent.
            let parts = unsafe { std::slice::from_raw_parts(message.msg_iov, message.msg_iovlen) };
            // SAFETY: the caller's parts, of which `done` bytes are gone.
            go_on(call, all, sent, |done| unsafe {
                send_now(fd, parts, done, flags)
            })
        }
        _ => sent,
    }
}

/// See `sendmmsg(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn sendmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    n: c_uint,
    flags: c_int,
) -> c_int {
    if !counts_for(fd) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::sendmmsg(fd, messages, n, flags) };
    }
    let asked_not_to_wait = flags & libc::MSG_DONTWAIT != 0;
    let mut call = Call::new(fd, For::writing("sendmmsg"), asked_not_to_wait);
    let mut done: c_uint = 0;
    loop {
        let sent = call.until_done(|| {
            // SAFETY: what is left of the caller's messages: `done` is at most `n`.
            unsafe {
                let rest = messages.wrapping_add(done as usize);
                original::sendmmsg(fd, rest, n - done, flags | libc::MSG_DONTWAIT) as ssize_t
            }
        });
        match c_uint::try_from(sent) {
            Ok(more) => done += more,
            Err(_) if done > 0 => return done as c_int,
            Err(_) => return -1,
        }
        if sent > 0 {
            // The kernel stops at a message of which it has taken a part.
            // SAFETY: the last one that the kernel has sent, and counted in it.
            unsafe {
                let last = &mut *messages.wrapping_add(done as usize - 1);
                let part = last.msg_len as ssize_t;
                last.msg_len = send_rest(&mut call, fd, &last.msg_hdr, part, flags) as c_uint;
            }
        }
        if sent == 0 || done >= n || call.takes_a_part() {
            return done as c_int; // at most `n`
        }
    }
}

/// See `fsync(2)`.
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn fsync(fd: c_int) -> c_int {
    // SAFETY: passes no memory.
    let sync = || unsafe { original::fsync(fd) };
    if !counts(Patch::FILES) {
        return sync();
    }
    super::files_read(|| sync() as ssize_t) as c_int
}

/// See `fdatasync(2)`.
#[unsafe(no_mangle)]
pub(crate) extern "C-unwind" fn fdatasync(fd: c_int) -> c_int {
    // SAFETY: passes no memory.
    let sync = || unsafe { original::fdatasync(fd) };
    if !counts(Patch::FILES) {
        return sync();
    }
    super::files_read(|| sync() as ssize_t) as c_int
}

/// See `eventfd(2)`: the C library writes past our `write`.
#[unsafe(no_mangle)]
extern "C-unwind" fn eventfd_write(fd: c_int, value: u64) -> c_int {
    // SAFETY: a number, which lives over the call.
    let wrote = unsafe { write(fd, (&raw const value).cast(), size_of::<u64>()) };
    if wrote == size_of::<u64>() as ssize_t {
        0
    } else {
        -1
    }
}
