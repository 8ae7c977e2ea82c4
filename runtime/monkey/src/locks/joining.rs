//! The end of OS threads: nothing tells of it that a green thread could wait for, so it is looked for.

use crate::patch::{Patch, counts};
use crate::patience::Patience;
use crate::{errno, original};
use libc::{c_int, c_void, pthread_t};
use std::time::Duration;

/// See `pthread_join(3)`. It has no way to be interrupted: it waits whatever happens to its green thread.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_join(
    thread: pthread_t,
    value: *mut *mut c_void,
) -> c_int {
    if !counts(Patch::LOCKS) {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { original::pthread_join(thread, value) };
    }
    let patience = Patience::new(Duration::from_millis(5));
    loop {
        // SAFETY: the caller's arguments; the thread is not joined before this gives something else.
        let result = unsafe { original::pthread_tryjoin_np(thread, value) };
        if result != libc::EBUSY {
            return result;
        }
        errno::kept(|| {
            let (Ok(()) | Err(_)) = patience.pause("thread's end", None);
        });
    }
}
