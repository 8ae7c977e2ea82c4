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
use std::collections::HashMap;
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

/// What a thread waits for, if it is a descriptor.
pub(crate) fn descriptor_of(thread: u64) -> Option<c_int> {
    SHARDS.iter().find_map(|shard| {
        let waiters = lock(shard);
        let mut all = waiters.iter();
        all.find(|(_, waiters)| waiters.iter().any(|(waiter, _)| *waiter == thread))
            .map(|(fd, _)| *fd)
    })
}
