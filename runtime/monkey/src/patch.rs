//! Which calls are patched, and whether the caller is one for whom that counts.

use crate::{locks, original, waiting, waits};
use greenway_green::embed::{
    NoWaitCell, at_worker_start, can_wait, current, describe_waits, is_running,
};
use std::cell::Cell;
use std::ffi::c_void;
use std::fmt;
use std::ops::{BitOr, BitOrAssign};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

/// Groups of calls, to be joined with `|`.
///
/// ```
/// use greenway_monkey::{Patch, is_patched, patch};
///
/// patch(Patch::SLEEP | Patch::DNS);
/// assert!(is_patched(Patch::SLEEP) && !is_patched(Patch::ALL));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Patch(u32);

impl Patch {
    /// Sleeping and giving way.
    pub const SLEEP: Self = Self(1);
    /// Sockets, pipes and terminals.
    pub const SOCKETS: Self = Self(1 << 1);
    /// Waiting for one of several descriptors.
    pub const SELECT: Self = Self(1 << 2);
    /// Looking names up, on the threads that `greenway_green::net` uses for it.
    pub const DNS: Self = Self(1 << 3);
    /// Waiting for child processes.
    pub const SUBPROCESS: Self = Self(1 << 4);
    /// Locks of files.
    pub const FILE_LOCKS: Self = Self(1 << 5);
    /// Locks, conditions, barriers, parking and joining of threads, std's and C's.
    pub const LOCKS: Self = Self(1 << 6);
    /// `epoll_wait`: for C libraries with an event loop of their own. Not in [`ALL`](Self::ALL): an asynchronous
    /// runtime notes in a thread-local that it runs, so two of them that waited on one worker would
    /// each find the other's note and panic. Without this one holds its worker up, and is reported.
    pub const EPOLL: Self = Self(1 << 7);
    /// Files: `fsync` and `fdatasync`, and reads of what is not in memory, on the threads of
    /// [`unblock`](greenway_green::unblock). Not in [`ALL`](Self::ALL): a fast disk is faster than the way to another
    /// thread.
    pub const FILES: Self = Self(1 << 8);
    /// What is right for nearly all programs: all but [`EPOLL`](Self::EPOLL) and [`FILES`](Self::FILES).
    pub const ALL: Self = Self((1 << 7) - 1);

    const NAMES: [(Self, &str); 9] = [
        (Self::SLEEP, "SLEEP"),
        (Self::SOCKETS, "SOCKETS"),
        (Self::SELECT, "SELECT"),
        (Self::DNS, "DNS"),
        (Self::SUBPROCESS, "SUBPROCESS"),
        (Self::FILE_LOCKS, "FILE_LOCKS"),
        (Self::LOCKS, "LOCKS"),
        (Self::EPOLL, "EPOLL"),
        (Self::FILES, "FILES"),
    ];
}

impl BitOr for Patch {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Patch {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl fmt::Debug for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMES
            .iter()
            .filter(|(patch, _)| self.0 & patch.0 != 0);
        f.debug_set().entries(names.map(|(_, name)| name)).finish()
    }
}

/// What is patched.
static PATCHED: AtomicU32 = AtomicU32::new(0);

/// The number of the process, to tell it from a child that shares its memory.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// Called in a child after `fork`. The thread that has forked is alone in it: no worker runs there, and
/// a lock that another thread held is held for ever. So nothing is patched any more, unless there were no
/// workers yet: a program may patch first and become a daemon then.
extern "C" fn forked() {
    PROCESS.store(std::process::id(), Ordering::SeqCst);
    if is_running() {
        PATCHED.store(0, Ordering::SeqCst);
    }
}

/// Whether the caller is not in a child that shares the memory of this process, as after `vfork`.
pub(crate) fn is_our_process() -> bool {
    PROCESS.load(Ordering::Relaxed) == std::process::id()
}

/// Whether anything is patched.
pub(crate) fn is_patched_at_all() -> bool {
    PATCHED.load(Ordering::Relaxed) != 0
}

/// Patches [`Patch::ALL`]: the first line of a program, as in gevent. Once is enough, more does no harm.
///
/// A program that wants other threads than workers to have what they had needs nothing: only green
/// threads wait in another way.
pub fn patch_all() {
    patch(Patch::ALL);
}

