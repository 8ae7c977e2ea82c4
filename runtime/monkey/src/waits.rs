//! Who waits for which descriptor, so that whoever closes it can end the wait, and the dump can tell.
//!
//! The kernel lets go of nobody who waits for a descriptor that is closed; worse, its number may come
//! to mean another one. So each hooked wait stands in here under the number, and a hooked `close` or
//! `dup2` takes those out that wait: each of them finds that it is not in any more, and fails.
//!
//! A descriptor that is closed behind our back (a system call that is made without the C library) leaves
//! its waiters to their timeouts.

use greenway_green::embed::{Thread, lock};
use libc::c_int;
use socket2::{SockAddr, SockRef};
use std::collections::HashMap;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

type Waiters = HashMap<c_int, Vec<(u64, Arc<Thread>)>>;

/// Those who wait; a few shards, since each wait of each worker passes here.
static SHARDS: LazyLock<[Mutex<Waiters>; 16]> = LazyLock::new(Default::default);
/// How many there are in all shards: `close` looks no further where there are none.
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn shard(fd: c_int) -> &'static Mutex<Waiters> {
    &SHARDS[fd.unsigned_abs() as usize % SHARDS.len()]
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
        lock(shard(fd))
            .entry(fd)
            .or_default()
            .push((thread.id(), thread.clone()));
        Self {
            fd,
            thread: thread.id(),
        }
    }

    /// Whether nobody has closed the descriptor since.
    pub(crate) fn is_open(&self) -> bool {
        let waiters = lock(shard(self.fd));
        let waiters = waiters.get(&self.fd);
        waiters.is_some_and(|waiters| waiters.iter().any(|(thread, _)| *thread == self.thread))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut shard = lock(shard(self.fd));
        if let Some(waiters) = shard.get_mut(&self.fd) {
            let place = waiters
                .iter()
                .position(|(thread, _)| *thread == self.thread);
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

/// A descriptor is about to be closed: the waits for it end.
pub(crate) fn closing(fd: c_int) {
    if COUNT.load(Ordering::SeqCst) == 0 {
        return;
    }
    let waiters = lock(shard(fd)).remove(&fd);
    for (_, thread) in waiters.into_iter().flatten() {
        thread.wake();
    }
}

/// The descriptors that a thread waits for, for people.
pub(crate) fn describe(thread: &Thread) -> Option<String> {
    let mut fds = Vec::new();
    for shard in &*SHARDS {
        let waiters = lock(shard);
        let its =
            |waiters: &Vec<(u64, _)>| waiters.iter().any(|(waiter, _)| *waiter == thread.id());
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
