//! Greenway under test: the same two routes as every peer, served with the flags that
//! every Greenway program has (`--engine`, `--bind`, `--cores`, ...), with all limits,
//! timeouts and accounting as they are by default.
#![forbid(unsafe_code)]

use std::time::Duration;

use greenway::{App, HttpError, Request};

/// The bound that the peers have, too.
const MAX_SLEEP: Duration = Duration::from_secs(600);

fn main() {
    let mut app = App::new();
    app.get("/", |_: Request| "Hello, World!");
    app.get("/sleep", |request: Request| {
        let ms = request.query("ms").and_then(|ms| ms.parse().ok());
        let ms = ms.ok_or_else(|| HttpError::new(400, "/sleep?ms=N wants a number"))?;
        greenway::green::sleep(Duration::from_millis(ms).min(MAX_SLEEP));
        Ok::<_, HttpError>("Hello, World!")
    });
    greenway::serve(app);
}
