//! A hundred thousand steps of each of what std's threads meet at: barriers, initialisers, conditions, channels and
//! scopes. `storms.rs` has locks and parking.

use greenway::green;
use greenway::green::embed::{spawn_on, workers};
use greenway_monkey_tests::{begin, crowd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

/// Numbers that look random, the same in each run.
struct Random(u64);

impl Random {
    fn new(n: usize) -> Self {
        Self(0x9E37_79B9 * (n as u64 + 1))
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % n
    }

    /// Mostly nothing.
    fn pause(&mut self) {
        match self.below(20) {
            0 => thread::sleep(Duration::from_micros(20)),
            1 => thread::yield_now(),
            _ => {}
        }
    }
}

#[test]
fn barriers_of_a_hundred() {
    begin();
    const ROUNDS: usize = 1_000;
    let barrier = Arc::new(Barrier::new(100));
    let leaders = Arc::new(AtomicUsize::new(0));
    let run = {
        let leaders = leaders.clone();
        move |n| {
            let mut random = Random::new(n);
            for _ in 0..ROUNDS {
                random.pause();
                leaders.fetch_add(barrier.wait().is_leader().into(), Ordering::Relaxed);
            }
        }
    };
    let os = [98, 99].map(|n| {
        let run = run.clone();
        thread::spawn(move || run(n))
    });
    crowd(98, run);
    for thread in os {
        thread.join().unwrap();
    }
    assert_eq!(leaders.load(Ordering::Relaxed), ROUNDS);
}

#[test]
fn initialisers_that_wait() {
    begin();
    const EACH: usize = 1_000;
    let cells: Arc<Vec<OnceLock<usize>>> = Arc::new((0..EACH).map(|_| OnceLock::new()).collect());
    let runs = Arc::new(AtomicUsize::new(0));
    let run = {
        let runs = runs.clone();
        move |n| {
            let mut random = Random::new(n);
            for (n, cell) in cells.iter().enumerate() {
                let value = cell.get_or_init(|| {
                    runs.fetch_add(1, Ordering::SeqCst);
                    thread::sleep(Duration::from_micros(random.below(50)));
                    n
                });
                assert_eq!(*value, n);
            }
        }
    };
    let os = [98, 99].map(|n| {
        let run = run.clone();
        thread::spawn(move || run(n))
    });
    crowd(98, run);
    for thread in os {
        thread.join().unwrap();
    }
    assert_eq!(runs.load(Ordering::SeqCst), EACH);
}

#[test]
fn conditions_with_times() {
    begin();
    let shared = Arc::new((Mutex::new(0u64), Condvar::new()));
    let stop = Arc::new(AtomicBool::new(false));
    let os = [1, 2].map(|n| {
        let (shared, stop) = (shared.clone(), stop.clone());
        thread::spawn(move || {
            let mut random = Random::new(n);
            while !stop.load(Ordering::Relaxed) {
                *shared.0.lock().unwrap() += 1;
                match random.below(2) {
                    0 => shared.1.notify_one(),
                    _ => shared.1.notify_all(),
                }
                thread::sleep(Duration::from_micros(random.below(100)));
            }
        })
    });
    crowd(50, move |n| {
        let mut random = Random::new(n);
        for _ in 0..2_000 {
            let time = Duration::from_micros(random.below(200));
            let value = shared.0.lock().unwrap();
            let was = *value;
            let (value, over) = shared
                .1
                .wait_timeout_while(value, time, |value| *value == was)
                .unwrap();
            assert!(*value != was || over.timed_out());
        }
    });
    stop.store(true, Ordering::Relaxed);
    for thread in os {
        thread.join().unwrap();
    }
}

#[test]
fn channels_towards_os_threads() {
    begin();
    const EACH: usize = 2_000;
    crowd(50, |n| {
        let mut random = Random::new(n);
        if n % 2 == 0 {
            let (send, receive) = mpsc::sync_channel(4);
            let other = thread::spawn(move || receive.into_iter().sum::<usize>());
            for n in 0..EACH {
                random.pause();
                send.send(n).unwrap();
            }
            drop(send);
            assert_eq!(other.join().unwrap(), EACH * (EACH - 1) / 2);
        } else {
            let (send, receive) = crossbeam_channel::bounded(4);
            let other = thread::spawn(move || (0..EACH).for_each(|n| send.send(n).unwrap()));
            for n in 0..EACH {
                random.pause();
                assert_eq!(receive.recv().unwrap(), n);
            }
            other.join().unwrap();
        }
    });
}

#[test]
fn channels_towards_other_workers() {
    begin();
    if green::config().workers < 2 {
        return; // between two of one worker it cannot work: see `reported.rs`
    }
    const EACH: usize = 10_000;
    let ends: Vec<_> = (0..10)
        .flat_map(|n| {
            let (send, receive) = mpsc::sync_channel(64);
            let [mut before, mut after] = [Random::new(n), Random::new(n + 10)];
            let sender = move || {
                for n in 0..EACH {
                    before.pause();
                    send.send(n).unwrap();
                }
            };
            let receiver = move || {
                for n in 0..EACH {
                    after.pause();
                    assert_eq!(receive.recv().unwrap(), n);
                }
            };
            let workers = workers();
            let (here, there) = (workers[n % 2], workers[1 - n % 2]);
            [spawn_on(here, sender), spawn_on(there, receiver)]
        })
        .collect();
    for end in ends {
        let end = end.join_timeout(Duration::from_secs(120));
        end.expect("it ends in time").expect("it does not panic");
    }
}

#[test]
fn scoped_threads() {
    begin();
    crowd(50, |n| {
        let mut random = Random::new(n);
        for _ in 0..500 {
            let pauses = [(); 4].map(|()| random.below(30));
            let mut values = [0; 4];
            thread::scope(|scope| {
                for (value, pause) in values.iter_mut().zip(pauses) {
                    scope.spawn(move || {
                        if pause > 20 {
                            thread::sleep(Duration::from_micros(pause));
                        }
                        *value = pause;
                    });
                }
            });
            assert_eq!(values, pauses);
        }
    });
}
