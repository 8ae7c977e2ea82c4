//! Threads that are told to end and go on; destructors that wait while they unwind; and user code that
//! waits where this crate calls it. Nobody else of the worker suffers.

use super::{LONG, OnDrop, everywhere, ms, on_worker, until_waiting};
use crate::{
    AsyncResult, Barrier, Builder, Channel, Config, Event, JoinError, PriorityQueue, Queue, RwLock,
    Timeout, is_interrupt, scope, shield, sleep, spawn, spawn_local, start,
};
use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Instant;

#[test]
fn one_that_swallows_its_end_lets_others_run() {
    for worker in 0..2 {
        let (rounds, over) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let stubborn = {
            let (rounds, over) = (rounds.clone(), over.clone());
            on_worker(worker, move || {
                while !over.load(Ordering::SeqCst) {
                    let _swallowed = catch_unwind(|| sleep(LONG));
                    rounds.fetch_add(1, Ordering::SeqCst);
                }
            })
        };
        until_waiting(&stubborn.name());
        stubborn.kill();
        // A hundred turns of another one of the worker, in which it does a few rounds of its own.
        let other = on_worker(worker, || (0..100).for_each(|_| sleep(ms(1))));
        assert!(matches!(other.join_timeout(LONG), Some(Ok(()))));
        let count = rounds.load(Ordering::SeqCst);
        assert!(count < 100, "{count} rounds");
        over.store(true, Ordering::SeqCst);
        assert!(stubborn.join().is_ok());
    }
}

#[test]
fn one_that_swallows_a_time_limit_lets_others_run() {
    on_worker(0, || {
        let over = Rc::new(Event::new());
        let other = over.clone();
        let other = spawn_local(move || {
            (0..20).for_each(|_| sleep(ms(1)));
            other.set();
        });
        let result = Timeout::run(ms(1), || {
            while !over.is_set() {
                let _swallowed = catch_unwind(|| sleep(LONG));
            }
        });
        assert!(result.is_ok() && other.join().is_ok());
        let begin = Instant::now();
        for _ in 0..50 {
            let _over = Timeout::run(ms(0), || sleep(LONG));
        }
        assert!(begin.elapsed() < LONG / 60, "each limit is over once");
    })
    .join()
    .unwrap();
}

#[test]
fn a_destructor_that_waits_until_something_comes_true_lets_others_run() {
    everywhere(|| {
        let done = Event::new();
        let waits = done.clone();
        let victim = spawn(move || {
            let _flush = OnDrop(|| {
                while !waits.is_set() {
                    waits.wait();
                    assert!(std::thread::panicking(), "the count is put back");
                }
            });
            sleep(LONG);
        });
        until_waiting(&victim.name());
        victim.kill();
        // On the same worker, where it sees nothing of the other one's panic.
        let set = Builder::new().worker(victim.worker()).spawn(move || {
            for _ in 0..10 {
                sleep(ms(1));
                assert!(!std::thread::panicking());
                assert!(catch_unwind(|| resume_unwind(Box::new(()))).is_err());
            }
            done.set();
        });
        assert!(matches!(set.join_timeout(LONG), Some(Ok(()))));
        assert!(matches!(
            victim.join_timeout(LONG),
            Some(Err(JoinError::Killed))
        ));
    });
}

#[test]
fn children_of_one_that_swallows_its_kill_end_with_the_scope() {
    everywhere(|| {
        let parent = spawn(|| {
            let data = [1, 2, 3];
            scope(|s| {
                s.spawn(|| {
                    if catch_unwind(|| sleep(LONG)).is_err() {
                        s.spawn(|| {
                            sleep(LONG);
                            std::hint::black_box(&data);
                        });
                    }
                });
            });
        });
        until_waiting(&parent.name());
        sleep(ms(2));
        parent.kill();
        assert!(matches!(
            parent.join_timeout(LONG),
            Some(Err(JoinError::Killed))
        ));
    });
}

#[test]
fn an_os_thread_starts_children_in_a_scope_whose_owner_unwinds() {
    everywhere(|| {
        let ended = AtomicUsize::new(0);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let _scope = OnDrop(|| {
                scope(|s| {
                    std::thread::scope(|os| {
                        os.spawn(|| {
                            s.spawn(|| {
                                let _count = OnDrop(|| {
                                    ended.fetch_add(1, Ordering::SeqCst);
                                });
                                sleep(LONG);
                            });
                        });
                    });
                });
            });
            resume_unwind(Box::new(()));
        }));
        assert!(result.is_err());
        // Killed before it began, or waited for.
        assert!(ended.load(Ordering::SeqCst) <= 1);
    });
}

