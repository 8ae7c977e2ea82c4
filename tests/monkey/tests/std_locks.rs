//! std's locks, conditions, parking and channels.

use greenway::green::{self, JoinError, spawn};
use greenway_monkey_tests::{begin, crowd, until};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, LazyLock, Mutex, Once, OnceLock, RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(2);

#[test]
fn mutexes_that_are_held_over_a_wait() {
    begin();
    let count = Arc::new(Mutex::new(0));
    let total = count.clone();
    let os: Vec<_> = (0..3)
        .map(|_| {
            let count = count.clone();
            thread::spawn(move || {
                for _ in 0..50 {
                    let mut count = count.lock().unwrap();
                    thread::sleep(Duration::from_micros(100));
                    *count += 1;
                }
            })
        })
        .collect();
    crowd(50, move |_| {
        for _ in 0..10 {
            let mut count = count.lock().unwrap();
            let was = *count;
            thread::sleep(Duration::from_micros(100));
            *count = was + 1;
        }
    });
    for thread in os {
        thread.join().unwrap();
    }
    assert_eq!(*total.lock().unwrap(), 50 * 10 + 3 * 50);
}

#[test]
fn rwlocks() {
    begin();
    let lock = Arc::new(RwLock::new(0));
    let end = lock.clone();
    crowd(50, move |n| {
        for _ in 0..10 {
            if n % 5 == 0 {
                let mut value = lock.write().unwrap();
                let was = *value;
                thread::sleep(Duration::from_micros(100));
                *value = was + 1;
            } else {
                let value = lock.read().unwrap();
                let was = *value;
                thread::sleep(Duration::from_micros(100));
                assert_eq!(*value, was);
            }
        }
    });
    assert_eq!(*end.read().unwrap(), 100);
}

#[test]
fn initialisers_that_wait_run_once() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    static CELL: OnceLock<u32> = OnceLock::new();
    static LAZY: LazyLock<u32> = LazyLock::new(|| {
        thread::sleep(SHORT);
        RUNS.fetch_add(1, Ordering::SeqCst);
        8
    });
    static ONCE: Once = Once::new();
    begin();
    let values = crowd(50, |_| {
        ONCE.call_once(|| thread::sleep(SHORT));
        let seven = *CELL.get_or_init(|| {
            thread::sleep(SHORT);
            RUNS.fetch_add(1, Ordering::SeqCst);
            7
        });
        seven + *LAZY
    });
    assert!(values.iter().all(|value| *value == 15));
    assert_eq!(RUNS.load(Ordering::SeqCst), 2);
}

#[test]
fn conditions_with_and_without_a_timeout() {
    begin();
    let shared = Arc::new((Mutex::new(Vec::<u32>::new()), Condvar::new()));
    let takers: Vec<_> = (0..20)
        .map(|n| {
            let shared = shared.clone();
            let take = move || {
                let (items, came) = &*shared;
                let mut sum = 0;
                for _ in 0..100 {
                    let guard = came.wait_while(items.lock().unwrap(), |items| items.is_empty());
                    sum += guard.unwrap().pop().unwrap();
                }
                sum
            };
            // Some of them on OS threads.
            let result: Box<dyn FnOnce() -> u32 + Send> = if n % 4 == 0 {
                let thread = thread::spawn(take);
                Box::new(move || thread.join().unwrap())
            } else {
                let thread = spawn(take);
                Box::new(move || thread.join().unwrap())
            };
            result
        })
        .collect();
    let givers = shared.clone();
    crowd(10, move |_| {
        for _ in 0..200 {
            givers.0.lock().unwrap().push(1);
            givers.1.notify_one();
            if green::is_green() {
                green::yield_now();
            }
        }
    });
    assert_eq!(takers.into_iter().map(|take| take()).sum::<u32>(), 2000);

    crowd(50, |_| {
        let (lock, condition) = (Mutex::new(()), Condvar::new());
        let start = Instant::now();
        let waited = condition.wait_timeout_while(lock.lock().unwrap(), SHORT, |()| true);
        assert!(waited.unwrap().1.timed_out() && start.elapsed() >= SHORT);
    });
}

#[test]
fn a_barrier_of_a_hundred() {
    begin();
    let barrier = Arc::new(Barrier::new(100));
    for _ in 0..3 {
        let barrier = barrier.clone();
        let leaders = crowd(100, move |_| barrier.wait().is_leader());
        assert_eq!(leaders.iter().filter(|leads| **leads).count(), 1);
    }
}

#[test]
fn os_threads_are_joined_and_scoped() {
    begin();
    let start = Instant::now();
    crowd(50, |n| {
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            n
        });
        assert_eq!(thread.join().unwrap(), n);
        let mut value = 0;
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(100));
                value = n;
            });
        });
        assert_eq!(value, n);
    });
    assert!(
        start.elapsed() < Duration::from_secs(9),
        "one after the other"
    );
}

#[test]
fn parking_towards_os_threads() {
    begin();
    crowd(50, |_| {
        let me = thread::current();
        let turn = Arc::new(AtomicUsize::new(0));
        let other = {
            let turn = turn.clone();
            thread::spawn(move || {
                for n in 1..=50 {
                    turn.store(n, Ordering::SeqCst);
                    me.unpark();
                    while turn.load(Ordering::SeqCst) == n {
                        thread::yield_now();
                    }
                }
            })
        };
        for n in 1..=50 {
            while turn.load(Ordering::SeqCst) != n {
                thread::park();
            }
            turn.store(0, Ordering::SeqCst);
        }
        other.join().unwrap();
        let start = Instant::now();
        while start.elapsed() < SHORT {
            thread::park_timeout(SHORT);
        }
    });
}

