//! Does it hold up its worker? One worker, a green thread that ticks, and another one that does what
//! the first argument says. Prints what became of the ticks: "others ran", "others waited", or
//! "stuck", when the worker never comes back.
//!
//! In a process of its own, since what holds up a worker would hold up other tests.

#![forbid(unsafe_code)]

use greenway::green::{self, Config, Lock, Queue, sleep, spawn, unblock, yield_now};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

/// How often the other green thread has run.
static TICKS: AtomicU64 = AtomicU64::new(0);

/// What a worker that is free ticks in far less than [`PATIENCE`].
const ENOUGH: u64 = 3;
const PATIENCE: Duration = Duration::from_millis(400);

/// Tells whether the worker has gone on since this was made.
struct Observer {
    from: u64,
    until: Instant,
}

impl Observer {
    fn new() -> Self {
        Self {
            from: TICKS.load(Ordering::SeqCst),
            until: Instant::now() + PATIENCE,
        }
    }

    fn saw_others(&self) -> bool {
        TICKS.load(Ordering::SeqCst) >= self.from + ENOUGH
    }

    /// Whether there is no more to wait for.
    fn is_over(&self) -> bool {
        self.saw_others() || Instant::now() >= self.until
    }

    /// For an OS thread, or for what blocks like one.
    fn block(&self) {
        while !self.is_over() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Calls `answer` on an OS thread as soon as the worker has gone on, or plainly does not.
fn answer_late(answer: impl FnOnce() + Send + 'static) -> Observer {
    let (observer, verdict) = (Observer::new(), Observer::new());
    std::thread::spawn(move || {
        observer.block();
        answer();
    });
    verdict
}

/// A peer that answers late, and who waits for it with std's sockets, as most drivers do.
fn std_net() -> (std::net::TcpStream, Observer) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
    let addr = listener.local_addr().expect("it is bound");
    let client = std::net::TcpStream::connect(addr).expect("it listens");
    let (mut peer, _) = listener.accept().expect("somebody has come");
    let observer = answer_late(move || peer.write_all(b"x").expect("the client is there"));
    (client, observer)
}

/// Blocks this thread by what `how` names, and gives who saw it.
fn block(how: &str) -> Observer {
    match how {
        "thread-sleep" => {
            let observer = Observer::new();
            observer.block();
            observer
        }
        "std-net" => {
            let (mut client, observer) = std_net();
            client.read_exact(&mut [0]).expect("the peer answers");
            observer
        }
        "mpsc" => {
            let (send, receive) = mpsc::channel();
            let observer = answer_late(move || send.send(()).expect("somebody waits"));
            receive.recv().expect("it is sent");
            observer
        }
        "crossbeam-channel" => {
            let (send, receive) = crossbeam_channel::bounded(1);
            let observer = answer_late(move || send.send(()).expect("somebody waits"));
            receive.recv().expect("it is sent");
            observer
        }
        "fs" => {
            // A pipe stands for a slow disk.
            let (mut reader, mut writer) = std::io::pipe().expect("there are descriptors");
            let observer = answer_late(move || writer.write_all(b"x").expect("somebody reads"));
            reader.read_exact(&mut [0]).expect("it is written");
            observer
        }
        "compute" => {
            let observer = Observer::new();
            while !observer.is_over() {
                std::hint::spin_loop();
            }
            observer
        }
        other => panic!("nothing is known of {other}"),
    }
}

/// Whether others have run while this was going on.
fn hold(how: &str) -> bool {
    let observer = match how {
        "compute-yield" => {
            let observer = Observer::new();
            while !observer.is_over() {
                yield_now();
            }
            observer
        }
        "queue" => {
            let queue = Queue::new(1);
            let put = queue.clone();
            let observer = answer_late(move || put.try_put(()).expect("there is room"));
            queue.get();
            observer
        }
        "green-lock" => {
            let shared = Arc::new(Lock::new(()));
            let observer = Observer::new();
            let other = shared.clone();
            let guard = shared.lock();
            let second = spawn(move || drop(other.lock()));
            while !observer.is_over() {
                sleep(Duration::from_millis(1));
            }
            drop(guard);
            second.join().expect("it gets the lock");
            observer
        }
        // These two do not come back.
        "std-mutex" => {
            let shared = Arc::new(Mutex::new(()));
            let other = shared.clone();
            let guard = shared.lock();
            let second = spawn(move || drop(other.lock()));
            sleep(Duration::from_millis(1));
            drop(guard);
            second.join().expect("it gets the lock");
            Observer::new()
        }
        "once-lock" => {
            static ONCE: OnceLock<()> = OnceLock::new();
            let init = || ONCE.get_or_init(|| sleep(Duration::from_millis(1)));
            let second = spawn(move || *init());
            init();
            second.join().expect("it is initialised");
            Observer::new()
        }
        "thread-local-borrow" => {
            // To print where it was takes a machine with much else to do longer than we wait.
            std::panic::set_hook(Box::new(|info| eprintln!("{info}")));
            thread_local!(static SHARED: RefCell<u8> = const { RefCell::new(0) });
            let borrow = || {
                SHARED.with_borrow_mut(|value| {
                    *value += 1;
                    sleep(Duration::from_millis(1));
                });
            };
            let second = spawn(borrow);
            borrow();
            println!("panicked: {}", second.join().is_err());
            std::process::exit(0);
        }
        how => match how.strip_prefix("unblock-") {
            Some(how) => {
                let how = how.to_owned();
                unblock(move || block(&how))
            }
            None => block(how),
        },
    };
    observer.saw_others()
}

fn main() {
    let how = std::env::args().nth(1).expect("what is to be tried?");
    green::start(Config {
        workers: 1,
        ..Config::default()
    });
    spawn(|| {
        loop {
            TICKS.fetch_add(1, Ordering::SeqCst);
            sleep(Duration::from_millis(1));
        }
    });
    let trial = spawn(move || hold(&how));
    match trial.join_timeout(3 * PATIENCE) {
        None => println!("stuck"),
        Some(Ok(true)) => println!("others ran"),
        Some(Ok(false)) => println!("others waited"),
        Some(Err(error)) => println!("panicked: {error}"),
    }
    std::process::exit(0) // whether or not the worker can be stopped
}
