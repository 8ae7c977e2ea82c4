//! Waits in destructors, while the green thread unwinds.

use greenway::green::{self, Config, JoinError, spawn};
use greenway_monkey_tests::{begin_with, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The first one of a worker that waits in a destructor has an OS thread begun and ended, below its wait.
#[test]
fn many_that_unwind_wait_in_destructors_while_no_core_is_free() {
    // A stack for a few waits, one below the other, and no more.
    begin_with(Config {
        stack_size: 64 << 10,
        ..Config::default()
    });
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
