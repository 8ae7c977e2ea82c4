//! A master and its processes, over real ones: who serves, who is replaced, and what an operator
//! sees. Deploys under load are in `deploys.rs`, and what is killed in `processes_killed.rs`.

use greenway::Engine;
use greenway_tests::request::{get, get_close};
use greenway_tests::{
    Client, Ended, Folder, Program, RawSocket, Signal, on_green_and_threads, until,
};
use rustix::process::{Pid, kill_process};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

on_green_and_threads!(
    several_processes_serve_from_one_socket,
    hup_replaces_all_processes,
    ttin_and_ttou_change_their_number,
    term_lets_requests_finish_and_int_does_not,
    numbers_are_those_of_all_processes,
    usr2_puts_another_master_in_the_place_of_the_first,
);

pub(super) const PROGRAM: &str = env!("CARGO_BIN_EXE_longpoll");

/// Puts a program into another's place, as a deploy does. By another process: one that is forked
/// from here meanwhile would hold the file open for writing, and it could not be executed.
pub(super) fn put(program: &str, path: &Path) {
    let line = "cp \"$0\" \"$1.part\" && mv \"$1.part\" \"$1\"";
    let mut shell = Command::new("sh");
    let status = shell.args(["-c", line, program]).arg(path).status();
    assert!(status.expect("there is a shell").success());
}

pub(super) fn start(engine: Engine, more: &[&str]) -> Program {
    start_program(Path::new(PROGRAM), engine, more)
}

pub(super) fn start_program(program: &Path, engine: Engine, more: &[&str]) -> Program {
    let usual = ["--bind", "127.0.0.1:0", "--engine", engine.name()];
    let few = ["--cores", "1", "--threads", "8"];
    Program::start(program, &[&usual[..], &few, more].concat())
}

/// The process that has answered.
pub(super) fn ask_pid(addr: SocketAddr) -> u32 {
    let reply = Client::connect(addr).send(get_close("/pid")).reply();
    reply.text().parse().expect("a number")
}

/// Waits until `count` processes have answered, none of which is among `not`.
#[track_caller]
pub(super) fn pids(addr: SocketAddr, count: usize, not: &BTreeSet<u32>) -> BTreeSet<u32> {
    let seen = RefCell::new(BTreeSet::new());
    until(&format!("{count} processes to answer"), || {
        let pid = ask_pid(addr);
        if !not.contains(&pid) {
            seen.borrow_mut().insert(pid);
        }
        seen.borrow().len() >= count
    });
    seen.into_inner()
}

pub(super) fn exists(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie has ended.
    (status.rsplit_once(") ")).is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[track_caller]
pub(super) fn until_gone(pids: &BTreeSet<u32>) {
    until(&format!("{pids:?} to end"), || {
        !pids.iter().any(|pid| exists(*pid))
    });
}

pub(super) fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // It may have ended.
    let _ = kill_process(pid.expect("a process has a number"), signal);
}

/// Its children, of whichever of its threads.
pub(super) fn children(pid: u32) -> BTreeSet<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    let lists = tasks.map(|task| fs::read_to_string(task.path().join("children")));
    let lists: Vec<_> = lists.flatten().collect();
    let all = lists.iter().flat_map(|list| list.split_whitespace());
    all.filter_map(|number| number.parse().ok()).collect()
}

/// Waits until it has these children, and no zombies.
#[track_caller]
pub(super) fn until_children(pid: u32, expected: &BTreeSet<u32>) {
    until(&format!("{expected:?} to be all children"), || {
        children(pid) == *expected
    });
}

/// Ends it, in good order, and looks that nothing is left.
#[track_caller]
pub(super) fn stop(program: Program) -> Ended {
    let all = children(program.id());
    program.signal(Signal::TERM);
    let ended = program.wait();
    until_gone(&all);
    ended
}

pub(super) fn none() -> BTreeSet<u32> {
    BTreeSet::new()
}

