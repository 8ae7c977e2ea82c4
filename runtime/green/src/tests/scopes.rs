use super::{LONG, OnDrop, SHORT, everywhere, ms, on_worker, until_waiting};
use crate::{Builder, Event, JoinError, TimedOut, Timeout, scope, sleep, spawn, yield_now};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn children_borrow_and_have_ended_when_the_scope_ends() {
    everywhere(|| {
        let mut numbers = vec![1, 2, 3, 4];
        let total = AtomicUsize::new(0);
        scope(|s| {
            for number in &mut numbers {
                s.spawn(|| {
                    sleep(ms(2));
                    *number *= 10;
                    total.fetch_add(*number, Ordering::Relaxed);
                });
            }
        });
        assert_eq!(numbers, [10, 20, 30, 40]);
        assert_eq!(total.into_inner(), 100);
    });
}

#[test]
fn children_may_live_on_other_workers_and_start_further_ones() {
    everywhere(|| {
        let count = AtomicUsize::new(0);
        scope(|s| {
            for worker in 0..2 {
                let how = Builder::new().worker(worker % super::workers());
                let count = &count;
                s.spawn_with(how, move || {
                    for _ in 0..10 {
                        s.spawn(|| {
                            yield_now();
                            count.fetch_add(1, Ordering::Relaxed);
                        });
                        sleep(ms(1));
                    }
                });
            }
        });
        assert_eq!(count.into_inner(), 20);
    });
}

#[test]
fn local_children_borrow_what_is_not_send() {
    on_worker(1, || {
        let seen = RefCell::new(Vec::new());
        scope(|s| {
            for n in 0..3 {
                let seen = &seen;
                s.spawn_local(move || {
                    yield_now();
                    seen.borrow_mut().push(n);
                });
            }
        });
        assert_eq!(seen.into_inner(), [0, 1, 2]);
    })
    .join()
    .unwrap();
}

#[test]
fn values_may_borrow_and_panics_come_to_the_parent() {
    everywhere(|| {
        let word = String::from("word");
        let length = scope(|s| s.spawn(|| word.as_str()).join().unwrap().len());
        assert_eq!(length, 4);

        let joined = scope(|s| s.spawn(|| std::panic::resume_unwind(Box::new(1))).join());
        assert!(matches!(joined, Err(JoinError::Panicked(_))));

        let unseen = catch_unwind(|| {
            scope(|s| {
                s.spawn(|| std::panic::resume_unwind(Box::new(1)));
            });
        });
        assert!(unseen.is_err(), "a panic that nobody joined is not lost");
    });
}

#[test]
fn when_the_body_panics_the_children_are_killed_and_waited_for() {
    everywhere(|| {
        let ended = AtomicUsize::new(0);
        let result = catch_unwind(AssertUnwindSafe(|| {
            scope(|s| {
                for _ in 0..3 {
                    let child = s.spawn(|| {
                        let _guard = OnDrop(|| {
                            ended.fetch_add(1, Ordering::SeqCst);
                        });
                        sleep(LONG);
                    });
                    until_waiting(&child.name());
                }
                std::panic::resume_unwind(Box::new("the body"));
            })
        }));
        assert_eq!(result.unwrap_err().downcast_ref(), Some(&"the body"));
        assert_eq!(ended.into_inner(), 3);
    });
}

#[test]
fn a_limit_ends_a_scope_only_after_its_children() {
    everywhere(|| {
        let ended = Cell::new(false);
        let in_child = AtomicUsize::new(0);
        let result = Timeout::run_with(LONG, |timeout| {
            let _after = OnDrop(|| ended.set(in_child.load(Ordering::SeqCst) == 1));
            scope(|s| {
                let child = s.spawn(|| {
                    // It swallows the first kill, and takes a while to come to its end.
                    let _swallowed = catch_unwind(|| sleep(LONG));
                    let start = std::time::Instant::now();
                    while start.elapsed() < ms(10) {}
                    in_child.store(1, Ordering::SeqCst);
                });
                until_waiting(&child.name());
                timeout.restart(SHORT);
            });
        });
        assert_eq!(result, Err(TimedOut));
        assert!(ended.get(), "the child had ended when the parent went on");
    });
}

#[test]
fn a_parent_that_is_killed_takes_its_children_along() {
    for worker in 0..2 {
        let ended = Arc::new(AtomicUsize::new(0));
        let ready = Event::new();
        let parent = {
            let (ended, ready) = (ended.clone(), ready.clone());
            on_worker(worker, move || {
                let local = AtomicUsize::new(0);
                let _last = OnDrop(|| {
                    ended.store(local.load(Ordering::SeqCst), Ordering::SeqCst);
                });
                scope(|s| {
                    for elsewhere in 0..4 {
                        let how = Builder::new().worker(elsewhere % super::workers());
                        let child = s.spawn_with(how, || {
                            let _guard = OnDrop(|| {
                                local.fetch_add(1, Ordering::SeqCst);
                            });
                            sleep(LONG);
                        });
                        until_waiting(&child.name());
                    }
                    ready.set();
                });
            })
        };
        ready.wait();
        parent.kill();
        assert!(matches!(parent.join(), Err(JoinError::Killed)));
        assert_eq!(ended.load(Ordering::SeqCst), 4);
    }
}

#[test]
fn in_a_destructor_of_an_unwinding_thread_children_run_at_once() {
    everywhere(|| {
        let ran = AtomicUsize::new(0);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let _guard = OnDrop(|| {
                scope(|s| {
                    let child = s.spawn(|| {
                        sleep(LONG); // comes back at once
                        ran.fetch_add(1, Ordering::SeqCst)
                    });
                    assert_eq!(child.join().ok(), Some(0));
                });
            });
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(result.is_err());
        assert_eq!(ran.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_scope_can_kill_its_children() {
    everywhere(|| {
        scope(|s| {
            let child = s.spawn(|| sleep(LONG));
            s.spawn(|| sleep(LONG)).kill();
            sleep(ms(2));
            s.kill();
            assert!(matches!(child.join(), Err(JoinError::Killed)));
        });
    });
}

#[test]
fn scopes_hammered_from_both_workers_and_an_os_thread() {
    let run = || {
        for round in 0..200_usize {
            let sum = AtomicUsize::new(0);
            let gone = Timeout::run(std::time::Duration::from_micros(50), || {
                scope(|s| {
                    for n in 0..4 {
                        let (sum, how) = (&sum, Builder::new().worker(n % super::workers()));
                        s.spawn_with(how, move || {
                            if (n + round) % 3 == 0 {
                                sleep(std::time::Duration::from_micros(40));
                            }
                            sum.fetch_add(1, Ordering::SeqCst);
                        });
                    }
                });
            });
            let before = sum.load(Ordering::SeqCst);
            assert!(before <= 4 && (gone.is_err() || before == 4));
            yield_now();
            assert_eq!(
                sum.load(Ordering::SeqCst),
                before,
                "no child outlives its scope"
            );
        }
    };
    let threads = [0, 1].map(|worker| on_worker(worker, run));
    run();
    for thread in threads {
        thread.join().unwrap();
    }
    drop(spawn(|| ()));
}
