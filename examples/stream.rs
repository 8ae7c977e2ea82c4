//! A body that takes its time: START, three seconds, MIDDLE, five seconds, END.
//!
//! Three ways to write it: a closure that sends, an iterator that yields, and a queue that another
//! green thread feeds. The client sees the same, each chunk at the moment when it is made:
//!
//! ```text
//! curl -N http://127.0.0.1:8000/stream
//! curl -N http://127.0.0.1:8000/stream/iter
//! curl -N http://127.0.0.1:8000/stream/queue
//! ```
//!
//! Eight seconds are a long time for a test: `?scale=0.1` (from 0.01 to 1) shortens them.

#![forbid(unsafe_code)]

// ANCHOR: program
use greenway::green::{Closed, Queue, sleep, spawn};
use greenway::{App, Body, HttpError, Request};
use std::time::Duration;

// ANCHOR: stream
fn stream(second: Duration) -> Body {
    Body::stream(move |out| {
        out.send("START\n")?;
        sleep(3 * second);
        out.send("MIDDLE\n")?;
        sleep(5 * second);
        out.send("END\n")
    })
}
// ANCHOR_END: stream

pub(crate) fn routes(app: &mut App) {
    app.get("/stream", |req: Request| second(&req).map(stream));
    app.get("/stream/iter", |req: Request| second(&req).map(stream_iter));
    app.get("/stream/queue", |req: Request| {
        second(&req).map(stream_queue)
    });
}

/// How long a second is to be: one second, or what `?scale=` makes of it.
fn second(req: &Request) -> Result<Duration, HttpError> {
    let Some(text) = req.query("scale") else {
        return Ok(Duration::from_secs(1));
    };
    let scale = text
        .parse()
        .ok()
        .filter(|scale| (0.01..=1.0).contains(scale));
    scale
        .map(Duration::from_secs_f64)
        .ok_or_else(|| HttpError::new(400, "scale is a number from 0.01 to 1"))
}
// ANCHOR_END: program

// ANCHOR: iter
fn stream_iter(second: Duration) -> Body {
    let steps = [(0, "START\n"), (3, "MIDDLE\n"), (5, "END\n")];
    Body::iter(steps.into_iter().map(move |(pause, chunk)| {
        sleep(pause * second);
        chunk
    }))
}
// ANCHOR_END: iter

// ANCHOR: queue
fn stream_queue(second: Duration) -> Queue<&'static str> {
    let body = Queue::new(1);
    let feed = body.feeder(); // when it is dropped, the queue is closed
    spawn(move || -> Result<(), Closed<&str>> {
        feed.put("START\n")?; // an error when the client has left
        sleep(3 * second);
        feed.put("MIDDLE\n")?;
        sleep(5 * second);
        feed.put("END\n")
    });
    body
}
// ANCHOR_END: queue

pub(crate) fn app() -> App {
    let mut app = App::new();
    routes(&mut app);
    app
}

fn main() {
    greenway::serve(app())
}