#[test]
fn destructors_of_thread_locals_wait_like_anybody() {
    static RESULTS: OnceLock<Queue<usize>> = OnceLock::new();

    struct AtEnd;

    impl Drop for AtEnd {
        fn drop(&mut self) {
            let words = vec![String::from("borrowed"); 3];
            let seen = AtomicUsize::new(0);
            scope(|s| {
                s.spawn(|| {
                    sleep(ms(5));
                    seen.store(words.len(), Ordering::SeqCst);
                });
            });
            let results = RESULTS.get().expect("set by the test");
            results.put(seen.into_inner()).expect("not closed");
            assert_eq!(Timeout::run(ms(1), || sleep(LONG)), Err(crate::TimedOut));
            assert_eq!(spawn(|| 3).join().expect("it gives 3"), 3);
            results.put(4).expect("not closed");
        }
    }

    thread_local!(static AT_END: AtEnd = const { AtEnd });

    let results = RESULTS.get_or_init(|| Queue::new(4)).clone();
    std::thread::spawn(|| {
        AT_END.with(|_| ()); // made first, so destroyed last
        sleep(ms(1));
    })
    .join()
    .expect("it ends");
    assert_eq!(
        (results.try_get(), results.try_get()),
        (Ok(Some(3)), Ok(Some(4)))
    );
}

#[test]
fn a_shield_puts_the_end_off() {
    static TABLE: LazyLock<u8> = LazyLock::new(|| {
        sleep(ms(20));
        1
    });
    everywhere(|| {
        let victim = spawn(|| {
            let table = shield(|| *TABLE);
            assert_eq!(table, 1);
            // Limits that begin inside hold.
            let inner = shield(|| Timeout::run(ms(1), || sleep(LONG)));
            assert!(inner.is_err());
            let payload = catch_unwind(|| sleep(LONG)).expect_err("it was killed");
            assert!(is_interrupt(&*payload));
            resume_unwind(payload);
        });
        sleep(ms(1));
        victim.kill();
        assert!(matches!(
            victim.join(),
            Err(JoinError::Killed | JoinError::Panicked(_))
        ));
        assert_eq!(*TABLE, 1);
    });
}

#[test]
fn an_end_that_is_raised_elsewhere_is_no_kill() {
    everywhere(|| {
        let stolen = spawn(|| catch_unwind(|| sleep(LONG)).expect_err("it is killed"));
        until_waiting(&stolen.name());
        stolen.kill();
        let stolen = stolen.join().expect("it has caught its end");
        assert!(is_interrupt(&*stolen));
        let other = spawn(move || resume_unwind(stolen)).join();
        assert!(matches!(other, Err(JoinError::Panicked(_))));
    });
}

#[test]
fn a_clone_that_waits_holds_up_nobody() {
    struct Slow(u8, AsyncResult<Slow>);

    impl Clone for Slow {
        fn clone(&self) -> Self {
            sleep(ms(5));
            assert!(self.1.ready());
            Self(self.0, self.1.clone())
        }
    }

    start(Config::default());
    for worker in 0..2 {
        let result = AsyncResult::new();
        assert!(result.set(Slow(7, result.clone())).is_ok());
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let result = result.clone();
                on_worker(worker, move || {
                    assert_eq!(result.try_get().map(|slow| slow.0), Some(7));
                    result.get().map(|slow| slow.0)
                })
            })
            .collect();
        sleep(ms(2));
        readers[0].kill(); // also in the middle of a copy
        let mut readers = readers.into_iter();
        drop(readers.next());
        for reader in readers {
            assert!(matches!(reader.join_timeout(LONG), Some(Ok(Ok(7)))));
        }
        assert!(result.set(Slow(8, AsyncResult::new())).is_err());
        assert!(result.take().is_ok());
    }
}

/// Items whose comparison and copy wait, and ask the queue that they are in.
#[derive(Clone)]
struct Nosy(u8, PriorityQueue<Nosy>);

