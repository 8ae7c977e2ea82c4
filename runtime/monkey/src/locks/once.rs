//! C's `pthread_once`: an initialiser may wait, and whoever comes meanwhile waits for it.
//!
//! Whose initialiser runs is noted here, if a green thread runs it: a second green thread of its worker would
//! wait in the kernel for one that cannot go on.

use super::mutexes::{ANY, counts_here};
use super::table;
use crate::{errno, original};
use greenway_green::embed::lock;
use libc::c_int;
use std::collections::HashSet;
use std::sync::{LazyLock, Mutex};

/// What has to be done once, which green threads are about.
static RUNNING: LazyLock<Mutex<HashSet<usize>>> = LazyLock::new(Mutex::default);

/// See `pthread_once(3)`.
///
/// # Safety
/// That of the C function.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn pthread_once(
    once: *mut c_int,
    initialise: unsafe extern "C-unwind" fn(),
) -> c_int {
    struct Runs(usize);
    impl Drop for Runs {
        // Also where an exception of C++ passes, after which somebody else tries.
        fn drop(&mut self) {
            lock(&RUNNING).remove(&self.0);
            table::wake(self.0, usize::MAX, ANY);
        }
    }
    let address = once.addr();
    let _runs = counts_here().then(|| {
        errno::kept(|| {
            while !lock(&RUNNING).insert(address) {
                let runs = || lock(&RUNNING).contains(&address);
                table::wait("pthread once", address, ANY, None, runs);
            }
        });
        Runs(address)
    });
    // SAFETY: the caller's arguments, unchanged.
    unsafe { original::pthread_once(once, initialise) }
}
