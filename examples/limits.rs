//! The limits of a pool: handlers that wait at a gate until somebody opens it.
//!
//! On 20 threads the 21st request waits with them, and so does everything else, even the request
//! that would open the gate. On green threads they are a number:
//!
//! ```text
//! seq 30 | xargs -P 30 -I{} curl -s http://127.0.0.1:8000/limits/gate &
//! curl http://127.0.0.1:8000/limits/status
//! curl -X POST http://127.0.0.1:8000/limits/release
//! ```

#![forbid(unsafe_code)]

use greenway::green::{Queue, TimedOut};
use greenway::{App, Html, HttpError, Request, Response};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long the gate holds a request. Below the server's `--timeout` of 30 s.
const LONGEST_WAIT: Duration = Duration::from_secs(25);
/// Handlers that may wait at once; one more is answered with 503.
const MOST_WAITING: usize = 50_000;

pub(crate) fn app() -> App {
    let mut app = App::new();
    app.get("/", |_: Request| Response::redirect("/limits", 302));
    routes(&mut app);
    app
}

pub(crate) fn routes(app: &mut App) {
    let gate = Arc::new(Gate::new());
    let (status, release) = (gate.clone(), gate.clone());
    app.get("/limits", |req: Request| {
        Html(include_str!("pages/limits.html").replace("{{engine}}", req.connection().engine))
    });
    app.get("/limits/gate", move |_: Request| gate.wait());
    app.get("/limits/status", move |req: Request| {
        let engine = req.connection().engine;
        let waiting = status.waiting.load(Ordering::Relaxed);
        Response::new(format!(
            "{{\"engine\":\"{engine}\",\"waiting\":{waiting}}}\n"
        ))
        .with_header("content-type", "application/json")
        .with_header("cache-control", "no-store")
    });
    app.post("/limits/release", move |_: Request| release.open());
}

// ANCHOR: gate
struct Gate {
    /// Nothing is ever put into it. Those who wait, wait for its end mark.
    bar: Mutex<Queue<()>>,
    waiting: AtomicUsize,
}

impl Gate {
    /// Blocks until the gate opens. On green threads that costs a small stack, in a pool a thread.
    fn wait(&self) -> Result<&'static str, HttpError> {
        let bar = self.lock().clone(); // and the lock is free again before we wait
        let _counted = Counted::new(&self.waiting)?; // after that: who is counted can be released
        match bar.get_timeout(LONGEST_WAIT) {
            Ok(_end_mark) => Ok("the gate is open\n"),
            Err(TimedOut) => Ok("nobody opened the gate\n"),
        }
    }

    /// Lets all pass who wait now; the next ones wait at a new bar.
    fn open(&self) -> String {
        let waiting = self.waiting.load(Ordering::Relaxed);
        let bar = std::mem::replace(&mut *self.lock(), Queue::new(1));
        bar.close();
        format!("released {waiting}\n")
    }
}
// ANCHOR_END: gate

impl Gate {
    fn new() -> Self {
        Self {
            bar: Mutex::new(Queue::new(1)),
            waiting: AtomicUsize::new(0),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue<()>> {
        // Nothing can panic under the lock.
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a handler for as long as it waits, also when it ends by unwinding.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Result<Self, HttpError> {
        let counted = Self(count); // counts down again if there was no room
        if count.fetch_add(1, Ordering::Relaxed) < MOST_WAITING {
            return Ok(counted);
        }
        Err(HttpError::new(503, "too many wait already").with_header("retry-after", "25"))
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn main() {
    greenway::serve(app())
}
