//! `--generate`: what shells complete, and the page for `man`, as these read them.

use greenway_tests::{Folder, Program};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_longpoll");

/// What is generated, in a file.
fn generated(folder: &Folder, kind: &str) -> PathBuf {
    let ended = Program::start(PROGRAM, &["--generate", kind]).wait();
    assert_eq!((ended.code, ended.stderr.len()), (Some(0), 0), "{ended:?}");
    let path = folder.path(kind);
    fs::write(&path, ended.stdout.join("\n") + "\n").expect("the folder is ours");
    path
}

/// Runs a program that reads a file, and gives what it prints. It must find nothing to complain of.
#[track_caller]
fn read_by(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("./test installs it");
    let complaints = String::from_utf8_lossy(&stderr);
    assert!(status.success() && complaints.is_empty(), "{complaints}");
    String::from_utf8(stdout).expect("it is text")
}

#[test]
fn bash_completes_flags_and_their_words() {
    let folder = Folder::new("bash");
    let script = generated(&folder, "complete-bash");
    let complete = |words: &str| {
        let count = words.split(' ').count() - 1;
        let line = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={count}
             _longpoll longpoll \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"
             printf '%s ' \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        read_by(Command::new("bash").args(["--norc", "-c", &line]))
    };
    assert_eq!(complete("longpoll --graceful"), "--graceful-timeout ");
    assert_eq!(complete("longpoll --engine thr"), "threads ");
    assert_eq!(complete("longpoll --proxy-protocol v"), "v1 v2 ");
}

#[test]
fn zsh_takes_its_completions() {
    let folder = Folder::new("zsh");
    let script = generated(&folder, "complete-zsh");
    let line = format!(
        "autoload -U compinit && compinit -D && source {} && print $_comps[longpoll]",
        script.display()
    );
    let said = read_by(Command::new("zsh").args(["-f", "-c", &line]));
    assert_eq!(said, "_longpoll\n");
    let text = fs::read_to_string(script).expect("it was written");
    assert!(text.contains("--graceful-timeout=") && text.contains(":(green threads"));
}

#[test]
fn fish_completes_flags_and_their_words() {
    let folder = Folder::new("fish");
    let script = generated(&folder, "complete-fish");
    let complete = |words: &str| {
        let line = format!("source {}; complete -C '{words}'", script.display());
        let mut command = Command::new("fish");
        command.args(["--no-config", "-c", &line]);
        let said = read_by(command.env("HOME", folder.as_ref()));
        let lines = said.lines().map(|line| line.split('\t').next());
        lines.flatten().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete("longpoll --graceful"), ["--graceful-timeout"]);
    assert_eq!(complete("longpoll --engine thr"), ["threads"]);
}

#[test]
fn man_shows_a_page_of_all_flags() {
    let folder = Folder::new("man");
    let page = generated(&folder, "man");
    let mut command = Command::new("groff");
    command
        .args(["-man", "-ww", "-Tutf8", "-P-cbou"])
        .arg(&page);
    let text = read_by(&mut command);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "longpoll(1)",
        "NAME longpoll - A Greenway application",
        "--graceful-timeout",
        "Seconds that requests may go on after TERM, INT or QUIT.",
        "GREENWAY_KEEP_ALIVE",
        "SIGNALS",
        "EXIT STATUS",
    ] {
        // A word at the end of a line may be hyphenated where it has a dash.
        let plain = |text: &str| text.replace(['\u{2010}', '-', ' '], "");
        assert!(plain(&words).contains(&plain(part)), "{part}: {text}");
    }
}

/// An unknown kind is refused as any other value.
#[test]
fn what_cannot_be_generated_is_told() {
    let ended = Program::start(PROGRAM, &["--generate", "complete-tcsh"]).wait();
    assert_eq!((ended.code, ended.stderr.len()), (Some(2), 1), "{ended:?}");
}
