//! Whoever is killed at whatever moment: nobody is left behind, nothing stays locked, and the others
//! go on.

use super::processes::{
    PROGRAM, ask_pid, children, pids, put, signal, start, start_program, stop, until_children,
    until_gone,
};
use greenway::Engine;
use greenway_tests::request::{get, get_close};
use greenway_tests::{
    Client, Folder, Load, Program, Signal, on_green_and_threads, under_load, until,
};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

on_green_and_threads!(
    a_process_that_is_killed_is_replaced,
    processes_end_with_their_master,
    a_master_takes_over_from_one_that_was_killed,
);

fn is_gone(pid: u32) -> BTreeSet<u32> {
    BTreeSet::from([pid])
}

fn a_process_that_is_killed_is_replaced(engine: Engine) {
    let program = start(engine, &["-w", "2"]);
    let addr = program.wait_for_addr();
    let both = pids(addr, 2, &BTreeSet::new());
    // On the one that stays.
    let (dies, stays) = (*both.first().unwrap(), *both.last().unwrap());
    let mut client = loop {
        let mut client = Client::connect(addr);
        let pid: u32 = client.send(get("/pid")).reply().text().parse().unwrap();
        if pid == stays {
            break client;
        }
    };
    signal(dies, Signal::KILL);
    let line = program.wait_for_line("another one takes its place");
    assert!(line.contains("was ended by signal 9 (SIGKILL)"), "{line}");
    assert_eq!(client.send(get_close("/hello")).reply().text(), "Hello\n");
    let after = pids(addr, 2, &is_gone(dies));
    assert!(after.contains(&stays));
    until_children(program.id(), &after);
    stop(program);
}

fn processes_end_with_their_master(engine: Engine) {
    let program = start(engine, &["-w", "2"]);
    let addr = program.wait_for_addr();
    let both = pids(addr, 2, &BTreeSet::new());
    let mut client = Client::connect(addr);
    client.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\nbef");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.chunk(), "bef");
    program.signal(Signal::KILL);
    // What is under way is finished.
    program.wait_for_line("the master has ended: this process stops");
    client.send("ore");
    assert_eq!(client.chunk(), "ore");
    assert_eq!(client.chunk(), "");
    client.end();
    until_gone(&both);
}

fn a_master_takes_over_from_one_that_was_killed(engine: Engine) {
    let program = start(engine, &["-w", "2"]);
    let addr = program.wait_for_addr();
    let both = pids(addr, 2, &BTreeSet::new());
    program.signal(Signal::KILL);
    // At once: those who are left have the address for a moment.
    let bind = addr.to_string();
    let engine = engine.name();
    let next = [
        "--bind", &bind, "--engine", engine, "-w", "2", "--cores", "1",
    ];
    let next = Program::start(PROGRAM, &next);
    assert_eq!(next.wait_for_addr(), addr);
    until_gone(&both);
    pids(addr, 2, &both);
    stop(next);
}

/// A few numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        // Knuth's constants.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Looks how far a deploy has come, by what the master has said: what is killed next is killed at
/// another step of it each time.
fn until_lines(program: &Program, more: usize, before: usize) {
    until("the deploy to go on", || {
        program.lines_so_far().len() >= before + more
    });
}

fn serves(addr: SocketAddr) {
    let reply = Client::connect(addr).send(get_close("/hello")).reply();
    assert_eq!(reply.text(), "Hello\n");
}

