//! The toolbox on green threads, on OS threads, between both and across two workers; with the
//! behaviours of gevent's own tests that apply (listed in the guide for gevent's users).

mod conditions;
mod connection_pools;
mod connects;
mod coroutines;
mod datagrams;
mod embed;
mod events;
mod files;
mod goes_on;
mod greenlets;
mod groups;
mod hazards;
mod lazies;
mod locals;
mod locks;
mod processes;
mod queues;
mod scopes;
mod semaphores;
mod shared_streams;
mod signalling;
mod sockets;
mod storms;
mod subprocesses;
mod task_dumps;
mod threadpools;
mod timeouts;
mod unix_sockets;
mod unwinding;
mod waits;

use crate::subprocess::{Command, Output};
use crate::{Builder, Config, Greenlet, TaskInfo, TaskState, config, green_threads, start};
use std::net::{SocketAddr, TcpStream};
use std::sync::RwLock;
use std::time::{Duration, Instant};

/// Longer than anything here takes, however slow the machine; only failures wait for it.
const LONG: Duration = Duration::from_secs(60);

/// Short enough to be waited for in vain.
const SHORT: Duration = Duration::from_millis(20);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Two workers, unless another test was faster and this machine has one core only.
fn workers() -> usize {
    start(Config {
        workers: 2,
        ..Config::default()
    });
    config().workers
}

/// A green thread on the worker with this number, or the remainder where there are fewer.
fn on_worker<T: Send + 'static>(
    worker: usize,
    body: impl FnOnce() -> T + Send + 'static,
) -> Greenlet<T> {
    Builder::new().worker(worker % workers()).spawn(body)
}

/// Held for writing by a test that holds up a worker, which others would take for their failure.
static QUIET: RwLock<()> = RwLock::new(());

/// Runs `body` on a green thread of each of two workers, and on this OS thread.
fn everywhere(body: fn()) {
    let _quiet = QUIET.read();
    for worker in 0..2 {
        if let Err(error) = on_worker(worker, body).join() {
            error.resume();
        }
    }
    body();
}

/// A listener whose queue is full, so that a connection to it hangs; and what fills it.
struct FullListener {
    listener: socket2::Socket,
    addr: SocketAddr,
    guests: Vec<TcpStream>,
}

impl FullListener {
    fn new() -> Self {
        use socket2::{Domain, Socket, Type};
        let addr: SocketAddr = ([127, 0, 0, 1], 0).into();
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&addr.into()).unwrap();
        listener.listen(0).unwrap();
        let addr = listener.local_addr().unwrap().as_socket().unwrap();
        let mut guests = Vec::new();
        while let Ok(guest) = TcpStream::connect_timeout(&addr, ms(100)) {
            guests.push(guest);
            assert!(guests.len() < 100, "the queue has no end");
        }
        Self {
            listener,
            addr,
            guests,
        }
    }

    /// Lets everybody in who comes from now on, for as long as what this gives is kept.
    fn open(&self) -> Vec<socket2::Socket> {
        self.listener.listen(100).unwrap();
        let guests = self.guests.iter();
        guests.map(|_| self.listener.accept().unwrap().0).collect()
    }
}

/// Runs an ignored test of this room in a process of its own.
fn alone(test: &str) -> Output {
    let program = std::env::current_exe().expect("this process was started from a file");
    Command::new(program)
        .args(["--ignored", "--exact", "--nocapture"])
        .arg(format!("tests::{test}"))
        .env("RUST_BACKTRACE", "0")
        .timeout(LONG)
        .output()
        .expect("it can be started, and ends")
}

#[track_caller]
fn passes_alone(test: &str) {
    let output = alone(test);
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{test}: {}\n{said}\n{complained}",
        output.status
    );
}

/// Waits until `condition`, for a bounded time.
fn eventually(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "it has not come true");
        crate::sleep(ms(1));
    }
}

/// Waits until the green thread of this name waits.
fn until_waiting(name: &str) {
    eventually(|| {
        let waits =
            |task: &TaskInfo| task.name == name && matches!(task.state, TaskState::Waiting(_));
        green_threads().iter().any(waits)
    });
}

/// Runs a closure when dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Pseudo-random numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
