use super::{SHORT, everywhere, ms, on_worker, until_waiting};
use crate::{
    BoundedSemaphore, JoinError, ReleasedTooOften, Semaphore, TimedOut, Timeout, spawn, wait,
};
use std::sync::{Arc, Mutex};

#[test]
fn permits_are_taken_and_come_back() {
    everywhere(|| {
        let semaphore = Semaphore::new(2);
        let (a, b) = (
            semaphore.acquire().unwrap(),
            semaphore.try_acquire().unwrap(),
        );
        assert!(semaphore.locked() && semaphore.try_acquire().is_none());
        assert_eq!(semaphore.acquire_timeout(ms(2)).map(drop), Err(TimedOut));
        drop(a);
        assert_eq!(semaphore.free(), 1);
        b.forget();
        assert_eq!(semaphore.free(), 1);
        semaphore.release();
        assert_eq!(semaphore.free(), 2);
    });
}

#[test]
fn a_release_that_nobody_acquired_is_a_signal() {
    everywhere(|| {
        let signal = Semaphore::new(0);
        let waiting = {
            let signal = signal.clone();
            spawn(move || signal.acquire().map(crate::Permit::forget))
        };
        signal.release();
        waiting.join().unwrap().unwrap();
        assert_eq!(signal.free(), 0);
    });
}

#[test]
fn a_bounded_one_does_not_grow() {
    everywhere(|| {
        let semaphore = BoundedSemaphore::new(1);
        assert_eq!(semaphore.release(), Err(ReleasedTooOften));
        semaphore.acquire().unwrap().forget();
        assert_eq!(semaphore.release(), Ok(()));
        assert_eq!(semaphore.release(), Err(ReleasedTooOften));
        assert_eq!(semaphore.free(), 1);
    });
}

#[test]
fn who_asks_first_is_served_first_and_who_comes_later_cannot_pass() {
    on_worker(0, || {
        let semaphore = Semaphore::new(0);
        let order = Arc::new(Mutex::new(Vec::new()));
        let threads = [0, 1, 2, 3].map(|n| {
            let (semaphore, order) = (semaphore.clone(), order.clone());
            spawn(move || {
                let permit = semaphore.acquire().unwrap();
                order.lock().unwrap().push(n);
                permit.forget();
            })
        });
        for thread in &threads {
            until_waiting(&thread.name());
        }
        threads[1].kill();
        super::eventually(|| threads[1].ready());
        for _ in 0..3 {
            semaphore.release();
            assert!(semaphore.try_acquire().is_none(), "it is the next one's");
        }
        let ends = threads.map(crate::Greenlet::join);
        assert!(matches!(ends[1], Err(JoinError::Killed)));
        assert_eq!(*order.lock().unwrap(), [0, 2, 3]);
    })
    .join()
    .unwrap();
}

#[test]
fn one_who_gives_up_leaves_the_permit_to_the_next() {
    everywhere(|| {
        let semaphore = Semaphore::new(0);
        let _ = Timeout::run(ms(2), || semaphore.acquire().map(drop));
        assert!(semaphore.acquire_timeout(ms(1)).is_err());
        semaphore.release();
        assert_eq!(semaphore.free(), 1);
        assert!(semaphore.acquire_timeout(SHORT).is_ok());
    });
}

#[test]
fn a_free_permit_can_be_waited_for_without_taking_it() {
    everywhere(|| {
        let semaphore = Semaphore::new(0);
        assert!(wait(&[&semaphore], Some(ms(2)), None).is_empty());
        let later = {
            let semaphore = semaphore.clone();
            crate::spawn_later(ms(5), move || semaphore.release())
        };
        assert_eq!(wait(&[&semaphore], Some(super::LONG), None), [0]);
        assert_eq!(semaphore.free(), 1);
        later.join().unwrap();
    });
}
