//! The life of a coroutine: it runs one green thread after the other.
//!
//! What must stay true: nothing of a green thread is left for the next one. Its control block is
//! forgotten, its local values are dropped at its end. (A coroutine-local of `may`'s, of which
//! green threads know nothing, would stay; that of an OS thread in a pool does, too.)

use super::coroutine_pool::{CoroutinePool, Start};
use super::discard::discard;
use super::thread;
use super::worker;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a green thread's first function in a new coroutine, until it waits for the first time.
/// Called by the mailbox task of the worker that it is to live on.
pub(super) fn launch(start: Start) {
    struct Pinned(Start);
    // SAFETY: `may` asks for Send because it may move a coroutine before its first instruction.
    // `spawn_local` runs it on this OS thread at once, and without work stealing it stays here.
    unsafe impl Send for Pinned {}

    let start = Pinned(start);
    // `may` panics where there is no memory or mapping for the stack. The closure is dropped
    // then, which tells whoever joins.
    let result = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `may` asks for care with thread-locals and with stack overflow. Green threads
        // are pinned, so thread-locals stay what they are; a stack ends in a guard page.
        unsafe {
            may::coroutine::Builder::new().spawn_local(move || {
                let start = start;
                run(start.0);
            })
        }
    }));
    let error = match result {
        Ok(Ok(_detached)) => return,
        Ok(Err(error)) => error,
        Err(payload) => {
            discard(payload);
            io::Error::from(io::ErrorKind::OutOfMemory)
        }
    };
    log::error!("a green thread could not be started: {error}");
}

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
    loop {
        may::coroutine::park();
        if let Some(next) = slot.take() {
            here.with_pool(|pool| pool.begin(slot));
            return Some(next);
        }
    }
}
