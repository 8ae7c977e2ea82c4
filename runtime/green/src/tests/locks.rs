use super::{LONG, everywhere, ms, on_worker, until_waiting};
use crate::{Lock, RLock, RwLock, TimedOut, scope, sleep, spawn, yield_now};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

#[test]
fn a_lock_is_held_over_waits_by_one_at_a_time() {
    everywhere(|| {
        let value = Lock::new(0);
        scope(|s| {
            for _ in 0..10 {
                s.spawn(|| {
                    let mut value = value.lock().unwrap();
                    let before = *value;
                    yield_now();
                    *value = before + 1;
                });
            }
        });
        assert_eq!(value.into_inner(), 10);
    });
}

#[test]
fn a_lock_can_be_tried_timed_and_looked_at() {
    everywhere(|| {
        let mut lock = Lock::new(1);
        *lock.get_mut() = 2;
        {
            let guard = lock.lock().unwrap();
            assert!(lock.locked() && lock.try_lock().is_none());
            assert_eq!(lock.lock_timeout(ms(2)).map(|guard| *guard), Err(TimedOut));
            assert_eq!(format!("{lock:?} {guard:?}"), "Lock(held) LockGuard(2)");
        }
        assert_eq!(*lock.try_lock().unwrap(), 2);
        assert_eq!(format!("{lock:?}"), "Lock(2)");
    });
}

#[test]
fn neither_a_panic_nor_a_kill_poisons_a_lock() {
    everywhere(|| {
        let lock = Arc::new(Lock::new(0));
        let result = catch_unwind(AssertUnwindSafe(|| {
            *lock.lock().unwrap() += 1;
            let _guard = lock.lock().unwrap();
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(result.is_err());
        let holder = {
            let lock = lock.clone();
            spawn(move || {
                *lock.lock().unwrap() += 1;
                let _guard = lock.lock().unwrap();
                sleep(LONG);
            })
        };
        super::eventually(|| lock.locked() || holder.ready());
        holder.kill();
        assert_eq!(*lock.lock().unwrap(), 2);

        let table = RwLock::new(0);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut guard = table.write().unwrap();
            *guard = 1;
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(result.is_err());
        assert_eq!(*table.read().unwrap(), 1);
    });
}

#[test]
fn an_rlock_can_be_taken_again_by_its_holder_only() {
    everywhere(|| {
        let lock = RLock::new(Cell::new(1));
        let outer = lock.lock().unwrap();
        let inner = lock.try_lock().unwrap();
        let again = lock.lock_timeout(ms(1)).unwrap();
        again.set(2);
        drop(outer);
        drop(inner);
        scope(|s| {
            let other = s.spawn(|| lock.try_lock().is_none() && lock.lock_timeout(ms(2)).is_err());
            assert!(other.join().unwrap(), "the last guard still holds it");
        });
        drop(again);
        assert!(!lock.locked());
        scope(|s| {
            let other = s.spawn(|| lock.lock().unwrap().get());
            assert_eq!(other.join().unwrap(), 2);
        });
    });
}

#[test]
fn two_green_threads_of_a_worker_are_two_holders() {
    on_worker(0, || {
        let lock = RLock::new(());
        scope(|s| {
            let held = lock.lock().unwrap();
            let other = s.spawn_local(|| lock.lock().is_ok());
            yield_now();
            assert!(!other.ready());
            drop(held);
            assert!(other.join().unwrap());
        });
    })
    .join()
    .unwrap();
}

#[test]
fn readers_share_and_a_writer_is_alone() {
    everywhere(|| {
        let table = RwLock::new(1);
        let (a, b) = (table.read().unwrap(), table.read_timeout(ms(1)).unwrap());
        assert_eq!(*a + *b, 2);
        assert!(table.try_write().is_none());
        assert!(table.write_timeout(ms(2)).is_err());
        drop((a, b));
        let mut writer = table.try_write().unwrap();
        *writer = 5;
        assert!(table.try_read().is_none() && table.try_write().is_none());
        assert!(table.read_timeout(ms(2)).is_err());
        drop(writer);
        assert_eq!(*table.try_read().unwrap(), 5);
    });
}

#[test]
fn an_rwlock_serves_in_order_so_nobody_starves() {
    on_worker(1, || {
        let (table, order) = (RwLock::new(()), Mutex::new(Vec::new()));
        scope(|s| {
            let first = table.read().unwrap();
            for (name, write) in [("w1", true), ("r1", false), ("r2", false), ("w2", true)] {
                let (table, order) = (&table, &order);
                let thread = s.spawn(move || {
                    if write {
                        let _guard = table.write().unwrap();
                        order.lock().unwrap().push(name);
                        yield_now();
                    } else {
                        let _guard = table.read().unwrap();
                        order.lock().unwrap().push(name);
                        yield_now();
                    }
                });
                until_waiting(&thread.name());
            }
            assert!(
                table.try_read().is_none(),
                "a reader does not pass the writer in line"
            );
            drop(first);
        });
        assert_eq!(order.into_inner().unwrap(), ["w1", "r1", "r2", "w2"]);
    })
    .join()
    .unwrap();
}

#[test]
fn a_writer_that_gives_up_lets_the_readers_behind_it_in() {
    everywhere(|| {
        let table = RwLock::new(());
        let reading = table.read().unwrap();
        scope(|s| {
            let writer = s.spawn(|| table.write_timeout(ms(30)).is_err());
            until_waiting(&writer.name());
            let reader = s.spawn(|| table.read().is_ok());
            assert!(writer.join().unwrap());
            assert!(reader.join_timeout(LONG).unwrap().unwrap());
        });
        drop(reading);
        assert!(table.try_write().is_some());
    });
}
