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
//! | seeing what goes on | [`green_threads`], [`run_info`], [`on_blocked`], [`stack_marks`], [`ThreadPool::stats`] |
//! | sockets and names | [`net`] |
//! | what blocks | [`unblock`], [`ThreadPool`] |
//! | files | [`fs`] |
//! | other programs | [`subprocess`] |
//! | the process itself | [`signals`], [`at_exit`] |
//!
//! # Pinned
//!
//! A green thread has a home worker, an OS thread that it never leaves. Values that are not
//! `Send` (an `Rc`, a `RefCell`) may therefore live across a wait, and thread-locals stay what
//! they are. On the other hand, code that does not wait holds up the other green threads of its
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

mod async_result;
mod at_exit;
mod barrier;
mod carrier;
mod condition;
mod control;
mod count;
mod descriptor;
pub mod embed;
mod errand;
mod event;
pub mod fs;
mod greenlet;
mod group;
mod handle;
mod handlers;
mod limit;
mod line;
mod local;
mod lock;
mod lot;
mod monitor;
pub mod net;
mod overflow;
mod permits;
mod queue;
mod registered;
mod rlock;
mod run_info;
mod rwlock;
mod scope;
mod seeing;
mod semaphore;
pub mod signals;
mod spawn;
mod stack;
pub mod subprocess;
mod sys;
mod thread;
mod threadpool;
mod timeout;
mod timer;
mod wait;
mod watch;
mod worker;

#[cfg(test)]
mod tests;

pub use async_result::{AsyncResult, GetError, Setter};
pub use at_exit::{at_exit, at_exit_within, run_at_exit};
pub use barrier::{Barrier, BarrierBroken, Passed};
pub use condition::Condition;
pub use errand::Serving;
pub use event::Event;
pub use greenlet::{Greenlet, JoinError, joinall, killall};
pub use group::{Group, Pool};
pub use local::{Local, with_fresh_locals};
pub use lock::{Lock, LockGuard};
pub use monitor::{Blocked, on_blocked};
pub use queue::{
    Channel, Closed, Empty, JoinableQueue, LifoQueue, Peer, PriorityQueue, PutError, Queue, Task,
};
pub use rlock::{RLock, RLockGuard};
pub use run_info::{RunInfo, WorkerSight, run_info};
pub use rwlock::{ReadGuard, RwLock, WriteGuard};
pub use scope::{Scope, ScopedGreenlet, scope};
pub use seeing::{Doing, Sight, green_threads};
pub use semaphore::{BoundedSemaphore, Permit, ReleasedTooOften, Semaphore};
pub use spawn::{Builder, spawn, spawn_balanced, spawn_later, spawn_local};
pub use stack::{StackMark, stack_marks};
pub use thread::Awaited;
pub use threadpool::{Job, ThreadPool, ThreadPoolStats, threadpool, unblock};
pub use timeout::{TimedOut, Timeout, with_timeout};
pub use wait::{Iwait, Waitable, iwait, select, wait};
pub use worker::{Config, config, start};

use std::time::Duration;
use thread::{Io, deadline_in, wait_for};

/// Lets this thread sleep for at least `duration`, while others run.
///
/// A green thread stays on its worker; the resolution is that of the kernel's clocks, not a
/// millisecond. [`Duration::MAX`] sleeps until the thread is killed.
///
/// ```
/// use greenway_green::sleep;
/// use std::time::Duration;
///
/// sleep(Duration::from_millis(10));
/// ```
pub fn sleep(duration: Duration) {
    let deadline = deadline_in(duration);
    let (Ok(()) | Err(TimedOut)) = wait_for(Awaited::Time, deadline, Io::None, |_, _| None::<()>);
}

/// Lets all others of this worker run that can run, after a look at which sockets are ready.
///
/// For code that computes for long: unlike `may`'s own, this lets input and output proceed.
pub fn yield_now() {
    let me = thread::current();
    let Some(home) = me.home() else {
        thread::checkpoint();
        return std::thread::yield_now();
    };
    let mut asked = false;
    let (Ok(()) | Err(TimedOut)) = wait_for(Awaited::Turn, None, Io::None, |me, _| {
        if asked {
            return Some(());
        }
        asked = true;
        home.wake_next_round(me.clone());
        None
    });
}

/// Notes a piece of work that did not wait, and gives way to others after enough of them, unless
/// this is an OS thread: the kernel sees to those. What ought to end this thread is raised here,
/// as in a wait.
pub fn take_turn() {
    if std::thread::panicking() {
        return;
    }
    let enough = thread::with_current(|me| {
        me.raise_if_over();
        me.home().is_some() && me.did()
    });
    if enough {
        yield_now();
    }
}

/// Whether the caller is a green thread.
pub fn is_green() -> bool {
    worker::current().is_some()
}

/// The number of the worker (from 0) that runs the calling green thread; `None` in an OS thread.
pub fn worker_index() -> Option<usize> {
    worker::current().map(worker::Worker::index)
}

// The example in README.md.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
