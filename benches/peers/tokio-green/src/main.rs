//! One workload of `benches/green` with tasks of tokio: `peer-tokio-green NAME WORKERS TIMES`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::channel;
use tokio::task::{spawn, spawn_blocking, yield_now};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, name, workers, times] = &args[..] else {
        panic!("peer-tokio-green NAME WORKERS TIMES");
    };
    let times: u64 = times.parse().expect("TIMES is a number");
    let runtime = runtime(workers.parse().expect("WORKERS is a number"));
    let name = name.split('-').next().unwrap_or(name).to_owned();
    // In a task, so that it is scheduled as others are.
    runtime.block_on(async move {
        let _ = spawn(async move {
            if name == "sleepers" {
                return sleepers(times).await;
            }
            work(&name, times / 10).await; // warms up
            let begun = Instant::now();
            work(&name, times).await;
            println!("nanos {:.1}", nanos(begun.elapsed(), times));
        })
        .await;
    });
    std::process::exit(0); // sleepers are not waited for
}

fn runtime(workers: usize) -> Runtime {
    let mut builder = if workers == 1 {
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    };
    let built = builder.worker_threads(workers).enable_time().build();
    built.expect("the process may have threads")
}

fn nanos(elapsed: Duration, times: u64) -> f64 {
    elapsed.as_nanos() as f64 / times as f64
}

async fn work(name: &str, times: u64) {
    match name {
        "spawn" => {
            for _ in 0..times {
                spawn(async {}).await.expect("it does not panic");
            }
        }
        "batch" => {
            for _ in 0..times.div_ceil(1000) {
                let tasks: Vec<_> = (0..1000).map(|_| spawn(async {})).collect();
                for task in tasks {
                    task.await.expect("it does not panic");
                }
            }
        }
        "yield" => {
            let yields = move || async move {
                for _ in 0..times / 2 {
                    yield_now().await;
                }
            };
            let other = spawn(yields());
            yields().await;
            other.await.expect("it does not panic");
        }
        "pingpong" => ping_pong(times).await,
        "unblock" => {
            for _ in 0..times {
                spawn_blocking(|| ()).await.expect("it does not panic");
            }
        }
        other => {
            println!("reason tokio has nothing like {other}");
            std::process::exit(0);
        }
    }
}

async fn ping_pong(times: u64) {
    let (there, mut ask) = channel(1);
    let (answer, mut back) = channel(1);
    let other = spawn(async move {
        while let Some(n) = ask.recv().await {
            answer.send(n).await.expect("the other end waits");
        }
    });
    for n in 0..times {
        there.send(n).await.expect("the other end waits");
        assert_eq!(back.recv().await, Some(n));
    }
    drop(there);
    other.await.expect("it does not panic");
}

async fn sleepers(times: u64) {
    let asleep = Arc::new(AtomicU64::new(0));
    let before = resident();
    let begun = Instant::now();
    for _ in 0..times {
        let asleep = asleep.clone();
        spawn(async move {
            asleep.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(3600)).await;
        });
    }
    while asleep.load(Ordering::Relaxed) < times {
        yield_now().await;
    }
    let elapsed = begun.elapsed();
    let bytes = resident().saturating_sub(before) / times;
    println!("nanos {:.1} bytes {bytes}", nanos(elapsed, times));
}

/// Resident bytes of this process, whose pages have 4 KiB.
fn resident() -> u64 {
    let sizes = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: Option<u64> = sizes.split(' ').nth(1).and_then(|n| n.parse().ok());
    pages.unwrap_or(0) * 4096
}