/// Patches some groups of calls, in addition to those that are patched already.
///
/// Sleeping and sockets without [`Patch::LOCKS`] make correct programs hang: a lock that is held over a wait is
/// waited for by the whole worker. So take locks along, or be sure of what waits.
pub fn patch(what: Patch) {
    static FIRST: Once = Once::new();
    static LOCKS: Once = Once::new();
    original::find_all();
    FIRST.call_once(|| {
        PROCESS.store(std::process::id(), Ordering::SeqCst);
        // SAFETY: the function touches atomics only, as is right in a child. It cannot fail but
        // for lack of memory; then children of green threads are what they were without it.
        unsafe { libc::pthread_atfork(None, None, Some(forked)) };
        at_worker_start(waiting::learn_signals);
    });
    describe_waits(|thread| waits::describe(thread).or_else(|| locks::describe(thread)));
    PATCHED.fetch_or(what.0, Ordering::SeqCst);
    if what.0 & Patch::LOCKS.0 != 0 {
        LOCKS.call_once(locks::prepare);
    }
}

/// Patches [`Patch::SOCKETS`]: gevent's name.
pub fn patch_socket() {
    patch(Patch::SOCKETS);
}

/// Patches [`Patch::SLEEP`]: gevent's name.
pub fn patch_time() {
    patch(Patch::SLEEP);
}

/// Patches [`Patch::SELECT`]: gevent's name.
pub fn patch_select() {
    patch(Patch::SELECT);
}

/// Patches [`Patch::DNS`]: gevent's name.
pub fn patch_dns() {
    patch(Patch::DNS);
}

/// Patches [`Patch::SUBPROCESS`], and what std's `Command` waits with besides: gevent's name.
pub fn patch_subprocess() {
    patch(Patch::SUBPROCESS | Patch::SOCKETS | Patch::SELECT);
}

/// Patches [`Patch::LOCKS`]: gevent's name.
pub fn patch_thread() {
    patch(Patch::LOCKS);
}

/// Whether all of these are patched.
pub fn is_patched(what: Patch) -> bool {
    PATCHED.load(Ordering::Relaxed) & what.0 == what.0
}

/// The C library's own function of a name that this crate defines as well; `None` for any other name.
///
/// ```
/// let read = greenway_monkey::get_original("read").unwrap();
/// assert_ne!(read, libc::read as *const _);
/// ```
pub fn get_original(name: &str) -> Option<*const c_void> {
    original::get(name)
}

thread_local! {
    /// Green threads of this OS thread that are in `unpatched`, by number; some of them more than once.
    static UNPATCHED: NoWaitCell<Vec<u64>> = const { NoWaitCell::new(Vec::new()) };
    static HOW_MANY: Cell<usize> = const { Cell::new(0) };
}

/// Runs `body` as if nothing were patched, on this green thread: its calls hold up the worker.
///
/// ```
/// greenway_monkey::patch_all();
/// greenway_monkey::unpatched(|| std::thread::sleep(std::time::Duration::from_millis(1)));
/// ```
pub fn unpatched<R>(body: impl FnOnce() -> R) -> R {
    struct Scope(u64);
    impl Drop for Scope {
        fn drop(&mut self) {
            UNPATCHED.with(|threads| {
                let mut threads = threads.borrow_mut();
                if let Some(place) = threads.iter().rposition(|thread| *thread == self.0) {
                    threads.remove(place);
                }
                HOW_MANY.set(threads.len());
            });
        }
    }
    let me = current().id();
    UNPATCHED.with(|threads| {
        let mut threads = threads.borrow_mut();
        threads.push(me);
        HOW_MANY.set(threads.len());
    });
    let _scope = Scope(me);
    body()
}

/// Whether a call of this group is to wait as green threads do, for the caller.
#[inline]
pub(crate) fn counts(what: Patch) -> bool {
    PATCHED.load(Ordering::Relaxed) & what.0 != 0 && can_wait() && !is_unpatched()
}

/// Whether the caller is in [`unpatched`].
#[inline]
pub(crate) fn is_unpatched() -> bool {
    HOW_MANY.get() > 0 && in_scope()
}

#[cold]
fn in_scope() -> bool {
    let me = current().id();
    UNPATCHED.with(|threads| threads.borrow().contains(&me))
}
