//! While a thread unwinds its waits come back at once, and nothing raises a second time.

use super::{LONG, OnDrop, everywhere, ms, until_waiting};
use crate::{
    AsyncResult, Barrier, BarrierBroken, Channel, Closed, Condition, Event, GetError, Group,
    JoinError, Lock, Pool, Queue, RwLock, Semaphore, TimedOut, Timeout, select, sleep, spawn,
    unblock,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Waits for everything that there is, in vain.
fn wait_for_all_in_vain() {
    let start = Instant::now();
    sleep(LONG);
    let lock = Lock::new(());
    let held = lock.lock().unwrap();
    assert_eq!(lock.lock().map(drop), Err(TimedOut));
    drop(Condition::new().wait(held));
    let table = RwLock::new(());
    let _reading = table.read().unwrap();
    assert_eq!(table.write().map(drop), Err(TimedOut));
    assert_eq!(Semaphore::new(0).acquire().map(drop), Err(TimedOut));
    let queue = Queue::new(1);
    assert_eq!(queue.get(), None);
    queue.put(1).unwrap();
    assert_eq!(queue.put(2), Err(Closed(2)));
    assert_eq!(queue.get(), Some(1), "what is there can be had");
    assert_eq!(Channel::new().put(3), Err(Closed(3)));
    Event::new().wait();
    assert_eq!(AsyncResult::<u8>::new().get(), Err(GetError::TimedOut));
    assert_eq!(Barrier::new(2).wait(), Err(BarrierBroken));
    assert_eq!(select(&[&queue], None), Err(TimedOut));
    assert_eq!(
        Timeout::run(ms(0), || sleep(LONG)),
        Ok(()),
        "nothing raises"
    );

    let group = Group::new();
    let member = group.spawn(|| sleep(LONG));
    group.join();
    assert!(member.join_timeout(LONG).is_none());
    group.kill();
    let pool = Pool::new(1);
    let member = pool.spawn(|| sleep(LONG));
    assert!(matches!(
        pool.spawn(|| ()).join(),
        Err(JoinError::NotStarted)
    ));
    member.kill();

    assert_eq!(unblock(|| 4), 4, "it runs here");
    assert!(start.elapsed() < LONG);
}

#[test]
fn in_a_destructor_nothing_blocks_after_a_panic() {
    everywhere(|| {
        let result = std::panic::catch_unwind(|| {
            let _guard = OnDrop(wait_for_all_in_vain);
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(result.is_err());
    });
}

#[test]
fn in_a_destructor_nothing_blocks_after_a_kill_or_a_limit() {
    everywhere(|| {
        let finished = Arc::new(AtomicBool::new(false));
        let thread = {
            let finished = finished.clone();
            spawn(move || {
                let _guard = OnDrop(|| {
                    wait_for_all_in_vain();
                    finished.store(true, Ordering::SeqCst);
                });
                sleep(LONG);
            })
        };
        until_waiting(&thread.name());
        thread.kill();
        assert!(matches!(thread.join(), Err(JoinError::Killed)));
        assert!(finished.load(Ordering::SeqCst));

        let result = Timeout::run(ms(2), || {
            let _guard = OnDrop(wait_for_all_in_vain);
            sleep(LONG);
        });
        assert_eq!(result, Err(TimedOut));
    });
}
