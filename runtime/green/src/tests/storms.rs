//! Each meeting point hammered by green threads of two workers and by OS threads, for a bounded
//! number of operations, with timeouts about as long as the waits and a killer that goes round.
//! Afterwards the books must balance.

use super::{Dice, LONG, on_worker};
use crate::net::{TcpListener, TcpStream};
use crate::{
    Channel, Condition, Greenlet, Lock, Queue, RwLock, Semaphore, killall, sleep, yield_now,
};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

const OPERATIONS: u64 = 500;

/// Runs `act` many times in several green threads of each worker and in two OS threads. In
/// `victims` more it runs for ever; they are killed and replaced all the time.
pub(super) fn storm(victims: usize, act: impl Fn(&mut Dice) + Send + Sync + 'static) {
    let act = Arc::new(act);
    let worker = |n: u64| {
        let act = act.clone();
        move || {
            let mut dice = Dice(n + 1);
            for _ in 0..OPERATIONS {
                act(&mut dice);
            }
        }
    };
    let victim = |n: u64| {
        let act = act.clone();
        let body = move || {
            let mut dice = Dice(n + 100);
            loop {
                act(&mut dice);
                yield_now();
            }
        };
        on_worker(n as usize, body)
    };
    let green: Vec<_> = (0..4).map(|n| on_worker(n as usize, worker(n))).collect();
    let threads: Vec<_> = (4..6).map(|n| std::thread::spawn(worker(n))).collect();
    let mut hunted: Vec<Greenlet<()>> = (0..victims as u64).map(victim).collect();
    let mut dying = Vec::new();
    let mut dice = Dice(7);
    for n in 0..if victims > 0 { 300 } else { 0 } {
        sleep(Duration::from_micros(dice.below(200)));
        let prey = dice.below(victims as u64) as usize;
        hunted[prey].kill();
        let next = victim(n);
        dying.push(std::mem::replace(&mut hunted[prey], next));
    }
    for thread in green {
        thread.join_timeout(LONG).expect("nobody hangs").unwrap();
    }
    for thread in threads {
        thread.join().unwrap();
    }
    // The books are looked at when the last one has given back what it held.
    killall(&hunted, Some(LONG)).unwrap();
    killall(&dying, Some(LONG)).unwrap();
}

fn moment(dice: &mut Dice) -> Duration {
    Duration::from_micros(dice.below(120))
}

#[test]
fn a_queue_loses_and_doubles_nothing() {
    let queue = Queue::new(3);
    let (put, got) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let books = (queue.clone(), put.clone(), got.clone());
    storm(4, move |dice| {
        let (queue, put, got) = &books;
        let item = 1 + dice.below(1000);
        if dice.below(2) == 0 {
            if queue.put_timeout(item, moment(dice)).is_ok() {
                put.fetch_add(item, Ordering::SeqCst);
            }
        } else if let Ok(Some(item)) = queue.get_timeout(moment(dice)) {
            got.fetch_add(item, Ordering::SeqCst);
        }
    });
    queue.close();
    let left: u64 = queue.iter().sum();
    assert!(got.load(Ordering::SeqCst) > 0);
    assert_eq!(
        put.load(Ordering::SeqCst),
        got.load(Ordering::SeqCst) + left
    );
}

#[test]
fn a_channel_loses_and_doubles_nothing() {
    let channel = Channel::new();
    let (put, got) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let books = (channel, put.clone(), got.clone());
    // Nobody is killed who puts: one whose item is taken at that very moment could not say so.
    storm(0, move |dice| {
        let (channel, put, got) = &books;
        let item = 1 + dice.below(1000);
        if dice.below(2) == 0 {
            if channel.put_timeout(item, moment(dice)).is_ok() {
                put.fetch_add(item, Ordering::SeqCst);
            }
        } else if let Ok(Some(item)) = channel.get_timeout(moment(dice)) {
            got.fetch_add(item, Ordering::SeqCst);
        }
    });
    assert!(got.load(Ordering::SeqCst) > 0);
    assert_eq!(put.load(Ordering::SeqCst), got.load(Ordering::SeqCst));
}

#[test]
fn a_channel_whose_getters_are_killed_loses_nothing() {
    let channel = Channel::new();
    let got = Arc::new(AtomicU64::new(0));
    let getter = |n: usize| {
        let (channel, got) = (channel.clone(), got.clone());
        on_worker(n, move || {
            while let Some(item) = channel.get() {
                got.fetch_add(item, Ordering::SeqCst);
            }
        })
    };
    let putter = {
        let channel = channel.clone();
        on_worker(1, move || {
            (1..=2000_u64).for_each(|n| channel.put(n).unwrap());
        })
    };
    let mut getters: Vec<_> = (0..3).map(getter).collect();
    let mut dice = Dice(3);
    while !putter.ready() {
        let prey = dice.below(3) as usize;
        getters[prey].kill();
        getters[prey] = getter(prey);
        sleep(Duration::from_micros(dice.below(100)));
    }
    putter.join().unwrap();
    channel.close();
    for getter in getters {
        getter.join().unwrap();
    }
    super::eventually(|| got.load(Ordering::SeqCst) == 2000 * 2001 / 2);
}

