//! Law 2 under stress: a green thread never changes its OS thread.
//!
//! `migration <workers>` runs 5,000 green threads that sleep and hand things to one another
//! across workers, and connections that read and write sockets, and compares what must not
//! change before and after each wait: the OS thread, a thread-local, and an `Rc` that is held
//! all the time. Prints how many waits it has looked at; exits with 1 if anything moved.
//!
//! The number of workers is fixed for a process, hence a program of its own.

#![forbid(unsafe_code)]

use greenway::green::{self, Queue, sleep, spawn, spawn_local, yield_now};
use greenway::{Body, Engine, Request, Server};
use std::cell::Cell;
use std::io::BufRead;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::ThreadId;
use std::time::Duration;

use greenway_tests::{Client, request};

const THREADS: u64 = 5_000;
const ROUNDS: u64 = 6;
const CONNECTIONS: usize = 200;
const ECHOES: usize = 20;

static WAITS: AtomicU64 = AtomicU64::new(0);
static MOVED: AtomicU64 = AtomicU64::new(0);
static NEXT_MARK: AtomicU64 = AtomicU64::new(1);

thread_local!(static MARK: Cell<u64> = const { Cell::new(0) });

/// The number of this OS thread, kept in a thread-local.
// Not inlined, as the next one: the address of a thread-local may be kept in a register for the
// length of a function, which is what makes a migration so treacherous.
#[inline(never)]
fn mark() -> u64 {
    MARK.with(|mark| {
        if mark.get() == 0 {
            mark.set(NEXT_MARK.fetch_add(1, Ordering::Relaxed));
        }
        mark.get()
    })
}

#[inline(never)]
fn thread() -> ThreadId {
    std::thread::current().id()
}

/// What a green thread must find again after each wait.
struct Place {
    thread: ThreadId,
    mark: u64,
    worker: Option<usize>,
    shared: Rc<Cell<u64>>,
}

impl Place {
    fn here() -> Self {
        Self {
            thread: thread(),
            mark: mark(),
            worker: green::worker_index(),
            shared: Rc::default(),
        }
    }

    /// To be called after each wait.
    fn check(&self) {
        self.shared.set(self.shared.get() + 1);
        WAITS.fetch_add(1, Ordering::Relaxed);
        if (thread(), mark(), green::worker_index()) != (self.thread, self.mark, self.worker) {
            MOVED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A green thread that waits in every way there is; `to` and `from` connect it to one that, for
/// half of them, lives on another worker.
fn wander(number: u64, to: &Queue<u64>, from: &Queue<u64>) {
    let place = Place::here();
    let nothing = Queue::<()>::new(1);
    for round in 0..ROUNDS {
        sleep(Duration::from_micros((number * 7 + round * 131) % 5_000));
        place.check();
        to.put(number).expect("nobody closes it");
        place.check();
        from.get();
        place.check();
        assert!(nothing.get_timeout(Duration::from_micros(300)).is_err());
        place.check();
        yield_now();
        place.check();
        let shared = place.shared.clone();
        let child = spawn_local(move || {
            sleep(Duration::from_micros(50));
            shared.set(shared.get() + 1);
            thread()
        });
        if child.join().ok() != Some(place.thread) {
            MOVED.fetch_add(1, Ordering::Relaxed);
        }
        place.check();
    }
    assert_eq!(
        place.shared.get(),
        ROUNDS * 7,
        "six waits of its own and one of its child's in each round"
    );
}

/// Echoes the request's body as it comes, and looks around after each read and write.
fn echo(mut request: Request) -> Body {
    let place = Place::here();
    let mut input = request.take_input();
    Body::stream(move |out| {
        loop {
            let piece = input.fill_buf()?.to_vec();
            place.check();
            if piece.is_empty() {
                return Ok(());
            }
            input.consume(piece.len());
            out.send(piece)?;
            place.check();
            sleep(Duration::from_micros(200));
            place.check();
        }
    })
}

/// Keeps many connections busy, from this OS thread.
fn talk(addr: SocketAddr) {
    let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| Client::connect(addr)).collect();
    for client in &mut clients {
        client.send(request::with(
            "POST",
            "/",
            "Transfer-Encoding: chunked\r\n",
            "",
        ));
    }
    for n in 0..ECHOES {
        let text = format!("{n} and some more");
        for client in &mut clients {
            client.send(request::chunk(&text));
        }
        for client in &mut clients {
            if n == 0 {
                client.head();
            }
            assert_eq!(client.chunk(), text);
        }
    }
    for client in &mut clients {
        client.send("0\r\n\r\n");
        assert_eq!(client.chunk(), "");
    }
}

fn main() {
    let workers = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("usage: migration <workers>");
    greenway_tests::raise_descriptor_limit();
    let server = Server::new(echo)
        .engine(Engine::Green)
        .cores(workers)
        .bind("127.0.0.1:0");
    let server = server.start().expect("port 0 is free");
    assert_eq!(green::config().workers, workers);
    let addr = server.addrs()[0];
    let talkers: Vec<_> = (0..2)
        .map(|_| std::thread::spawn(move || talk(addr)))
        .collect();

    // From an OS thread, so that they are spread over the workers. Each pair has two queues.
    let room = usize::try_from(ROUNDS).expect("a small number");
    let wanderers: Vec<_> = (0..THREADS / 2)
        .flat_map(|pair| {
            let (there, back) = (Queue::new(room), Queue::new(room));
            let (a, b) = (there.clone(), back.clone());
            [
                spawn(move || wander(pair * 2, &there, &back)),
                spawn(move || wander(pair * 2 + 1, &b, &a)),
            ]
        })
        .collect();
    for wanderer in wanderers {
        wanderer.join().expect("a green thread has panicked");
    }
    for talker in talkers {
        talker.join().expect("a client has panicked");
    }
    server.stop();
    let (waits, moved) = (WAITS.load(Ordering::Relaxed), MOVED.load(Ordering::Relaxed));
    println!("{waits} waits on {workers} workers, {moved} changes of OS thread");
    std::process::exit(i32::from(moved > 0));
}
