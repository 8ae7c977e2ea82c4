use super::{LONG, everywhere, ms, on_worker, until_waiting};
use crate::{
    Channel, Closed, Empty, JoinError, JoinableQueue, LifoQueue, PriorityQueue, PutError, Queue,
    TimedOut, Timeout, killall, sleep, spawn,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn full_and_empty_are_waited_for_or_reported() {
    everywhere(|| {
        let queue = Queue::new(2);
        assert_eq!(queue.try_get(), Err(Empty));
        assert_eq!(queue.get_timeout(ms(2)), Err(TimedOut));
        queue.put(1).unwrap();
        queue.try_put(2).unwrap();
        assert_eq!(
            (queue.len(), queue.capacity(), queue.is_empty()),
            (2, 2, false)
        );
        assert_eq!(queue.try_put(3), Err(PutError::Full(3)));
        assert_eq!(queue.put_timeout(3, ms(2)), Err(PutError::Full(3)));
        assert_eq!(PutError::Full(3).into_inner(), 3);
        assert_eq!(queue.get(), Some(1));
        assert_eq!(queue.try_get(), Ok(Some(2)));
    });
}

#[test]
fn after_the_end_mark_the_rest_can_be_got_and_nothing_put() {
    everywhere(|| {
        let queue = Queue::new(2);
        queue.put(1).unwrap();
        queue.close();
        assert_eq!(queue.put(2), Err(Closed(2)));
        assert_eq!(queue.try_put(2), Err(PutError::Closed(2)));
        assert_eq!(queue.put_timeout(2, LONG), Err(PutError::Closed(2)));
        assert_eq!(queue.peek(), Some(1));
        assert_eq!(queue.get(), Some(1));
        assert_eq!(
            (queue.get(), queue.try_get(), queue.peek()),
            (None, Ok(None), None)
        );
        assert_eq!(queue.get_timeout(LONG), Ok(None));
    });
}

#[test]
fn the_end_mark_wakes_those_who_wait_on_either_side() {
    everywhere(|| {
        let (empty, full) = (Queue::<u8>::new(1), Queue::new(1));
        full.put(1).unwrap();
        let getter = spawn({
            let empty = empty.clone();
            move || empty.get()
        });
        let putter = spawn({
            let full = full.clone();
            move || full.put(2)
        });
        let peeker = spawn({
            let empty = empty.clone();
            move || empty.peek()
        });
        until_waiting(&getter.name());
        until_waiting(&putter.name());
        until_waiting(&peeker.name());
        empty.close();
        full.close();
        assert_eq!(getter.join().unwrap(), None);
        assert_eq!(peeker.join().unwrap(), None);
        assert_eq!(putter.join().unwrap(), Err(Closed(2)));
    });
}

#[test]
fn peek_leaves_the_item_where_it_is() {
    everywhere(|| {
        let queue = Queue::new(1);
        assert_eq!(queue.peek_timeout(ms(2)), Err(TimedOut));
        let peeker = spawn({
            let queue = queue.clone();
            move || queue.peek()
        });
        until_waiting(&peeker.name());
        queue.put(7).unwrap();
        assert_eq!(peeker.join().unwrap(), Some(7));
        assert_eq!(queue.get(), Some(7));
    });
}

#[test]
fn those_who_wait_are_served_in_order_and_one_who_gives_up_takes_nothing() {
    on_worker(0, || {
        let (queue, got) = (Queue::new(8), Queue::new(8));
        let getters = [0, 1, 2, 3].map(|n| {
            let (queue, got) = (queue.clone(), got.clone());
            spawn(move || got.put((n, queue.get().unwrap())).unwrap())
        });
        for getter in &getters {
            until_waiting(&getter.name());
        }
        getters[1].kill();
        super::eventually(|| getters[1].ready());
        for item in ["a", "b", "c"] {
            queue.put(item).unwrap();
            assert_eq!(
                queue.try_get(),
                Err(Empty),
                "it is promised to one who waits"
            );
        }
        let ends = getters.map(crate::Greenlet::join);
        assert!(matches!(ends[1], Err(JoinError::Killed)));
        got.close();
        assert_eq!(
            got.iter().collect::<Vec<_>>(),
            [(0, "a"), (2, "b"), (3, "c")]
        );
    })
    .join()
    .unwrap();
}

#[test]
fn a_priority_queue_gives_the_smallest_and_a_lifo_queue_the_latest() {
    everywhere(|| {
        let priority = PriorityQueue::new(8);
        let lifo = LifoQueue::new(8);
        for n in [3, 1, 2, 1] {
            priority.put(n).unwrap();
            lifo.put(n).unwrap();
        }
        assert_eq!((priority.peek(), lifo.peek()), (Some(1), Some(1)));
        priority.close();
        lifo.close();
        assert_eq!(priority.iter().collect::<Vec<_>>(), [1, 1, 2, 3]);
        assert_eq!(lifo.iter().collect::<Vec<_>>(), [1, 2, 1, 3]);
    });
}

#[test]
fn a_joinable_queue_is_joined_when_all_is_done() {
    everywhere(|| {
        let queue = JoinableQueue::new(16);
        queue.join();
        for n in 0..10 {
            queue.put(n).unwrap();
        }
        assert_eq!(queue.join_timeout(ms(2)), Err(TimedOut));
        let workers = [0, 1].map(|worker| {
            let queue = queue.clone();
            on_worker(worker, move || {
                while let Some(task) = queue.next_task() {
                    sleep(ms(1));
                    drop(task);
                }
            })
        });
        queue.join_timeout(LONG).unwrap();
        assert_eq!(queue.unfinished(), 0);
        killall(&workers, Some(LONG)).unwrap();
    });
}

#[test]
fn a_task_is_done_even_if_its_thread_is_killed() {
    everywhere(|| {
        let queue = JoinableQueue::new(1);
        queue.put(1).unwrap();
        let worker = spawn({
            let queue = queue.clone();
            move || {
                let _task = queue.next_task();
                sleep(LONG);
            }
        });
        super::eventually(|| queue.is_empty());
        assert_eq!(queue.unfinished(), 1);
        worker.kill();
        queue.join_timeout(LONG).unwrap();
    });
}

#[test]
#[should_panic(expected = "more often than items were put")]
fn one_report_too_many_is_an_error() {
    JoinableQueue::<u8>::new(1).task_done();
}

#[test]
fn a_channel_hands_over_and_does_not_keep() {
    everywhere(|| {
        let channel = Channel::new();
        assert_eq!(channel.try_get(), Err(Empty));
        assert_eq!(channel.put_timeout(1, ms(2)), Err(PutError::Full(1)));
        assert_eq!(
            channel.try_get(),
            Err(Empty),
            "who gives up takes the item back"
        );
        assert_eq!(channel.get_timeout(ms(2)), Err(TimedOut));
        let putter = spawn({
            let channel = channel.clone();
            move || channel.put(2)
        });
        until_waiting(&putter.name());
        assert!(!putter.ready(), "it waits for one who gets");
        assert_eq!(channel.get(), Some(2));
        putter.join().unwrap().unwrap();
    });
}

#[test]
fn a_channel_that_is_closed_gives_items_back() {
    everywhere(|| {
        let channel = Channel::new();
        let putter = spawn({
            let channel = channel.clone();
            move || channel.put(2)
        });
        until_waiting(&putter.name());
        channel.close();
        assert_eq!(putter.join().unwrap(), Err(Closed(2)));
        assert_eq!((channel.get(), channel.try_get()), (None, Ok(None)));
        assert_eq!(channel.put(3), Err(Closed(3)));
        assert!(channel.is_closed());
    });
}

#[test]
fn a_getter_of_a_channel_whose_offer_is_withdrawn_keeps_its_place() {
    on_worker(0, || {
        let channel = Channel::new();
        let getters = [0, 1].map(|_| {
            let channel = channel.clone();
            spawn(move || channel.get())
        });
        for getter in &getters {
            until_waiting(&getter.name());
        }
        // Announced to the first getter and withdrawn before that one can run.
        assert_eq!(
            channel.put_timeout("early", Duration::ZERO),
            Err(PutError::Full("early"))
        );
        channel.put("late").unwrap();
        let [first, second] = getters;
        assert_eq!(first.join().unwrap(), Some("late"));
        assert!(!second.ready());
        second.kill();
    })
    .join()
    .unwrap();
}

#[test]
fn when_the_last_feeder_or_taker_is_gone_the_other_side_learns() {
    everywhere(|| {
        let queue = Queue::new(1);
        let feeder = queue.feeder();
        let feeders = [0, 1].map(|n| {
            let feeder = feeder.clone();
            on_worker(n, move || feeder.put(n))
        });
        drop(feeder);
        let mut all: Vec<_> = queue.iter().collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1]);
        for feeder in feeders {
            feeder.join().unwrap().unwrap();
        }

        let channel = Channel::new();
        let taker = channel.taker();
        let consumer = spawn(move || {
            let _first = taker.get();
            sleep(LONG);
        });
        channel.put(1).unwrap();
        let killer = spawn(move || {
            sleep(ms(3));
            consumer.kill();
        });
        assert_eq!(channel.put(2), Err(Closed(2)));
        killer.join().unwrap();
    });
}

