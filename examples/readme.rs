//! The program that the README shows.

#![forbid(unsafe_code)]

// ANCHOR: readme
use greenway::{App, Body, Request, green};
use std::time::Duration;

fn main() {
    let mut app = App::new();
    app.get("/", |_: Request| "Hello!\n");
    app.get("/stream", |_: Request| {
        Body::stream(|out| {
            out.send("START\n")?;
            green::sleep(Duration::from_secs(3)); // blocks this handler and nobody else
            out.send("END\n")
        })
    });
    greenway::serve(app)
}
// ANCHOR_END: readme
