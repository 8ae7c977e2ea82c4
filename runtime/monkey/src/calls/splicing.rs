//! Moving bytes from one descriptor to another.
//!
//! A flag of `splice` says "do not wait" of pipes alone, and `sendfile` has none. Making the other descriptor
//! non-blocking for the length of a call would be seen by all who share it, as an error of calls that
//! ought to wait. So what goes to anything but a pipe or a file is read and written here.

use super::reading::{counts_for, pread64};
use super::writing::{go_on, takes_all, write_now};
use crate::descriptor::{Call, Errno, For, is_nonblocking, is_ready, wait};
use crate::{errno, original};
use greenway_green::embed::Interest;
use libc::{c_int, c_uint, loff_t, off_t, off64_t, size_t, ssize_t};
use std::cell::OnceCell;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The most bytes that are moved at once through memory of ours.
const PART: usize = 64 << 10;

/// See `sendfile(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn sendfile(
    to: c_int,
    from: c_int,
    at: *mut off_t,
    n: size_t,
) -> ssize_t {
    // SAFETY: the caller's arguments.
    unsafe { sendfile64(to, from, at, n) }
}

/// See `sendfile(2)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn sendfile64(
    to: c_int,
    from: c_int,
    at: *mut off64_t,
    n: size_t,
) -> ssize_t {
    // SAFETY: passes numbers.
    let position = || unsafe { libc::lseek64(from, 0, libc::SEEK_CUR) };
    // SAFETY: null or a number that can be read.
    let begin = || unsafe { at.as_ref() }.map_or_else(position, |at| *at);
    let own_way = n > 0 && counts_for(to) && !takes_all(to) && takes_all(from);
    let Some(begin) = own_way.then(begin).filter(|begin| *begin >= 0) else {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::sendfile64(to, from, at, n) };
    };
    let sent = send_file(to, from, begin, n);
    if sent > 0 {
        // SAFETY: null or a number that may be written.
        match unsafe { at.as_mut() } {
            Some(at) => *at = begin + sent as off64_t,
            None => {
                // SAFETY: passes numbers.
                unsafe { libc::lseek64(from, begin + sent as off64_t, libc::SEEK_SET) };
            }
        }
    }
    sent
}

/// Sends `n` bytes of a file, or all that there are.
fn send_file(to: c_int, from: c_int, begin: off64_t, n: size_t) -> ssize_t {
    let before = errno::get();
    let mut call = Call::new(to, For::writing("sendfile"), false);
    let mut part = vec![0u8; n.min(PART)];
    let mut done = 0;
    while done < n {
        let most = part.len().min(n - done);
        // SAFETY: a buffer that lives over the call, and is as long.
        let read = unsafe {
            pread64(
                from,
                part.as_mut_ptr().cast(),
                most,
                begin + done as off64_t,
            )
        };
        let sent = match usize::try_from(read) {
            Ok(0) => break,
            Ok(read) => go_on(&mut call, read, 0, |gone| {
                let rest = &part[gone..read];
                // SAFETY: a slice that lives over the call.
                unsafe { write_now(to, rest.as_ptr().cast(), rest.len()) }
            }),
            Err(_) => -1,
        };
        match usize::try_from(sent) {
            Ok(sent) => done += sent,
            Err(_) if done == 0 => return -1,
            Err(_) => break, // the error comes again with the rest
        }
        if sent < read {
            break;
        }
    }
    errno::set(before);
    done as ssize_t
}

/// What a descriptor is, as `stat` has it; 0 if it is none, or one of the kernel's without a name: an eventfd.
pub(super) fn kind(fd: c_int) -> libc::mode_t {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    errno::kept(|| {
        // SAFETY: the status lives over the call, which has filled it if it has not failed.
        unsafe {
            match libc::fstat(fd, status.as_mut_ptr()) {
                0 => status.assume_init().st_mode & libc::S_IFMT,
                _ => 0,
            }
        }
    })
}

/// Makes a call on two descriptors, which does not wait for the first one to be ready, until it does not fail
/// with `EAGAIN`. It gives what was moved, which may be a part.
fn until_moved(
    what: &'static str,
    [from, to]: [c_int; 2],
    asked_not_to_wait: bool,
    mut now: impl FnMut() -> ssize_t,
) -> ssize_t {
    let before = errno::get();
    loop {
        let moved = now();
        if moved >= 0 {
            errno::set(before);
            return moved;
        }
        let may_wait = !asked_not_to_wait && !is_nonblocking(from) && !is_nonblocking(to);
        if errno::get() != libc::EAGAIN || !may_wait {
            return moved;
        }
        // Nobody tells which end it was: the source first, and then the other, if that was ready.
        let (fd, ready) = if is_ready(from, Interest::Readable) {
            (to, For::writing(what))
        } else {
            (from, For::reading(what))
        };
        if let Err(Errno(error)) = wait(fd, ready, None) {
            return errno::fail(error);
        }
    }
}

