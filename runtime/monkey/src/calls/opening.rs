//! Opening a FIFO, which waits for the other end, and draining a terminal.
//!
//! Whoever opens a FIFO to write is told at once, if it asks so, that nobody reads. Whoever opens it to read is
//! let in at once, and is told by a read whether anybody writes; a read into no memory takes nothing away.

use super::reading::counts_for;
use crate::descriptor::{events, set_mode};
use crate::patch::{Patch, counts};
use crate::patience::until_done;
use crate::{errno, original};
use libc::{c_char, c_int, c_uint, ssize_t};
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::ptr::null_mut;

/// Whether opening with these flags may wait for another end, if it is a FIFO.
fn may_wait(flags: c_int) -> bool {
    let one_way = matches!(flags & libc::O_ACCMODE, libc::O_RDONLY | libc::O_WRONLY);
    let never = libc::O_NONBLOCK | libc::O_DIRECTORY | libc::O_PATH;
    one_way && flags & never == 0 && counts(Patch::SOCKETS)
}

/// # Safety
/// `path` is a string of C's.
unsafe fn is_fifo(folder: c_int, path: *const c_char, flags: c_int) -> bool {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    let follow = if flags & libc::O_NOFOLLOW != 0 {
        libc::AT_SYMLINK_NOFOLLOW
    } else {
        0
    };
    errno::kept(|| {
        // SAFETY: the caller's path, and a status that lives over the call, which has filled it if it has not
        // failed.
        unsafe {
            libc::fstatat(folder, path, status.as_mut_ptr(), follow) == 0
                && status.assume_init().st_mode & libc::S_IFMT == libc::S_IFIFO
        }
    })
}

/// # Safety
/// That of `openat`.
unsafe fn open_at(folder: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: the caller's arguments, but for the flags.
    let open = |flags| unsafe { original::openat(folder, path, flags, mode) };
    // SAFETY: the caller's path.
    if path.is_null() || !may_wait(flags) || !unsafe { is_fifo(folder, path, flags) } {
        return open(flags);
    }
    let now = || open(flags | libc::O_NONBLOCK) as ssize_t;
    let before = errno::get();
    let fd = until_done("open", &[libc::ENXIO], None, now) as c_int;
    if fd < 0 {
        return fd;
    }
    // SAFETY: the call has just got it, for us alone.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    if flags & libc::O_ACCMODE == libc::O_RDONLY {
        let written = || {
            if has_writer(fd) {
                0
            } else {
                errno::fail(libc::ENXIO)
            }
        };
        if until_done("open", &[libc::ENXIO], None, written) < 0 {
            let error = errno::get();
            drop(owned);
            return errno::fail(error);
        }
    }
    set_mode(fd, flags);
    errno::set(before);
    owned.into_raw_fd()
}

/// Whether somebody writes to a FIFO that we read, or has done so since we have opened it.
fn has_writer(fd: c_int) -> bool {
    if events(fd, libc::POLLIN) != 0 {
        return true;
    }
    // SAFETY: where there is no memory nothing is written. It gives 0 where nobody writes, and fails where
    // somebody does: there is nothing yet, or nothing can be taken.
    unsafe { original::read(fd, null_mut(), 1) != 0 }
}

/// Defines the names of `open`, which takes a third argument if it may make a file; here it always has one, which
/// is ignored otherwise.
macro_rules! open {
    ($($open:ident, $open_at:ident, $creat:ident;)*) => {$(
        /// See `open(2)`.
        ///
        /// # Safety
        /// That of the C function.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C-unwind" fn $open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
            // SAFETY: the caller's arguments.
            unsafe { open_at(libc::AT_FDCWD, path, flags, mode) }
        }

        /// See `open(2)`.
        ///
        /// # Safety
        /// That of the C function.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C-unwind" fn $open_at(
            folder: c_int,
            path: *const c_char,
            flags: c_int,
            mode: c_uint,
        ) -> c_int {
            // SAFETY: the caller's arguments.
            unsafe { open_at(folder, path, flags, mode) }
        }

        /// See `creat(2)`.
        ///
        /// # Safety
        /// That of the C function.
        #[unsafe(no_mangle)]
        unsafe extern "C-unwind" fn $creat(path: *const c_char, mode: c_uint) -> c_int {
            let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
            // SAFETY: the caller's arguments.
            unsafe { open_at(libc::AT_FDCWD, path, flags, mode) }
        }
    )*};
}

// On 64-bit machines both kinds of names mean the same.
open! {
    open, openat, creat;
    open64, openat64, creat64;
}

/// See `tcdrain(3)`: nothing tells when a terminal has sent all.
#[unsafe(no_mangle)]
extern "C-unwind" fn tcdrain(fd: c_int) -> c_int {
    if counts_for(fd) {
        let sent = || {
            let mut left: c_int = 0;
            // SAFETY: gives a number, which lives over the call.
            let asked = unsafe { libc::ioctl(fd, libc::TIOCOUTQ, &raw mut left) };
            // What cannot tell is asked in the old way.
            if asked == 0 && left > 0 {
                errno::fail(libc::EAGAIN)
            } else {
                0
            }
        };
        if until_done("tcdrain", &[libc::EAGAIN], None, sent) < 0 {
            return -1;
        }
    }
    // SAFETY: passes a number.
    unsafe { original::tcdrain(fd) }
}
