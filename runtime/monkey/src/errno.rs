//! `errno`, which belongs to the OS thread; green threads keep theirs, so it is right after a wait.

use libc::c_int;

/// What the last call that failed has left.
pub(crate) fn get() -> c_int {
    // SAFETY: the address is that of the calling OS thread's own variable.
    unsafe { *libc::__errno_location() }
}

/// Leaves `error` for the caller.
pub(crate) fn set(error: c_int) {
    // SAFETY: as in `get`.
    unsafe { *libc::__errno_location() = error }
}

/// Leaves `error`, and gives what a call gives that has failed.
pub(crate) fn fail<R: From<i8>>(error: c_int) -> R {
    set(error);
    R::from(-1)
}

/// Whether a call has failed because it would have to wait.
pub(crate) fn would_block() -> bool {
    get() == libc::EAGAIN // on Linux EWOULDBLOCK is the same number
}
