//! A thousand sleep for a second in std's own sleep, all at once; `linkers` builds it in several ways.
//!
//! The only argument is how many workers there are to be.

use greenway_green::{self as green, Config, spawn};
use std::thread;
use std::time::{Duration, Instant};

fn main() {
    let workers = std::env::args()
        .nth(1)
        .map_or(1, |text| text.parse().expect("a number"));
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
    println!("{workers} workers: {took:?}");
    assert!(
        took >= Duration::from_secs(1) && took < Duration::from_secs(20),
        "{took:?}"
    );
}
