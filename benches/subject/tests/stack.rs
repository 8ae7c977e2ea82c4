//! How much stack a sleeping handler holds, page by page: see "Stack" in
//! `runtime/src/connection/mod.rs`. In the optimised build, whose frames are those that count, it
//! is the page of the frames, and the last one, on which `may` keeps a mark.

#![forbid(unsafe_code)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

const SLEEPERS: usize = 250;
/// Of no other mapping of the process, so that these are the stacks.
const STACK: u64 = 80 * PAGE;
const PAGE: u64 = 4096;
/// Frames that were not optimised are several times as large, and are looked at only to see that
/// this test measures something.
const MOST_PAGES: u64 = if cfg!(debug_assertions) { 12 } else { 2 };

/// Killed when dropped.
struct Server {
    process: Child,
    addr: SocketAddr,
    /// Kept open: it may have something to say.
    _stderr: BufReader<ChildStderr>,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_subject"))
            .args(["--bind", "127.0.0.1:0", "--engine", "green", "--cores", "1"])
            .args(["--stack-size", &STACK.to_string()])
            // What the person who runs the tests has set for servers is not what is tested.
            .env_remove("PORT")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cargo has built it");
        let mut stderr = BufReader::new(process.stderr.take().expect("it is piped"));
        let addr = loop {
            let mut line = String::new();
            let length = stderr.read_line(&mut line).expect("a pipe can be read");
            assert!(length > 0, "it has ended without an address");
            if let Some((_, rest)) = line.split_once("http://") {
                let addr = rest.split_whitespace().next().unwrap_or_default();
                break addr.parse().expect("an address");
            }
        };
        Self {
            process,
            addr,
            _stderr: stderr,
        }
    }

    fn ask(&self, target: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.addr).expect("it listens");
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client
            .write_all(request.as_bytes())
            .expect("the kernel has room for it");
        client
    }

    /// Resident pages of each stack, without the guard page below it; fewest first.
    fn stacks(&self) -> Vec<u64> {
        let path = format!("/proc/{}/smaps", self.process.id());
        let maps = fs::read_to_string(path).expect("it runs, and is ours");
        let kib = |line: &str, name| {
            let value = line.strip_prefix(name)?.trim().strip_suffix(" kB")?;
            value.parse::<u64>().ok()
        };
        let (mut size, mut pages) = (0, Vec::new());
        for line in maps.lines() {
            if let Some(kib) = kib(line, "Size:") {
                size = kib * 1024;
            } else if let Some(kib) = kib(line, "Rss:")
                && size == STACK
            {
                pages.push(kib * 1024 / PAGE);
            }
        }
        pages.sort_unstable();
        pages
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_sleeping_handler_holds_one_page_of_frames() {
    let server = Server::start();
    let sleepers: Vec<_> = (0..SLEEPERS)
        .map(|_| server.ask("/sleep?ms=600000"))
        .collect();
    // There is one worker, and it takes them as they come: when this one is answered, those
    // before it sleep.
    let mut last = server.ask("/waiting");
    last.set_read_timeout(Some(Duration::from_secs(20)))
        .expect("it is not zero");
    let mut byte = [0];
    last.read_exact(&mut byte).expect("an answer");

    let stacks = server.stacks();
    assert!(stacks.len() >= SLEEPERS, "{} stacks", stacks.len());
    assert!(stacks[0] > 0, "nothing is measured: {stacks:?}");
    // The runtime has a few green threads of its own, and the allocator grows below one that
    // happens to ask for more: a tenth is allowed to be larger, all of them never.
    let most = stacks[stacks.len() * 9 / 10];
    assert!(
        most <= MOST_PAGES,
        "a sleeping handler holds {most} pages of stack instead of {MOST_PAGES}; of each: {stacks:?}"
    );
    drop(sleepers);
}
