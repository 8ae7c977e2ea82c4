use super::{LONG, OnDrop, eventually, everywhere, ms, on_worker};
use crate::{
    JoinError, ThreadPool, TimedOut, Timeout, is_green, scope, sleep, spawn, unblock,
    unblock_scoped, wait, yield_now,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// A pool with one thread, which is busy until the sender is dropped or used.
fn busy_pool(queue: usize) -> (ThreadPool, crossbeam_channel::Sender<()>) {
    let pool = ThreadPool::new(1, queue);
    let (free, wait) = crossbeam_channel::bounded::<()>(1);
    drop(pool.spawn(move || wait.recv()));
    eventually(|| pool.stats().running == 1);
    (pool, free)
}

#[test]
fn a_closure_runs_elsewhere_and_others_go_on() {
    on_worker(0, || {
        let done = Arc::new(AtomicBool::new(false));
        let blocking = {
            let done = done.clone();
            spawn(move || {
                let green = unblock(move || {
                    while !done.load(Ordering::SeqCst) {
                        std::thread::yield_now();
                    }
                    is_green()
                });
                (green, is_green())
            })
        };
        for _ in 0..10 {
            yield_now();
        }
        done.store(true, Ordering::SeqCst);
        assert_eq!(blocking.join().unwrap(), (false, true));
    })
    .join()
    .unwrap();
}

#[test]
fn values_and_panics_come_back() {
    everywhere(|| {
        assert_eq!(unblock(|| 3), 3);
        let payload =
            std::panic::catch_unwind(|| unblock(|| std::panic::resume_unwind(Box::new(4))));
        let payload: Result<(), _> = payload;
        assert_eq!(payload.unwrap_err().downcast_ref(), Some(&4));

        let pool = ThreadPool::new(1, 1);
        let job = pool.spawn(|| std::panic::resume_unwind(Box::new(5)));
        let job: Result<(), _> = job.join();
        assert!(matches!(job, Err(JoinError::Panicked(_))));
        assert_eq!(pool.apply(|| 6), 6);
        let stats = pool.stats();
        assert_eq!(
            (stats.panicked, stats.completed, stats.running, stats.queued),
            (1, 1, 0, 0)
        );
    });
}

#[test]
fn what_is_queued_can_be_killed_and_what_runs_cannot() {
    everywhere(|| {
        let (pool, free) = busy_pool(4);
        let dropped = Arc::new(AtomicUsize::new(0));
        let count = {
            let dropped = dropped.clone();
            OnDrop(move || {
                dropped.fetch_add(1, Ordering::SeqCst);
            })
        };
        let job = pool.spawn(move || drop(count));
        assert!(!job.ready());
        assert!(job.kill());
        assert_eq!(
            dropped.load(Ordering::SeqCst),
            1,
            "its closure is gone at once"
        );
        assert!(!job.kill());
        assert!(matches!(job.join(), Err(JoinError::Killed)));
        drop(free);
        eventually(|| pool.stats().killed == 1 && pool.stats().running == 0);
        assert_eq!(dropped.load(Ordering::SeqCst), 1);

        let (started, go) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
        let running = {
            let (started, go) = (started.clone(), go.clone());
            pool.spawn(move || {
                started.store(true, Ordering::SeqCst);
                while !go.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
                7
            })
        };
        eventually(|| started.load(Ordering::SeqCst));
        assert!(!running.kill());
        go.store(true, Ordering::SeqCst);
        assert_eq!(running.join().unwrap(), 7);
    });
}

#[test]
fn a_caller_that_is_gone_takes_its_closure_back() {
    let (pool, free) = busy_pool(4);
    let ran = Arc::new(AtomicBool::new(false));
    let call = |ran: Arc<AtomicBool>, pool: ThreadPool| {
        move || pool.apply(move || ran.store(true, Ordering::SeqCst))
    };
    let killed = on_worker(0, call(ran.clone(), pool.clone()));
    eventually(|| pool.stats().queued == 1);
    killed.kill();
    assert!(matches!(killed.join(), Err(JoinError::Killed)));
    let late = on_worker(1, {
        let call = call(ran.clone(), pool.clone());
        move || Timeout::run(ms(5), call)
    });
    assert_eq!(late.join().unwrap(), Err(TimedOut));
    drop(free);
    eventually(|| pool.stats().killed == 2);
    assert!(!ran.load(Ordering::SeqCst));
}

#[test]
fn a_full_queue_makes_green_threads_wait_and_not_their_worker() {
    let (pool, free) = busy_pool(1);
    let queued = pool.spawn(|| 1);
    assert!(pool.try_spawn(|| ()).is_err());
    on_worker(0, move || {
        assert_eq!(
            Timeout::run(ms(5), || pool.spawn(|| ()).ready()),
            Err(TimedOut)
        );
        let waiting = spawn({
            let pool = pool.clone();
            move || pool.apply(|| 2)
        });
        sleep(ms(3));
        assert!(!waiting.ready());
        drop(free);
        assert_eq!(waiting.join().unwrap(), 2);
    })
    .join()
    .unwrap();
    assert_eq!(queued.join().unwrap(), 1);
}

#[test]
fn threads_are_started_on_demand_and_never_more_than_allowed() {
    everywhere(|| {
        let pool = ThreadPool::new(3, 100);
        assert_eq!(pool.stats().threads, 0);
        pool.apply(|| ());
        assert_eq!(pool.stats().threads, 1);
        let (now, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        let now = Arc::new(now);
        let jobs: Vec<_> = (0..30)
            .map(|_| {
                let (now, most) = (now.clone(), most.clone());
                pool.spawn(move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(1));
                    now.fetch_sub(1, Ordering::SeqCst);
                })
            })
            .collect();
        for job in jobs {
            job.join().unwrap();
        }
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
        assert_eq!(pool.stats().threads, 3);
    });
}

