//! A storm: kills, departures, time limits, leaked inputs, panics that are caught, destructors that
//! wait, scopes that borrow, all at random, in the toolbox and over real sockets, under an allocator
//! that poisons what is freed. Whoever sees a value that is not its own ends the process.
//!
//! `storm SEED SECONDS ENGINE`. Prints `calm after N rounds` when all has been seen to its end.

#![forbid(unsafe_code)]

use greenway::green::{
    self, AsyncResult, Builder, Config, Greenlet, Lazy, PriorityQueue, Queue, Timeout, WorkerLocal,
    scope, shield, sleep, spawn, spawn_local, yield_now,
};
use greenway::{App, Body, Engine, Request, Server};
use greenway_poison::Poison;
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: Poison = Poison;

/// Everything here is over in far less.
const LONG: Duration = Duration::from_secs(40);

static ROUNDS: AtomicU64 = AtomicU64::new(0);

fn micros(n: u64) -> Duration {
    Duration::from_micros(n)
}

/// Pseudo-random numbers, the same for each seed.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Values that tell when they are not what they were.
struct Words {
    number: u64,
    words: Vec<String>,
}

impl Words {
    fn new(number: u64) -> Self {
        Self {
            number,
            words: (0..4).map(|n| format!("word {n} of {number}")).collect(),
        }
    }

    fn check(&self) {
        for (n, word) in self.words.iter().enumerate() {
            if *word != format!("word {n} of {}", self.number) {
                eprintln!("a value has become another one: {:?}", word.as_bytes());
                std::process::abort();
            }
        }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        self.check();
        if self.number.is_multiple_of(5) {
            // A shield, since a destructor that unwinds ends the process.
            shield(|| (0..3).for_each(|_| sleep(micros(self.number % 300))));
            self.check();
        }
    }
}

static SHARED: Lazy<Words> = Lazy::new(|| {
    sleep(micros(500));
    Words::new(1)
});
static MINE: WorkerLocal<RefCell<Vec<Words>>> = WorkerLocal::new(|| {
    sleep(micros(500));
    RefCell::new(Vec::new())
});

/// What all green threads of a round share.
#[derive(Clone)]
struct Table {
    queue: Queue<Words>,
    order: PriorityQueue<u64>,
    result: AsyncResult<u64>,
}

/// What one green thread does: waits of many kinds, in each of which it may be ended.
fn life(mut dice: Dice, table: &Table) {
    let own = Words::new(dice.below(1 << 40));
    for _ in 0..dice.below(8) {
        match dice.below(12) {
            0 => sleep(micros(dice.below(2000))),
            1 => yield_now(),
            2 => drop(
                table
                    .queue
                    .put_timeout(Words::new(dice.below(1 << 40)), micros(300)),
            ),
            3 => {
                if let Ok(Some(words)) = table.queue.get_timeout(micros(300)) {
                    words.check();
                }
            }
            4 => {
                let _late = Timeout::run(micros(dice.below(300)), || {
                    let inner = Words::new(3);
                    sleep(micros(200));
                    inner.check();
                });
            }
            5 => {
                let _caught = catch_unwind(AssertUnwindSafe(|| {
                    let _inner = Words::new(10);
                    if dice.below(2) == 0 {
                        resume_unwind(Box::new("a panic"));
                    }
                    sleep(micros(200));
                }));
            }
            6 => borrowing(&mut dice),
            7 => SHARED.check(),
            8 => MINE.with(|mine| {
                yield_now();
                let kept = Words::new(7);
                let taken = {
                    let mut mine = mine.borrow_mut();
                    mine.push(kept);
                    (mine.len() > 8).then(|| mine.swap_remove(0))
                };
                drop(taken);
            }),
            9 => {
                let _full = table.order.put_timeout(dice.below(100), micros(100));
                let _empty = table.order.get_timeout(micros(100));
            }
            10 => shield(|| sleep(micros(dice.below(300)))),
            _ => drop(table.result.get_timeout(micros(100))),
        }
        own.check();
    }
}

/// Children borrow from their parent, and swallow their kills.
fn borrowing(dice: &mut Dice) {
    let words = Words::new(dice.below(1 << 40) * 5 + 1);
    let (times, kill) = (dice.below(4) + 1, dice.below(2) == 0);
    scope(|s| {
        for n in 0..times {
            let words = &words;
            let child = s.spawn_with(Builder::new().worker((n % 2) as usize), move || {
                for _ in 0..3 {
                    let _swallowed = catch_unwind(|| sleep(micros(150)));
                    words.check();
                }
            });
            if kill && n == 0 {
                child.kill();
            }
        }
    });
}