/// See `splice(2)`. Waits for either end, and gives what was moved, as it may.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn splice(
    from: c_int,
    from_at: *mut loff_t,
    to: c_int,
    to_at: *mut loff_t,
    n: size_t,
    flags: c_uint,
) -> ssize_t {
    let kinds = || (kind(from), kind(to));
    let waits = n > 0 && counts_for(from) && counts_for(to);
    // SAFETY: the caller's arguments, but for the flags.
    let call = |flags| unsafe { original::splice(from, from_at, to, to_at, n, flags) };
    let asked_not_to_wait = flags & libc::SPLICE_F_NONBLOCK != 0;
    let at_once = flags | libc::SPLICE_F_NONBLOCK;
    match waits.then(kinds) {
        Some((libc::S_IFIFO, libc::S_IFIFO | libc::S_IFREG | libc::S_IFBLK)) => {
            until_moved("splice", [from, to], asked_not_to_wait, || call(at_once))
        }
        Some((libc::S_IFIFO, _)) if from_at.is_null() && to_at.is_null() => {
            until_moved("splice", [from, to], asked_not_to_wait, || {
                out_of_pipe(from, to, n, flags)
            })
        }
        // A socket that has something does not wait, unless somebody else takes it at this moment.
        Some((_, libc::S_IFIFO)) => until_moved("splice", [from, to], asked_not_to_wait, || {
            if is_ready(from, Interest::Readable) {
                call(at_once)
            } else {
                errno::fail(libc::EAGAIN)
            }
        }),
        _ => call(flags),
    }
}

thread_local! {
    /// A pipe that is empty whenever somebody else could run: its two ends, reading and writing.
    static ASIDE: OnceCell<[OwnedFd; 2]> = const { OnceCell::new() };
}

fn pipe() -> Option<[OwnedFd; 2]> {
    let mut ends = [0; 2];
    // SAFETY: two numbers, which live over the call.
    let made = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) };
    // SAFETY: a call that has not failed gives two descriptors that nobody else has.
    (made == 0).then(|| ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) }))
}

/// Moves what goes from a pipe to something else, or fails with `EAGAIN`. What does not go stays in the pipe: so
/// it is copied first, and what has gone is taken away afterwards.
fn out_of_pipe(from: c_int, to: c_int, n: size_t, flags: c_uint) -> ssize_t {
    let (mut part, n) = (vec![0u8; n.min(PART)], n.min(PART));
    let copied = ASIDE.with(|aside| {
        // One that could not be made is tried again the next time: descriptors come back.
        if aside.get().is_none()
            && let Some(made) = pipe()
        {
            let _first = aside.set(made);
        }
        let Some([out, into]) = aside.get() else {
            return -1; // with the error of the attempt
        };
        // SAFETY: descriptors that are open, and a buffer that lives over the calls and is as long.
        unsafe {
            let n = original::tee(from, into.as_raw_fd(), n, libc::SPLICE_F_NONBLOCK);
            if n <= 0 {
                return n;
            }
            original::read(out.as_raw_fd(), part.as_mut_ptr().cast(), n as size_t)
        }
    });
    if copied <= 0 {
        return copied;
    }
    let more = if flags & libc::SPLICE_F_MORE != 0 {
        libc::MSG_MORE
    } else {
        0
    };
    let flags = libc::MSG_DONTWAIT | more;
    // SAFETY: a buffer that lives over the calls, of which so many bytes are filled.
    unsafe {
        let mut sent = original::send(to, part.as_ptr().cast(), copied as size_t, flags);
        if sent < 0 && errno::get() == libc::ENOTSOCK {
            sent = write_now(to, part.as_ptr().cast(), copied as size_t);
        }
        if sent > 0 {
            original::read(from, part.as_mut_ptr().cast(), sent as size_t);
        }
        sent
    }
}

/// See `tee(2)`.
#[unsafe(no_mangle)]
extern "C-unwind" fn tee(from: c_int, to: c_int, n: size_t, flags: c_uint) -> ssize_t {
    // SAFETY: passes numbers.
    let call = |flags| unsafe { original::tee(from, to, n, flags) };
    if n == 0 || !counts_for(from) || !counts_for(to) {
        return call(flags);
    }
    let asked_not_to_wait = flags & libc::SPLICE_F_NONBLOCK != 0;
    let at_once = flags | libc::SPLICE_F_NONBLOCK;
    until_moved("tee", [from, to], asked_not_to_wait, || call(at_once))
}
