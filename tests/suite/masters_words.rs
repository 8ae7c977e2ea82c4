//! What a master says and does for whoever operates it: at deploys, when settings have changed that it
//! cannot change, when logs are moved away, and when processes are ended by hand.

use super::processes::{
    Folder, PROGRAM, ask_pid, children, pids, signal, start, start_program, stop, until_gone,
};
use greenway::Engine;
use greenway_tests::request::get_close;
use greenway_tests::{Client, Program, Signal, on_green_and_threads, until};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

on_green_and_threads!(
    a_deploy_has_a_last_word,
    logs_may_lie_in_a_folder_of_roots,
    a_process_that_was_told_to_go_has_not_failed,
    a_rollback_is_no_error,
    a_process_that_was_stopped_goes_on_without_a_word,
);

fn none() -> BTreeSet<u32> {
    BTreeSet::new()
}

#[track_caller]
fn assert_nothing_bad(program: &Program) {
    let bad = |line: &String| line.contains("ERROR") || line.contains("WARN");
    let lines = program.lines_so_far();
    assert!(!lines.iter().any(bad), "{lines:?}");
}

fn a_deploy_has_a_last_word(engine: Engine) {
    for (count, said) in [
        ("1", "the process is replaced ("),
        ("2", "all 2 processes are replaced ("),
    ] {
        let program = start(engine, &["-w", count, "--master"]);
        program.wait_for_addr();
        let before = children(program.id());
        program.signal(Signal::HUP);
        let line = program.wait_for_line(said);
        assert!(line.ends_with(" s)"), "{line}");
        until_gone(&before);
        let lines = program.lines_so_far();
        let is_last = |line: &&String| line.contains(said);
        assert_eq!(lines.iter().filter(is_last).count(), 1, "{lines:?}");
        stop(program);
    }
}

#[test]
fn without_a_master_the_program_is_not_replaced_and_that_is_said() {
    let program = start(Engine::Green, &[]);
    program.wait_for_addr();
    program.signal(Signal::HUP);
    program.wait_for_line("the program is not replaced: that takes --master");
}

#[test]
fn a_setting_that_takes_a_stop_is_named() {
    let folder = Folder::new("fixed");
    let (file, pid) = (folder.path("app.toml"), folder.path("app.pid"));
    let write = |bind: &str, more: &str| {
        let text = format!("bind = \"{bind}\"\nworkers = 2\ncores = 1\n{more}");
        fs::write(&file, text).expect("the folder is ours");
    };
    write("127.0.0.1:0", "");
    let args = ["--config", file.to_str().expect("its name is text")];
    let program = Program::start(PROGRAM, &args);
    let addr = program.wait_for_addr();
    let before = children(program.id());
    write("127.0.0.2:0", &format!("pid = {pid:?}\ntimeout = 7\n"));
    program.signal(Signal::HUP);
    let line = program.wait_for_line(" changed, and HUP has no effect on that");
    assert!(
        line.contains("WARN") && line.contains("bind and pid have changed"),
        "{line}"
    );
    until_gone(&before);
    // The others hold all the same, and clients find the old address.
    assert_eq!(pids(addr, 2, &before), children(program.id()));
    program.signal(Signal::USR2);
    program.wait_for_line("bind has changed, and USR2 has no effect on that");
    program.wait_for_line("the new master serves");
    let next = fs::read_to_string(folder.path("app.pid.2")).expect("it was written");
    program.signal(Signal::TERM);
    assert_eq!(program.wait_code(), Some(0));
    let next = next.trim().parse().expect("a number");
    signal(next, Signal::TERM);
    until_gone(&BTreeSet::from([next]));
}

