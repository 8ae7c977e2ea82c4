use super::{LONG, everywhere, ms, on_worker, until_waiting};
use crate::{Barrier, BarrierBroken, Condition, JoinError, Lock, TimedOut, scope, spawn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn a_notice_wakes_one_and_the_lock_is_held_again() {
    everywhere(|| {
        let (lock, condition) = (Lock::new(0), Condition::new());
        scope(|s| {
            let waiters = [(); 3].map(|()| {
                s.spawn(|| {
                    let mut guard = condition.wait_while(lock.lock().unwrap(), |n| *n == 0);
                    *guard -= 1;
                })
            });
            for _ in 0..3 {
                *lock.lock().unwrap() += 1;
                condition.notify_one();
            }
            for waiter in waiters {
                waiter.join().unwrap();
            }
        });
        assert_eq!(lock.into_inner(), 0);
    });
}

#[test]
fn notify_all_wakes_all_that_wait_and_nobody_later() {
    everywhere(|| {
        let (lock, condition) = (Lock::new(0), Condition::new());
        condition.notify_all();
        scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    let mut guard = lock.lock().unwrap();
                    *guard += 1;
                    let mut guard = condition.wait(guard);
                    *guard += 10;
                });
            }
            super::eventually(|| *lock.lock().unwrap() == 4);
            condition.notify_all();
        });
        assert_eq!(*lock.lock().unwrap(), 44);
        let (_guard, noticed) = condition.wait_timeout(lock.lock().unwrap(), ms(2));
        assert_eq!(noticed, Err(TimedOut), "a notice is not kept for later");
    });
}

#[test]
fn a_timeout_gives_the_lock_back_and_says_how_it_ended() {
    everywhere(|| {
        let (lock, condition) = (Lock::new(1), Condition::new());
        let guard = lock.lock().unwrap();
        let (guard, ended) = condition.wait_while_timeout(guard, ms(5), |n| *n == 1);
        assert_eq!((ended, *guard), (Err(TimedOut), 1));
        let (guard, ended) = condition.wait_while_timeout(guard, ms(5), |n| *n == 0);
        assert_eq!((ended, *guard), (Ok(()), 1));
        drop(guard);
        assert!(!lock.locked());
    });
}

#[test]
fn one_that_is_killed_in_a_condition_does_not_hold_the_lock() {
    everywhere(|| {
        let shared = Arc::new((Lock::new(()), Condition::new()));
        let waiter = {
            let shared = shared.clone();
            spawn(move || drop(shared.1.wait(shared.0.lock().unwrap())))
        };
        until_waiting(&waiter.name());
        waiter.kill();
        assert!(matches!(waiter.join(), Err(JoinError::Killed)));
        assert!(shared.0.try_lock().is_some());
    });
}

#[test]
fn a_barrier_lets_nobody_pass_before_all_have_come() {
    for _ in 0..3 {
        let barrier = Arc::new(Barrier::new(3));
        let (arrived, last) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let run = {
            let (arrived, last) = (arrived.clone(), last.clone());
            move || {
                for round in 1..=200 {
                    arrived.fetch_add(1, Ordering::SeqCst);
                    let passed = barrier.wait().unwrap();
                    assert!(arrived.load(Ordering::SeqCst) >= 3 * round);
                    last.fetch_add(usize::from(passed.is_last()), Ordering::SeqCst);
                }
            }
        };
        let threads = [0, 1].map(|worker| on_worker(worker, run.clone()));
        run();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(last.load(Ordering::SeqCst), 200);
    }
}

#[test]
fn one_that_gives_up_breaks_the_barrier_for_all_until_it_is_mended() {
    everywhere(|| {
        let barrier = Arc::new(Barrier::new(3));
        let waiter = {
            let barrier = barrier.clone();
            spawn(move || barrier.wait())
        };
        super::eventually(|| barrier.waiting() == 1);
        assert_eq!(barrier.wait_timeout(ms(5)), Err(BarrierBroken));
        assert_eq!(waiter.join().unwrap(), Err(BarrierBroken));
        assert!(barrier.is_broken());
        assert_eq!(barrier.wait(), Err(BarrierBroken));

        barrier.reset();
        let killed = {
            let barrier = barrier.clone();
            spawn(move || barrier.wait())
        };
        super::eventually(|| barrier.waiting() == 1);
        killed.kill();
        assert_eq!(barrier.wait_timeout(LONG), Err(BarrierBroken));

        barrier.reset();
        let waiter = {
            let barrier = barrier.clone();
            spawn(move || barrier.wait())
        };
        super::eventually(|| barrier.waiting() == 1);
        barrier.reset();
        assert_eq!(
            waiter.join().unwrap(),
            Err(BarrierBroken),
            "its round is over"
        );
        assert!(!barrier.is_broken());
    });
}
