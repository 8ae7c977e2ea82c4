//! What patched calls cost, beside what they stand for: the table of docs/src/evidence/monkey.md.
//!
//! ```text
//! cargo run --release --manifest-path tests/monkey/Cargo.toml --bin costs
//! ```

use greenway::green::{self, net};
use greenway::monkey;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

type Write3 = unsafe extern "C" fn(i32, *const libc::c_void, usize) -> isize;
type Read3 = unsafe extern "C" fn(i32, *mut libc::c_void, usize) -> isize;

fn main() {
    before_patching();
    memory("green::sleep", || green::sleep(Duration::from_secs(2)));
    monkey::patch_all();
    memory("std's sleep, patched", || {
        thread::sleep(Duration::from_secs(2))
    });
    ping_pong();
}

/// A pair of calls on an OS thread, by our names and by the C library's own functions.
fn before_patching() {
    const PAIRS: u32 = 1_000_000;
    // SAFETY: passes numbers.
    let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK) };
    assert!(fd >= 0);
    let original = |name| monkey::get_original(name).expect("the C library has it");
    // SAFETY: the addresses are those of the functions of these types.
    let (write, read) = unsafe {
        (
            std::mem::transmute::<*const libc::c_void, Write3>(original("write")),
            std::mem::transmute::<*const libc::c_void, Read3>(original("read")),
        )
    };
    let time = |write: Write3, read: Read3| {
        let start = Instant::now();
        let mut word = 1u64;
        for _ in 0..PAIRS {
            // SAFETY: eight bytes, which live over the calls.
            unsafe {
                write(fd, (&raw const word).cast(), 8);
                read(fd, (&raw mut word).cast(), 8);
            }
        }
        start.elapsed() / PAIRS
    };
    // By turns, so that both see the same machine.
    for _ in 0..3 {
        let (own, hooked) = (time(write, read), time(libc::write, libc::read));
        println!("write and read, unpatched: {hooked:?}; the C library's own: {own:?}");
    }
}

/// Resident bytes of each of ten thousand that sleep.
fn memory(what: &str, sleep: fn()) {
    const SLEEPERS: usize = 10_000;
    let resident = || {
        let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
        let pages = pages
            .split(' ')
            .nth(1)
            .and_then(|n| n.parse::<usize>().ok());
        pages.expect("a number of pages") * 4096
    };
    let before = resident();
    let sleepers: Vec<_> = (0..SLEEPERS).map(|_| green::spawn(sleep)).collect();
    green::sleep(Duration::from_secs(1));
    println!("{what}: {} bytes each", (resident() - before) / SLEEPERS);
    for sleeper in sleepers {
        sleeper.join().expect("it sleeps");
    }
}

/// A byte to and fro over TCP, fifty pairs at once: the time of one round.
fn ping_pong() {
    const ROUNDS: u32 = 2_000;
    const PAIRS: usize = 50;
    fn echo(mut stream: impl Read + Write) {
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
    }
    fn ask(mut stream: impl Read + Write) {
        let mut byte = [0];
        for _ in 0..ROUNDS {
            stream.write_all(&byte).expect("the other side is there");
            stream.read_exact(&mut byte).expect("it answers");
        }
    }
    let pairs = || -> Vec<(TcpStream, TcpStream)> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
        let addr = listener.local_addr().expect("it listens");
        (0..PAIRS)
            .map(|_| {
                let near = TcpStream::connect(addr).expect("it listens");
                near.set_nodelay(true).expect("it is TCP");
                (near, listener.accept().expect("it was connected").0)
            })
            .collect()
    };
    let per_round = |start: Instant| start.elapsed() / ROUNDS / PAIRS as u32;
    for _ in 0..3 {
        let start = Instant::now();
        let threads: Vec<_> = pairs()
            .into_iter()
            .flat_map(|(near, far)| [thread::spawn(|| ask(near)), thread::spawn(|| echo(far))])
            .collect();
        for thread in threads {
            thread.join().expect("it ends");
        }
        let os = per_round(start);
        let start = Instant::now();
        let threads: Vec<_> = pairs()
            .into_iter()
            .flat_map(|(near, far)| [green::spawn(|| ask(near)), green::spawn(|| echo(far))])
            .collect();
        for thread in threads {
            thread.join().expect("it ends");
        }
        let patched = per_round(start);
        let start = Instant::now();
        let threads: Vec<_> = pairs()
            .into_iter()
            .flat_map(|(near, far)| {
                let [near, far] = [near, far].map(net::TcpStream::from);
                [green::spawn(|| ask(near)), green::spawn(|| echo(far))]
            })
            .collect();
        for thread in threads {
            thread.join().expect("it ends");
        }
        let own = per_round(start);
        println!("a round: std patched {patched:?}; green::net {own:?}; OS threads {os:?}");
    }
}
