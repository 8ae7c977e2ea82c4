//! Event callbacks: a worker with `on_data` and `on_finish` writes to a response whose handler has
//! long returned.
//!
//! The body is a queue. It can be written to at any time and from any thread, so it stands for the
//! socket that callback frameworks keep open:
//!
//! ```text
//! curl -N http://127.0.0.1:8000/fetch
//! ```
//!
//! What must stay true: `on_finish` is called exactly once, however the worker ends, or the client
//! would wait for a body that nobody feeds; and there is a bound on workers, since each is an OS
//! thread.

#![forbid(unsafe_code)]

// ANCHOR: program
use greenway::green::Queue;
use greenway::{App, HttpError, Request};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

pub(crate) fn routes(app: &mut App) {
    app.get("/fetch", |_: Request| fetch());
}

// ANCHOR: fetch
fn fetch() -> Result<Queue<String>, HttpError> {
    let body = Queue::new(16);
    let (data, end) = (body.feeder(), body.clone());
    Worker::new()
        .on_data(move |chunk| data.put(chunk).is_ok()) // false: nobody reads any more
        .on_finish(move || end.close())
        .start()?;
    Ok(body)
}
// ANCHOR_END: fetch
// ANCHOR_END: program

// ANCHOR: worker
/// OS threads that may work at once; a request beyond them is answered with 503.
const MOST_WORKERS: usize = 64;
/// Pieces that a worker delivers, and how long it takes for each.
const PIECES: u32 = 5;
const WORK: Duration = Duration::from_millis(200);

static WORKERS: AtomicUsize = AtomicUsize::new(0);

/// Stands for a library that knows callbacks, and neither requests nor green threads.
struct Worker {
    on_data: Box<dyn FnMut(String) -> bool + Send>,
    on_finish: Finish,
}

impl Worker {
    fn new() -> Self {
        Self {
            on_data: Box::new(|_| true),
            on_finish: Finish(Box::new(|| {})),
        }
    }

    /// Calls `callback` with each piece. Stops when it returns false.
    fn on_data(mut self, callback: impl FnMut(String) -> bool + Send + 'static) -> Self {
        self.on_data = Box::new(callback);
        self
    }

    /// Calls `callback` at the end.
    fn on_finish(mut self, callback: impl FnOnce() + Send + 'static) -> Self {
        self.on_finish = Finish(Box::new(callback));
        self
    }

    /// Starts working, on an OS thread of its own.
    fn start(self) -> Result<(), HttpError> {
        let Self {
            mut on_data,
            on_finish,
        } = self;
        let place = Place::take()?;
        let started = thread::Builder::new()
            .name("fetch-worker".into())
            .spawn(move || {
                for piece in 1..=PIECES {
                    // No green thread runs on this OS thread, so std's sleep holds up nobody.
                    thread::sleep(WORK);
                    if !on_data(format!("piece {piece} of {PIECES}\n")) {
                        break;
                    }
                }
                drop(on_finish); // calls it; so does a panic
                drop(place);
            });
        started
            .map(drop)
            .map_err(|error| HttpError::new(503, "no thread").with_source(error))
    }
}

/// A callback that is called when it is dropped, so also when the worker panics.
struct Finish(Box<dyn FnOnce() + Send>);

impl Drop for Finish {
    fn drop(&mut self) {
        std::mem::replace(&mut self.0, Box::new(|| {}))();
    }
}

/// One of the [`MOST_WORKERS`] places. Dropping it gives the place back.
struct Place;

impl Place {
    fn take() -> Result<Self, HttpError> {
        let place = Self; // counts down again if there was no place left
        if WORKERS.fetch_add(1, Ordering::Relaxed) < MOST_WORKERS {
            return Ok(place);
        }
        Err(HttpError::new(503, "all workers are busy").with_header("retry-after", "1"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        WORKERS.fetch_sub(1, Ordering::Relaxed);
    }
}
// ANCHOR_END: worker

pub(crate) fn app() -> App {
    let mut app = App::new();
    routes(&mut app);
    app
}

fn main() {
    greenway::serve(app())
}
