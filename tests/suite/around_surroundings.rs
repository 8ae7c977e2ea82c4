//! What a process may be started with: limits, signals, descriptors, and being alone.

use greenway::Engine;
use greenway_tests::request::{get, get_close};
use greenway_tests::{Client, Folder, Program, Signal, on_green_and_threads, until};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

on_green_and_threads!(
    a_log_that_reaches_the_limit_on_files_ends_nothing,
    too_few_descriptors_are_one_line_and_status_1,
    a_socket_that_was_handed_in_is_not_passed_on,
    children_get_the_limit_that_we_were_started_with,
    a_status_can_be_had_where_sigchld_was_ignored,
    term_works_where_it_was_blocked,
    a_server_needs_no_dev_null,
    too_few_threads_are_one_line_and_status_1,
    a_watch_that_failed_begins_at_the_next_wait,
);

const PROGRAM: &str = env!("CARGO_BIN_EXE_longpoll");

/// The program on a port of its own, started by a line of shell that ends with `"$@"`.
#[track_caller]
fn start(line: &str, engine: Engine, more: &[&str]) -> Program {
    start_with(&mut Command::new("sh"), line, engine, more)
}

#[track_caller]
fn start_with(sh: &mut Command, line: &str, engine: Engine, more: &[&str]) -> Program {
    for name in ["PORT", "RUST_LOG", "GREENWAY_ENGINE", "GREENWAY_CORES"] {
        sh.env_remove(name);
    }
    let args = ["-c", line, "sh", PROGRAM, "--engine", engine.name()];
    Program::start_command(sh.args(args).args(more))
}

const ON_PORT: [&str; 2] = ["--bind", "127.0.0.1:0"];

fn a_log_that_reaches_the_limit_on_files_ends_nothing(engine: Engine) {
    let folder = Folder::new(&format!("fsize-{}", engine.name()));
    let log = folder.path("access.log");
    let log = log.to_str().expect("the name is ours");
    let more = [&ON_PORT[..], &["--access-logfile", log]].concat();
    let program = start("ulimit -f 8; exec \"$@\"", engine, &more);
    let mut client = program.connect();
    for _ in 0..300 {
        assert_eq!(client.send(get("/hello")).reply().status(), 200);
    }
    program.wait_for_line("the access log cannot be written, lines are lost: ");
    program.signal(Signal::TERM);
    assert_eq!(program.wait().code, Some(0));
}

fn too_few_descriptors_are_one_line_and_status_1(engine: Engine) {
    for limit in [10, 12, 16, 20, 30] {
        let line = format!("ulimit -n {limit}; exec \"$@\"");
        let ended = start(&line, engine, &ON_PORT).wait();
        assert_eq!(ended.code, Some(1), "{limit}: {ended:?}");
        assert_eq!(ended.stderr.len(), 1, "{limit}: {ended:?}");
        assert!(ended.stderr[0].contains("descriptors"), "{ended:?}");
    }
}

#[test]
fn address_space_is_in_the_budget() {
    let line = "ulimit -v 700000; exec \"$@\"";
    let program = start(line, Engine::Green, &ON_PORT);
    let said = program.wait_for_line("listening on ");
    let room = said.split("at most ").nth(1).expect(&said);
    let (room, why) = room.split_once(' ').expect(&said);
    assert!(why.contains("(ulimit -v is 700000)"), "{said}");
    let room: usize = room.parse().expect(&said);
    let addr = program.wait_for_addr();
    // Two connections ask whether all are there.
    let clients: Vec<_> = (0..room - 2)
        .map(|_| {
            let mut client = Client::connect(addr);
            client.send(get("/wait"));
            client
        })
        .collect();
    let mut asking = Client::connect(addr);
    let all_wait = format!("/until/{}", clients.len());
    assert_eq!(asking.send(get(&all_wait)).reply().status(), 200);
    let mut last = Client::connect(addr);
    assert_eq!(last.send(get("/hello")).reply().status(), 200);
    let mut one_too_many = Client::connect(addr);
    assert_eq!(one_too_many.reply().status(), 503);
    let news = "POST /publish HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nnews";
    assert_eq!(asking.send(news).reply().status(), 200);
    for mut client in clients {
        assert_eq!(client.reply().text(), "news");
    }
}

#[test]
fn too_little_address_space_is_one_line_and_status_1() {
    let ended = start("ulimit -v 150000; exec \"$@\"", Engine::Green, &ON_PORT).wait();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.stderr.len(), 1, "{ended:?}");
    assert!(ended.stderr[0].contains("address space"), "{ended:?}");
}

fn a_socket_that_was_handed_in_is_not_passed_on(engine: Engine) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port 0 is free");
    let addr = listener.local_addr().expect("it is bound");
    let mut sh = Command::new("sh");
    let pid = {
        let line = "exec 7<&0 </dev/null; exec \"$@\"";
        let program = start_with_stdin(&mut sh, listener.into(), line, engine);
        let mut client = Client::connect(addr);
        let pid = client.send(get("/pid")).reply().text();
        let mut found = 0;
        for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs") {
            let entry = entry.expect("it runs");
            let number = entry.file_name().into_string().expect("a number");
            if number.parse::<i32>().is_ok_and(|number| number <= 2) {
                continue;
            }
            let what = std::fs::read_link(entry.path()).unwrap_or_default();
            if !what.to_string_lossy().starts_with("socket:") {
                continue;
            }
            let info = format!("/proc/{pid}/fdinfo/{number}");
            // What was closed since is not passed on.
            let Ok(info) = std::fs::read_to_string(info) else {
                continue;
            };
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
            let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
            let flags = flags.expect("the kernel tells them");
            assert!(flags & 0o2_000_000 != 0, "descriptor {number} is passed on");
            found += 1;
        }
        assert!(found > 0, "the listener is one of them");
        program.signal(Signal::TERM);
        assert_eq!(program.wait().code, Some(0));
        pid
    };
    assert!(!pid.is_empty());
    assert!(std::net::TcpStream::connect(addr).is_err(), "nobody has it");
}

