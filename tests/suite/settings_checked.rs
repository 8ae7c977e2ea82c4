//! What is found out before a server is started: by `--check-config`, and from flags that are almost
//! right.

use super::processes::{Folder, PROGRAM};
use greenway_tests::tls::Certificates;
use greenway_tests::{Ended, Program};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

fn run(args: &[&str]) -> Ended {
    Program::start(PROGRAM, args).wait()
}

fn check(args: &[&str]) -> Ended {
    run(&[args, &["--check-config"]].concat())
}

#[track_caller]
fn assert_refused(ended: &Ended, code: i32, part: &str) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert_eq!(ended.stderr.len(), 1, "{ended:?}");
    assert!(ended.stderr[0].contains(part), "{part}: {ended:?}");
}

#[test]
fn what_a_start_would_lack_is_found_and_nothing_is_created() {
    let folder = Folder::new("checked");
    let path = |name: &str| folder.path(name).display().to_string();
    fs::create_dir(path("folder")).expect("it is ours");
    let missing = path("missing/x");
    for (args, part) in [
        (["--user", "nobody-of-this-name"], "there is no user"),
        (["--group", "nobody-of-this-name"], "there is no group"),
        (["--pid", &missing], "there is no folder"),
        (["--pid", &path("folder")], "this is a folder"),
        (["--error-logfile", &missing], "there is no folder"),
        (["--access-logfile", &missing], "there is no folder"),
        (["--access-logfile", &path("folder")], "this is a folder"),
    ] {
        assert_refused(&check(&args), 1, part);
    }
    let (pid, access, error) = (path("a.pid"), path("access.log"), path("error.log"));
    let files = [
        "--pid",
        &pid,
        "--access-logfile",
        &access,
        "--error-logfile",
        &error,
    ];
    let right = check(&files);
    assert_eq!(right.code, Some(0), "{right:?}");
    let left: Vec<_> = fs::read_dir(folder.path("")).expect("it is ours").collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

/// Root checks what another user will be able to do.
#[test]
fn files_are_looked_at_as_the_user_who_is_to_have_them() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: it takes root to be somebody else");
        return;
    }
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    for path in [&files.cert, &files.key] {
        fs::set_permissions(path, Permissions::from_mode(0o600)).expect("it is ours");
    }
    let user = ["--user", "65534", "--group", "65533"];
    let tls = ["--certfile", &files.cert, "--keyfile", &files.key];
    let with_tls = [&user[..], &tls].concat();
    let refused = check(&with_tls);
    assert_refused(&refused, 1, "may not read it (permission denied)");
    assert!(refused.stderr[0].contains("LoadCredential="), "{refused:?}");
    fs::set_permissions(&files.cert, Permissions::from_mode(0o644)).expect("it is ours");
    assert_refused(&check(&with_tls), 1, &files.key);
    // As the message says.
    chown(&files.key, None, Some(65533)).expect("we are root");
    fs::set_permissions(&files.key, Permissions::from_mode(0o640)).expect("it is ours");
    let right = check(&with_tls);
    assert_eq!(right.code, Some(0), "{right:?}");
    // The master creates logs where the user cannot, but the user has to get there.
    let folder = Folder::new("checked-user");
    let log = folder.path("access.log").display().to_string();
    let with_log = [&user[..], &["--access-logfile", &log]].concat();
    assert_eq!(check(&with_log).code, Some(0));
    fs::set_permissions(folder.path(""), Permissions::from_mode(0o700)).expect("it is ours");
    assert_refused(&check(&with_log), 1, "out of bounds");
    // Whoever is nobody becomes nobody else.
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65533", "--clear-groups"]);
    let program = folder.path("app").display().to_string();
    fs::copy(PROGRAM, &program).expect("the folder is ours");
    fs::set_permissions(folder.path(""), Permissions::from_mode(0o755)).expect("it is ours");
    for more in [&["--check-config"][..], &["--bind", "127.0.0.1:0"]] {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65533", "--clear-groups"]);
        command.args([&program, "--user", "root"]).args(more);
        let ended = Program::start_command(&mut command).wait();
        let code = if more[0] == "--bind" { 2 } else { 1 };
        assert_refused(
            &ended,
            code,
            "--user cannot be had: the master has to be started by root",
        );
    }
}

#[test]
fn what_has_no_effect_is_said() {
    let made = Certificates::new();
    let files = made.make("server", &["localhost"]);
    let tls = ["--certfile", &files.cert, "--keyfile", &files.key];
    let roots = made.root();
    let mut command = Command::new(PROGRAM);
    command
        .args(tls)
        .args(["--ca-certs", &roots, "--check-config"]);
    command.env("GREENWAY_KEEPALIVE", "4");
    let ended = Program::start_command(&mut command).wait();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for part in [
        "GREENWAY_KEEPALIVE has no effect",
        "--ca-certs has no effect without --cert-reqs",
        "the settings are right",
    ] {
        let is_there = ended.stderr.iter().any(|line| line.contains(part));
        assert!(is_there, "{part}: {ended:?}");
    }
    let args = ["--bind", "127.0.0.1:0", "--tls-reload", "5", "--reuse-port"];
    let program = Program::start(PROGRAM, &args);
    program.wait_for_line("--tls-reload has no effect without --certfile");
    program.wait_for_line("--reuse-port has no effect: all processes share one socket");
}

#[test]
fn flags_that_are_almost_right_are_guessed() {
    for (flag, part) in [
        ("--workrs", "is --workers meant?"),
        ("--thread", "is --threads meant?"),
        ("--keepalive", "is --keep-alive meant?"),
        ("--accesslog", "is --access-logfile meant?"),
        ("--pidfile", "is --pid meant?"),
        ("--access-log-file", "is --access-logfile meant?"),
        ("--graceful", "is --graceful-timeout meant?"),
        (
            "--max-request",
            "gunicorn's --max-requests has no counterpart: nothing piles up",
        ),
        ("--worker", "is --workers meant?"),
        ("-v", "-V and --version"),
        ("--nothing-like-it", "(--help lists the flags)"),
        ("--xyz", "(--help lists the flags)"),
    ] {
        assert_refused(&run(&[flag]), 2, part);
    }
    for (address, part) in [
        (
            "127.0.0.1:1,127.0.0.1:2",
            "the flag is given once for each address",
        ),
        ("http://127.0.0.1:1", "without http://"),
    ] {
        assert_refused(&run(&["--bind", address]), 2, part);
    }
}
