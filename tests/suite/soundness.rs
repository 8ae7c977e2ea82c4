//! Programs in processes of their own that would break memory if green threads were not sound; and a
//! storm under an allocator that poisons what is freed.

use greenway::Engine;
use greenway_tests::{Program, on_green_and_threads};

/// Runs a case that comes to its end, and gives what it has printed.
#[track_caller]
fn survives(case: &str) -> Vec<String> {
    let ended = Program::start(env!("CARGO_BIN_EXE_sound"), &[case]).wait();
    assert_eq!(ended.code, Some(0), "{case}: {ended:?}");
    ended.stdout
}

/// Runs a case that must end the process, with a message.
#[track_caller]
fn dies(case: &str, message: &str) {
    let ended = Program::start(env!("CARGO_BIN_EXE_sound"), &[case]).wait();
    assert_eq!(ended.signal, Some(6), "{case}: {ended:?}");
    let said = ended.stderr.iter().any(|line| line.contains(message));
    assert!(said, "{case}: {ended:?}");
}

#[test]
fn a_scope_in_a_destructor_of_a_thread_local_waits_for_its_children() {
    assert_eq!(survives("scope-in-destructor")[0], "scope: over");
}

#[test]
fn a_scope_that_begins_while_unwinding_waits_for_its_children() {
    for case in ["scope-while-unwinding", "scope-while-unwinding-deep"] {
        let expected = ["child: all there", "scope: over", "user: true", "end"];
        assert_eq!(survives(case), expected, "{case}");
    }
}

#[test]
fn a_scope_that_cannot_wait_for_its_children_ends_the_process_with_a_message() {
    dies(
        "scope-that-cannot-wait",
        "greenway: a scope was left while its green threads ran, and what they borrow would be gone. \
         Ending the process.",
    );
}

#[test]
fn nothing_is_given_back_while_the_thread_is_on_a_foreign_stack() {
    assert_eq!(survives("foreign-stack")[0], "intact: true");
    assert_eq!(survives("foreign-stack-measured")[0], "intact: true");
}

#[test]
fn a_recursion_that_stacker_does_not_stop_meets_the_guard_page() {
    dies("deep", "has overflowed its stack");
}

#[test]
fn a_wait_that_is_unwrapped_in_a_destructor_ends_the_process_with_a_message() {
    dies(
        "unwrap-in-destructor",
        "panic in a destructor during cleanup",
    );
}

#[test]
fn a_leaked_input_destroys_nobody_and_has_no_clean_end() {
    let said = survives("leaked-input");
    let all = [
        "child: all there",
        "reader: 10 bytes, an error",
        "worker 0: 200 of 200",
        "worker 1: 200 of 200",
    ];
    for line in all {
        assert!(said.iter().any(|said| said == line), "{line}: {said:?}");
    }
}

on_green_and_threads!(a_storm_leaves_nothing_broken);

fn a_storm_leaves_nothing_broken(engine: Engine) {
    let engine = engine.name();
    for seed in ["1", "2"] {
        let ended = Program::start(env!("CARGO_BIN_EXE_storm"), &[seed, "8", engine]).wait();
        assert_eq!(ended.code, Some(0), "{engine}, seed {seed}: {ended:?}");
        let last = ended.stdout.last().map(String::as_str).unwrap_or_default();
        assert!(
            last.starts_with("calm after "),
            "{engine}, seed {seed}: {ended:?}"
        );
    }
}
