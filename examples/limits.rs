//! The limits of a pool: handlers that wait at a gate until somebody opens it.
//!
//! On 20 threads the 21st request waits with them, and so does everything else, even the request
//! that would open the gate. On green threads they are a number:
//!
//! ```text
//! # or press the button at http://127.0.0.1:8000/limits
//! seq 30 | xargs -P 30 -I{} curl -s http://127.0.0.1:8000/limits/gate &
//! curl http://127.0.0.1:8000/limits/status
//! curl -X POST http://127.0.0.1:8000/limits/release
//! ```

#![forbid(unsafe_code)]

// ANCHOR: program
use greenway::green::{Event, Semaphore, TimedOut};
use greenway::websocket::Upgrade;
use greenway::{App, Html, HttpError, Request, Response, abort};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long the gate holds a request. Below the server's `--timeout` of 30 s.
const LONGEST_WAIT: Duration = Duration::from_secs(25);
/// Handlers that may wait at once; one more is answered with 503.
const MOST_WAITING: usize = 50_000;

// ANCHOR: gate
struct Gate {
    /// What handlers wait for. Opening the gate sets it, and puts a new one in its place.
    opening: Mutex<Event>,
    /// Each handler that waits holds a permit.
    places: Semaphore,
}

impl Gate {
    /// Blocks until the gate opens. On green threads that costs a small stack, in a pool a thread.
    fn wait(&self) -> Result<&'static str, HttpError> {
        let opening = self.opening().clone(); // the lock is free again before the wait
        let Some(_place) = self.places.try_acquire() else {
            let error = HttpError::new(503, "too many wait already");
            return Err(error.with_header("retry-after", "25"));
        };
        match opening.wait_timeout(LONGEST_WAIT) {
            Ok(()) => Ok("the gate is open\n"),
            Err(TimedOut) => Ok("nobody opened the gate\n"),
        }
    }

    /// How many handlers wait. All of them are released by the next `open`.
    fn waiting(&self) -> usize {
        MOST_WAITING - self.places.free()
    }

    /// Lets all pass who wait now; the next ones wait for the next opening.
    fn open(&self) -> String {
        let waiting = self.waiting();
        let opening = std::mem::take(&mut *self.opening());
        opening.set();
        format!("released {waiting}\n")
    }

    fn opening(&self) -> MutexGuard<'_, Event> {
        // Nothing can panic under the lock, so it is never poisoned.
        self.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
// ANCHOR_END: gate

pub(crate) fn routes(app: &mut App) {
    let gate = Arc::new(Gate {
        opening: Mutex::new(Event::new()),
        places: Semaphore::new(MOST_WAITING),
    });
    let [sockets, status, release] = [(); 3].map(|()| gate.clone());
    app.get("/limits/gate", move |_: Request| gate.wait());
    app.get("/limits/socket", move |req: Request| stand(&sockets, &req));
    app.get("/limits/status", move |req: Request| {
        let (engine, waiting) = (req.connection().engine, status.waiting());
        Response::new(format!(
            "{{\"engine\":\"{engine}\",\"waiting\":{waiting}}}\n"
        ))
        .with_header("content-type", "application/json")
        .with_header("cache-control", "no-store")
    });
    app.post("/limits/release", move |_: Request| release.open());
    app.get("/limits", |req: Request| {
        Html(include_str!("pages/limits.html").replace("{{engine}}", req.connection().engine))
    });
}

/// The gate over a WebSocket: a page may have six requests under way, but many of these.
fn stand(gate: &Gate, req: &Request) -> Result<(), HttpError> {
    let Some(ws) = req.websocket() else {
        abort(400, "Expected a WebSocket request.");
    };
    ws.send(gate.wait()?)?;
    Ok(())
}
// ANCHOR_END: program

pub(crate) fn app() -> App {
    let mut app = App::new();
    app.get("/", |_: Request| Response::redirect("/limits", 302));
    routes(&mut app);
    app
}

/// On a pool, half of the threads are kept from WebSockets. Here these are what the page fills the
/// whole pool with.
pub(crate) const ALL_THREADS: usize = 20;

fn main() {
    greenway::Server::new(app())
        .websocket_threads(ALL_THREADS)
        .run()
}
