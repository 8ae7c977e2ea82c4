use super::{LONG, eventually, everywhere, ms};
use crate::{Builder, Event, Group, JoinError, Pool, TimedOut, Timeout, sleep, wait};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn a_group_is_joined_killed_and_forgets_those_that_ended() {
    everywhere(|| {
        let group = Group::new();
        group.join(); // nobody is in it
        let stop = Event::new();
        for worker in 0..4 {
            let stop = stop.clone();
            let how = Builder::new().worker(worker % super::workers());
            group.spawn_with(how, move || stop.wait());
        }
        assert_eq!(group.len(), 4);
        assert_eq!(group.join_timeout(ms(5)), Err(TimedOut));
        stop.set();
        group.join();
        assert!(group.is_empty());

        let member = group.spawn(|| sleep(LONG));
        group.kill();
        assert_eq!(wait(&[&group], Some(LONG), None), [0]);
        assert!(matches!(member.join(), Err(JoinError::Killed)));
    });
}

#[test]
fn when_a_group_is_empty_its_members_are_ready() {
    everywhere(|| {
        for _ in 0..100 {
            let group = Group::new();
            let members = [0, 1]
                .map(|n| group.spawn_with(Builder::new().worker(n % super::workers()), || ()));
            group.join();
            assert!(members.iter().all(crate::Greenlet::ready));
        }
    });
}

#[test]
fn a_pool_makes_those_wait_for_whom_it_has_no_room() {
    everywhere(|| {
        let (pool, stop) = (Pool::new(2), Event::new());
        for _ in 0..2 {
            let stop = stop.clone();
            pool.spawn(move || stop.wait());
        }
        assert_eq!((pool.len(), pool.free_count()), (2, 0));
        assert!(pool.try_spawn(|| ()).is_err());
        assert_eq!(
            Timeout::run(ms(5), || pool.spawn(|| ()).ready()),
            Err(TimedOut)
        );
        stop.set();
        assert_eq!(pool.spawn(|| 3).join().unwrap(), 3);
        pool.join();
        assert_eq!((pool.len(), pool.free_count()), (0, 2));
    });
}

#[test]
fn a_pool_never_runs_more_than_its_size_and_loses_no_room() {
    everywhere(|| {
        let pool = Pool::new(3);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for n in 0..100_u64 {
            let (now, most) = (now.clone(), most.clone());
            let member = pool.spawn(move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let _leave = super::OnDrop(|| {
                    now.fetch_sub(1, Ordering::SeqCst);
                });
                sleep(std::time::Duration::from_micros(n * 7 % 300));
                if n % 10 == 1 {
                    std::panic::resume_unwind(Box::new(n));
                }
            });
            if n % 7 == 0 {
                member.kill();
            }
        }
        pool.join();
        assert!(most.load(Ordering::SeqCst) <= 3);
        assert_eq!(pool.free_count(), 3);
    });
}

#[test]
fn maps_give_all_results_and_the_first_error() {
    everywhere(|| {
        let pool = Pool::new(3);
        let later = |n: u64| {
            sleep(ms(n * 5 % 7));
            n * 2
        };
        assert_eq!(
            pool.map(0..10, later).unwrap(),
            (0..20).step_by(2).collect::<Vec<_>>()
        );
        let ordered: Vec<_> = pool.imap(0..10, later).map(Result::unwrap).collect();
        assert_eq!(ordered, (0..20).step_by(2).collect::<Vec<_>>());
        let mut unordered: Vec<_> = pool
            .imap_unordered(0..10, later)
            .map(Result::unwrap)
            .collect();
        unordered.sort_unstable();
        assert_eq!(unordered, ordered);
        assert!(pool.map(Vec::<u64>::new(), later).unwrap().is_empty());

        let failing = pool.map(0..5, |n| {
            if n == 3 {
                std::panic::resume_unwind(Box::new(n))
            } else {
                n
            }
        });
        match failing {
            Err(JoinError::Panicked(payload)) => assert_eq!(payload.downcast_ref(), Some(&3)),
            other => panic!("no error: {other:?}"),
        }
        pool.join();
    });
}

#[test]
fn a_map_that_is_not_finished_takes_its_calls_along() {
    everywhere(|| {
        let pool = Pool::new(2);
        let begun = Arc::new(AtomicUsize::new(0));
        let count = begun.clone();
        let mut results = pool.imap_unordered(0.., move |n: u64| {
            count.fetch_add(1, Ordering::SeqCst);
            if n > 0 {
                sleep(LONG);
            }
            n
        });
        assert_eq!(results.next().unwrap().unwrap(), 0);
        drop(results);
        pool.join_timeout(LONG).unwrap();
        assert!(
            begun.load(Ordering::SeqCst) <= 3,
            "items are taken on demand"
        );
        eventually(|| pool.free_count() == 2);
    });
}

#[test]
fn items_that_fail_to_come_cost_no_room() {
    everywhere(|| {
        let pool = Pool::new(2);
        for unordered in [false, true] {
            let items = (0..).inspect(|n| {
                if *n == 3 {
                    std::panic::resume_unwind(Box::new("the items"));
                }
            });
            let pool = &pool;
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                if unordered {
                    pool.imap_unordered(items, |n: u64| n).count()
                } else {
                    pool.imap(items, |n: u64| n).count()
                }
            }));
            assert_eq!(result.unwrap_err().downcast_ref(), Some(&"the items"));
        }
        pool.join_timeout(LONG).unwrap();
        eventually(|| pool.free_count() == 2);
    });
}

#[test]
fn a_member_of_a_pool_may_start_another() {
    everywhere(|| {
        let pool = Pool::new(2);
        let inner = pool.clone();
        let outer = pool.spawn(move || inner.spawn(|| 6).join().unwrap() * 7);
        assert_eq!(outer.join().unwrap(), 42);
    });
}