/// Processes are killed at each step of a deploy: the master goes on, and what is left in the end is
/// what is to be there.
#[test]
fn deploys_go_on_whoever_is_killed() {
    let folder = Folder::new("killed");
    let path = folder.path("app");
    put(PROGRAM, &path);
    let program = start_program(&path, Engine::Green, &["-w", "3"]);
    let addr = program.wait_for_addr();
    let mut dice = Dice(15);
    for round in 0..12 {
        let before = program.lines_so_far().len();
        let old = children(program.id());
        program.signal(Signal::HUP);
        until_lines(&program, round % 4, before);
        let now: Vec<_> = children(program.id()).into_iter().collect();
        let one = now[usize::try_from(dice.below(now.len() as u64)).unwrap()];
        signal(one, Signal::KILL);
        // A replacement that was killed ends the deploy: the next one begins from what there is.
        until(&format!("round {round} to be over"), || {
            let now = children(program.id());
            let over = now.len() == 3 && !now.contains(&one);
            over && (now.is_disjoint(&old)
                || program
                    .lines_so_far()
                    .iter()
                    .skip(before)
                    .any(|line| line.contains("is replaced")))
        });
        serves(addr);
    }
    let ended = stop(program);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// The master is killed at each step of a deploy: its processes, old and new, end by themselves.
#[test]
fn nobody_outlives_a_master_that_is_killed_within_a_deploy() {
    for step in 0..6 {
        let program = start(Engine::Green, &["-w", "2"]);
        let addr = program.wait_for_addr();
        serves(addr);
        let before = program.lines_so_far().len();
        program.signal(Signal::HUP);
        until_lines(&program, step, before);
        let all = children(program.id());
        program.signal(Signal::KILL);
        until_gone(&all);
        // Those that were forked in the last moment as well: nobody has the address any more.
        until("the address to be free", || {
            std::net::TcpListener::bind(addr).is_ok()
        });
    }
}

/// Asks until it is told to stop. A request on a process that is killed is lost, and nothing else is.
fn keep_asking(addr: SocketAddr, load: &Load) {
    while !load.is_over() {
        let Ok(mut stream) = TcpStream::connect(addr) else {
            continue;
        };
        let mut reply = String::new();
        let asked = stream.write_all(get_close("/hello").as_bytes());
        if asked.is_ok() && stream.read_to_string(&mut reply).is_ok() && !reply.is_empty() {
            assert!(reply.ends_with("Hello\n"), "{reply}");
            load.count();
        }
    }
}

/// Under load, the moment is whatever the processes are at when so many more requests were answered:
/// a start, a deploy, a stop. In the end it is the master that is killed.
#[test]
fn at_any_moment_under_load() {
    let mut dice = Dice(2026);
    for _ in 0..3 {
        let program = start(Engine::Green, &["-w", "3"]);
        let addr = program.wait_for_addr();
        let client = |load: &Load| keep_asking(addr, load);
        let all = under_load(&[&client], |load| {
            let wait_for_some = |dice: &mut Dice| {
                let more = usize::try_from(dice.below(200)).unwrap();
                let wanted = load.answered() + more;
                until("more requests to be answered", || load.answered() >= wanted);
            };
            for step in 0..12 {
                let sent = match step % 2 {
                    // It also ends the pauses that failures bring.
                    0 => Signal::HUP,
                    _ => [Signal::TTIN, Signal::TTOU][usize::try_from(dice.below(2)).unwrap()],
                };
                program.signal(sent);
                wait_for_some(&mut dice);
                let now: Vec<_> = children(program.id()).into_iter().collect();
                if !now.is_empty() {
                    let one = usize::try_from(dice.below(now.len() as u64)).unwrap();
                    signal(now[one], Signal::KILL);
                }
            }
            program.signal(Signal::HUP);
            wait_for_some(&mut dice);
            let all = children(program.id());
            program.signal(Signal::KILL);
            all
        });
        until_gone(&all);
        until("the address to be free", || {
            std::net::TcpListener::bind(addr).is_ok()
        });
    }
}

/// Within USR2, either of the two masters.
#[test]
fn one_of_two_masters_is_killed() {
    for kills_first in [true, false] {
        let folder = Folder::new(&format!("masters-{kills_first}"));
        let file = folder.path("app.pid");
        let file = file.to_str().unwrap();
        let program = start(Engine::Green, &["-w", "1", "--master", "--pid", file]);
        let addr = program.wait_for_addr();
        let first = pids(addr, 1, &BTreeSet::new());
        program.signal(Signal::USR2);
        program.wait_for_line("the new master serves");
        let next: u32 = fs::read_to_string(format!("{file}.2"))
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let second = pids(addr, 1, &first);
        if kills_first {
            program.signal(Signal::KILL);
            until_gone(&first);
            assert_eq!(pids(addr, 1, &BTreeSet::new()), second);
            signal(next, Signal::TERM);
            until_gone(&is_gone(next));
        } else {
            signal(next, Signal::KILL);
            program.wait_for_line("the new master was ended by signal 9");
            until_gone(&second);
            assert_eq!(pids(addr, 1, &BTreeSet::new()), first);
            // Another attempt is one more.
            program.signal(Signal::USR2);
            until("another master", || {
                let line = |line: &String| line.contains("the new master serves");
                program.lines_so_far().iter().filter(|it| line(it)).count() == 2
            });
            let text = fs::read_to_string(format!("{file}.2")).unwrap();
            let next: u32 = text.trim().parse().unwrap();
            program.signal(Signal::TERM);
            assert_eq!(program.wait_code(), Some(0));
            signal(next, Signal::TERM);
            until_gone(&is_gone(next));
        }
        until("the address to be free", || {
            std::net::TcpListener::bind(addr).is_ok()
        });
    }
}

/// A process that always dies is started less and less often.
#[test]
fn what_dies_again_and_again_is_started_less_often() {
    let program = start(Engine::Green, &["-w", "2"]);
    let addr = program.wait_for_addr();
    for times in 1..=4 {
        let one = ask_pid(addr);
        signal(one, Signal::KILL);
        let said = format!("{times} failure");
        program.wait_for_line(&said);
        serves(addr);
    }
    let line = program.wait_for_line("4 failures in a row");
    assert!(line.contains("in 800ms (at most 10s)"), "{line}");
    stop(program);
}
