//! What a server needs of the scheduler, called from safe code.

use super::{eventually, ms};
use crate::embed::{Awaited, BeforeBlock, Io, current, wait_for};
use crate::{Builder, JoinError, TaskState, green_threads, sleep, spawn};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

#[test]
fn a_hook_counts_again_when_a_later_one_is_gone() {
    let counts = spawn(|| {
        let (outer, inner) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let hook = |count: &Rc<Cell<u32>>| {
            let count = count.clone();
            BeforeBlock::new(Rc::new(move || count.set(count.get() + 1)))
        };
        let first = hook(&outer);
        sleep(ms(1));
        let second = hook(&inner);
        sleep(ms(1));
        drop(second);
        sleep(ms(1));
        drop(first);
        sleep(ms(1));
        (outer.get(), inner.get())
    });
    let (outer, inner) = counts.join().unwrap();
    assert!(outer >= 2 && inner >= 1, "{outer}, {inner}");
}

/// The last one who holds the control block drops it on another OS thread than the hook's.
#[test]
fn a_hook_whose_guard_is_forgotten_is_not_dropped_elsewhere() {
    struct Loud(std::thread::ThreadId);
    impl Drop for Loud {
        fn drop(&mut self) {
            assert_eq!(self.0, std::thread::current().id());
        }
    }
    let thread = std::thread::spawn(|| {
        let loud = Loud(std::thread::current().id());
        let me = current().handle();
        let hook = Rc::new(move || {
            let _ = &loud;
        });
        std::mem::forget(BeforeBlock::on(&me, hook));
        me
    });
    let control = thread.join().unwrap();
    assert_eq!(Arc::strong_count(&control), 1);
    drop(control);
}

#[test]
fn a_threads_own_state_is_not_reached_from_elsewhere() {
    let control = spawn(|| current().handle()).join().unwrap();
    let reached = catch_unwind(AssertUnwindSafe(|| control.here().tick()));
    assert!(reached.is_err());
    let me = current().handle();
    assert!(!me.here().is_noting());
    assert!(!std::thread::scope(|s| s
        .spawn(|| me.here().is_noting())
        .join()
        .is_ok()));
}

#[test]
fn layers_above_say_what_they_wait_for() {
    let waiting = Builder::new().name("for the bus").spawn(|| {
        let bus = Awaited::Other("the bus");
        wait_for(bus, None, Io::None, |_, _| None::<()>)
    });
    let state = || {
        let all = green_threads().into_iter();
        all.filter(|task| task.name == "for the bus")
            .map(|task| task.state)
            .next()
    };
    eventually(|| state() == Some(TaskState::Waiting(Awaited::Other("the bus"))));
    waiting.kill();
    assert!(matches!(waiting.join(), Err(JoinError::Killed)));
}
