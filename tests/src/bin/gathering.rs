//! A server whose bodies compute without ever waiting, on all its workers at once.
//!
//! `GET /worker` gives the number of the connection's worker. `GET /computes?path=P` sends two
//! chunks, computes until there is a file at the path P, and then says whether that was in time.

#![forbid(unsafe_code)]

use greenway::{App, Body, Request, green};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Longer than the test waits for the chunks: then it has failed.
const LONG: Duration = Duration::from_secs(30);

fn main() {
    let mut app = App::new();
    app.get("/worker", |_: Request| {
        green::worker_index().map_or_else(|| "none".into(), |index| index.to_string())
    });
    app.get("/computes", |request: Request| {
        let path = PathBuf::from(request.query("path").unwrap_or_default().as_ref());
        Body::stream(move |out| {
            out.send("first")?;
            out.send("second")?;
            let begun = Instant::now();
            while !path.exists() {
                if begun.elapsed() > LONG {
                    return out.send("late");
                }
                std::hint::spin_loop();
            }
            out.send("in time")
        })
    });
    greenway::serve(app)
}
