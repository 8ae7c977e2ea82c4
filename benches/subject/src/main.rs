//! Greenway under test: the same routes as every peer, served with the flags that every
//! Greenway program has (`--engine`, `--bind`, `--cores`, ...), with all limits,
//! timeouts and accounting as they are by default.
//!
//! A package of its own, so that the suite's runner compiles without Greenway. What
//! each route does is told in `benches/README.md`; the peers have theirs from
//! `peer-common`.
#![forbid(unsafe_code)]

mod sockets;
mod web;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use greenway::green::{self, Event};
use greenway::{App, Body, HttpError, Json, Request, Response, Server};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// The bound that the peers have, too.
const MAX_SLEEP: Duration = Duration::from_secs(600);
/// Largest body that is echoed.
const MAX_ECHO: usize = 4 << 20;
/// One of the small chunks of `/stream`: 32 bytes.
const CHUNK: &[u8; 32] = b"thirty-two bytes make one chunk\n";
/// Most chunks of one `/stream`.
const MAX_CHUNKS: u64 = 100_000;
/// What slow readers are sent: more than kernels hold for a client that does not read.
static LARGE: [u8; 256 << 10] = [b'x'; 256 << 10];

fn main() {
    let mut app = App::new();
    app.get("/", |_: Request| "Hello, World!");
    app.get("/sleep", |request: Request| {
        let ms = number(&request, "ms")?;
        green::sleep(Duration::from_millis(ms).min(MAX_SLEEP));
        Ok::<_, HttpError>("Hello, World!")
    });
    app.post("/echo", |request: Request| {
        let body = request.body(MAX_ECHO)?;
        Ok::<_, HttpError>(octets(Body::full(body)))
    });
    // TechEmpower's JSON test: an object is made and serialized for each request.
    app.get("/json", |_: Request| {
        Json(Message {
            message: "Hello, World!",
        })
    });
    app.get("/stream", |request: Request| {
        let n = number(&request, "n")?.min(MAX_CHUNKS);
        let chunks = (0..n).map(|_| Bytes::from_static(CHUNK));
        Ok::<_, HttpError>(octets(Body::iter(chunks)))
    });
    app.get("/ticks", |request: Request| {
        let n = number(&request, "n")?.min(MAX_CHUNKS);
        let pause = Duration::from_millis(number(&request, "ms")?).min(MAX_SLEEP);
        Ok::<_, HttpError>(octets(Body::stream(move |out| {
            for _ in 0..n {
                green::sleep(pause);
                out.send(tick())?;
            }
            Ok(())
        })))
    });
    let files = PathBuf::from(std::env::var_os("BENCH_FILES").unwrap_or_default());
    web::mount(&mut app, &files);
    app.static_files("/file", files);
    app.get("/large", |_: Request| {
        octets(Body::full(Bytes::from_static(&LARGE)))
    });
    app.get("/compute", |request: Request| {
        compute(Duration::from_millis(number(&request, "ms")?));
        Ok::<_, HttpError>("Hello, World!")
    });
    for index in 0..100 {
        app.get(
            &format!("/r{index:02}/<id:int>/<name>"),
            |request: Request| format!("{} {}", request.int("id"), request.param("name")),
        );
    }
    news(&mut app);
    sockets::mount(&mut app);
    Server::new(app).limit_request_body(web::MAX_UPLOAD).run();
}

fn number(request: &Request, name: &str) -> Result<u64, HttpError> {
    request
        .query(name)
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| HttpError::new(400, format!("{name} wants a number")))
}

fn octets(body: Body) -> Response {
    Response::new(body).with_header("content-type", "application/octet-stream")
}

/// A chunk of 32 bytes that tells when it was made: nanoseconds since 1970.
fn tick() -> String {
    // Before 1970 the figures would be wrong, and nothing else.
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    format!("t={:<29}\n", now.as_nanos())
}

#[derive(Serialize)]
struct Message {
    message: &'static str,
}

/// Holds the CPU for so much CPU time of the calling thread, at most a second.
fn compute(time: Duration) {
    let used = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        // The clock counts from zero upwards, so neither part is negative.
        Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
    };
    let until = used() + time.min(Duration::from_secs(1));
    while used() < until {
        for turn in 0..1_000_u32 {
            std::hint::black_box(turn);
        }
    }
}

/// Long polls that one publish answers: `/poll` waits for the next `/publish`, and
/// `/waiting` tells how many handlers wait, counted by a guard that unwinding drops.
fn news(app: &mut App) {
    let next = Arc::new(Mutex::new(Arc::new(Event::new())));
    let waiting = Arc::new(AtomicUsize::new(0));
    let (polled, counted) = (next.clone(), waiting.clone());
    app.get("/poll", move |_: Request| {
        // Nothing panics while it holds the lock.
        let event = polled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let _counted = Counted::new(&counted);
        event.wait();
        "Hello, World!"
    });
    app.get("/publish", move |_: Request| {
        let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *next, Arc::new(Event::new())).set();
        "Hello, World!"
    });
    app.get("/waiting", move |_: Request| {
        waiting.load(Ordering::Relaxed).to_string()
    });
}

struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
