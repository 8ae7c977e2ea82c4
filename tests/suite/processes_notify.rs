//! What a service manager is told, and that nobody waits for one that does not listen.

use super::processes::{PROGRAM, signal, until_gone};
use greenway_tests::request::get_close;
use greenway_tests::{Folder, Program, Signal};
use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

/// What is said to a service manager.
#[test]
fn a_service_manager_is_told() {
    for (args, watchdog) in [(&["-w", "2"][..], "1000000"), (&[], "1000000")] {
        let folder = Folder::new(&format!("notify-{}", args.len()));
        let path = folder.path("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager
            .set_read_timeout(Some(greenway_tests::DEADLINE))
            .unwrap();
        let mut command = Command::new(PROGRAM);
        command
            .args(["--bind", "127.0.0.1:0", "--cores", "1"])
            .args(args);
        command
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", watchdog);
        let program = Program::start_command(&mut command);
        let next = |wanted: &str| {
            let mut buffer = [0; 4096];
            loop {
                let n = manager.recv(&mut buffer).expect(wanted);
                let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
                if text.starts_with(wanted) {
                    return text;
                }
            }
        };
        assert!(next("READY=1").contains("STATUS=listening on http://127.0.0.1:"));
        next("WATCHDOG=1");
        next("WATCHDOG=1");
        program.signal(Signal::HUP);
        assert!(next("RELOADING=1").contains("MONOTONIC_USEC="));
        next("READY=1");
        program.signal(Signal::TERM);
        next("STOPPING=1");
        assert_eq!(program.wait().code, Some(0));
    }
}

/// A manager that takes no messages is none that signals and clients wait for.
#[test]
fn a_service_manager_that_does_not_listen_holds_nobody_up() {
    for args in [&["-w", "2"][..], &[]] {
        let folder = Folder::new(&format!("deaf-{}", args.len()));
        let path = folder.path("notify");
        let _manager = UnixDatagram::bind(&path).unwrap();
        let fills = UnixDatagram::unbound().unwrap();
        fills.set_nonblocking(true).unwrap();
        while fills.send_to(b"STATUS=full", &path).is_ok() {}
        let mut command = Command::new(PROGRAM);
        command
            .args(["--bind", "127.0.0.1:0", "--cores", "1"])
            .args(args);
        command.env("NOTIFY_SOCKET", &path);
        let program = Program::start_command(&mut command);
        let reply = program.connect().send(get_close("/hello")).reply();
        assert_eq!(reply.text(), "Hello\n");
        program.signal(Signal::TERM);
        assert_eq!(program.wait().code, Some(0));
    }
}

/// systemd names the process that it has started as the one to say that all is well. After USR2 it is
/// another one.
#[test]
fn the_watchdog_hears_from_a_new_master() {
    let folder = Folder::new("watchdog");
    let path = folder.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", "WATCHDOG_PID=$$ exec \"$0\" \"$@\"", PROGRAM])
        .args(["--bind", "127.0.0.1:0", "--cores", "1", "--master"])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "1000000");
    let program = Program::start_command(&mut command);
    let next = |wanted: &str| {
        let deadline = Some(greenway_tests::DEADLINE);
        manager.set_read_timeout(deadline).unwrap();
        let mut buffer = [0; 4096];
        loop {
            let n = manager.recv(&mut buffer).expect(wanted);
            let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
            if let Some(rest) = text.strip_prefix(wanted) {
                return rest.to_owned();
            }
        }
    };
    next("READY=1");
    next("WATCHDOG=1");
    program.signal(Signal::USR2);
    let number: u32 = next("MAINPID=").parse().unwrap();
    program.signal(Signal::TERM);
    assert_eq!(program.wait_code(), Some(0));
    // What the first one has said is read before. The service goes on, and so does not stop.
    manager.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4096];
    while let Ok(n) = manager.recv(&mut buffer) {
        let said = String::from_utf8_lossy(&buffer[..n]);
        assert!(!said.contains("STOPPING=1"), "{said}");
    }
    manager.set_nonblocking(false).unwrap();
    next("WATCHDOG=1");
    signal(number, Signal::TERM);
    until_gone(&BTreeSet::from([number]));
}