fn several_processes_serve_from_one_socket(engine: Engine) {
    let program = start(engine, &["--workers", "2"]);
    let line = program.wait_for_line("listening on");
    assert!(line.contains("2 processes with"), "{line}");
    let addr = program.wait_for_addr();
    let all = pids(addr, 2, &none());
    until_children(program.id(), &all);
    let ended = stop(program);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stderr.last().unwrap(), "greenway: stopped");
}

fn hup_replaces_all_processes(engine: Engine) {
    let program = start(engine, &["-w", "2"]);
    let addr = program.wait_for_addr();
    let before = pids(addr, 2, &none());
    program.signal(Signal::HUP);
    let after = pids(addr, 2, &before);
    until_gone(&before);
    until_children(program.id(), &after);
    assert_eq!(stop(program).code, Some(0));
}

fn ttin_and_ttou_change_their_number(engine: Engine) {
    let program = start(engine, &["-w", "1", "--master"]);
    let addr = program.wait_for_addr();
    let first = pids(addr, 1, &none());
    program.signal(Signal::TTIN);
    let both = pids(addr, 2, &none());
    assert!(both.is_superset(&first));
    let count = |wanted: usize| {
        let what = format!("{wanted} processes");
        until(&what, || children(program.id()).len() == wanted);
    };
    program.signal(Signal::TTOU);
    count(1);
    // One is the least.
    program.signal(Signal::TTOU);
    until("one to be the least", || {
        let said = program.lines_so_far();
        let one = |line: &&String| line.contains("to serve from now on: 1 process");
        said.iter().filter(one).count() == 2
    });
    program.signal(Signal::TTIN);
    count(2);
    // None accepts any more, until HUP comes.
    program.signal(Signal::WINCH);
    count(0);
    let mut waits = Client::connect(addr);
    waits.send(get_close("/hello"));
    program.signal(Signal::HUP);
    assert_eq!(waits.reply().text(), "Hello\n");
    assert_eq!(stop(program).code, Some(0));
}

fn term_lets_requests_finish_and_int_does_not(engine: Engine) {
    for (sent, code, finishes) in [(Signal::TERM, 0, true), (Signal::INT, 1, false)] {
        let program = start(engine, &["-w", "2"]);
        let mut client = Client::connect(program.wait_for_addr());
        let head = "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\nbef";
        client.send(head);
        assert_eq!(client.head().status, 200);
        assert_eq!(client.chunk(), "bef");
        program.signal(sent);
        program.wait_for_line("stopping (2 processes)");
        if finishes {
            client.send("ore");
            assert_eq!(client.chunk(), "ore");
            assert_eq!(client.chunk(), "");
            client.end();
        } else {
            client.is_cut_short();
        }
        let ended = program.wait();
        assert_eq!(ended.code, Some(code), "{ended:?}");
    }
}

/// What the page shows for a sample.
fn sample(page: &str, name: &str) -> Option<f64> {
    let value = |line: &str| line.strip_prefix(name)?.trim().parse().ok();
    page.lines().find_map(value)
}

fn numbers_are_those_of_all_processes(engine: Engine) {
    let program = start(engine, &["-w", "2", "--metrics-bind", "127.0.0.1:0"]);
    let addr = program.wait_for_addr();
    let metrics = program.wait_for_metrics_addr();
    let page = |path: &str| Client::connect(metrics).send(get(path)).reply();
    let answered = |page: &str| sample(page, "greenway_requests_total{code=\"404\",class=\"4xx\"}");
    for _ in 0..20 {
        Client::connect(addr).send(get_close("/nowhere")).reply();
    }
    until("all to be counted", || {
        answered(&page("/metrics").text()) == Some(20.0)
    });
    let all = page("/metrics").text();
    for (name, value) in [
        ("greenway_processes{state=\"serving\"}", 2.0),
        ("greenway_processes_wanted", 2.0),
        ("greenway_processes_silent", 0.0),
    ] {
        assert_eq!(sample(&all, name), Some(value), "{name}: {all}");
    }
    for number in [1, 2] {
        let name = format!("greenway_uptime_seconds{{process=\"{number}\"}}");
        assert!(sample(&all, &name).is_some(), "{name}: {all}");
    }
    assert!(page("/threads").text().contains("process 2 (pid "));
    assert_eq!(page("/healthz").status(), 200);
    assert_eq!(page("/readyz").status(), 200);
    assert_eq!(page("/elsewhere").status(), 404);
    // What those have counted that are replaced is not lost.
    let before = pids(addr, 2, &none());
    program.signal(Signal::HUP);
    pids(addr, 2, &before);
    until_gone(&before);
    until("the numbers of those that are gone", || {
        answered(&page("/metrics").text()) == Some(20.0)
    });
    stop(program);
}

