use super::{LONG, OnDrop, SHORT, eventually, everywhere, ms, on_worker, until_waiting, workers};
use crate::{
    Builder, Event, JoinError, Queue, joinall, killall, sleep, spawn, spawn_balanced, spawn_later,
    spawn_local, worker_index, yield_now,
};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[test]
fn a_join_gives_value_panic_or_kill() {
    everywhere(|| {
        assert_eq!(spawn(|| 5).join().unwrap(), 5);
        let panicked = spawn(|| std::panic::resume_unwind(Box::new("boom")));
        match panicked.join() {
            Err(JoinError::Panicked(payload)) => assert_eq!(payload.downcast_ref(), Some(&"boom")),
            other => panic!("not a panic: {other:?}"),
        }
        let killed = spawn(|| sleep(LONG));
        killed.kill();
        assert!(matches!(killed.join(), Err(JoinError::Killed)));
    });
}

#[test]
fn a_value_can_be_joined_once() {
    everywhere(|| {
        let thread = spawn(|| 5);
        assert_eq!(thread.join_timeout(LONG).unwrap().unwrap(), 5);
        assert!(thread.ready());
        assert!(matches!(thread.join(), Err(JoinError::Taken)));
    });
}

#[test]
fn a_join_can_time_out_and_be_tried_again() {
    everywhere(|| {
        let go = Event::new();
        let thread = {
            let go = go.clone();
            spawn(move || go.wait())
        };
        for _ in 0..3 {
            assert!(thread.join_timeout(ms(2)).is_none());
        }
        assert!(!thread.ready());
        go.set();
        assert!(thread.join_timeout(LONG).unwrap().is_ok());
    });
}

#[test]
fn one_that_is_killed_before_it_starts_never_runs() {
    on_worker(0, || {
        let ran = Rc::new(Cell::new(false));
        let thread = {
            let ran = ran.clone();
            spawn_local(move || ran.set(true))
        };
        thread.kill();
        assert!(matches!(thread.join(), Err(JoinError::Killed)));
        assert!(!ran.get());
        assert_eq!(Rc::strong_count(&ran), 1, "its closure was dropped");
    })
    .join()
    .unwrap();
}

#[test]
fn a_kill_runs_destructors_and_does_nothing_afterwards() {
    everywhere(|| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let thread = {
            let dropped = dropped.clone();
            spawn(move || {
                let _guard = OnDrop(|| {
                    dropped.fetch_add(1, Ordering::SeqCst);
                });
                sleep(LONG);
            })
        };
        until_waiting(&thread.name());
        thread.kill();
        assert!(matches!(
            thread.join_timeout(LONG),
            Some(Err(JoinError::Killed))
        ));
        thread.kill();
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_thread_can_be_killed_from_every_kind_of_wait() {
    everywhere(|| {
        let queue: Queue<()> = Queue::new(1);
        let event = Event::new();
        let sleeper = spawn(|| sleep(Duration::MAX));
        let getter = spawn({
            let queue = queue.clone();
            move || assert_eq!(queue.get(), None)
        });
        let waiter = spawn({
            let event = event.clone();
            move || event.wait()
        });
        let busy = spawn(|| {
            loop {
                yield_now();
            }
        });
        let threads = [sleeper, getter, waiter, busy];
        for thread in &threads[..3] {
            until_waiting(&thread.name());
        }
        killall(&threads, Some(LONG)).unwrap();
        for thread in threads {
            assert!(matches!(thread.join(), Err(JoinError::Killed)));
        }
    });
}

#[test]
fn names_and_workers_are_as_asked_for() {
    let count = workers();
    for worker in 0..count {
        let thread = Builder::new()
            .name("mine")
            .worker(worker)
            .spawn(worker_index);
        assert_eq!(thread.name(), "mine");
        assert_eq!(thread.worker(), worker);
        assert_eq!(thread.join().unwrap(), Some(worker));
    }
    let (a, b) = (spawn(|| ()), spawn(|| ()));
    assert!(a.name().starts_with("green-"));
    assert_ne!(a.name(), b.name());
}

#[test]
#[should_panic(expected = "there is no worker")]
fn a_worker_that_does_not_exist_is_an_error() {
    workers();
    let _ = Builder::new().worker(10_000);
}

#[test]
fn spawn_stays_here_and_spawn_balanced_need_not() {
    let count = workers();
    on_worker(0, move || {
        assert_eq!(spawn(worker_index).join().unwrap(), Some(0));
        let set: Vec<_> = (0..100).map(|_| spawn(|| sleep(LONG))).collect();
        let elsewhere = spawn_balanced(worker_index).join().unwrap();
        if count > 1 {
            assert_ne!(elsewhere, Some(0));
        }
        killall(&set, Some(LONG)).unwrap();
    })
    .join()
    .unwrap();
}

#[test]
fn a_later_start_is_later_and_can_be_prevented() {
    everywhere(|| {
        let start = Instant::now();
        let elapsed = spawn_later(SHORT, move || start.elapsed()).join().unwrap();
        assert!(elapsed >= SHORT);
        let never = spawn_later(LONG, || panic!("it was to be prevented"));
        never.kill();
        assert!(matches!(never.join(), Err(JoinError::Killed)));
    });
}

#[test]
fn joinall_waits_for_some_or_for_all() {
    everywhere(|| {
        let stop = Event::new();
        let threads: Vec<_> = (0..3)
            .map(|n| {
                let stop = stop.clone();
                spawn(move || {
                    if n != 1 {
                        stop.wait();
                    }
                })
            })
            .collect();
        assert_eq!(joinall(&threads, None, Some(1)), [1]);
        assert_eq!(
            joinall(&threads, Some(ms(5)), None),
            [1],
            "the others time out"
        );
        stop.set();
        let mut all = joinall(&threads, Some(LONG), None);
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2]);
        assert!(joinall::<()>(&[], None, None).is_empty());
    });
}

