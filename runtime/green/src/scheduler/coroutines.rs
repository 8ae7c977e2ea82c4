//! The life of a coroutine: it runs one green thread after the other.
//!
//! What must stay true: nothing of a green thread is left for the next one. Its control block is
//! forgotten, its local values are dropped at its end. (A coroutine-local of `may`'s, of which
//! green threads know nothing, would stay; that of an OS thread in a pool does, too.)

use super::coroutine_pool::{Call, CoroutinePool, Start};
use super::discard::discard;
use super::giving_way::sleep;
use super::thread;
use super::worker;
use crate::logging::RateLimit;
use crate::scheduler::lock::lock;
use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

/// Runs a green thread's first function in a new coroutine, until it waits for the first time.
/// Called by the mailbox task of the worker that it is to live on.
pub(super) fn launch(start: Start) {
    static FAILURES: LazyLock<Mutex<RateLimit>> =
        LazyLock::new(|| Mutex::new(RateLimit::new(WINDOW, 1, 1)));

    struct Pinned(Start);
    // SAFETY: `may` asks for Send because it may move a coroutine before its first instruction.
    // `spawn_local` runs it on this OS thread at once, and without work stealing it stays here.
    unsafe impl Send for Pinned {}

    let start = Pinned(start);
    // `may` panics where there is no memory or mapping for the stack. The closure is dropped
    // then, which tells whoever joins.
    STARTING.set(true);
    let result = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `may` asks for care with thread-locals and with stack overflow. Green threads
        // are pinned, so thread-locals stay what they are; a stack ends in a guard page.
        unsafe {
            may::coroutine::Builder::new().spawn_local(move || {
                STARTING.set(false);
                let start = start;
                run(start.0);
            })
        }
    }));
    STARTING.set(false);
    let error = match result {
        Ok(Ok(_detached)) => return,
        Ok(Err(error)) => error,
        Err(payload) => {
            discard(payload);
            io::Error::from(io::ErrorKind::OutOfMemory)
        }
    };
    let admitted = lock(&FAILURES).admit("failures", Instant::now());
    match admitted {
        Some(0) => log::error!("a green thread could not be started: {error}"),
        Some(more) => log::error!(
            "a green thread could not be started: {error} ({more} more since the last such message)"
        ),
        None => {}
    }
}

thread_local! {
    /// `may` is making a coroutine on this OS thread, and has not begun with it.
    static STARTING: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this moment is `may`'s, which has no stack for a green thread. It is caught, and
/// told in the log as what it is, so a panic hook need not tell it.
pub fn is_starting() -> bool {
    STARTING.try_with(Cell::get).unwrap_or(false)
}

/// Of failures to start green threads, one within such a time is logged.
const WINDOW: Duration = Duration::from_secs(10);

/// Runs the first green thread, and then the next ones.
// Nothing but the box lies on the stack below a green thread: one page is to do for a connection.
fn run(first: Start) {
    first();
    while let Some(next) = rest() {
        next();
    }
}

/// Waits for the next green thread. `None` if the coroutine is not needed.
#[inline(never)]
fn rest() -> Option<Start> {
    thread::forget_current();
    let here = worker::here().expect("green threads live on workers");
    let slot = here.with_pool(CoroutinePool::rest)?;
    if here.with_pool(CoroutinePool::begin_watch) {
        here.start(Box::new(end_idle));
    }
    loop {
        may::coroutine::park();
        match slot.take() {
            Some(Call::Start(next)) => {
                here.with_pool(|pool| pool.begin(slot));
                return Some(next);
            }
            Some(Call::End) => return None,
            None => {}
        }
    }
}

/// A coroutine that was not needed for so long, while more than a few rest, ends.
const PERIOD: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 5000 });

/// Ends coroutines of the worker that are not needed, until only those are left that may rest for ever.
/// It is run as green threads are, but is none: nobody can see or end it.
fn end_idle() {
    let here = worker::here().expect("it was started on a worker");
    loop {
        sleep(PERIOD);
        if !here.with_pool(CoroutinePool::end_idle) {
            break;
        }
    }
}