fn toolbox(seed: u64, until: Instant) {
    let mut dice = Dice::new(seed);
    while Instant::now() < until {
        let table = Table {
            queue: Queue::new(4),
            order: PriorityQueue::new(4),
            result: AsyncResult::new(),
        };
        let threads: Vec<Greenlet<()>> = (0..24)
            .map(|n| {
                let (dice, table) = (Dice::new(dice.below(u64::MAX)), table.clone());
                let how = Builder::new().worker(n % 2);
                how.spawn(move || life(dice, &table))
            })
            .collect();
        for _ in 0..dice.below(24) {
            threads[dice.below(24) as usize].kill();
            if dice.below(3) == 0 {
                sleep(micros(dice.below(500)));
            }
        }
        let _first = table.result.set(dice.below(10));
        for thread in &threads {
            let ended = thread.join_timeout(LONG).is_some();
            assert!(ended, "seed {seed}: one does not end");
        }
        ROUNDS.fetch_add(1, Ordering::Relaxed);
    }
}

fn app() -> App {
    let mut app = App::new();
    app.get("/sleep", |_: Request| {
        let words = Words::new(15);
        sleep(micros(3000));
        words.check();
        "slept\n"
    });
    app.get("/stream", |_: Request| {
        Body::stream(|out| {
            let words = Words::new(25);
            for _ in 0..20 {
                out.send(vec![b'x'; 4000])?;
                sleep(micros(200));
                words.check();
            }
            Ok(())
        })
    });
    app.get("/swallow", |_: Request| {
        let words = Words::new(11);
        for _ in 0..5 {
            let _swallowed = catch_unwind(|| sleep(micros(1000)));
            words.check();
        }
        "stubborn\n"
    });
    app.post("/leak", |mut request: Request| {
        let mut input = request.take_input();
        spawn_local(move || {
            let words = Words::new(21);
            let mut buf = [0; 512];
            while let Ok(1..) = input.read(&mut buf) {
                words.check();
            }
        });
        sleep(micros(500));
        "leaked\n"
    });
    app.post("/read", |mut request: Request| {
        let words = Words::new(35);
        let mut all = Vec::new();
        let _cut_off = request.take_input().read_to_end(&mut all);
        words.check();
        format!("{}\n", all.len())
    });
    app
}

/// A client that may leave at any point.
fn client(addr: SocketAddr, dice: &mut Dice) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(micros(dice.below(8000) + 1)))?;
    stream.set_write_timeout(Some(LONG))?;
    for _ in 0..=dice.below(3) {
        let head = match dice.below(5) {
            0 => "GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n",
            1 => "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n",
            2 => "GET /swallow HTTP/1.1\r\nHost: x\r\n\r\n",
            3 => "POST /leak HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n",
            _ => "POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n",
        };
        stream.write_all(head.as_bytes())?;
        if head.starts_with("POST") {
            for _ in 0..dice.below(5) {
                stream.write_all(&[b'y'; 750])?;
                std::thread::sleep(micros(dice.below(600)));
            }
        }
        let mut buf = [0; 16 * 1024];
        for _ in 0..dice.below(4) {
            let _cut_or_late = stream.read(&mut buf);
        }
    }
    Ok(())
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = || args.next().and_then(|arg| arg.parse::<u64>().ok());
    let (seed, seconds) = (number().unwrap_or(1), number().unwrap_or(5));
    let engine = match args.next().as_deref() {
        Some("threads") => Engine::Threads,
        _ => Engine::Green,
    };
    std::panic::set_hook(Box::new(|_| {}));
    green::start(Config {
        workers: 2,
        max_blocking_time: LONG,
        ..Config::default()
    });
    let time = Duration::from_secs(seconds);
    let until = Instant::now() + time;
    let server = Server::new(app())
        .engine(engine)
        .cores(2)
        .bind("127.0.0.1:0");
    let running = server.start().expect("it starts");
    let addr = running.addrs()[0];
    let clients: Vec<_> = (0..4)
        .map(|n| {
            std::thread::spawn(move || {
                let mut dice = Dice::new(seed * 100 + n);
                while Instant::now() < until {
                    let _left_or_cut = client(addr, &mut dice);
                    ROUNDS.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for storm in [seed, seed + 1000].map(|seed| spawn(move || toolbox(seed, until))) {
        let ended = storm.join_timeout(LONG + time);
        assert!(matches!(ended, Some(Ok(()))), "the toolbox: {ended:?}");
    }
    for client in clients {
        client.join().expect("clients do not panic");
    }
    // The workers still work.
    for one in [0, 1].map(|worker| Builder::new().worker(worker).spawn(yield_now)) {
        assert!(one.join_timeout(LONG).is_some(), "a worker is wedged");
    }
    println!("calm after {} rounds", ROUNDS.load(Ordering::Relaxed));
    std::process::exit(0);
}
