//! Green threads: blocking code that blocks nobody else.
//!
//! What gevent's users know, under gevent's names. Everything here works the same when an OS
//! thread calls it, between both kinds of threads and across workers, with or without a server.
//!
//! | For | there is |
//! |---|---|
//! | starting | [`spawn`], [`spawn_local`], [`spawn_balanced`], [`spawn_later`], [`Builder`]; [`scope`] for threads that borrow |
//! | seeing the end | [`Greenlet`], [`joinall`], [`killall`], [`Group`], [`Pool`] |
//! | time | [`sleep`], [`yield_now`], [`Timeout`], [`with_timeout`] |
//! | handing over | [`Queue`], [`PriorityQueue`], [`LifoQueue`], [`JoinableQueue`], [`Channel`], [`AsyncResult`] |
//! | meeting | [`Event`], [`Semaphore`], [`BoundedSemaphore`], [`Lock`], [`RLock`], [`RwLock`], [`Condition`], [`Barrier`] |
//! | several at once | [`wait`], [`iwait`], [`select`] |
//! | one's own values | [`Local`], [`with_fresh_locals`] |
//! | values made at first use | [`Lazy`], [`WorkerLocal`] |
//! | not being ended half-way | [`shield`], [`is_interrupt`] |
//! | seeing what goes on | [`green_threads`], [`run_info`], [`on_blocked`], [`stack_marks`], [`ThreadPool::stats`] |
//! | sockets and names | [`net`] |
//! | what blocks | [`unblock`], [`ThreadPool`] |
//! | connections that are kept | [`ConnectionPool`], [`BlockingConnectionPool`] for drivers that block |
//! | files | [`fs`] |
//! | other programs | [`subprocess`] |
//! | the process itself | [`signals`], [`at_exit`] |
//!
//! # Pinned
//!
//! A green thread has a home worker, an OS thread that it never leaves. Values that are not
//! `Send` (an `Rc`, a `RefCell`) may therefore live across a wait.
//!
//! A `thread_local!` belongs to the worker: all its green threads share it, as functions that call one
//! another share one. That is sound as long as **no wait lies between two steps that the code of a
//! thread-local takes for one**. It cannot be prevented, neither by this crate nor by the compiler, and
//! no `unsafe` of the program is needed to break it:
//!
//! - An initialiser of a `thread_local!` that waits may run twice, and the second value frees the first
//!   one, which somebody may have borrowed. Use [`WorkerLocal`] or [`Lazy`], whose initialisers may wait.
//! - A crate that sets a thread-local, calls a closure and restores it (`scoped-tls`) gives one green
//!   thread what another one has set, when the closure waits. Use [`Local`], or pass the value.
//! - A library that remembers where the OS thread's stack ends (`stacker`) is wrong on a green thread.
//!
//! On the other hand, code that does not wait holds up the other green threads of its
//! worker: hand long computations and blocking system calls to an OS thread with [`unblock`].
//!
//! # How a wait ends
//!
//! By what it waits for, by its timeout, or by the end of the thread: a green thread that is
//! [killed](Greenlet::kill), whose [`Timeout`] is over, or whose server stops, unwinds from its
//! wait. Destructors run; while they do, waits return at once without what they waited for.
//!
//! A wait that has got what it waited for wins over all other ends. All that wait are served in
//! the order in which they came, and one that gives up takes nothing along: an item or a permit
//! that was meant for it goes to the next.
//!
//! This is the only crate that knows `may`, and the only one with `unsafe` code.

#[cfg(panic = "abort")]
compile_error!(
    "Greenway ends handlers by unwinding them: build with `panic = \"unwind\"`, in every profile"
);

pub mod embed;
mod logging;
mod monitor;
pub mod net;
mod observe;
mod os;
mod platform;
mod runtime;
mod scheduler;
mod sync;
mod sys;
mod task;

#[cfg(test)]
mod tests;

pub use monitor::{Blocked, on_blocked};
pub use observe::{RunInfo, TaskInfo, TaskState, WorkerInfo, green_threads, run_info};
pub use os::{
    BlockingConnectionPool, ConnectionPool, ConnectionPoolBuilder, ConnectionPoolStats, Job,
    NoConnection, PooledConnection, ThreadPool, ThreadPoolStats, at_exit, at_exit_within, fs,
    run_at_exit, signals, subprocess, threadpool, unblock, unblock_scoped,
};
pub use runtime::{config, start};
pub use scheduler::giving_way::{is_green, sleep, take_turn, worker_index, yield_now};
pub use scheduler::thread::is_interrupt;
pub use scheduler::{Awaited, Config, RequestInfo, StackMark, TimedOut, stack_marks};
pub use sync::{
    AsyncResult, Barrier, BarrierBroken, BoundedSemaphore, Channel, Closed, Condition, Empty,
    Event, GetError, Iwait, JoinableQueue, Lazy, LifoQueue, Lock, LockGuard, Passed, Peer, Permit,
    PriorityQueue, PutError, Queue, RLock, RLockGuard, ReadGuard, ReleasedTooOften, RwLock,
    Semaphore, Setter, Task, Waitable, WorkerLocal, WriteGuard, iwait, select, wait,
};
pub use task::{
    Builder, Greenlet, Group, JoinError, Local, Pool, Scope, ScopedGreenlet, Timeout, joinall,
    killall, scope, shield, spawn, spawn_balanced, spawn_later, spawn_local, with_fresh_locals,
    with_timeout,
};

// The example in README.md.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