#[test]
fn channels_towards_os_threads() {
    begin();
    let ends = crowd(50, |_| {
        let (send, receive) = mpsc::sync_channel::<u64>(1);
        let (back, answers) = mpsc::channel();
        let other = thread::spawn(move || {
            for n in receive {
                back.send(n + 1).unwrap();
            }
        });
        let mut sum = 0;
        for n in 0..200 {
            send.send(n).unwrap();
            sum += answers.recv().unwrap();
        }
        drop(send);
        other.join().unwrap();
        sum
    });
    assert!(ends.iter().all(|sum| *sum == 200 * 201 / 2));
}

#[test]
fn a_kill_at_a_lock_takes_nothing_along() {
    begin();
    for _ in 0..20 {
        let lock = Arc::new(Mutex::new(0));
        let held = lock.lock().unwrap();
        let waiting: Vec<_> = (0..10)
            .map(|_| {
                let lock = lock.clone();
                spawn(move || {
                    *lock.lock().unwrap() += 1;
                    green::sleep(Duration::MAX); // unwinds
                })
            })
            .collect();
        until("all wait", || {
            let tasks = green::green_threads();
            let waits = |number| {
                tasks
                    .iter()
                    .any(|task| task.number == number && task.to_string().contains("futex"))
            };
            waiting.iter().all(|thread| waits(thread.number()))
        });
        for thread in &waiting[..5] {
            thread.kill();
        }
        drop(held);
        until("all have had it", || *lock.lock().unwrap() == 10);
        for thread in &waiting[5..] {
            thread.kill();
        }
        for thread in waiting {
            assert!(matches!(thread.join(), Err(JoinError::Killed)));
        }
    }
}

#[test]
fn a_storm_loses_no_wake() {
    begin();
    const STEPS: usize = 2_000;
    let locks: Arc<Vec<Mutex<u64>>> = Arc::new((0..8).map(|_| Mutex::new(0)).collect());
    let done = Arc::new((Mutex::new(0), Condvar::new()));
    let (sums, ended) = (locks.clone(), done.clone());
    let run = move |n: usize| {
        let mut random = n as u64 * 0x9E37_79B9 + 1;
        for _ in 0..STEPS {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let mut value = locks[(random % 8) as usize].lock().unwrap();
            *value += 1;
            match random >> 60 {
                0 => thread::sleep(Duration::from_micros(50)),
                1 if green::is_green() => green::yield_now(),
                _ => {}
            }
        }
        *done.0.lock().unwrap() += 1;
        done.1.notify_all();
    };
    let os: Vec<_> = (0..3)
        .map(|n| {
            let run = run.clone();
            thread::spawn(move || run(100 + n))
        })
        .collect();
    crowd(47, run);
    for thread in os {
        thread.join().unwrap();
    }
    assert_eq!(*ended.0.lock().unwrap(), 50);
    let sum: u64 = sums.iter().map(|lock| *lock.lock().unwrap()).sum();
    assert_eq!(sum, 50 * STEPS as u64);
}

#[test]
fn green_threads_of_two_workers_use_a_channel() {
    begin();
    if green::config().workers < 2 {
        return; // between two of one worker it cannot work: see `reported.rs`
    }
    let (send, receive) = mpsc::sync_channel::<u32>(1);
    let start = |worker: usize, body: Box<dyn FnOnce() -> u32 + Send>| {
        let body = Arc::new(Mutex::new(Some(body)));
        let result = Arc::new(Mutex::new(None));
        until("it runs on that worker", || {
            let (body, result) = (body.clone(), result.clone());
            let placed = spawn(move || {
                if green::worker_index() != Some(worker) {
                    return false;
                }
                let body = body.lock().unwrap().take().unwrap();
                green::spawn_local(move || {
                    let value = body();
                    *result.lock().unwrap() = Some(value);
                });
                true
            });
            placed.join().unwrap()
        });
        result
    };
    let sum = start(0, Box::new(move || receive.iter().sum()));
    let sent = start(
        1,
        Box::new(move || {
            (0..500).for_each(|n| send.send(n).unwrap());
            1
        }),
    );
    until("both have ended", || {
        sum.lock().unwrap().is_some() && sent.lock().unwrap().is_some()
    });
    assert_eq!(*sum.lock().unwrap(), Some(499 * 500 / 2));
}

/// A server notices before each wait of a handler whether its client has left. It may find a lock of std's held
/// there, which is a wait.
#[test]
fn what_runs_before_a_wait_may_find_a_lock_held() {
    begin();
    let lock = Arc::new(Mutex::new(()));
    let calls = Arc::new(AtomicUsize::new(0));
    let held = lock.lock().unwrap();
    let sleeper = {
        let (lock, calls) = (lock.clone(), calls.clone());
        spawn(move || {
            let _hook = green::embed::BeforeBlock::new(Rc::new(move || {
                calls.fetch_add(1, Ordering::SeqCst);
                drop(lock.lock().unwrap());
            }));
            thread::sleep(SHORT);
        })
    };
    until("it waits for the lock", || {
        let tasks = green::green_threads();
        let mut its = tasks.iter().filter(|task| task.number == sleeper.number());
        its.any(|task| task.to_string().contains("futex"))
    });
    drop(held);
    sleeper.join().unwrap();
    assert!(
        calls.load(Ordering::SeqCst) < 10,
        "it does not come back to itself"
    );
}
