//! The workloads on Greenway's green threads.

use crate::figure::{Figure, Workload, resident};
use greenway::green::{
    Builder, Config, Queue, joinall, sleep, spawn, start, unblock, worker_index, yield_now,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(crate) fn run(workload: &Workload) -> Figure {
    let workers = workload.workers;
    start(Config {
        workers,
        ..Config::default()
    });
    let times = workload.times;
    let name = workload.name;
    let measure = move || match name.split_once('-').map_or(name, |(name, _)| name) {
        "spawn" => Figure::of(times, |times| {
            for _ in 0..times {
                join(spawn(|| ()));
            }
        }),
        "batch" => Figure::of(times, |times| {
            for _ in 0..times.div_ceil(1000) {
                let threads: Vec<_> = (0..1000)
                    .map(|n| Builder::new().worker(n % workers).spawn(|| ()))
                    .collect();
                joinall(&threads, None, None);
            }
        }),
        "yield" => Figure::of(times, |times| {
            let yields = move || (0..times / 2).for_each(|_| yield_now());
            let other = spawn(yields);
            yields();
            join(other);
        }),
        "pingpong" => Figure::of(times, move |times| ping_pong(workers, times)),
        "unblock" => Figure::of(times, |times| (0..times).for_each(|_| unblock(|| ()))),
        _ => sleepers(times, workers),
    };
    join(Builder::new().worker(0).spawn(measure))
}

fn join<T>(thread: greenway::green::Greenlet<T>) -> T {
    thread.join().unwrap_or_else(|error| error.resume())
}

fn ping_pong(workers: usize, times: u64) {
    let (there, back) = (Queue::new(1), Queue::new(1));
    let (ask, answer) = (there.clone(), back.clone());
    let other = Builder::new().worker(workers - 1).spawn(move || {
        assert_eq!(worker_index(), Some(workers - 1));
        for n in ask.iter() {
            answer.put(n).expect("the other end waits");
        }
    });
    for n in 0..times {
        there.put(n).expect("the other end waits");
        assert_eq!(back.get(), Some(n));
    }
    there.close();
    join(other);
}

fn sleepers(times: u64, workers: usize) -> Figure {
    let asleep = Arc::new(AtomicU64::new(0));
    let before = resident();
    let begun = Instant::now();
    for n in 0..times {
        let asleep = asleep.clone();
        Builder::new().worker(n as usize % workers).spawn(move || {
            asleep.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_secs(3600));
        });
    }
    let patience = Duration::from_secs(60);
    while asleep.load(Ordering::Relaxed) < times {
        if begun.elapsed() > patience {
            let asleep = asleep.load(Ordering::Relaxed);
            println!("reason only {asleep} of {times} could be started: see vm.max_map_count");
            std::process::exit(0);
        }
        yield_now();
    }
    let elapsed = begun.elapsed();
    Figure::new(elapsed, times, Some(resident().saturating_sub(before)))
}