fn usr2_puts_another_master_in_the_place_of_the_first(engine: Engine) {
    let folder = Folder::new(&format!("usr2-{}", engine.name()));
    let (file, second) = (folder.path("app.pid"), folder.path("app.pid.2"));
    let in_file = |path: &Path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.trim().parse::<u32>().ok()
    };
    let program = start(engine, &["-w", "2", "--pid", file.to_str().unwrap()]);
    let addr = program.wait_for_addr();
    assert_eq!(in_file(&file), Some(program.id()));
    let before = pids(addr, 2, &none());
    program.signal(Signal::USR2);
    program.wait_for_line("the new master serves");
    let next = in_file(&second).expect("the new master has a file of its own");
    assert_eq!(in_file(&file), Some(program.id()));
    let after = pids(addr, 2, &before);
    until_children(next, &after);
    // Connections that wait in the queue are served by whoever is left.
    program.signal(Signal::TERM);
    until_gone(&before);
    assert_eq!(pids(addr, 2, &none()), after);
    until("the file to have its place", || {
        in_file(&file) == Some(next)
    });
    assert!(!second.exists());
    // Not its last lines: the other master has the same standard error.
    assert_eq!(program.wait_code(), Some(0));
    signal(next, Signal::TERM);
    until_gone(&after);
    until_gone(&BTreeSet::from([next]));
    assert!(!file.exists());
}

#[test]
fn a_websocket_is_told_of_a_restart() {
    let program = start(Engine::Green, &["-w", "2"]);
    let addr = program.wait_for_addr();
    let mut socket = RawSocket::connect(addr, "/websocket");
    socket.text("hi");
    assert_eq!(socket.next_text(), "hi");
    program.signal(Signal::HUP);
    socket.next_close(1012);
    socket.close(1012);
    socket.end();
    stop(program);
}

#[test]
fn a_start_that_fails_is_one_failure() {
    let args = ["-w", "2", "--access-logfile", "/nowhere/at/all"];
    let ended = start(Engine::Green, &args).wait();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let why = |line: &&String| line.contains("cannot open the access log");
    assert!(ended.stderr.iter().any(|line| why(&line)), "{ended:?}");
    let ended = start(Engine::MiniHttp, &["-w", "2"]).wait();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr[0].contains("one process alone"), "{ended:?}");
    let ended = start(Engine::Green, &["-w", "2", "--user", "nobody-of-this-name"]).wait();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr[0].contains("nobody-of-this-name"), "{ended:?}");
    let ended = start(Engine::Green, &["--daemon"]).wait();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr[0].contains("foreground"), "{ended:?}");
}

