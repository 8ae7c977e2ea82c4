//! `errno`, which belongs to the OS thread: whoever runs while a call waits leaves his own there. A call
//! that succeeds leaves it alone, and C code relies on that (it unlocks first and looks afterwards),
//! so hooks that succeed put back what they have found.

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

/// Leaves `error` in `h_errno`, where functions that look names up say how it went.
pub(crate) fn set_of_names(error: c_int) {
    unsafe extern "C" {
        fn __h_errno_location() -> *mut c_int;
    }
    // SAFETY: the address is that of the calling OS thread's own variable.
    unsafe { *__h_errno_location() = error }
}

/// Leaves `error`, and gives what a call gives that has failed.
pub(crate) fn fail<R: From<i8>>(error: c_int) -> R {
    set(error);
    R::from(-1)
}

/// Runs `body`, and leaves `errno` as it was: for calls that say otherwise what is wrong.
pub(crate) fn kept<R>(body: impl FnOnce() -> R) -> R {
    let before = get();
    let result = body();
    set(before);
    result
}

/// Whether a call has failed because it would have to wait.
pub(crate) fn would_block() -> bool {
    get() == libc::EAGAIN // on Linux EWOULDBLOCK is the same number
}
