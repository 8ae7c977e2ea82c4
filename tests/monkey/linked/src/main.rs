//! A thousand sleep for a second in std's own sleep, all at once; `linkers` builds it in several ways.
//!
//! Then they use memory, since an allocator may have locks of its own.
//!
//! The only argument is how many workers there are to be.

use greenway_green::{self as green, Config, spawn};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Prints what is logged, which `linkers` looks through.
struct Printed;

impl log::Log for Printed {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        println!("logged: {}", record.args());
    }

    fn flush(&self) {}
}

/// Memory of all sizes comes and goes on all workers and on OS threads, also where it was not taken, while all
/// sleep in between.
fn use_memory() {
    let (send, pieces) = mpsc::channel::<Vec<u8>>();
    let elsewhere =
        thread::spawn(move || pieces.into_iter().map(|piece| piece.len()).sum::<usize>());
    let users: Vec<_> = (0..100)
        .map(|n: usize| {
            let send = send.clone();
            spawn(move || {
                let mut sent = 0;
                for round in 0..50 {
                    let mut piece = vec![1u8; 16 << ((n + round) % 18)]; // up to 2 MB
                    thread::sleep(Duration::from_micros(100));
                    piece.reserve(piece.len());
                    if round % 2 == 0 {
                        sent += piece.len();
                        send.send(piece).expect("it is received until the end");
                    }
                }
                sent
            })
        })
        .collect();
    drop(send);
    let sent: usize = users
        .into_iter()
        .map(|user| user.join().expect("no panic"))
        .sum();
    assert_eq!(elsewhere.join().expect("no panic"), sent);
}

fn main() {
    let workers = std::env::args()
        .nth(1)
        .map_or(1, |text| text.parse().expect("a number"));
    log::set_logger(&Printed).expect("nobody else sets one");
    log::set_max_level(log::LevelFilter::Warn);
    greenway_monkey::patch_all();
    green::start(Config {
        workers,
        ..Config::default()
    });
    let start = Instant::now();
    let sleepers: Vec<_> = (0..1_000)
        .map(|_| spawn(|| thread::sleep(Duration::from_secs(1))))
        .collect();
    for sleeper in sleepers {
        sleeper.join().expect("it does not panic");
    }
    let took = start.elapsed();
    use_memory();
    println!("{workers} workers: {took:?}");
    assert!(
        took >= Duration::from_secs(1) && took < Duration::from_secs(20),
        "{took:?}"
    );
}