/// logrotate moves files away, and sends USR1. Whoever serves cannot create new ones.
fn logs_may_lie_in_a_folder_of_roots(engine: Engine) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: it takes root to be somebody else");
        return;
    }
    let folder = Folder::new(&format!("logs-{}", engine.name()));
    let [access, error] = ["access.log", "error.log"].map(|name| folder.path(name));
    let [access_log, error_log] = [&access, &error].map(|path| path.to_str().expect("text"));
    let logs = ["--access-logfile", access_log, "--error-logfile", error_log];
    let args = [
        &["-w", "2", "--user", "65534", "--group", "65533"],
        &logs[..],
    ]
    .concat();
    let program = start(engine, &args);
    let addr = program.wait_for_addr();
    let has = |path: &Path, what: &str| fs::read_to_string(path).unwrap_or_default().contains(what);
    let ask = |path: &str| {
        Client::connect(addr).send(get_close(path)).reply();
    };
    for (round, how) in [Signal::USR1, Signal::HUP, Signal::USR1]
        .into_iter()
        .enumerate()
    {
        let before = children(program.id());
        for path in [&access, &error] {
            fs::rename(path, path.with_extension(round.to_string())).expect("we are root");
        }
        program.signal(how);
        if how == Signal::HUP {
            until("all to be replaced", || {
                has(&error, "all 2 processes are replaced")
            });
            until_gone(&before);
        } else {
            until("the logs to be there again", || {
                has(&error, "the logs are opened anew")
            });
        }
        until("lines in the new file", || {
            ask(&format!("/hello?{round}"));
            has(&access, &format!("/hello?{round}"))
        });
        for path in [&access, &error] {
            let file = fs::metadata(path).expect("it is there");
            assert_eq!((file.uid(), file.gid()), (65534, 65533), "{path:?}");
        }
        assert!(!has(&error, "ERROR"), "{:?}", fs::read_to_string(&error));
    }
    stop(program);
}

/// Whoever serves must not be given other files of root's by a link that it has put there.
#[test]
fn what_a_link_leads_to_is_not_given_away() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: it takes root to be somebody else");
        return;
    }
    let folder = Folder::new("links");
    let secret = folder.path("secret");
    fs::write(&secret, "of root").expect("the folder is ours");
    let theirs = folder.path("theirs");
    fs::create_dir(&theirs).expect("the folder is ours");
    std::os::unix::fs::chown(&theirs, Some(65534), None).expect("we are root");
    let log = theirs.join("access.log");
    for link in ["soft", "hard"] {
        match link {
            "soft" => std::os::unix::fs::symlink(&secret, &log).expect("we are root"),
            _ => fs::hard_link(&secret, &log).expect("we are root"),
        }
        let args = [
            "--user",
            "65534",
            "--access-logfile",
            log.to_str().expect("text"),
        ];
        let ended = start(Engine::Green, &args).wait();
        assert_eq!(ended.code, Some(1), "{link}: {ended:?}");
        assert!(ended.stderr[0].contains("cannot give"), "{link}: {ended:?}");
        assert_eq!(fs::metadata(&secret).expect("it is there").uid(), 0);
        fs::remove_file(&log).expect("we are root");
    }
}

fn a_process_that_was_told_to_go_has_not_failed(engine: Engine) {
    let program = start(engine, &["-w", "2"]);
    let addr = program.wait_for_addr();
    let before = pids(addr, 2, &none());
    let one = ask_pid(addr);
    signal(one, Signal::TERM);
    until_gone(&BTreeSet::from([one]));
    program.wait_for_line("another one takes its place");
    until("another one", || {
        let now = children(program.id());
        now.len() == 2 && !now.is_subset(&before)
    });
    assert_nothing_bad(&program);
    stop(program);
}

fn a_rollback_is_no_error(engine: Engine) {
    let folder = Folder::new(&format!("rollback-{}", engine.name()));
    let file = folder.path("app.pid");
    let args = ["-w", "1", "--master", "--pid", file.to_str().expect("text")];
    let program = start_program(Path::new(PROGRAM), engine, &args);
    program.wait_for_addr();
    program.signal(Signal::USR2);
    program.wait_for_line("the new master serves");
    let next = fs::read_to_string(folder.path("app.pid.2")).expect("it was written");
    signal(next.trim().parse().expect("a number"), Signal::TERM);
    program.wait_for_line("the new master ended with status 0: this one goes on");
    assert_nothing_bad(&program);
    stop(program);
}

/// STOP and CONT interrupt the waits of all workers.
fn a_process_that_was_stopped_goes_on_without_a_word(engine: Engine) {
    let program = start(engine, &[]);
    let addr = program.wait_for_addr();
    let stopped = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", program.id()));
        let stat = stat.expect("it runs");
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('T'))
    };
    for _ in 0..3 {
        program.signal(Signal::STOP);
        until("it to be stopped", stopped);
        program.signal(Signal::CONT);
        ask_pid(addr);
    }
    assert_nothing_bad(&program);
}