#[test]
fn what_is_queued_runs_even_if_the_pool_is_dropped() {
    let (pool, free) = busy_pool(2);
    let job = pool.spawn(|| 8);
    drop(pool);
    drop(free);
    assert_eq!(job.join_timeout(LONG).unwrap().unwrap(), 8);
}

#[test]
fn jobs_are_waited_for_like_everything_else() {
    everywhere(|| {
        let (pool, free) = busy_pool(2);
        let job = pool.spawn(|| ());
        assert!(wait(&[&job], Some(ms(2)), None).is_empty());
        drop(free);
        assert_eq!(wait(&[&job], Some(LONG), None), [0]);
    });
}

#[test]
fn hammered_from_many_green_threads_of_two_workers() {
    let pool = ThreadPool::new(4, 8);
    let sum = AtomicUsize::new(0);
    scope(|s| {
        for n in 0..20 {
            let (pool, sum) = (&pool, &sum);
            let how = crate::Builder::new().worker(n % super::workers());
            s.spawn_with(how, move || {
                for k in 0..50 {
                    sum.fetch_add(pool.apply(move || n * k), Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(
        sum.into_inner(),
        (0..20).sum::<usize>() * (0..50).sum::<usize>()
    );
    assert_eq!(pool.stats().completed, 1000);
}

#[test]
fn a_closure_may_hand_over_another_one() {
    everywhere(|| assert_eq!(unblock(|| 1 + unblock(|| 2)), 3));
}

#[test]
fn a_scoped_closure_borrows_and_its_panic_comes_back() {
    everywhere(|| {
        let words = ["one".to_owned(), "two".to_owned()];
        let mut lengths = Vec::new();
        let first = unblock_scoped(|| {
            lengths.extend(words.iter().map(String::len));
            &words[0]
        });
        assert_eq!((first.as_str(), &lengths[..]), ("one", &[3, 3][..]));

        let panics = || unblock_scoped(|| std::panic::resume_unwind(Box::new(words.len())));
        let payload: Result<(), _> = std::panic::catch_unwind(panics);
        assert_eq!(payload.unwrap_err().downcast_ref(), Some(&2_usize));
    });
}

/// What it borrows is there until its end, whatever becomes of the thread that waits.
#[test]
fn a_scoped_closure_that_runs_is_waited_for_by_one_that_is_killed() {
    for by_limit in [false, true] {
        let (pool, dropped) = (ThreadPool::new(1, 1), Arc::new(AtomicUsize::new(0)));
        let (free, wait) = crossbeam_channel::bounded::<()>(1);
        let (elsewhere, seen) = (pool.clone(), dropped.clone());
        let waiting = spawn(move || {
            let borrowed = OnDrop(move || {
                seen.fetch_add(1, Ordering::SeqCst);
            });
            let call = || {
                elsewhere.apply_scoped(|| {
                    let _freed = wait.recv();
                    let _still_there = &borrowed;
                });
            };
            if by_limit {
                let _ = Timeout::run(ms(10), call);
                sleep(LONG);
            } else {
                call();
            }
        });
        eventually(|| pool.stats().running == 1);
        if by_limit {
            std::thread::sleep(ms(30)); // the limit passes within the closure
        } else {
            waiting.kill();
        }
        // Others of all workers run; the one that was killed waits.
        for _ in 0..20 {
            spawn(yield_now).join().unwrap();
        }
        assert_eq!(dropped.load(Ordering::SeqCst), 0, "it waits on");
        assert!(!waiting.ready());
        free.send(()).unwrap();
        eventually(|| pool.stats().completed == 1);
        waiting.kill();
        assert!(matches!(waiting.join(), Err(JoinError::Killed)));
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn a_scoped_closure_that_is_queued_is_taken_back() {
    let (pool, free) = busy_pool(1);
    let elsewhere = pool.clone();
    let waiting = spawn(move || {
        let mut ran = false;
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            elsewhere.apply_scoped(|| ran = true);
        }));
        assert!(!ran && caught.is_err());
        std::panic::resume_unwind(caught.unwrap_err())
    });
    let waiting: crate::Greenlet<()> = waiting;
    eventually(|| pool.stats().queued == 1);
    waiting.kill();
    assert!(matches!(waiting.join(), Err(JoinError::Killed)));
    drop(free);
    eventually(|| pool.stats().killed == 1);
}

#[test]
fn a_scoped_closure_of_a_destructor_runs_here_and_now() {
    let waiting = spawn(|| {
        let _at_the_end = OnDrop(|| {
            let here = std::thread::current().id();
            let there = unblock_scoped(|| std::thread::current().id());
            assert_eq!(here, there, "an unwinding thread cannot wait");
        });
        sleep(LONG);
    });
    waiting.kill();
    assert!(matches!(waiting.join(), Err(JoinError::Killed)));
}
