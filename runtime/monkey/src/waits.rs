//! Who waits for which descriptor, so that whoever closes it can end the wait, and the dump can tell.
//!
//! The kernel lets go of nobody who waits for a descriptor that is closed; worse, its number may come
//! to mean another one. So each hooked wait stands in here under the number, and a hooked `close` or
//! `dup2` takes those out that wait: each of them finds that it is not in any more, and fails.
//! A wait is in before its descriptor is watched, but after the call was tried; so `close` looks
//! once before and once after the kernel has closed the descriptor.
//!
//! A descriptor that is closed behind our back (a system call that is made without the C library) leaves
//! its waiters to their timeouts.

use crate::patch::{is_our_process, is_patched_at_all};
use greenway_green::embed::{Thread, holds_lock, lock};
use libc::c_int;
use socket2::{SockAddr, SockRef};
use std::collections::HashMap;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

/// One who waits for a descriptor.
struct Waiter {
    thread: Arc<Thread>,
    /// The descriptor of this number was closed after this one had begun to wait: it may be another by now.
    look_again: bool,
}

type Waiters = HashMap<c_int, Vec<Waiter>>;

/// Those who wait; a few shards, since each wait of each worker passes here.
static SHARDS: LazyLock<[Mutex<Waiters>; 16]> = LazyLock::new(Default::default);
/// How many there are in all shards: `close` looks no further where there are none.
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn shard(fd: c_int) -> &'static Mutex<Waiters> {
    &SHARDS[fd.unsigned_abs() as usize % SHARDS.len()]
}

/// What has become of the descriptor that one waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Open,
    /// It was closed by whoever came between the last look and the wait.
    LookAgain,
    Closed,
}

/// A place among those who wait for a descriptor.
pub(crate) struct Place {
    fd: c_int,
    thread: u64,
}

impl Place {
    /// For `thread`, which waits once at a time.
    pub(crate) fn take(fd: c_int, thread: &Arc<Thread>) -> Self {
        COUNT.fetch_add(1, Ordering::SeqCst);
        let waiter = Waiter {
            thread: thread.clone(),
            look_again: false,
        };
        lock(shard(fd)).entry(fd).or_default().push(waiter);
        Self {
            fd,
            thread: thread.id(),
        }
    }

    /// Whether somebody has closed the descriptor since.
    pub(crate) fn standing(&self) -> Standing {
        let waiters = lock(shard(self.fd));
        let mut waiters = waiters.get(&self.fd).into_iter().flatten();
        match waiters.find(|waiter| waiter.thread.id() == self.thread) {
            None => Standing::Closed,
            Some(waiter) if waiter.look_again => Standing::LookAgain,
            Some(_) => Standing::Open,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut shard = lock(shard(self.fd));
        if let Some(waiters) = shard.get_mut(&self.fd) {
            let place = waiters
                .iter()
                .position(|waiter| waiter.thread.id() == self.thread);
            let left = place.map(|place| waiters.swap_remove(place));
            if waiters.is_empty() {
                shard.remove(&self.fd);
            }
            drop(shard);
            drop(left); // the last one who holds a thread runs destructors
        }
        COUNT.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Closes a descriptor with `close`: the waits for it end.
///
/// Whoever waits when the call begins is taken out, and fails. Whoever begins to wait while the call
/// is under way has looked at the descriptor before, or at another one that has got its number
/// already: that one looks again.
pub(crate) fn end_at(fd: c_int, close: impl FnOnce() -> c_int) -> c_int {
    if !somebody_waits() {
        let result = close();
        if somebody_waits() {
            crate::errno::kept(|| closed(fd));
        }
        return result;
    }
    crate::errno::kept(|| {
        let waiters = lock(shard(fd)).remove(&fd);
        for waiter in waiters.into_iter().flatten() {
            waiter.thread.wake();
        }
    });
    let result = close();
    crate::errno::kept(|| closed(fd));
    result
}

#[cold]
fn closed(fd: c_int) {
    let mut waiting = Vec::new();
    for waiter in lock(shard(fd)).get_mut(&fd).into_iter().flatten() {
        waiter.look_again = true;
        waiting.push(waiter.thread.clone());
    }
    for thread in waiting {
        thread.wake();
    }
}

/// Whether anybody waits for any descriptor of this process. A child that shares our memory until it
/// starts a program has descriptors of its own; one that does not share it has no green threads; and
/// whoever comes with a lock of the scheduler's held, may hold ours.
fn somebody_waits() -> bool {
    COUNT.load(Ordering::SeqCst) > 0 && is_patched_at_all() && is_our_process() && !holds_lock()
}

/// The descriptors that a thread waits for, for people.
pub(crate) fn describe(thread: &Thread) -> Option<String> {
    let mut fds = Vec::new();
    for shard in &*SHARDS {
        let waiters = lock(shard);
        let its = |waiters: &[Waiter]| {
            waiters
                .iter()
                .any(|waiter| waiter.thread.id() == thread.id())
        };
        fds.extend(
            waiters
                .iter()
                .filter(|(_, waiters)| its(waiters))
                .map(|(fd, _)| *fd),
        );
    }
    fds.sort_unstable();
    match *fds {
        [] => None,
        [fd] => Some(format!("of {}", name(fd))),
        [fd, ..] => Some(format!("of {} and {} others", name(fd), fds.len() - 1)),
    }
}

/// The peer of a socket that has one, or where it listens; its number for anything else.
fn name(fd: c_int) -> String {
    // SAFETY: it was open a moment ago. If it is closed meanwhile the calls fail, or tell of another one.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let socket = SockRef::from(&fd);
    let socket_name = |addr: SockAddr| match (addr.as_socket(), addr.as_pathname()) {
        (Some(addr), _) => Some(addr.to_string()),
        (None, Some(path)) => Some(path.display().to_string()),
        (None, None) => None,
    };
    let peer = socket.peer_addr().ok().and_then(socket_name);
    peer.or_else(|| socket.local_addr().ok().and_then(socket_name))
        .unwrap_or_else(|| format!("descriptor {}", fd.as_raw_fd()))
}
