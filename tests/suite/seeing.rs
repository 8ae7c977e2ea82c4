//! What an operator sees of handlers that hold up their worker, of those that wait, and of one
//! that has used up its stack. Programs in processes of their own: the settings are one for each.

use greenway_tests::request::get_close;
use greenway_tests::{Ended, Program, Reply, Signal, until};
use std::time::Duration;

fn program(args: &[&str]) -> Program {
    let common = ["--bind", "127.0.0.1:0", "--cores", "2"];
    Program::start(env!("CARGO_BIN_EXE_seeing"), &[&common[..], args].concat())
}

fn get(program: &Program, path: &str) -> Reply {
    program.connect().send(get_close(path)).reply()
}

/// What a program that was started with `--metrics-bind` tells its operator.
fn operator(program: &Program, path: &str) -> String {
    let line = program.wait_for_line("metrics on http://");
    let (_, rest) = line
        .split_once("metrics on http://")
        .expect("waited for it");
    let addr = rest.split('/').next().expect("there is a first piece");
    let mut client = greenway_tests::Client::connect(addr.parse().expect("an address"));
    client.send(get_close(path)).reply().text()
}

/// The program's lines so far that hold `text`.
fn lines(program: &Program, text: &str) -> Vec<String> {
    let lines = program.lines_so_far();
    lines
        .into_iter()
        .filter(|line| line.contains(text))
        .collect()
}

const HELD_UP: &str = "has held up worker";

#[test]
fn a_handler_that_computes_is_reported_with_its_route_and_stack() {
    let program = program(&["--max-blocking-time", "0.1"]);
    assert_eq!(get(&program, "/sleep/300").status(), 200);
    assert_eq!(lines(&program, HELD_UP), [""; 0], "it only sleeps");
    assert_eq!(get(&program, "/compute/300").status(), 200);
    let line = program.wait_for_line(HELD_UP);
    assert!(line.contains("WARN"), "{line}");
    let request =
        "busy with \"GET /compute/300 HTTP/1.1\" (route /compute/<ms:int>) for 127.0.0.1:";
    assert!(line.contains(request), "{line}");
    let frame = program.wait_for_line("computes_without_a_wait");
    assert!(
        frame.trim_start().split(':').next().unwrap().len() == 1,
        "near the top: {frame}"
    );

    // The same route once a minute, another one at once.
    for _ in 0..3 {
        assert_eq!(get(&program, "/compute/200").status(), 200);
    }
    assert_eq!(get(&program, "/recurse/nowhere").status(), 404);
    assert_eq!(
        lines(&program, HELD_UP).len(),
        1,
        "{:?}",
        lines(&program, HELD_UP)
    );
}

#[test]
fn nobody_is_watched_without_a_bound_nor_on_the_threads_engine() {
    for args in [
        &["--max-blocking-time", "0"][..],
        &["--max-blocking-time", "0.05", "--engine", "threads"],
    ] {
        let program = program(args);
        assert_eq!(get(&program, "/compute/300").status(), 200);
        assert_eq!(lines(&program, HELD_UP), [""; 0]);
    }
}

#[test]
fn a_process_that_was_stopped_has_held_up_nobody() {
    // The monitor looks four times within the bound: once or twice before the stop, and at once
    // after it. Then it takes the pause for two looks at most; in truth it was more than the bound.
    let (bound, look) = (Duration::from_secs(3), Duration::from_millis(750));
    let program = program(&["--max-blocking-time", "3", "--metrics-bind", "127.0.0.1:0"]);
    let mut client = program.connect();
    client.send(get_close("/stopped"));
    program.wait_for_line("computes until it is stopped");
    std::thread::sleep(look * 5 / 4);
    program.signal(Signal::STOP);
    std::thread::sleep(bound + look / 4);
    program.signal(Signal::CONT);
    assert_eq!(client.reply().text(), "true");
    // Counted at the look; a report is written later.
    let metrics = operator(&program, "/metrics");
    let held = |line: &&str| line.starts_with("greenway_worker_held_up_total{");
    let held: Vec<_> = metrics.lines().filter(held).collect();
    assert_eq!(held.len(), 2, "{metrics}");
    assert!(held.iter().all(|line| line.ends_with(" 0")), "{held:?}");
}

