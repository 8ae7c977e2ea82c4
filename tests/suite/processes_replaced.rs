//! What a program is replaced by when its file changes: by what serves, and by nothing else.

use super::processes::{
    PROGRAM, children, none, pids, put, start_program, stop, until_children, until_gone,
};
use greenway::Engine;
use greenway_tests::{Folder, Program, Signal, until};
use std::fs;
use std::process::Command;

/// Nobody replaces what works by what does not.
#[test]
fn a_program_that_does_not_start_replaces_nobody() {
    let folder = Folder::new("broken");
    let path = folder.path("app");
    put(PROGRAM, &path);
    let program = start_program(&path, Engine::Green, &["-w", "2"]);
    let addr = program.wait_for_addr();
    let before = pids(addr, 2, &none());
    let write = |text: &str| {
        let file = folder.path("broken");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::metadata(PROGRAM).unwrap().permissions()).unwrap();
        put(file.to_str().unwrap(), &path);
    };
    let replaced = |times: usize| {
        let said = |line: &String| line.contains("nothing is replaced");
        until("the failure to be said", || {
            program
                .lines_so_far()
                .iter()
                .filter(|line| said(line))
                .count()
                == times
        });
    };
    for (index, broken) in ["#!/bin/sh\nexit 3\n", "no program at all"]
        .iter()
        .enumerate()
    {
        write(broken);
        program.signal(Signal::HUP);
        replaced(index + 1);
        until_children(program.id(), &before);
        assert_eq!(pids(addr, 2, &none()), before);
    }
    put(PROGRAM, &path);
    program.signal(Signal::HUP);
    pids(addr, 2, &before);
    until_gone(&before);
    stop(program);
}

/// What a second HUP finds to be starting is out of date, and what serves is all that there is.
#[test]
fn hup_during_a_replacement_leaves_what_serves() {
    let folder = Folder::new("again");
    let path = folder.path("app");
    put(PROGRAM, &path);
    let program = start_program(&path, Engine::Green, &["--master"]);
    let addr = program.wait_for_addr();
    let first = pids(addr, 1, &none());
    let script = |text: &str| {
        let file = folder.path("script");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::metadata(PROGRAM).unwrap().permissions()).unwrap();
        put(file.to_str().unwrap(), &path);
    };
    script("#!/bin/sh\nexec sleep 1000\n");
    program.signal(Signal::HUP);
    let mut known = first.clone();
    for text in ["#!/bin/sh\nexec sleep 1000\n", "#!/bin/sh\nexit 3\n"] {
        until("another one to start", || {
            let now = children(program.id());
            now.is_superset(&first) && now.len() == 2 && !now.is_subset(&known)
        });
        known.extend(children(program.id()));
        script(text);
        program.signal(Signal::HUP);
    }
    program.wait_for_line("nothing is replaced");
    until_children(program.id(), &first);
    assert_eq!(pids(addr, 1, &none()), first);
    put(PROGRAM, &path);
    program.signal(Signal::HUP);
    pids(addr, 1, &first);
    until_gone(&first);
    stop(program);
}

#[test]
fn a_program_that_never_serves_is_killed_and_said_so() {
    let folder = Folder::new("never");
    let path = folder.path("app");
    put(PROGRAM, &path);
    let program = start_program(
        &path,
        Engine::Green,
        &["-w", "1", "--master", "--boot-timeout", "0.5"],
    );
    let addr = program.wait_for_addr();
    let before = pids(addr, 1, &none());
    let never = folder.path("never");
    fs::write(&never, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    fs::set_permissions(&never, fs::metadata(PROGRAM).unwrap().permissions()).unwrap();
    put(never.to_str().unwrap(), &path);
    program.signal(Signal::HUP);
    program.wait_for_line("nothing is replaced");
    program.wait_for_line("does not serve");
    assert_eq!(pids(addr, 1, &none()), before);
    stop(program);
}

#[test]
fn a_program_that_changes_is_replaced() {
    let folder = Folder::new("reload");
    let path = folder.path("app");
    put(PROGRAM, &path);
    let program = start_program(&path, Engine::Green, &["--reload"]);
    let addr = program.wait_for_addr();
    let before = pids(addr, 1, &none());
    put(PROGRAM, &path);
    pids(addr, 1, &before);
    until_gone(&before);
    stop(program);
}

/// The command makes the program of a source; one that fails leaves it as it is.
#[test]
fn a_source_that_changes_is_built() {
    let folder = Folder::new("build");
    let path = folder.path("app");
    put(PROGRAM, &path);
    let source = folder.path("main.rs");
    fs::write(&source, "good").unwrap();
    let build = format!("grep -q good main.rs && cp {PROGRAM} part && mv part app || false");
    let mut command = Command::new(&path);
    command.current_dir(folder.path(""));
    command.args([
        "--bind",
        "127.0.0.1:0",
        "--cores",
        "1",
        "--reload-build",
        &build,
    ]);
    let program = Program::start_command(&mut command);
    let addr = program.wait_for_addr();
    let before = pids(addr, 1, &none());
    fs::write(&source, "a mistake").unwrap();
    program.wait_for_line("has failed: the program stays as it is");
    assert_eq!(pids(addr, 1, &none()), before);
    fs::write(&source, "good again").unwrap();
    pids(addr, 1, &before);
    stop(program);
}
