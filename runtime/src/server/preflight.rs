//! Whether the process has room for a server, found out before anything is started.
//!
//! The scheduler below us ends the process with a panic when it gets no thread or no descriptor.
//! So the first start takes as many of both as it will need, and gives them back. Who has too few
//! is told in one line.

use super::budget;
use crate::green::embed::{Count, lock, share_one_heap};
use crate::service::config::Config;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex, OnceLock};

/// Descriptors that each worker takes: the scheduler's epoll and bell; our own epoll, bell, timer
/// and idle poller; and those that are held while one with a fitting number is looked for.
const DESCRIPTORS_OF_WORKER: usize = 10;
/// Descriptors for signals, logs, bells of OS threads, the reserve and the first connections.
const DESCRIPTORS: usize = 24;
/// OS threads beside the workers: timers, monitor, watcher, metrics, counts, and two that a handler
/// may need. The pool says itself what it lacks.
const THREADS: usize = 7;

/// Stacks that the scheduler makes when it starts.
const STACKS: u64 = 192;
/// Bytes of address space for OS threads and the heap.
const ADDRESS_SPACE: u64 = 64 * 1024 * 1024;

/// Tries whether there is room, unless a server of this process has had it.
///
/// # Errors
/// What there is too little of.
pub(super) fn check(config: &Config) -> io::Result<()> {
    static HAD: OnceLock<()> = OnceLock::new();
    if HAD.get().is_some() {
        return Ok(());
    }
    let workers = config.green.workers.max(1);
    check_address_space(config)?;
    try_descriptors(DESCRIPTORS + workers.saturating_mul(DESCRIPTORS_OF_WORKER))?;
    // The allocator reserves 64 MiB of address space for each thread that has ever used it, which
    // would be missing where that is limited.
    if budget::address_space_left().is_none() {
        try_threads(workers.saturating_add(THREADS))?;
    }
    HAD.get_or_init(|| ());
    Ok(())
}

fn check_address_space(config: &Config) -> io::Result<()> {
    let Some(left) = budget::address_space_left() else {
        return Ok(());
    };
    share_one_heap();
    let needed = ADDRESS_SPACE + STACKS * budget::stack_of(config);
    if left < needed {
        let mebibytes = needed >> 20;
        let why = format!(
            "no room for the {mebibytes} MiB of address space that a server needs (ulimit -v)"
        );
        return Err(io::Error::new(io::ErrorKind::OutOfMemory, why));
    }
    Ok(())
}

fn try_descriptors(count: usize) -> io::Result<()> {
    let all: io::Result<Vec<_>> = (0..count).map(|_| UnixDatagram::unbound()).collect();
    all.map(drop).map_err(|error| {
        let needed = Count(count, "descriptor");
        let why = format!("no room for the {needed} that a server needs (ulimit -n): {error}");
        io::Error::new(error.kind(), why)
    })
}

fn try_threads(count: usize) -> io::Result<()> {
    let gate = Arc::new(Mutex::new(()));
    let closed = lock(&gate);
    let mut threads = Vec::new();
    let mut result = Ok(());
    for _ in 0..count {
        let gate = gate.clone();
        let thread = std::thread::Builder::new().name("greenway-trial".into());
        // Each holds its place until the gate is open.
        match thread.spawn(move || drop(lock(&gate))) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                let needed = Count(count, "thread");
                let why = format!("no room for the {needed} that a server needs: {error}");
                result = Err(io::Error::new(error.kind(), why));
                break;
            }
        }
    }
    drop(closed);
    for thread in threads {
        let _it_does_not_panic = thread.join();
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_tried_is_given_back() {
        for _ in 0..3 {
            try_threads(20).unwrap();
            try_descriptors(20).unwrap();
        }
        let error = try_descriptors(1 << 24).unwrap_err();
        assert!(
            error.to_string().contains("16777216 descriptors"),
            "{error}"
        );
    }
}