#[track_caller]
fn start_with_stdin(sh: &mut Command, stdin: OwnedFd, line: &str, engine: Engine) -> Program {
    for name in ["PORT", "RUST_LOG", "GREENWAY_ENGINE", "GREENWAY_CORES"] {
        sh.env_remove(name);
    }
    let args = ["-c", line, "sh", PROGRAM, "--engine", engine.name()];
    sh.args(args).args(["--bind", "fd://7"]);
    Program::start_with_stdin(sh, Stdio::from(stdin))
}

fn children_get_the_limit_that_we_were_started_with(engine: Engine) {
    let program = start("ulimit -Sn 256; exec \"$@\"", engine, &ON_PORT);
    let reply = program.connect().send(get_close("/child-limit")).reply();
    assert_eq!((reply.status(), reply.text().trim()), (200, "256"));
}

fn a_status_can_be_had_where_sigchld_was_ignored(engine: Engine) {
    let program = start("trap '' CHLD; exec \"$@\"", engine, &ON_PORT);
    let reply = program.connect().send(get_close("/child-limit")).reply();
    assert_eq!(reply.status(), 200, "{}", reply.text());
}

fn term_works_where_it_was_blocked(engine: Engine) {
    let line = "exec env --block-signal=TERM --block-signal=INT \"$@\"";
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let program = start(line, engine, &ON_PORT);
        program.wait_for_addr();
        program.signal(signal);
        assert_eq!(program.wait().code, Some(0));
    }
}

/// Whether a command that takes privileges, or a newer tool, works here.
fn works(program: &str, args: &[&str]) -> bool {
    let tried = Command::new(program).args(args).output();
    tried.is_ok_and(|tried| tried.status.success())
}

/// As in a root folder of its own into which nobody has put devices.
fn a_server_needs_no_dev_null(engine: Engine) {
    let hide = "mount -t tmpfs none /dev && test ! -e /dev/null";
    if !works("unshare", &["-m", "sh", "-c", hide]) {
        return; // as somebody who may not
    }
    let line = format!("exec unshare -m sh -c '{hide} && exec \"$@\"' sh \"$@\"");
    let program = start(&line, engine, &ON_PORT);
    let reply = program.connect().send(get_close("/hello")).reply();
    assert_eq!(reply.status(), 200);
    program.signal(Signal::TERM);
    assert_eq!(program.wait().code, Some(0));
}

/// The kernel counts threads by user, and does not limit the first one.
fn too_few_threads_are_one_line_and_status_1(engine: Engine) {
    let somebody = ["--reuid=64123", "--regid=64123", "--clear-groups"];
    let may = [&somebody[..], &["test", "-x", PROGRAM]].concat();
    if !works("setpriv", &may) {
        return; // as somebody who may not, or in a folder that others may not read
    }
    let somebody = somebody.join(" ");
    for threads in [1, 2, 4, 8] {
        let line = format!("exec setpriv {somebody} prlimit --nproc={threads} -- \"$@\"");
        let ended = start(&line, engine, &[&ON_PORT[..], &["--cores", "4"]].concat()).wait();
        assert_eq!(ended.code, Some(1), "{threads}: {ended:?}");
        assert_eq!(ended.stderr.len(), 1, "{threads}: {ended:?}");
        assert!(ended.stderr[0].contains("thread"), "{threads}: {ended:?}");
    }
}

/// One failure must not switch departure detection off: not for the connection, and not for all.
fn a_watch_that_failed_begins_at_the_next_wait(engine: Engine) {
    let program = start("exec \"$@\"", engine, &ON_PORT);
    let mut asking = program.connect();
    let mut client = program.connect();
    for one in [&mut asking, &mut client] {
        assert_eq!(one.send(get("/hello")).reply().status(), 200);
    }
    let before = program.limit_descriptors(3);
    client.send(get("/wait"));
    program.wait_for_line("a client's departure will not be noticed: ");
    program.limit_descriptors(before);
    assert_eq!(asking.send(get("/until/1")).reply().status(), 200);
    let news = "POST /publish HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nnews";
    assert_eq!(asking.send(news).reply().text(), "1");
    assert_eq!(client.reply().text(), "news");
    client.send(get("/wait"));
    assert_eq!(asking.send(get("/until/2")).reply().status(), 200);
    drop(client);
    program.wait_for_line("unwound");
}

/// As in a container without an init.
#[test]
fn pid_1_reaps_orphans() {
    let alone = ["-p", "-f", "--mount-proc", "--kill-child"];
    let may = Command::new("unshare").args(alone).arg("true").output();
    if !may.is_ok_and(|may| may.status.success()) {
        return; // as somebody who may not, or on a machine without
    }
    let line = "exec unshare -p -f --mount-proc --kill-child \"$@\"";
    let program = start(line, Engine::Green, &ON_PORT);
    let mut client = program.connect();
    assert_eq!(client.send(get("/pid")).reply().text(), "1");
    let orphan = client.send(get("/orphan")).reply().text();
    let exists = format!("/exists/{}", orphan.trim());
    until("the orphan to be reaped", || {
        program.connect().send(get_close(&exists)).reply().text() == "false"
    });
}
