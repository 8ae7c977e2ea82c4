//! A coroutine that runs several green threads, one after the other, is nothing that they see.

use super::{LONG, SHORT, eventually, on_worker};
use crate::scheduler::worker;
use crate::{JoinError, Local, joinall, sleep, spawn};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// More than may rest on a worker for ever.
const MANY: usize = 200;

#[test]
fn nothing_of_a_thread_is_left_for_the_next() {
    static VALUE: Local<u32> = Local::new(|| 0);
    let all = on_worker(0, || {
        for round in 0..20 {
            // Ended by a kill, by a panic, and by itself; each leaves a value.
            let killed = spawn(|| {
                VALUE.set(VALUE.get() + 1);
                sleep(LONG);
            });
            sleep(SHORT / 20);
            killed.kill();
            let panicked = spawn(|| {
                assert_eq!(VALUE.get(), 0);
                VALUE.set(2);
                std::panic::resume_unwind(Box::new("boom"))
            });
            let returned = spawn(|| {
                assert_eq!(VALUE.get(), 0);
                VALUE.set(3);
                sleep(SHORT / 20);
                VALUE.get()
            });
            // Of those who have ended, nobody reaches another.
            eventually(|| panicked.ready());
            killed.kill();
            panicked.kill();
            assert_eq!(returned.join().unwrap(), 3, "round {round}");
            assert!(matches!(killed.join(), Err(JoinError::Killed)));
            assert!(matches!(panicked.join(), Err(JoinError::Panicked(_))));
        }
    });
    all.join().unwrap();
}

#[test]
fn nothing_that_a_late_destructor_has_set_is_left_for_the_next() {
    static VALUE: Local<u32> = Local::new(|| 0);
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    struct Setter;
    impl Drop for Setter {
        fn drop(&mut self) {
            VALUE.set(7);
            DROPPED.fetch_add(1, Ordering::SeqCst);
        }
    }
    let all = on_worker(0, || {
        for round in 0..5 {
            // A value that nobody takes, and a closure that never runs.
            drop(spawn(|| Setter));
            eventually(|| DROPPED.load(Ordering::SeqCst) == 2 * round + 1);
            assert_eq!(spawn(|| VALUE.get()).join().unwrap(), 0);
            let setter = Setter;
            let killed = spawn(move || drop(setter));
            killed.kill();
            assert!(matches!(killed.join(), Err(JoinError::Killed)));
            assert_eq!(spawn(|| VALUE.get()).join().unwrap(), 0);
        }
    });
    all.join().unwrap();
}

#[test]
fn threads_start_in_the_order_of_their_spawning() {
    let all = on_worker(0, || {
        // At first nobody rests; then enough do; then more than are needed.
        for count in [MANY, MANY, 3, MANY, 40, 100, MANY] {
            let begun = Arc::new(Mutex::new(Vec::new()));
            let threads: Vec<_> = (0..count)
                .map(|number| {
                    let begun = begun.clone();
                    spawn(move || {
                        begun.lock().unwrap().push(number);
                        if number % 3 == 0 {
                            sleep(SHORT / 20);
                        }
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            let begun = begun.lock().unwrap();
            assert!(begun.is_sorted() && begun.len() == count, "{begun:?}");
        }
    });
    all.join().unwrap();
}

#[test]
fn threads_of_another_worker_are_all_started() {
    let count = Arc::new(AtomicUsize::new(0));
    for _ in 0..10 {
        let threads: Vec<_> = (0..MANY)
            .map(|number| {
                let count = count.clone();
                on_worker(number % 2, move || count.fetch_add(1, Ordering::Relaxed))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }
    assert_eq!(count.load(Ordering::Relaxed), 10 * MANY);
}

#[test]
fn the_coroutines_of_a_burst_end_when_they_are_not_needed() {
    let all = on_worker(0, || {
        let resting = || worker::here().unwrap().with_pool(|pool| pool.resting());
        // What comes again rests.
        for _ in 0..3 {
            let burst: Vec<_> = (0..3 * MANY).map(|_| spawn(|| sleep(SHORT / 20))).collect();
            joinall(&burst, None, None);
        }
        // The last of them have yet to lie down, and other tests use some.
        eventually(|| resting() >= 2 * MANY);
        // Those that are needed stay, and a few.
        let fewest = Cell::new(usize::MAX);
        eventually(|| {
            let some: Vec<_> = (0..MANY).map(|_| spawn(|| ())).collect();
            joinall(&some, None, None);
            fewest.set(fewest.get().min(resting()));
            resting() <= MANY + 64 + 1
        });
        assert!(fewest.get() >= MANY / 2, "{}", fewest.get());
        eventually(|| resting() <= 64);
    });
    all.join().unwrap();
}
