//! What blocks a worker, and the way out: the second half of docs/src/crates.md.

use greenway_tests::Program;

#[track_caller]
fn assert_becomes(how: &str, what: &str) {
    let ended = Program::start(env!("CARGO_BIN_EXE_holds"), &[how]).wait();
    assert_eq!(ended.stdout, [what], "{how}: {:?}", ended.stderr);
}

/// Each way to block holds up the worker, and does not when it is handed over.
macro_rules! blocking {
    ($($test:ident: $how:literal,)*) => {$(
        #[test]
        fn $test() {
            assert_becomes($how, "others waited");
            assert_becomes(concat!("unblock-", $how), "others ran");
        }
    )*};
}

blocking! {
    a_sleeping_os_thread: "thread-sleep",
    sockets_of_std: "std-net",
    channels_of_std: "mpsc",
    crossbeam_channels: "crossbeam-channel",
    slow_files: "fs",
    long_computations: "compute",
}

#[test]
fn a_long_computation_that_gives_way() {
    assert_becomes("compute-yield", "others ran");
}

#[test]
fn a_queue_fed_by_an_os_thread() {
    assert_becomes("queue", "others ran");
}

#[test]
fn a_mutex_held_over_a_wait() {
    assert_becomes("std-mutex", "stuck");
    assert_becomes("green-lock", "others ran");
}

#[test]
fn an_initialisation_that_waits() {
    assert_becomes("once-lock", "stuck");
}

#[test]
fn a_thread_local_borrowed_over_a_wait() {
    assert_becomes("thread-local-borrow", "panicked: true");
}