#[test]
fn one_that_swallows_its_kill_is_killed_at_the_next_wait() {
    everywhere(|| {
        let thread = spawn(|| {
            let _swallowed = std::panic::catch_unwind(|| sleep(LONG));
            sleep(LONG);
        });
        until_waiting(&thread.name());
        thread.kill();
        assert!(matches!(thread.join(), Err(JoinError::Killed)));
    });
}

#[test]
fn a_panic_in_the_destructor_of_an_unwanted_value_harms_nobody() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("from a destructor"));
        }
    }
    for worker in 0..2 {
        let unwanted = Event::new();
        let wait = unwanted.clone();
        drop(on_worker(worker, move || {
            wait.wait();
            Bad
        }));
        unwanted.set();
        assert_eq!(
            on_worker(worker, || 1).join().unwrap(),
            1,
            "the worker lives"
        );
    }
}

/// Kill against wake: the item is got by the thread, or is still there.
#[test]
fn a_kill_and_a_put_at_the_same_time_lose_nothing() {
    for round in 0..1000 {
        let queue = Queue::new(1);
        let got = Arc::new(AtomicUsize::new(0));
        let getter = {
            let (queue, got) = (queue.clone(), got.clone());
            on_worker(0, move || {
                if queue.get().is_some() {
                    got.fetch_add(1, Ordering::SeqCst);
                }
            })
        };
        let putter = {
            let queue = queue.clone();
            on_worker(1, move || queue.put(round))
        };
        if round % 2 == 0 {
            yield_now();
        }
        getter.kill();
        putter.join().unwrap().unwrap();
        let _value_or_killed = getter.join();
        assert_eq!(got.load(Ordering::SeqCst) + queue.len(), 1);
    }
}

#[test]
fn many_can_be_started_from_everywhere_and_all_come_to_their_end() {
    let count = Arc::new(AtomicUsize::new(0));
    let starters: Vec<_> = (0..4)
        .map(|n| {
            let count = count.clone();
            on_worker(n, move || {
                for _ in 0..500 {
                    let count = count.clone();
                    spawn_balanced(move || count.fetch_add(1, Ordering::SeqCst));
                    if n > 1 {
                        yield_now();
                    }
                }
            })
        })
        .collect();
    joinall(&starters, Some(LONG), None);
    eventually(|| count.load(Ordering::SeqCst) == 2000);
}
