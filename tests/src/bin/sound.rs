//! Programs without `unsafe` that could break memory, or end the process without a word, if green
//! threads were not sound: one case for each first argument.

#![forbid(unsafe_code)]

use greenway::green::{self, Builder, Config, Lock, embed, scope, sleep, spawn, spawn_local};
use greenway::{App, Request, Server};
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn start(stack_marks: bool) {
    green::start(Config {
        workers: 2,
        stack_marks,
        ..Config::default()
    });
}

/// The destructor of a thread-local opens a scope, whose child looks at what it borrows for long.
fn scope_in_destructor() {
    struct AtEnd;

    impl Drop for AtEnd {
        fn drop(&mut self) {
            let words = vec![String::from("alive"); 3];
            let ended = catch_unwind(AssertUnwindSafe(|| {
                scope(|s| {
                    s.spawn(|| {
                        for _ in 0..20 {
                            std::thread::sleep(ms(2));
                            assert_eq!(words, ["alive"; 3]);
                        }
                    });
                });
            }));
            println!("scope: {}", if ended.is_ok() { "over" } else { "unwound" });
        }
    }

    thread_local!(static AT_END: AtEnd = const { AtEnd });

    start(false);
    let thread = std::thread::spawn(|| {
        AT_END.with(|_| ());
        sleep(ms(1));
    });
    thread.join().expect("it ends");
}

/// A scope that begins while its thread unwinds, and that lets an OS thread start a child, which borrows.
/// `depth` panics are under way then. The scope waits for the child, or the process ends.
fn scope_while_unwinding(depth: u32) {
    struct InDrop(u32);

    impl Drop for InDrop {
        fn drop(&mut self) {
            if self.0 > 1 {
                return panic_with(InDrop(self.0 - 1));
            }
            let words = vec![String::from("alive"); 3];
            let other = 1 - green::worker_index().expect("it is green");
            let child = || {
                for _ in 0..20 {
                    std::thread::sleep(ms(2));
                    assert_eq!(words, ["alive"; 3]);
                }
                println!("child: all there");
            };
            scope(|s| {
                std::thread::scope(|threads| {
                    let how = Builder::new().worker(other);
                    let start = || drop(s.spawn_with(how, child));
                    threads.spawn(start).join().expect("it does not panic");
                });
                // Its kill comes while it runs.
                std::thread::sleep(ms(5));
            });
            println!("scope: over");
        }
    }

    fn panic_with(in_drop: InDrop) {
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _in_drop = in_drop;
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(unwound.is_err());
    }

    start(false);
    let user = spawn(move || panic_with(InDrop(depth)));
    println!("user: {}", user.join().is_ok());
}

/// What is thought to be a stack lies elsewhere while a crate has put the thread on another one.
fn foreign_stack(stack_marks: bool) {
    start(stack_marks);
    let hole = vec![1_u8; 64 << 20];
    let user = spawn(move || {
        let precious = vec![0x1234_5678_9abc_def0_u64; 1 << 18];
        let on_stack = [0xaa_u8; 512];
        drop(hole);
        stacker::grow(1 << 20, || {
            embed::trim();
            embed::Measure::begin().end(|| Some("elsewhere".to_owned()));
        });
        let intact = precious.iter().all(|word| *word == 0x1234_5678_9abc_def0);
        intact && black_box(&on_stack).iter().all(|byte| *byte == 0xaa)
    });
    println!("intact: {}", user.join().expect("it does not panic"));
}

/// `stacker` believes that a green thread has the OS thread's stack. It ends at the guard page.
fn deep() {
    fn down(n: u32) -> u32 {
        stacker::maybe_grow(64 * 1024, 1024 * 1024, || {
            let frame = [n; 64];
            match n {
                0 => 0,
                _ => black_box(&frame)[5].wrapping_add(down(n - 1)),
            }
        })
    }

    start(false);
    println!("deep: {}", spawn(|| down(100_000)).join().is_ok());
}

/// A wait in a destructor gives nothing while its thread unwinds, and `unwrap` panics then.
fn unwrap_in_destructor() {
    struct Count(Arc<Lock<i32>>);

    impl Drop for Count {
        fn drop(&mut self) {
            *self.0.lock().unwrap() -= 1;
        }
    }

    start(false);
    let lock = Arc::new(Lock::new(0));
    let counted = lock.clone();
    let victim = spawn(move || {
        let _count = Count(counted);
        sleep(Duration::MAX);
    });
    let _held = lock.lock();
    sleep(ms(20));
    victim.kill();
    println!("killed: {}", victim.join().is_err());
}

/// An upload that a second green thread reads on after the handler has answered, with a scope above it
/// whose child borrows.
fn leaked_input() {
    start(false);
    let mut app = App::new();
    app.post("/upload", |mut request: Request| {
        let mut input = request.take_input();
        spawn_local(move || {
            let words = vec![String::from("precious"); 4];
            let other = 1 - green::worker_index().expect("it is green");
            scope(|s| {
                s.spawn_with(Builder::new().worker(other), || {
                    for _ in 0..50 {
                        std::thread::sleep(ms(2));
                        assert_eq!(words, ["precious"; 4]);
                    }
                    println!("child: all there");
                });
                let mut all = Vec::new();
                let end = input.read_to_end(&mut all);
                let end = if end.is_ok() { "the end" } else { "an error" };
                println!("reader: {} bytes, {end}", all.len());
            });
        });
        sleep(ms(20));
        "thank you\n"
    });
    let server = Server::new(app).cores(2).bind("127.0.0.1:0");
    let running = server.start().expect("it starts");
    let mut client = TcpStream::connect(running.addrs()[0]).expect("it listens");
    let head = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n0123456789";
    client.write_all(head).expect("it is open");
    std::thread::sleep(ms(100));
    let _taken_or_not = client.write_all(&[b'y'; 990]);
    std::thread::sleep(ms(300));
    for worker in 0..2 {
        let all = (0..200).map(|_| Builder::new().worker(worker).spawn(|| sleep(ms(5))));
        let all: Vec<_> = all.collect();
        let ended = all
            .iter()
            .filter(|one| one.join_timeout(ms(10_000)).is_some());
        println!("worker {worker}: {} of 200", ended.count());
    }
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("scope-in-destructor") => scope_in_destructor(),
        Some("scope-while-unwinding") => scope_while_unwinding(1),
        Some("scope-while-unwinding-deep") => scope_while_unwinding(4),
        Some("scope-that-cannot-wait") => scope_while_unwinding(5),
        Some("foreign-stack") => foreign_stack(false),
        Some("foreign-stack-measured") => foreign_stack(true),
        Some("deep") => deep(),
        Some("unwrap-in-destructor") => unwrap_in_destructor(),
        Some("leaked-input") => leaked_input(),
        other => panic!("no such case: {other:?}"),
    }
    println!("end");
    std::process::exit(0);
}