#[test]
fn an_os_thread_feeds_green_threads_without_waiting() {
    let queue = Queue::new(4);
    let got = Arc::new(AtomicUsize::new(0));
    let getters = [0, 1].map(|worker| {
        let (queue, got) = (queue.clone(), got.clone());
        on_worker(worker, move || {
            got.fetch_add(queue.iter().sum::<usize>(), Ordering::SeqCst);
        })
    });
    let (send, receive) = crossbeam_channel::bounded::<usize>(1);
    let feeder = queue.feeder();
    let bridge = std::thread::spawn(move || {
        let mut sum = 0;
        for n in receive {
            let mut item = n;
            while let Err(error) = feeder.try_put(item) {
                item = error.into_inner();
                std::thread::yield_now();
            }
            sum += n;
        }
        sum
    });
    (0..2000).for_each(|n| send.send(n).unwrap());
    drop(send);
    let sum = bridge.join().unwrap();
    for getter in getters {
        getter.join_timeout(LONG).unwrap().unwrap();
    }
    assert_eq!(got.load(Ordering::SeqCst), sum);
}

/// gevent: a `get` or `put` that is interrupted leaves every kind of queue as it was.
#[test]
fn interrupted_waits_leave_each_kind_as_it_was() {
    macro_rules! check {
        ($queue:expr) => {{
            let queue = $queue;
            let gone = Timeout::run(ms(2), || queue.get());
            assert_eq!(gone, Err(TimedOut));
            queue.put(1).unwrap();
            assert_eq!(Timeout::run(ms(2), || queue.put(2)), Err(TimedOut));
            let killed = spawn({
                let queue = queue.clone();
                move || queue.put(3)
            });
            until_waiting(&killed.name());
            killed.kill();
            assert!(killed.join().is_err());
            assert_eq!((queue.len(), queue.get()), (1, Some(1)));
            assert_eq!(queue.try_get(), Err(Empty));
        }};
    }
    everywhere(|| {
        check!(Queue::new(1));
        check!(LifoQueue::new(1));
        check!(PriorityQueue::new(1));
        check!(JoinableQueue::new(1));
        let channel = Channel::new();
        assert_eq!(Timeout::run(ms(2), || channel.get()), Err(TimedOut));
        assert_eq!(Timeout::run(ms(2), || channel.put(1)), Err(TimedOut));
        assert_eq!(channel.try_get(), Err(Empty));
    });
}