#[test]
fn usr2_shows_what_everyone_does() {
    let program = program(&[
        "--max-blocking-time",
        "0.05",
        "--metrics-bind",
        "127.0.0.1:0",
    ]);
    let mut sleepers: Vec<_> = (0..5).map(|_| program.connect()).collect();
    for sleeper in &mut sleepers {
        sleeper.send(get_close("/sleep/20000"));
    }
    // Not before all five are there: what is shown is the present.
    let threads = |path: &str| operator(&program, path);
    until("five sleepers in /threads", || {
        threads("/threads").contains("GET /sleep/<ms:int>: sleep\n")
            && threads("/threads").lines().any(|line| {
                line.trim_start().starts_with("5 ") && line.contains("GET /sleep/<ms:int>: sleep")
            })
    });
    let all = threads("/threads?all");
    let one = |line: &&str| line.contains("busy with \"GET /sleep/20000 HTTP/1.1\"");
    assert_eq!(all.lines().filter(one).count(), 5, "{all}");

    // A worker that is held up is shown, and by whom, while it is.
    let mut hog = program.connect();
    hog.send(get_close("/compute/3000"));
    until("a worker that is held up", || {
        threads("/threads")
            .lines()
            .any(|line| line.contains("IS HELD UP for") && line.contains("GET /compute/3000"))
    });
    program.signal(Signal::USR2);
    let line = program.wait_for_line("what everyone does: ");
    assert!(
        line.contains("WARN") && line.contains("green threads on 2 workers"),
        "{line}"
    );
    let line = program.wait_for_line("GET /sleep/<ms:int>: sleep");
    assert!(line.trim_start().starts_with("5 "), "{line}");
    let metrics = threads("/metrics");
    let held =
        |line: &str| line.starts_with("greenway_worker_held_up_total{") && !line.ends_with(" 0");
    assert!(metrics.lines().any(held), "{metrics}");
}

#[test]
fn threads_of_the_pool_are_shown_as_well() {
    let program = program(&[
        "--engine",
        "threads",
        "--threads",
        "3",
        "--metrics-bind",
        "127.0.0.1:0",
    ]);
    let mut client = program.connect();
    client.send(get_close("/sleep/20000"));
    until("a sleeper of the pool", || {
        let text = operator(&program, "/threads");
        text.lines().any(|line| {
            line.starts_with("greenway-pool-")
                && line.contains(": sleep for ")
                && line.contains("/sleep/20000")
        })
    });
}

#[test]
fn stacks_are_measured_by_route() {
    let program = program(&["--stack-marks", "--stack-size", "1048576"]);
    for path in ["/deep/1", "/deep/300", "/sleep/1"] {
        assert_eq!(get(&program, path).status(), 200);
    }
    program.signal(Signal::USR2);
    let used = |route: &str| -> u64 {
        let line = program.wait_for_line(&format!(" of 1024 KiB  {route} ("));
        line.trim_start()
            .split(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    };
    let deep = used("GET /deep/<kib:int>");
    assert!((300..900).contains(&deep), "{deep}");
    assert!(used("GET /sleep/<ms:int>") < 100);
    assert_eq!(lines(&program, "of its stack;"), [""; 0]);
    assert_eq!(get(&program, "/deep/780").status(), 200);
    assert_eq!(get(&program, "/deep/780").status(), 200);
    let line = program.wait_for_line("of 1024 KiB of its stack;");
    assert!(line.contains("GET /deep/<kib:int> has used"), "{line}");
}

/// Asks for something that ends the program.
fn end_by(path: &str) -> Ended {
    let program = program(&[]);
    // Nobody answers it, but if it left, its handler would be ended before the program.
    let mut client = program.connect();
    client.send(get_close(path));
    program.wait()
}

const ABRT: i32 = 6;
const SEGV: i32 = 11;

#[test]
fn an_overflow_names_the_green_thread_and_its_route() {
    let kib = if cfg!(debug_assertions) { 1024 } else { 256 };
    for (path, who) in [
        (
            "/recurse",
            "busy with \"GET /recurse HTTP/1.1\" (route /recurse)",
        ),
        ("/recurse/green", "green thread \"digger\" (#"),
    ] {
        let ended = end_by(path);
        assert_eq!(ended.signal, Some(ABRT), "{:?}", ended.stderr);
        let about: Vec<_> = ended
            .stderr
            .iter()
            .filter(|line| line.contains("overflow"))
            .collect();
        let [line] = about[..] else {
            panic!("one message: {:?}", ended.stderr);
        };
        assert!(
            line.contains(&format!("has overflowed its stack of {kib} KiB")),
            "{line}"
        );
        assert!(line.contains(who), "{line}");
        assert!(
            ended
                .stderr
                .iter()
                .any(|line| line.contains("--stack-size BYTES"))
        );
        // An optimised build has the function's name without its path.
        let names = [": recurse", ": seeing::recurse"];
        let frame = |line: &String| names.iter().any(|name| line.contains(name));
        assert!(ended.stderr.iter().any(frame), "{:?}", ended.stderr);
    }
}

#[test]
fn the_overflow_of_an_os_thread_is_stds_own() {
    let ended = end_by("/recurse/thread");
    assert_eq!(ended.signal, Some(ABRT), "{:?}", ended.stderr);
    let stds =
        |line: &String| line.starts_with("thread '") && line.contains("has overflowed its stack");
    assert!(ended.stderr.iter().any(stds), "{:?}", ended.stderr);
    assert!(
        !ended
            .stderr
            .iter()
            .any(|line| line.contains("green thread")),
        "{:?}",
        ended.stderr
    );
}

#[test]
fn another_fault_is_no_overflow() {
    let ended = end_by("/fault");
    assert_eq!(ended.signal, Some(SEGV), "{:?}", ended.stderr);
    assert!(
        !ended.stderr.iter().any(|line| line.contains("overflow")),
        "{:?}",
        ended.stderr
    );
}
