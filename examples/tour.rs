//! The tour: every listing on one server, with a page on which each is live.
//!
//! `cargo run --release` at the root of the repository starts it on <http://127.0.0.1:8000>.
//! With `-- --engine threads` the same application runs on a pool of OS threads.
//!
//! Besides the listings' own routes it has `/hello`, and `/sleep?ms=N`, which answers after N
//! milliseconds (60,000 at most, and never more than the server's `--timeout`).

#![forbid(unsafe_code)]

// Each listing is a program of its own as well, so here its `main` and `app` are left over.
#[allow(dead_code)]
#[path = "chat.rs"]
pub(crate) mod chat;
#[allow(dead_code)]
#[path = "fetch.rs"]
pub(crate) mod fetch;
#[allow(dead_code)]
#[path = "hello.rs"]
pub(crate) mod hello;
mod highlight;
#[allow(dead_code)]
#[path = "limits.rs"]
pub(crate) mod limits;
#[allow(dead_code)]
#[path = "rooms.rs"]
pub(crate) mod rooms;
#[allow(dead_code)]
#[path = "stream.rs"]
pub(crate) mod stream;
#[allow(dead_code)]
#[path = "websocket.rs"]
pub(crate) mod websocket;

use greenway::green::sleep;
use greenway::{App, Html, HttpError, Request, Server};
use std::time::Duration;

/// Milliseconds that `/sleep` may be asked for.
const LONGEST_SLEEP: u64 = 60_000;

pub(crate) fn app() -> App {
    let mut app = App::new();
    let page = page();
    app.get("/", move |req: Request| {
        Html(page.replace("{{engine}}", req.connection().engine))
    });
    app.get("/hello", |_: Request| "Hello, World!\n");
    app.get("/sleep", |req: Request| nap(&req));
    app.get("/hello/<name>", hello::hello);
    app.get("/sum/<a:int>/<b:int>", hello::sum);
    stream::routes(&mut app);
    fetch::routes(&mut app);
    chat::routes(&mut app);
    websocket::routes(&mut app);
    rooms::routes(&mut app);
    limits::routes(&mut app);
    app
}

fn nap(req: &Request) -> Result<String, HttpError> {
    let ms = req
        .query("ms")
        .and_then(|ms| ms.parse().ok())
        .filter(|ms| *ms <= LONGEST_SLEEP);
    let ms = ms.ok_or_else(|| HttpError::new(400, "ms is a number from 0 to 60000"))?;
    sleep(Duration::from_millis(ms));
    Ok(format!("slept {ms} ms\n"))
}

/// The index page, with the listings as they stand in the files that run.
fn page() -> String {
    let listings = [
        ("{{listing:stream}}", include_str!("stream.rs"), "stream"),
        ("{{listing:fetch}}", include_str!("fetch.rs"), "fetch"),
        ("{{listing:chat}}", include_str!("chat.rs"), "poll"),
        (
            "{{listing:websocket}}",
            include_str!("websocket.rs"),
            "websocket",
        ),
        ("{{listing:rooms}}", include_str!("rooms.rs"), "room"),
        ("{{listing:limits}}", include_str!("limits.rs"), "gate"),
    ];
    listings.iter().fold(
        include_str!("pages/tour.html").to_owned(),
        |page, listing| {
            let (place, source, anchor) = listing;
            page.replace(place, &highlight::rust(excerpt(source, anchor)))
        },
    )
}

/// What stands between `// ANCHOR: name` and its end; nothing if there is no such anchor.
fn excerpt<'a>(source: &'a str, name: &str) -> &'a str {
    let between = |text: &'a str| {
        let (_, rest) = text.split_once(&format!("// ANCHOR: {name}\n"))?;
        let (excerpt, _) = rest.split_once(&format!("// ANCHOR_END: {name}\n"))?;
        Some(excerpt.trim_end())
    };
    between(source).unwrap_or_default()
}

fn main() {
    Server::new(app())
        .websocket_threads(limits::ALL_THREADS)
        .run()
}
