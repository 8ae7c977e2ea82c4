//! Random steps of many threads at locks, conditions and parking: none is lost, and all end.

use greenway::green::{self, JoinError, spawn};
use greenway_monkey_tests::{begin, crowd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

/// Numbers that look random, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % n
    }
}

/// Locks that all use at once.
struct Room {
    mutexes: [Mutex<u64>; 4],
    rwlocks: [RwLock<(u64, u64)>; 2],
    turn: (Mutex<u64>, Condvar),
}

impl Room {
    fn new() -> Self {
        Self {
            mutexes: Default::default(),
            rwlocks: Default::default(),
            turn: Default::default(),
        }
    }

    fn step(&self, random: &mut Random, done: &AtomicU64) {
        let pause = random.below(20);
        let wait = move || match pause {
            0 => thread::sleep(Duration::from_micros(20)),
            1 => thread::yield_now(),
            _ => {}
        };
        match random.below(10) {
            0..=4 => {
                let lock = &self.mutexes[random.below(4) as usize];
                let mut value = lock.lock().unwrap_or_else(PoisonError::into_inner);
                let was = *value;
                wait();
                assert_eq!(*value, was);
                *value += 1;
                done.fetch_add(1, Ordering::Relaxed);
            }
            5 | 6 => {
                let lock = &self.rwlocks[random.below(2) as usize];
                let pair = lock.read().unwrap_or_else(PoisonError::into_inner);
                wait();
                assert_eq!(pair.0, pair.1);
            }
            7 => {
                let lock = &self.rwlocks[random.below(2) as usize];
                let mut pair = lock.write().unwrap_or_else(PoisonError::into_inner);
                pair.0 += 1;
                thread::yield_now();
                pair.1 += 1;
            }
            8 => {
                let mut turn = self.turn.0.lock().unwrap_or_else(PoisonError::into_inner);
                *turn += 1;
                drop(turn);
                self.turn.1.notify_all();
            }
            _ => {
                let turn = self.turn.0.lock().unwrap_or_else(PoisonError::into_inner);
                let was = *turn;
                let little = Duration::from_micros(200);
                let waited = self
                    .turn
                    .1
                    .wait_timeout_while(turn, little, |turn| *turn == was);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    fn sum(&self) -> u64 {
        let value = |lock: &Mutex<u64>| *lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.mutexes.iter().map(value).sum()
    }
}

#[test]
fn a_hundred_thousand_steps_at_locks() {
    begin();
    let room = Arc::new(Room::new());
    let done = Arc::new(AtomicU64::new(0));
    let run = {
        let (room, done) = (room.clone(), done.clone());
        move |n: usize| {
            let mut random = Random(0x9E37_79B9 * (n as u64 + 1));
            for _ in 0..2_000 {
                room.step(&mut random, &done);
            }
        }
    };
    let os: Vec<_> = (0..4)
        .map(|n| {
            let run = run.clone();
            thread::spawn(move || run(100 + n))
        })
        .collect();
    crowd(46, run);
    for thread in os {
        thread.join().unwrap();
    }
    assert_eq!(room.sum(), done.load(Ordering::Relaxed));
}

#[test]
fn a_kill_at_any_step_leaves_the_locks_right() {
    begin();
    let room = Arc::new(Room::new());
    let done = Arc::new(AtomicU64::new(0));
    let stay: Vec<_> = (0..8)
        .map(|n| {
            let (room, done) = (room.clone(), done.clone());
            spawn(move || {
                let mut random = Random(n + 1);
                for _ in 0..1_000 {
                    room.step(&mut random, &done);
                }
            })
        })
        .collect();
    let mut random = Random(77);
    for round in 0..150 {
        let doomed: Vec<_> = (0..8)
            .map(|n| {
                let (room, done) = (room.clone(), done.clone());
                spawn(move || {
                    let mut random = Random(round * 8 + n + 1);
                    // A destructor that locks, while the thread unwinds.
                    struct Last<'a>(&'a Room, &'a AtomicU64);
                    impl Drop for Last<'_> {
                        fn drop(&mut self) {
                            let lock = &self.0.mutexes[0];
                            *lock.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                            self.1.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    let _last = Last(&room, &done);
                    loop {
                        room.step(&mut random, &done);
                        green::yield_now();
                    }
                })
            })
            .collect();
        green::sleep(Duration::from_micros(random.below(2_000)));
        for thread in &doomed {
            thread.kill();
        }
        for thread in doomed {
            let end = thread.join_timeout(Duration::from_secs(60));
            let end = end.expect("it ends");
            assert!(matches!(end, Err(JoinError::Killed)), "{end:?}");
        }
    }
    for thread in stay {
        thread.join().unwrap();
    }
    assert_eq!(room.sum(), done.load(Ordering::Relaxed));
}

#[test]
fn a_hundred_thousand_steps_of_parking() {
    begin();
    const EACH: usize = 2_000;
    // Green threads that park and OS threads that unpark, each pair with a word of its own; and all green
    // threads of a worker have one token.
    let os: Vec<_> = crowd(50, |n| {
        let me = thread::current();
        let word = Arc::new(AtomicUsize::new(0));
        let other = {
            let word = word.clone();
            let mut random = Random(n as u64 + 1);
            thread::spawn(move || {
                for n in 1..=EACH {
                    word.store(n, Ordering::SeqCst);
                    me.unpark();
                    while word.load(Ordering::SeqCst) == n {
                        match random.below(4) {
                            0 => thread::yield_now(),
                            // Its own token: the green one gives it.
                            _ => thread::park_timeout(Duration::from_millis(1)),
                        }
                    }
                }
            })
        };
        for n in 1..=EACH {
            while word.load(Ordering::SeqCst) != n {
                thread::park();
            }
            word.store(0, Ordering::SeqCst);
            other.thread().unpark();
        }
        other
    });
    for thread in os {
        thread.join().unwrap();
    }
}

#[test]
fn whoever_comes_gets_the_lock_in_time() {
    begin();
    // As many as want it all the time, of both kinds; each has to get it now and then.
    let lock = Arc::new(Mutex::new(()));
    let stop = Arc::new(AtomicBool::new(false));
    let run = {
        let (lock, stop) = (lock.clone(), stop.clone());
        move || {
            let mut had = 0u32;
            while !stop.load(Ordering::Relaxed) {
                let held = lock.lock().unwrap();
                thread::sleep(Duration::from_micros(50));
                drop(held);
                had += 1;
                thread::yield_now();
            }
            had
        }
    };
    let green: Vec<_> = (0..8).map(|_| spawn(run.clone())).collect();
    let os: Vec<_> = (0..2).map(|_| thread::spawn(run.clone())).collect();
    green::sleep(Duration::from_secs(2));
    stop.store(true, Ordering::Relaxed);
    let mut had: Vec<u32> = os
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    had.extend(green.into_iter().map(|thread| thread.join().unwrap()));
    assert!(had.iter().all(|had| *had > 0), "{had:?}");
}
