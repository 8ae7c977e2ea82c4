//! [`apart`]: letting others run while a green thread unwinds.
//!
//! std counts the panics of each *OS thread*. A green thread that blocked in a destructor while it
//! unwinds would show its count to all others of its worker: their `panicking()` would be true, their
//! mutexes would be poisoned, their waits would come back at once. So the count is put aside for as
//! long as others run, and put back before the green thread goes on.
//!
//! What must stay true: whoever has the worker's turn sees the count of its own panics.
//!
//! # Implementation
//!
//! The count cannot be set. But a panic adds one where it begins, and takes one away where it is
//! caught. A *suspended panic* is a small coroutine that stops in a destructor while it unwinds. One
//! that began on another OS thread and is finished here takes one away here; one that is begun here
//! adds one here. Those that were begun to put a count back are finished for the next one that is put
//! aside, so a worker has as many as it has had green threads that blocked while unwinding at once, each
//! with a stack of its own. They cannot be given up: each stands for a count that was made here.
//!
//! A suspended panic is finished at most once on another OS thread than the one on which it was begun.
//! So the function that begins it and the one that catches it are kept apart: nothing that a
//! compiler knows of the first thread's count may be in a register when the second thread goes on.

use super::no_wait::NoWait;
use super::worker;
use generator::{Generator, Gn};
use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

/// Words of a coroutine's stack, 32 KiB, of which unwinding touches a few.
const STACK: usize = 0x1000;

/// Panics that a thread may have at once and still let others run: a destructor that panics inside of
/// another one ends the process, so more than one takes intention.
const MOST: usize = 4;

/// A panic that has stopped half-way.
type Suspended = Generator<'static, (), ()>;

// Never dropped: that would go on with the panic, in a destructor. Workers do not end.
thread_local!(static SPARE: RefCell<ManuallyDrop<Vec<Suspended>>> =
    const { RefCell::new(ManuallyDrop::new(Vec::new())) });

/// Runs `block`, in which others of this worker may run, without the panics of the caller. `None` if
/// that is not possible: then nothing was done. An OS thread has its count for itself.
pub(crate) fn apart<R>(block: impl FnOnce() -> R) -> Option<R> {
    if worker::current().is_none() {
        return Some(block());
    }
    let finished = put_aside();
    let result = (!thread::panicking()).then(|| catch_unwind(AssertUnwindSafe(block)));
    put_back(finished);
    // A panic in here is one in a destructor, of which std says what it always says.
    result.map(|result| result.unwrap_or_else(|payload| resume_unwind(payload)))
}

/// Finishes as many suspended panics as it takes for the caller not to unwind; those.
fn put_aside() -> Vec<Suspended> {
    // Memory and an OS thread's end are waited for in here, below a wait.
    let _no_wait = NoWait::begin();
    let mut finished = Vec::new();
    while thread::panicking() && finished.len() < MOST {
        let Some(mut suspended) = spare() else { break };
        suspended.resume();
        finished.push(suspended);
    }
    finished
}

/// Begins them anew.
fn put_back(finished: Vec<Suspended>) {
    let _no_wait = NoWait::begin();
    for mut again in finished {
        again.init_code(unwind_half_way);
        again.resume();
        SPARE.with_borrow_mut(|spare| spare.push(again));
    }
}

/// One that is finished where it is resumed.
fn spare() -> Option<Suspended> {
    let spare = SPARE.with_borrow_mut(|spare| spare.pop());
    spare.or_else(|| {
        let begin = || {
            let mut suspended = Gn::new_opt(STACK, unwind_half_way);
            suspended.resume();
            suspended
        };
        // On an OS thread that ends, so that its count is nobody's.
        thread::Builder::new().spawn(begin).ok()?.join().ok()
    })
}

#[inline(never)] // see "Implementation"
fn unwind_half_way() {
    struct Stop;

    impl Drop for Stop {
        #[expect(
            deprecated,
            reason = "the scoped form needs a handle that a destructor lacks"
        )]
        #[inline(never)]
        fn drop(&mut self) {
            generator::yield_with(());
        }
    }

    #[inline(never)]
    fn begin() {
        let _stop = Stop;
        resume_unwind(Box::new(()));
    }

    let caught = catch_unwind(begin);
    debug_assert!(caught.is_err());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_put_aside_and_put_back() {
        struct InDrop;

        impl Drop for InDrop {
            fn drop(&mut self) {
                assert!(thread::panicking());
                for n in 0..3 {
                    let seen = apart(|| {
                        let caught = catch_unwind(|| resume_unwind(Box::new(7)));
                        assert!(caught.is_err() && !thread::panicking());
                        n
                    });
                    assert_eq!(seen, Some(n));
                    assert!(thread::panicking());
                }
            }
        }

        let tries = || {
            for _ in 0..3 {
                assert!(!thread::panicking());
                assert_eq!(apart(|| 1), Some(1), "nothing to put aside");
                let caught = catch_unwind(|| {
                    let _in_drop = InDrop;
                    resume_unwind(Box::new(()));
                });
                assert!(caught.is_err() && !thread::panicking());
            }
        };
        crate::spawn(tries).join().unwrap();
    }
}