#[test]
fn processes_serve_as_another_user() {
    if !rustix::process::geteuid().is_root() {
        return; // nobody else may become somebody
    }
    let folder = Folder::new("user");
    let (socket, log) = (folder.path("app.sock"), folder.path("access.log"));
    let [socket, log] = [&socket, &log].map(|path| path.to_str().unwrap());
    let unix = format!("unix:{socket}");
    let args = [
        "--user", "65534", "--group", "65533", "--umask", "0007", "--bind", &unix,
    ];
    let program = start(
        Engine::Green,
        &[&args[..], &["--access-logfile", log]].concat(),
    );
    let addr = program.wait_for_addr();
    let pid = ask_pid(addr);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap();
    assert_eq!(line("Uid:"), "Uid:\t65534\t65534\t65534\t65534");
    assert_eq!(line("Gid:"), "Gid:\t65533\t65533\t65533\t65533");
    assert_eq!(line("Groups:").trim(), "Groups:");
    assert_eq!(line("Umask:"), "Umask:\t0007");
    let file = fs::metadata(socket).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!(
        (file.uid(), file.gid(), file.mode() & 0o777),
        (65534, 65533, 0o770)
    );
    until("the line of the request", || {
        fs::read_to_string(log).unwrap().contains("GET /pid")
    });
    stop(program);
    assert!(!Path::new(socket).exists());
}

/// One process alone is as it always was: no master, and HUP opens the logs anew.
#[test]
fn one_process_has_no_master() {
    let folder = Folder::new("one");
    let file = folder.path("app.pid");
    let program = start(Engine::Green, &["--pid", file.to_str().unwrap()]);
    let addr = program.wait_for_addr();
    assert_eq!(ask_pid(addr), program.id());
    let in_file = fs::read_to_string(&file).unwrap();
    assert_eq!(in_file.trim(), program.id().to_string());
    program.signal(Signal::HUP);
    program.wait_for_line("the logs are opened anew");
    assert_eq!(ask_pid(addr), program.id());
    let again = start(Engine::Green, &["--pid", file.to_str().unwrap()]).wait();
    assert_eq!(again.code, Some(1));
    assert!(again.stderr[0].contains("runs already"), "{again:?}");
    stop(program);
    assert!(!file.exists());
}

#[test]
fn a_process_that_ends_itself_is_replaced() {
    let program = start(Engine::Green, &["-w", "2"]);
    let addr = program.wait_for_addr();
    let before = pids(addr, 2, &none());
    let one = *before.first().unwrap();
    signal(one, Signal::TERM);
    until_gone(&BTreeSet::from([one]));
    let after = pids(addr, 2, &BTreeSet::from([one]));
    until_children(program.id(), &after);
    stop(program);
}

/// A client is sent away only if no process has room for it.
#[test]
fn a_full_process_leaves_clients_to_the_others() {
    let args = [
        "-w",
        "2",
        "--worker-connections",
        "3",
        "--keep-alive",
        "600",
    ];
    let program = start(Engine::Green, &args);
    let addr = program.wait_for_addr();
    // All are let in, wherever the kernel has offered them first. None is idle, as that would make
    // room for others.
    let upload = || {
        let mut client = Client::connect(addr);
        client.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\nbef");
        (client.head().status, client)
    };
    let mut clients = Vec::new();
    for _ in 0..6 {
        let (status, client) = upload();
        assert_eq!(status, 200);
        clients.push(client);
    }
    assert_eq!(upload().0, 503);
    drop(clients.pop());
    until("room for one more", || upload().0 == 200);
    drop(clients);
    stop(program);
}

/// As the first process of a container, a master reaps whoever comes to it.
#[test]
fn a_master_that_is_process_1_reaps_orphans() {
    let alone = ["-p", "-f", "--mount-proc", "--kill-child"];
    let may = Command::new("unshare").args(alone).arg("true").output();
    if !may.is_ok_and(|output| output.status.success()) {
        return; // not in every container
    }
    let mut command = Command::new("unshare");
    command
        .args(alone)
        .arg(PROGRAM)
        .args(["-w", "2", "--bind", "127.0.0.1:0", "--cores", "1"]);
    let program = Program::start_command(&mut command);
    let addr = program.wait_for_addr();
    let reply = Client::connect(addr).send(get_close("/orphan")).reply();
    let orphan = reply.text().trim().to_owned();
    until("the orphan to be reaped", || {
        let path = format!("/exists/{orphan}");
        Client::connect(addr).send(get_close(&path)).reply().text() == "false"
    });
    program.signal(Signal::KILL);
}