#[test]
fn a_semaphore_keeps_its_permits_and_its_bound() {
    let semaphore = Semaphore::new(3);
    let inside = Arc::new(AtomicUsize::new(0));
    let shared = (semaphore.clone(), inside);
    storm(4, move |dice| {
        let (semaphore, inside) = &shared;
        let permit = match dice.below(3) {
            0 => semaphore.try_acquire(),
            1 => semaphore.acquire().ok(),
            _ => semaphore.acquire_timeout(moment(dice)).ok(),
        };
        if let Some(_permit) = permit {
            assert!(inside.fetch_add(1, Ordering::SeqCst) < 3);
            let _leave = super::OnDrop(|| {
                inside.fetch_sub(1, Ordering::SeqCst);
            });
            if dice.below(2) == 0 {
                yield_now();
            }
        }
    });
    assert_eq!(semaphore.free(), 3);
}

#[test]
fn a_lock_is_held_by_one_at_a_time() {
    let lock = Arc::new(Lock::new(0_u64));
    let count = Arc::new(AtomicU64::new(0));
    let shared = (lock.clone(), count.clone());
    storm(4, move |dice| {
        let (lock, count) = &shared;
        let guard = match dice.below(2) {
            0 => lock.lock(),
            _ => lock.lock_timeout(moment(dice)),
        };
        if let Ok(mut guard) = guard {
            let before = *guard;
            if dice.below(4) == 0 {
                yield_now();
            }
            *guard = before + 1;
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    assert!(!lock.locked());
    assert_eq!(*lock.lock().unwrap(), count.load(Ordering::SeqCst));
}

#[test]
fn an_rwlock_keeps_readers_and_writers_apart() {
    let table = Arc::new(RwLock::new(()));
    let (writing, reading) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let shared = (table.clone(), writing, reading);
    storm(4, move |dice| {
        let (table, writing, reading) = &shared;
        if dice.below(3) == 0 {
            if let Ok(_guard) = table.write_timeout(moment(dice)) {
                assert!(!writing.swap(true, Ordering::SeqCst));
                let _leave = super::OnDrop(|| writing.store(false, Ordering::SeqCst));
                assert_eq!(reading.load(Ordering::SeqCst), 0);
                yield_now();
                assert_eq!(reading.load(Ordering::SeqCst), 0);
            }
        } else if let Ok(_guard) = table.read() {
            reading.fetch_add(1, Ordering::SeqCst);
            let _leave = super::OnDrop(|| {
                reading.fetch_sub(1, Ordering::SeqCst);
            });
            assert!(!writing.load(Ordering::SeqCst));
            yield_now();
            assert!(!writing.load(Ordering::SeqCst));
        }
    });
    assert!(table.try_write().is_some());
}

#[test]
fn a_condition_loses_no_notice() {
    let shared = Arc::new((Lock::new(0_u64), Condition::new()));
    let taken = Arc::new(AtomicU64::new(0));
    let taker = |n: usize| {
        let (shared, taken) = (shared.clone(), taken.clone());
        on_worker(n, move || {
            loop {
                let guard = shared.0.lock().unwrap();
                let mut guard = shared.1.wait_while(guard, |items| *items == 0);
                *guard -= 1;
                taken.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    let giver = {
        let shared = shared.clone();
        on_worker(0, move || {
            for _ in 0..2000 {
                *shared.0.lock().unwrap() += 1;
                shared.1.notify_one();
                yield_now();
            }
        })
    };
    let mut takers: Vec<_> = (0..3).map(taker).collect();
    let mut dice = Dice(11);
    while !giver.ready() {
        let prey = dice.below(3) as usize;
        takers[prey].kill();
        takers[prey] = taker(prey);
        sleep(Duration::from_micros(dice.below(100)));
    }
    super::eventually(|| taken.load(Ordering::SeqCst) == 2000);
    assert_eq!(*shared.0.lock().unwrap(), 0);
    killall(&takers, Some(LONG)).unwrap();
}

/// Both directions of one connection at once, from both workers and from OS threads, with waits that
/// time out and readers that are killed.
#[test]
fn a_socket_loses_nothing_in_a_storm() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let ends = [client, server];
    for end in &ends {
        end.set_read_timeout(Some(Duration::from_millis(1)))
            .unwrap();
        end.set_write_timeout(Some(Duration::from_millis(1)))
            .unwrap();
    }
    let shared = Arc::new((ends, [const { AtomicU64::new(0) }; 2]));
    let (written, read) = {
        let books = shared.clone();
        storm(3, move |dice| {
            let (ends, [written, read]) = &*books;
            let mut end = &ends[dice.below(2) as usize];
            let mut buf = [0; 5000];
            let length = dice.below(buf.len() as u64) as usize + 1;
            // No wait lies between what happens to the socket and its entry in the books.
            if dice.below(2) == 0 {
                if let Ok(n) = end.write(&buf[..length]) {
                    written.fetch_add(n as u64, Ordering::SeqCst);
                }
            } else if let Ok(n) = end.read(&mut buf[..length]) {
                read.fetch_add(n as u64, Ordering::SeqCst);
            }
        });
        for end in &shared.0 {
            end.shutdown(Shutdown::Write).unwrap();
            end.set_read_timeout(Some(LONG)).unwrap();
        }
        for mut end in &shared.0 {
            let mut rest = Vec::new();
            end.read_to_end(&mut rest).unwrap();
            shared.1[1].fetch_add(rest.len() as u64, Ordering::SeqCst);
        }
        let [written, read] = &shared.1;
        (written.load(Ordering::SeqCst), read.load(Ordering::SeqCst))
    };
    assert!(written > 0);
    assert_eq!(written, read);
}
