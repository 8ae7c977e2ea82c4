//! The first listing of the primer as it stands there: patched blocking calls, std's own sleep.
//!
//! ```text
//! cargo run --release -p greenway-examples --features monkey --bin monkey
//! curl -N http://127.0.0.1:8000/stream
//! ```

#![forbid(unsafe_code)]

// ANCHOR: program
use greenway::{App, Body, Request, monkey};
use std::thread::sleep;
use std::time::Duration;

fn main() {
    monkey::patch_all(); // the first line is important
    let mut app = App::new();
    app.get("/stream", |_: Request| {
        Body::stream(|out| {
            out.send("START\n")?;
            sleep(Duration::from_secs(3)); // std's: it blocks this handler and nobody else
            out.send("MIDDLE\n")?;
            sleep(Duration::from_secs(5));
            out.send("END\n")
        })
    });
    greenway::serve(app)
}
// ANCHOR_END: program
