//! A server that tells on which worker a connection lives.
//!
//! `GET /worker` gives its number. `GET /hold` does, too, and opens a file that stays open: a
//! handler that has descriptors of its own, so that those of connections are all odd or all even.

#![forbid(unsafe_code)]

use greenway::{App, HttpError, Request, green};
use std::fs::File;
use std::sync::{Mutex, PoisonError};

fn worker() -> String {
    green::worker_index().map_or_else(|| "none".into(), |index| index.to_string())
}

fn main() {
    let held = Mutex::new(Vec::new());
    let mut app = App::new();
    app.get("/worker", |_: Request| worker());
    app.get("/hold", move |_: Request| {
        let file = File::open("/dev/null")?;
        held.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(file);
        Ok::<_, HttpError>(worker())
    });
    greenway::serve(app)
}
