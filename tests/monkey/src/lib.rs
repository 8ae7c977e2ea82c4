//! What the tests of patched programs share.

/// Folders that go away with their test, as for the other tests.
#[path = "../../src/folder.rs"]
mod folder;
/// Real databases, as for the other tests.
#[path = "../../src/services.rs"]
pub mod services;

pub use folder::Folder;

use greenway::green::{self, Config, Greenlet};
use greenway::{App, Request, Running, Server, monkey};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::{Duration, Instant};

/// Starts as many workers as `GREENWAY_TEST_WORKERS` says (2 if it says nothing), and patches all.
///
/// A thousand clients and a server for them in one process take more descriptors than most processes
/// have at first.
pub fn begin() {
    begin_with(Config::default());
}

/// As [`begin`], with more settings than the number of workers.
pub fn begin_with(config: Config) {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, all).expect("up to the maximum it may be raised");
    let workers = std::env::var("GREENWAY_TEST_WORKERS");
    let workers = workers.map_or(2, |text| text.parse().expect("a number of workers"));
    let config = Config {
        workers,
        // As in debug builds, for tests that look at what is reported.
        max_blocking_time: Duration::from_millis(100),
        ..config
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

/// As [`crowd`], where each takes about as long as `each`, and they do not take it one after the other.
///
/// # Panics
/// When they do: when all take a tenth of the sum, or more. A worker that is held up by each would need a
/// quarter of it at least, as there are four workers at most.
pub fn at_once<T: Send + 'static>(
    n: u32,
    each: Duration,
    body: impl Fn(usize) -> T + Clone + Send + 'static,
) -> Vec<T> {
    let start = Instant::now();
    let ends = crowd(n as usize, body);
    let (took, sum) = (start.elapsed(), each * n);
    println!("{n} that take {each:?} each took {took:?}"); // for who runs it with --nocapture
    assert!(
        each <= took && took < sum / 10,
        "{n} that take {each:?} each took {took:?}"
    );
    ends
}

/// An HTTP server of ours, whose answer to `/slow/N` is N, after `time` of std's sleep.
pub fn slow_server(time: Duration) -> Running {
    let mut app = App::new();
    app.get("/slow/<n>", move |req: Request| {
        std::thread::sleep(time);
        req.param("n").to_owned()
    });
    let server = Server::new(app).bind("127.0.0.1:0");
    server.start().expect("port 0 is always free")
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