impl PartialEq for Nosy {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Nosy {}

impl PartialOrd for Nosy {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Nosy {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let _asks = (self.1.len(), self.1.is_closed());
        sleep(ms(1));
        self.0.cmp(&other.0)
    }
}

#[test]
fn comparisons_and_copies_of_items_may_wait_and_ask_their_queue() {
    for worker in 0..2 {
        let queue = PriorityQueue::new(4);
        let puts: Vec<_> = (0..8)
            .map(|n| {
                let queue = queue.clone();
                on_worker(worker, move || {
                    assert!(queue.put(Nosy(n, queue.clone())).is_ok());
                })
            })
            .collect();
        let killed = {
            let queue = queue.clone();
            on_worker(
                worker,
                move || while queue.put(Nosy(99, queue.clone())).is_ok() {},
            )
        };
        sleep(ms(2));
        assert!(queue.peek_timeout(LONG).is_ok_and(|first| first.is_some()));
        killed.kill();
        let mut got = Vec::new();
        while got.len() < 8 {
            match queue.get_timeout(LONG) {
                Ok(Some(Nosy(99, _))) => {}
                Ok(Some(Nosy(n, _))) => got.push(n),
                other => panic!("{:?}", other.map(|item| item.is_some())),
            }
        }
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2, 3, 4, 5, 6, 7]);
        for put in puts {
            assert!(matches!(put.join_timeout(LONG), Some(Ok(()))));
        }
        assert!(killed.join_timeout(LONG).is_some());
        queue.close();
        while let Some(_rest) = queue.get() {}
    }
}

#[test]
fn one_that_looks_at_an_item_for_long_holds_up_nobody() {
    struct Slow(u8);

    impl Clone for Slow {
        fn clone(&self) -> Self {
            sleep(ms(5));
            Self(self.0)
        }
    }

    for worker in 0..2 {
        let queue = Queue::new(2);
        assert!(queue.put(Slow(1)).is_ok());
        let peeks = {
            let queue = queue.clone();
            on_worker(worker, move || queue.peek().map(|slow| slow.0))
        };
        sleep(ms(2));
        assert_eq!(queue.len(), 1);
        assert!(queue.put(Slow(2)).is_ok());
        assert!(matches!(queue.try_get(), Ok(Some(Slow(1)))));
        assert!(matches!(queue.get(), Some(Slow(2))));
        assert_eq!(peeks.join().unwrap(), Some(1));
    }
}

/// Where a value is shown to may wait for that value, or use it.
#[test]
fn what_is_written_to_may_use_what_is_shown() {
    struct Using<'a>(&'a dyn Fn());

    impl fmt::Write for Using<'_> {
        fn write_str(&mut self, _: &str) -> fmt::Result {
            (self.0)();
            Ok(())
        }
    }

    let (done, wait) = std::sync::mpsc::channel();
    // On an OS thread that is left behind if it hangs.
    std::thread::spawn(move || {
        let result = AsyncResult::<u8>::new();
        write!(Using(&|| assert!(result.try_get().is_none())), "{result:?}").unwrap();
        let table = RwLock::new(0);
        write!(Using(&|| drop(table.try_read())), "{table:?}").unwrap();
        let barrier = Barrier::new(2);
        write!(Using(&|| assert!(!barrier.is_broken())), "{barrier:?}").unwrap();
        let channel = Channel::<u8>::new();
        write!(
            Using(&|| assert!(channel.try_get().is_err())),
            "{channel:?}"
        )
        .unwrap();
        let queue = Queue::<u8>::new(1);
        write!(Using(&|| assert!(queue.try_get().is_err())), "{queue:?}").unwrap();
        let job = crate::threadpool().spawn(|| ());
        write!(Using(&|| assert!(job.kill() || !job.kill())), "{job:?}").unwrap();
        let event = Event::new();
        write!(Using(&|| event.set()), "{event:?}").unwrap();
        let thread = spawn(|| ());
        write!(Using(&|| thread.kill()), "{thread:?}").unwrap();
        scope(|s| {
            s.spawn(|| sleep(ms(1)));
            write!(Using(&|| s.kill()), "{s:?}").unwrap();
        });
        done.send(()).unwrap();
    });
    assert!(wait.recv_timeout(LONG).is_ok(), "it waits for its own lock");
}
