//! Each of those who take part in a restart is killed at each of its steps: while the new process
//! starts, when it serves and the old one was not told, and while the old one finishes what it has.
//!
//! Each step is held for as long as the test takes: a new process waits before it begins until it is
//! let go on, a master is stopped, and a client holds up the process that is to go.

use super::processes::{
    PROGRAM, ask_pid, children, exists, pids, put, signal, start_program, stop, until_children,
    until_gone,
};
use greenway::Engine;
use greenway_tests::request::{get, get_close};
use greenway_tests::{Client, Folder, Program, Signal, on_green_and_threads, until};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

on_green_and_threads!(
    while_the_new_one_starts,
    when_the_new_one_serves_and_the_old_one_was_not_told,
    while_the_old_one_finishes,
    while_a_new_master_starts,
);

/// A master with one process, whose successors wait before they begin.
struct Restart {
    program: Program,
    addr: SocketAddr,
    old: u32,
    gate: PathBuf,
    pid_file: PathBuf,
    _folder: Folder,
}

impl Restart {
    fn new(engine: Engine) -> Self {
        let folder = Folder::new("steps");
        let (path, gate) = (folder.path("app"), folder.path("gate"));
        put(PROGRAM, &path);
        let pid_file = folder.path("app.pid");
        let name = pid_file.to_str().expect("the name is ours");
        let program = start_program(&path, engine, &["--master", "--pid", name]);
        let addr = program.wait_for_addr();
        let old = ask_pid(addr);
        mknodat(CWD, &gate, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let (waits, gate_name) = (folder.path("waits"), gate.display());
        let script = format!("#!/bin/sh\nread go <'{gate_name}'\nexec '{PROGRAM}' \"$@\"\n");
        fs::write(&waits, script).unwrap();
        fs::set_permissions(&waits, fs::metadata(PROGRAM).unwrap().permissions()).unwrap();
        put(waits.to_str().expect("the name is ours"), &path);
        Self {
            program,
            addr,
            old,
            gate,
            pid_file,
            _folder: folder,
        }
    }

    /// Waits for a child that is not among `known`.
    #[track_caller]
    fn next_child(&self, known: &[u32]) -> u32 {
        let found = Cell::new(None);
        until("another child", || {
            let now = children(self.program.id());
            found.set(now.into_iter().find(|pid| !known.contains(pid)));
            found.get().is_some()
        });
        found.get().expect("it was just found")
    }

    /// Begins a restart, and gives the process that starts.
    #[track_caller]
    fn begin(&self) -> u32 {
        self.program.signal(Signal::HUP);
        self.next_child(&[self.old])
    }

    /// Lets one that waits begin.
    #[track_caller]
    fn let_go(&self) {
        until("somebody to wait", || {
            // It cannot be opened while nobody reads from it.
            let gate = open(&self.gate, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty());
            gate.is_ok_and(|gate| rustix::io::write(gate, b"go\n").is_ok())
        });
    }

    fn kill_master(&self) {
        self.program.signal(Signal::KILL);
    }

    /// Only this one is left, and serves.
    #[track_caller]
    fn serves_in_the_end(self, one: u32) {
        let one = BTreeSet::from([one]);
        until_children(self.program.id(), &one);
        assert_eq!(pids(self.addr, 1, &BTreeSet::new()), one);
        assert_eq!(stop(self.program).code, Some(0));
    }

    /// Nobody is left, and nobody has the address.
    #[track_caller]
    fn is_over(&self, all: &[u32]) {
        until_gone(&all.iter().copied().collect());
        until("the address to be free", || {
            TcpListener::bind(self.addr).is_ok()
        });
    }
}

/// Waits until a child whose master is stopped can be reaped: until all of its threads have ended.
#[track_caller]
fn until_dead(pid: u32) {
    let threads = || fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    until("it to end", || !exists(pid) && threads() <= 1);
}

fn while_the_new_one_starts(engine: Engine) {
    // The new one: the old one serves on.
    let restart = Restart::new(engine);
    let new = restart.begin();
    signal(new, Signal::KILL);
    restart.program.wait_for_line("nothing is replaced");
    let old = restart.old;
    restart.serves_in_the_end(old);
    // The old one: clients wait in the queue until the new one serves.
    let restart = Restart::new(engine);
    let new = restart.begin();
    signal(restart.old, Signal::KILL);
    until_gone(&BTreeSet::from([restart.old]));
    let mut waits = Client::connect(restart.addr);
    waits.send(get_close("/pid"));
    restart.let_go();
    assert_eq!(waits.reply().text(), new.to_string());
    restart.serves_in_the_end(new);
    // The master: the old one ends at once, and the new one when it begins.
    let restart = Restart::new(engine);
    let new = restart.begin();
    restart.kill_master();
    until_gone(&BTreeSet::from([restart.old]));
    restart.let_go();
    restart.is_over(&[restart.old, new]);
}

fn when_the_new_one_serves_and_the_old_one_was_not_told(engine: Engine) {
    let both_serve = || {
        let restart = Restart::new(engine);
        let new = restart.begin();
        restart.program.signal(Signal::STOP);
        restart.let_go();
        let both = pids(restart.addr, 2, &BTreeSet::new());
        assert_eq!(both, BTreeSet::from([restart.old, new]));
        (restart, new)
    };
    // The new one: the old one serves until there is another one.
    let (restart, new) = both_serve();
    signal(new, Signal::KILL);
    until_dead(new);
    restart.program.signal(Signal::CONT);
    let another = restart.next_child(&[restart.old, new]);
    assert_eq!(ask_pid(restart.addr), restart.old);
    restart.let_go();
    until_gone(&BTreeSet::from([restart.old]));
    restart.serves_in_the_end(another);
    // The old one: there is one that serves, as there is to be.
    let (restart, new) = both_serve();
    signal(restart.old, Signal::KILL);
    restart.program.signal(Signal::CONT);
    restart.serves_in_the_end(new);
    // The master: both notice.
    let (restart, new) = both_serve();
    restart.kill_master();
    restart.is_over(&[restart.old, new]);
}

fn while_the_old_one_finishes(engine: Engine) {
    let finishing = || {
        let restart = Restart::new(engine);
        let mut upload = Client::connect(restart.addr);
        upload.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\nbef");
        assert_eq!(upload.head().status, 200);
        assert_eq!(upload.chunk(), "bef");
        let mut events = Client::connect(restart.addr);
        events.send(get("/events"));
        assert_eq!(events.head().status, 200);
        assert_eq!(events.chunk(), "data: START\n\n");
        let new = restart.begin();
        restart.let_go();
        // A stream that may be ended ends at once when its process is told to go.
        assert_eq!(events.chunk(), "retry: 3000\n\n");
        (restart, new, upload)
    };
    let finish = |mut upload: Client| {
        upload.send("ore");
        assert_eq!(upload.chunk(), "ore");
        assert_eq!(upload.chunk(), "");
        upload.end();
    };
    // The new one: another one takes its place, and the old one finishes.
    let (restart, new, upload) = finishing();
    signal(new, Signal::KILL);
    let another = restart.next_child(&[restart.old, new]);
    finish(upload);
    restart.let_go();
    restart.serves_in_the_end(another);
    // The old one: what it had is lost, and nothing else.
    let (restart, new, mut upload) = finishing();
    signal(restart.old, Signal::KILL);
    upload.is_cut_short();
    restart.serves_in_the_end(new);
    // The master: what is under way is finished.
    let (restart, new, upload) = finishing();
    restart.kill_master();
    until_gone(&BTreeSet::from([new]));
    finish(upload);
    restart.is_over(&[restart.old, new]);
}

fn while_a_new_master_starts(engine: Engine) {
    // The new one: the old one goes on, and may try again.
    let restart = Restart::new(engine);
    restart.program.signal(Signal::USR2);
    let next = restart.next_child(&[restart.old]);
    signal(next, Signal::KILL);
    restart
        .program
        .wait_for_line("the new master was ended by signal 9");
    let old = restart.old;
    restart.serves_in_the_end(old);
    // The old one: the new one is the master.
    let restart = Restart::new(engine);
    restart.program.signal(Signal::USR2);
    let next = restart.next_child(&[restart.old]);
    restart.kill_master();
    until_gone(&BTreeSet::from([restart.old]));
    let mut waits = Client::connect(restart.addr);
    waits.send(get_close("/pid"));
    // What it starts is the program that it is itself, which does not wait.
    restart.let_go();
    let serves: u32 = waits.reply().text().parse().expect("a number");
    assert_eq!(children(next), BTreeSet::from([serves]));
    until("the file to be its own", || {
        fs::read_to_string(&restart.pid_file).is_ok_and(|text| text.trim() == next.to_string())
    });
    signal(next, Signal::TERM);
    restart.is_over(&[next, serves]);
    assert!(!restart.pid_file.exists());
}
