//! Waits in destructors, while the green thread unwinds.

use greenway::green::{self, Config, JoinError, spawn};
use greenway_monkey_tests::{begin_with, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// A stack for a few waits, one below the other, and no more.
fn begin_with_small_stacks() {
    begin_with(Config {
        stack_size: 64 << 10,
        ..Config::default()
    });
}

/// One that goes on after its end is told in the log, from below a call that comes out of C.
#[test]
fn a_logger_that_panics_unwinds_through_no_call() {
    struct Panics;
    impl log::Log for Panics {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            assert!(!record.args().to_string().contains("was told to end"));
        }
        fn flush(&self) {}
    }
    log::set_logger(&Panics).expect("nobody else sets one");
    log::set_max_level(log::LevelFilter::Warn);
    begin_with_small_stacks();
    let waiter = spawn(|| {
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(50));
        }
    });
    until("it sleeps", || {
        let tasks = green::green_threads();
        let its = tasks.iter().find(|task| task.number == waiter.number());
        its.is_some_and(|task| matches!(task.state, green::TaskState::Waiting(_)))
    });
    waiter.kill();
    let end = waiter.join_timeout(Duration::from_secs(60));
    end.expect("it ends").expect("nothing has unwound");
}

/// The first one of a worker that waits in a destructor has an OS thread begun and ended, below its wait.
#[test]
fn many_that_unwind_wait_in_destructors_while_no_core_is_free() {
    begin_with_small_stacks();
    struct WaitsMore;

    impl Drop for WaitsMore {
        fn drop(&mut self) {
            for _ in 0..3 {
                thread::sleep(Duration::from_micros(100));
            }
        }
    }

    let stop = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..16)
        .map(|_| {
            let stop = stop.clone();
            thread::spawn(move || while !stop.load(Ordering::Relaxed) {})
        })
        .collect();
    let doomed: Vec<_> = (0..50)
        .map(|_| {
            spawn(|| {
                let _waits_more = WaitsMore;
                green::sleep(Duration::from_secs(600));
            })
        })
        .collect();
    until("they sleep", || {
        let sleep = |task: &green::TaskInfo| matches!(task.state, green::TaskState::Waiting(_));
        green::green_threads()
            .iter()
            .filter(|task| sleep(task))
            .count()
            >= 50
    });
    for thread in &doomed {
        thread.kill();
    }
    for thread in doomed {
        let end = thread.join_timeout(Duration::from_secs(60));
        let end = end.expect("it ends");
        assert!(matches!(end, Err(JoinError::Killed)), "{end:?}");
    }
    stop.store(true, Ordering::Relaxed);
    for thread in busy {
        thread.join().unwrap();
    }
}
