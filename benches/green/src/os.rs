//! The workloads on OS threads, with std's channels.

use crate::figure::{Figure, Workload, resident};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::sync::mpsc::sync_channel;
use std::thread::{JoinHandle, sleep, spawn, yield_now};
use std::time::{Duration, Instant};

/// The most that sleep at once: where there are thousands, other programs can start none.
const SLEEPERS: u64 = 2000;

/// `None` for what OS threads have nothing like.
pub(crate) fn run(workload: &Workload) -> Option<Figure> {
    if workload.workers == 1 {
        stay_on_one_core();
    }
    let name = workload.name.split('-').next()?;
    let times = match name {
        "spawn" | "batch" => workload.times / 10, // they take that much longer
        "sleepers" => workload.times.min(SLEEPERS),
        _ => workload.times,
    };
    Some(match name {
        "spawn" => Figure::of(times, |times| (0..times).for_each(|_| join(spawn(|| ())))),
        "batch" => Figure::of(times, |times| {
            for _ in 0..times.div_ceil(100) {
                let threads: Vec<_> = (0..100).map(|_| spawn(|| ())).collect();
                threads.into_iter().for_each(join);
            }
        }),
        "yield" => Figure::of(times, |times| {
            let yields = move || (0..times / 2).for_each(|_| yield_now());
            let other = spawn(yields);
            yields();
            join(other);
        }),
        "pingpong" => Figure::of(times, ping_pong),
        "sleepers" => sleepers(times),
        _ => return None,
    })
}

fn join(thread: JoinHandle<()>) {
    thread.join().expect("it does not panic");
}

/// For the threads that are started from now on as well.
fn stay_on_one_core() {
    let Ok(allowed) = sched_getaffinity(None) else {
        return;
    };
    if let Some(first) = (0..CpuSet::MAX_CPU).find(|core| allowed.is_set(*core)) {
        let mut one = CpuSet::new();
        one.set(first);
        sched_setaffinity(None, &one).expect("the core is among those allowed");
    }
}

fn ping_pong(times: u64) {
    let (there, ask) = sync_channel(1);
    let (answer, back) = sync_channel(1);
    let other = spawn(move || {
        for n in ask {
            answer.send(n).expect("the other end waits");
        }
    });
    for n in 0..times {
        there.send(n).expect("the other end waits");
        assert_eq!(back.recv(), Ok(n));
    }
    drop(there);
    join(other);
}

fn sleepers(times: u64) -> Figure {
    let before = resident();
    let begun = Instant::now();
    for n in 0..times {
        let thread = std::thread::Builder::new().spawn(|| sleep(Duration::from_secs(3600)));
        if let Err(error) = thread {
            println!("reason only {n} of {times} could be started: {error}");
            std::process::exit(0);
        }
    }
    let elapsed = begun.elapsed();
    sleep(Duration::from_millis(200)); // until the last have come to their sleep
    Figure::new(elapsed, times, Some(resident().saturating_sub(before)))
}
