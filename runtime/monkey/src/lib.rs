//! Monkey patching: unmodified blocking code waits as green threads do.
//!
//! gevent replaces Python's blocking calls; this crate replaces those of a compiled program. It
//! defines the C functions through which std, Rust's crates and C libraries reach the kernel, and
//! the linker takes a program's own definition before the C library's. No flag, no preloading.
//!
//! ```no_run
//! use greenway_green::spawn;
//! use std::time::Duration;
//!
//! fn main() {
//!     greenway_monkey::patch_all(); // the first line of a program
//!     let sleepers: Vec<_> = (0..1_000)
//!         .map(|_| spawn(|| std::thread::sleep(Duration::from_secs(1))))
//!         .collect();
//!     for sleeper in sleepers {
//!         sleeper.join().unwrap(); // all at once, on as many OS threads as there are cores
//!     }
//! }
//! ```
//!
//! # What a patched call does
//!
//! On an OS thread, before [`patch_all`], in [`unpatched`], or while the scheduler holds a lock of
//! its own, it is one check and the real call. On a green thread it tries without blocking, and
//! otherwise waits as everything in `greenway_green` waits, so that others of its worker run. What
//! a caller has asked for stays true: `O_NONBLOCK`, `MSG_DONTWAIT` and the timeouts of sockets count.
//!
//! A kill, a time limit, a client that leaves and a stop end such a wait with an error of the call:
//! `ECANCELED` where it may fail, an early return where it may not. Nothing unwinds through the
//! frames of C. The next wait of `greenway_green` unwinds as usual.
//!
//! | Switch | Calls |
//! |---|---|
//! | [`Patch::SLEEP`] | `nanosleep`, `clock_nanosleep`, `usleep`, `sleep`, `sched_yield`, `pause`, `sigsuspend`, `sigwait`, `sigwaitinfo`, `sigtimedwait` |
//! | [`Patch::SOCKETS`] | `connect`, `accept`, `accept4`, `read` and `write` with all their kin, `sendfile`, `splice`, `tee`, `close`, `dup2`, `dup3`: sockets, pipes and terminals; `open` of a FIFO, `tcdrain`, `mq_*`, `msgrcv`, `msgsnd` |
//! | [`Patch::SELECT`] | `poll`, `ppoll`, `select`, `pselect` |
//! | [`Patch::DNS`] | `getaddrinfo`, `getnameinfo`, `gethostby*`, `res_*` |
//! | [`Patch::SUBPROCESS`] | `wait`, `waitpid`, `wait3`, `wait4`, `waitid`, `system`, `pclose` |
//! | [`Patch::FILE_LOCKS`] | `flock`, `fcntl` with `F_SETLKW` and `F_OFD_SETLKW`, `lockf` |
//! | [`Patch::LOCKS`] | `syscall` with `SYS_futex` (std's locks and parking), `pthread_mutex_*`, `pthread_cond_*`, `pthread_rwlock_*`, `pthread_barrier_*`, `pthread_spin_lock`, `sem_*`, `semop`, `pthread_join` |
//! | [`Patch::EPOLL`] | `epoll_wait`, `epoll_pwait`, `epoll_pwait2`; not in [`Patch::ALL`] |
//! | [`Patch::FILES`] | `fsync`, `fdatasync`, reads of files that are not in memory; not in [`Patch::ALL`] |
//!
//! # What must stay true
//!
//! - A hook that a handler of a signal may call (`write`, `sem_post`, `open`, `close`) takes no memory and
//!   lets nobody run, unless somebody waits for that descriptor.
//! - A hook unwinds never, and leaves `errno` as the call that it stands for would.
//! - No hook waits while a lock of this crate, or of the scheduler, is held.
//! - No hook waits below another one of its green thread: an allocator, or std, may make calls of its own while
//!   one takes memory or wakes somebody, and these would make them once more.
//! - Calls of other OS threads do what they did, but for one thing: those that wake others (a futex's
//!   wake, an unlock, a signalled condition) also look for green threads among those who wait.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod calls;
mod descriptor;
mod errno;
mod locks;
mod original;
mod patch;
mod patience;
mod platform;
mod waiting;
mod waits;

pub use patch::{
    Patch, get_original, is_patched, patch, patch_all, patch_dns, patch_select, patch_socket,
    patch_subprocess, patch_thread, patch_time, unpatched,
};

// The example in README.md.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
