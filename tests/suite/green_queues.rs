//! Queues between green threads and OS threads: order, bounds, turns, and who is left behind.

use crate::green::{join, on_green};
use greenway::IntoBody;
use greenway::green::{Closed, Empty, PutError, Queue, TimedOut, spawn, spawn_local, yield_now};
use greenway_tests::Gate;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[test]
fn a_queue_keeps_the_order_and_its_bound() {
    let queue = Queue::new(3);
    for n in 0..3 {
        queue.try_put(n).unwrap();
    }
    assert_eq!(queue.try_put(3), Err(PutError::Full(3)));
    assert_eq!(
        queue.put_timeout(3, Duration::from_millis(1)),
        Err(PutError::Full(3))
    );
    assert_eq!((queue.len(), queue.capacity()), (3, 3));
    queue.close();
    assert_eq!(queue.put(4), Err(Closed(4)));
    assert_eq!(queue.try_put(4), Err(PutError::Closed(4)));
    assert_eq!(
        queue.iter().collect::<Vec<_>>(),
        [0, 1, 2],
        "what was put before the end is there"
    );
    assert_eq!((queue.get(), queue.get()), (None, None), "the end stays");
}

#[test]
fn waiting_for_a_queue_may_have_a_timeout() {
    fn check() {
        let queue = Queue::<u8>::new(1);
        let patience = Duration::from_millis(5);
        let started = Instant::now();
        assert_eq!(queue.get_timeout(patience), Err(TimedOut));
        assert!(started.elapsed() >= patience);
        queue.try_put(1).unwrap();
        let started = Instant::now();
        assert_eq!(queue.put_timeout(2, patience), Err(PutError::Full(2)));
        assert!(started.elapsed() >= patience);
        // Whoever has given up has not taken a turn with him.
        assert_eq!(queue.get_timeout(patience), Ok(Some(1)));
        queue.put_timeout(3, patience).unwrap();
        queue.close();
        assert_eq!(
            (queue.get_timeout(patience), queue.get_timeout(patience)),
            (Ok(Some(3)), Ok(None))
        );
    }
    check();
    on_green(check);
}

#[test]
fn close_wakes_all_who_wait() {
    let (empty, full, entered) = (Queue::<u8>::new(1), Queue::new(1), Gate::new());
    full.try_put(0).unwrap();
    let getters: Vec<_> = (0..4)
        .map(|_| {
            let (queue, arrived) = (empty.clone(), entered.clone());
            spawn(move || {
                arrived.open();
                queue.get()
            })
        })
        .collect();
    let putters: Vec<_> = (0..4)
        .map(|n| {
            let (queue, arrived) = (full.clone(), entered.clone());
            spawn(move || {
                arrived.open();
                queue.put(n)
            })
        })
        .collect();
    entered.pass_times(8);
    empty.close();
    full.close();
    for getter in &getters {
        assert_eq!(join(getter).unwrap(), None);
    }
    for (n, putter) in (0..).zip(&putters) {
        assert_eq!(join(putter).unwrap(), Err(Closed(n)));
    }
    assert_eq!((full.get(), full.get()), (Some(0), None));
}

/// On one worker nothing happens between a `yield_now` and the next wait, so the order in which
/// they came to the line is known.
#[test]
fn who_has_waited_longest_is_served_first() {
    let order = on_green(|| {
        let (queue, log) = (Queue::new(8), Rc::new(RefCell::new(Vec::new())));
        let getters: Vec<_> = (0..5)
            .map(|n| {
                let (queue, log) = (queue.clone(), log.clone());
                spawn_local(move || {
                    log.borrow_mut().push((n, "came"));
                    queue.get().unwrap();
                    log.borrow_mut().push((n, "got"));
                })
            })
            .collect();
        while log.borrow().len() < 5 {
            yield_now();
        }
        for _ in 0..5 {
            queue.try_put(()).unwrap();
        }
        // One who comes late does not get what is promised.
        assert_eq!(queue.try_get(), Err(Empty));
        for getter in getters {
            getter.join().unwrap();
        }
        let log = log.borrow();
        log.iter().map(|(n, _)| *n).collect::<Vec<_>>()
    });
    assert_eq!(order[..5], order[5..], "who came first got first");
}

/// Green threads of all workers and OS threads, through a queue that is nearly always full or
/// empty: nothing is lost, nothing comes twice.
#[test]
fn nothing_is_lost_between_many_producers_and_consumers() {
    const EACH: u64 = 5_000;
    let queue = Queue::new(3);
    let (sum, count) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let consume = || {
        let (queue, sum, count) = (queue.clone(), sum.clone(), count.clone());
        move || {
            for item in queue.iter() {
                sum.fetch_add(item, Ordering::Relaxed);
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let produce = |number: u64| {
        let queue = queue.clone();
        move || {
            for n in 0..EACH {
                queue.put(number * EACH + n).unwrap();
            }
        }
    };
    let green_consumers: Vec<_> = (0..3).map(|_| spawn(consume())).collect();
    let os_consumers: Vec<_> = (0..2).map(|_| std::thread::spawn(consume())).collect();
    let green_producers: Vec<_> = (0..3).map(|n| spawn(produce(n))).collect();
    let os_producers: Vec<_> = (3..5).map(|n| std::thread::spawn(produce(n))).collect();
    for producer in &green_producers {
        join(producer).unwrap();
    }
    for producer in os_producers {
        producer.join().unwrap();
    }
    queue.close();
    for consumer in &green_consumers {
        join(consumer).unwrap();
    }
    for consumer in os_consumers {
        consumer.join().unwrap();
    }
    assert_eq!(count.load(Ordering::Relaxed), 5 * EACH);
    assert_eq!(sum.load(Ordering::Relaxed), (0..5 * EACH).sum::<u64>());
}

/// A turn that was promised to one who is killed goes to the next.
#[test]
fn a_killed_waiter_takes_nothing_with_it() {
    for _ in 0..200 {
        let queue = Queue::new(4);
        let waiters: Vec<_> = (0..4)
            .map(|_| {
                let queue = queue.clone();
                spawn(move || queue.get())
            })
            .collect();
        for n in 0..2 {
            queue.try_put(n).unwrap();
            waiters[n * 2].kill();
        }
        queue.close();
        let mut got: Vec<_> = waiters
            .iter()
            .filter_map(|waiter| join(waiter).ok().flatten())
            .collect();
        got.extend(queue.iter());
        got.sort_unstable();
        assert_eq!(got, [0, 1], "each item is somewhere");
    }
}

#[test]
fn a_queue_is_closed_when_its_body_is_dropped() {
    let queue = Queue::<&'static str>::new(1);
    let body = queue.clone().into_body();
    assert!(!queue.is_closed());
    drop(body);
    assert!(queue.is_closed());
    assert_eq!(queue.put("late"), Err(Closed("late")));
}
