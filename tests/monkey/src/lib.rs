//! What the tests of patched programs share.

use greenway::green::{self, Config, Greenlet};
use greenway::monkey;
use std::time::{Duration, Instant};

/// Starts as many workers as `GREENWAY_TEST_WORKERS` says (2 if it says nothing), and patches all.
pub fn begin() {
    let workers = std::env::var("GREENWAY_TEST_WORKERS");
    let workers = workers.map_or(2, |text| text.parse().expect("a number of workers"));
    let config = Config {
        workers,
        ..Config::default()
    };
    green::start(config);
    monkey::patch_all();
}

/// Runs `body` in `n` green threads at once, and gives what they give.
pub fn crowd<T: Send + 'static>(
    n: usize,
    body: impl Fn(usize) -> T + Clone + Send + 'static,
) -> Vec<T> {
    let threads: Vec<Greenlet<T>> = (0..n)
        .map(|n| {
            let body = body.clone();
            green::spawn(move || body(n))
        })
        .collect();
    let ends = threads
        .into_iter()
        .map(|thread| thread.join_timeout(Duration::from_secs(120)));
    ends.map(|end| end.expect("it ends in time").expect("it does not panic"))
        .collect()
}

/// Waits until `so`, at most a minute.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{what}: not within a minute"
        );
        green::sleep(Duration::from_millis(1));
    }
}

/// Prints what is logged on standard error, line by line.
pub fn log_to_stderr() {
    struct Stderr;
    impl log::Log for Stderr {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            eprintln!("{}: {}", record.level(), record.args());
        }
        fn flush(&self) {}
    }
    log::set_logger(&Stderr).expect("nobody else sets one");
    log::set_max_level(log::LevelFilter::Info);
}
