//! Law 2: a green thread never changes its OS thread. The stress itself is the program
//! `migration`, since a process has one number of workers.

use greenway_tests::Program;

#[track_caller]
fn nobody_moves(workers: &str) {
    let ended = Program::start(env!("CARGO_BIN_EXE_migration"), &[workers]).wait();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let line = ended
        .stdout
        .last()
        .expect("it says how many waits it has seen");
    let waits: u64 = line
        .split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .expect("the line starts with them");
    assert!(line.ends_with(" 0 changes of OS thread"), "{line}");
    // 5,000 threads with 36 waits each, and 400 connections with 60 each: all of them were looked at.
    assert!(waits >= 5_000 * 36 + 400 * 60, "{line}");
}

#[test]
fn with_one_worker() {
    nobody_moves("1");
}

#[test]
fn with_two_workers() {
    nobody_moves("2");
}

#[test]
fn with_four_workers() {
    nobody_moves("4");
}
