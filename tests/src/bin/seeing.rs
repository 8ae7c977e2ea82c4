//! A server whose handlers do what one should not do, so that others see it.
//!
//! `GET /compute/<ms>` computes without a wait, `/stopped` does so until the process was stopped for
//! a while, and a little longer; `/sleep/<ms>` waits, `/recurse` has no end on its own stack,
//! `/recurse/green` on that of another green thread, `/recurse/thread` on that of an OS thread;
//! `/deep/<kib>` uses so much stack; `/fault` reads where nothing is.

#![forbid(unsafe_code)]

use greenway::green::{self, Builder};
use greenway::{App, HttpError, Request};
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

#[inline(never)]
fn computes_without_a_wait(time: Duration) -> u64 {
    let start = Instant::now();
    let mut rounds = 0;
    while start.elapsed() < time {
        rounds += black_box(1);
    }
    rounds
}

/// Whether there was a second in which it did not run.
fn computes_until_a_stop() -> bool {
    eprintln!("computes until it is stopped");
    let start = Instant::now();
    let mut last = start;
    while last.duration_since(start) < Duration::from_secs(60) {
        let now = Instant::now();
        if now.duration_since(last) > Duration::from_secs(1) {
            computes_without_a_wait(Duration::from_millis(100));
            return true;
        }
        last = now;
    }
    false
}

#[inline(never)]
fn recurse(depth: u64, until: u64) -> u64 {
    let frame = [depth as u8; 1024];
    if depth == until {
        return u64::from(black_box(&frame)[7]);
    }
    recurse(depth + 1, until) + u64::from(black_box(&frame)[9])
}

/// Reads a value through a pointer that points nowhere. Safe code has no such pointers, so the
/// kernel is asked to break one.
fn fault() -> std::io::Result<u8> {
    let broken: Vec<Box<u8>> = vec![Box::new(1)];
    let pointer = (&raw const broken[0]).addr() as u64;
    let memory = File::options().write(true).open("/proc/self/mem")?;
    memory.write_all_at(&64_u64.to_ne_bytes(), pointer)?;
    let value = *black_box(&broken)[0];
    Ok(value)
}

fn ms(request: &Request) -> Duration {
    Duration::from_millis(request.int("ms").unsigned_abs())
}

fn main() {
    let mut app = App::new();
    app.get("/compute/<ms:int>", |request: Request| {
        computes_without_a_wait(ms(&request)).to_string()
    });
    app.get("/stopped", |_: Request| computes_until_a_stop().to_string());
    app.get("/sleep/<ms:int>", |request: Request| {
        green::sleep(ms(&request));
        "slept"
    });
    app.get("/recurse", |_: Request| recurse(0, u64::MAX).to_string());
    app.get("/recurse/green", |_: Request| {
        let digger = Builder::new().name("digger");
        let digger = digger.spawn(|| recurse(0, u64::MAX));
        digger.join().map_or(0, |depth| depth).to_string()
    });
    app.get("/recurse/thread", |_: Request| {
        green::unblock(|| recurse(0, u64::MAX)).to_string()
    });
    app.get("/deep/<kib:int>", |request: Request| {
        recurse(0, request.int("kib").unsigned_abs()).to_string()
    });
    app.get("/fault", |_: Request| {
        Ok::<_, HttpError>(fault()?.to_string())
    });
    greenway::serve(app)
}
