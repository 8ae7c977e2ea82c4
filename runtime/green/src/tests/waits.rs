use super::{LONG, everywhere, ms, on_worker, until_waiting};
use crate::{
    AsyncResult, Event, Queue, Semaphore, TimedOut, iwait, select, sleep, spawn, spawn_later, wait,
};

#[test]
fn all_kinds_of_objects_are_waited_for_together() {
    everywhere(|| {
        let (event, result, queue, semaphore) = (
            Event::new(),
            AsyncResult::new(),
            Queue::new(1),
            Semaphore::new(0),
        );
        let thread = spawn(|| sleep(ms(1)));
        assert_eq!(
            select(&[&event, &result, &queue, &semaphore], Some(ms(2))),
            Err(TimedOut)
        );
        let other = {
            let (event, result) = (event.clone(), result.clone());
            let (queue, semaphore) = (queue.clone(), semaphore.clone());
            on_worker(1, move || {
                event.set();
                sleep(ms(1));
                result.set(1).unwrap();
                queue.put(1).unwrap();
                semaphore.release();
            })
        };
        let mut ready = wait(
            &[&event, &result, &queue, &semaphore, &thread],
            Some(LONG),
            None,
        );
        ready.sort_unstable();
        assert_eq!(ready, [0, 1, 2, 3, 4]);
        other.join().unwrap();
        assert_eq!((queue.len(), semaphore.free()), (1, 1), "nothing was taken");
    });
}

#[test]
fn iwait_gives_each_once_in_the_order_of_their_ends() {
    everywhere(|| {
        let events = [(); 3].map(|()| Event::new());
        let objects: Vec<&dyn crate::Waitable> = events.iter().map(|e| e as _).collect();
        let mut ends = iwait(&objects, Some(LONG));
        for n in [1, 2, 0] {
            let event = events[n].clone();
            let later = spawn_later(ms(1), move || event.set());
            assert_eq!(ends.next(), Some(n));
            later.join().unwrap();
        }
        assert_eq!(ends.next(), None);
        assert_eq!(iwait(&objects, None).count(), 3, "all are ready already");
        assert_eq!(iwait(&[], None).next(), None);
    });
}

#[test]
fn a_count_or_a_timeout_ends_a_wait_early() {
    everywhere(|| {
        let (never, set) = (Event::new(), Event::new());
        set.set();
        assert_eq!(wait(&[&never, &set], None, Some(1)), [1]);
        assert_eq!(wait(&[&never, &set], Some(ms(5)), None), [1]);
        assert!(wait(&[&never], Some(ms(1)), Some(0)).is_empty());
    });
}

#[test]
fn a_select_hammered_from_two_queues_sees_every_item() {
    everywhere(|| {
        let queues = [Queue::new(2), Queue::new(2)];
        let feeders = [0, 1].map(|n| {
            let queue = queues[n].clone();
            on_worker(n, move || {
                for item in 1..=500_u32 {
                    queue.put(item).unwrap();
                }
                queue.close();
            })
        });
        let (mut sum, mut open) = (0, vec![0, 1]);
        while !open.is_empty() {
            let objects: Vec<&dyn crate::Waitable> =
                open.iter().map(|n: &usize| &queues[*n] as _).collect();
            let place = select(&objects, Some(LONG)).unwrap();
            match queues[open[place]].try_get() {
                Ok(Some(item)) => sum += item,
                Ok(None) => drop(open.remove(place)),
                Err(crate::Empty) => {}
            }
        }
        assert_eq!(sum, 2 * 500 * 501 / 2);
        for feeder in feeders {
            feeder.join().unwrap();
        }
    });
}

#[test]
fn one_that_is_killed_while_it_selects_leaves_no_trace() {
    everywhere(|| {
        let (event, queue) = (Event::new(), Queue::<u8>::new(1));
        let selector = spawn({
            let (event, queue) = (event.clone(), queue.clone());
            move || select(&[&event, &queue], None)
        });
        until_waiting(&selector.name());
        selector.kill();
        assert!(selector.join().is_err());
        assert!(event.nobody_waits());
        queue.put(1).unwrap();
        assert_eq!(queue.try_get(), Ok(Some(1)));
    });
}
