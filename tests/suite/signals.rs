//! Signals that a program listens to beside its server, and what it does at its end. In processes
//! of their own, since both belong to a process.

use greenway_tests::request::{get, get_close};
use greenway_tests::{Program, Signal, until};

fn start(engine: &str) -> Program {
    let args = ["--bind", "127.0.0.1:0", "--engine", engine];
    Program::start(env!("CARGO_BIN_EXE_signals"), &args)
}

/// The lines that begin so, in their order.
fn lines<'a>(all: &'a [String], begin: &str) -> Vec<&'a str> {
    let mut lines: Vec<_> = all.iter().map(String::as_str).collect();
    lines.retain(|line| line.starts_with(begin));
    lines
}

fn handlers_run_and_the_server_does_its_part(engine: &str) {
    let program = start(engine);
    let seen = || {
        program
            .connect()
            .send(get_close("/seen"))
            .reply()
            .text()
            .to_owned()
    };
    assert_eq!(seen(), "");
    program.signal(Signal::USR2);
    until("the handler has run", || seen() == "USR2");
    program.signal(Signal::USR1);
    until("the handler has run", || seen() == "USR2 USR1");
    program.wait_for_line("the logs are opened anew");
    program.signal(Signal::TERM);
    let ended = program.wait();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let signals = lines(&ended.stdout, "signal");
    assert_eq!(signals, ["signal USR2", "signal USR1", "signal TERM"]);
}

#[test]
fn on_green_threads_handlers_run_and_the_server_does_its_part() {
    handlers_run_and_the_server_does_its_part("green");
}

#[test]
fn on_os_threads_handlers_run_and_the_server_does_its_part() {
    handlers_run_and_the_server_does_its_part("threads");
}

fn functions_are_called_at_exit(engine: &str) {
    let program = start(engine);
    let mut client = program.connect();
    client.send(get("/slow"));
    program.wait_for_output("request: begun");
    program.signal(Signal::TERM);
    assert_eq!(client.reply().text(), "done");
    let ended = program.wait();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let after: Vec<_> = ended
        .stdout
        .iter()
        .skip_while(|line| *line != "request: done")
        .filter(|line| !line.starts_with("signal"))
        .collect();
    assert_eq!(
        after,
        [
            "request: done",
            "exit: last registered",
            "exit: takes too long",
            "collected",
            "exit: first registered",
            "exit: registered at exit",
        ]
    );
    let errors = ended.stderr.join("\n");
    assert!(errors.contains("took longer than 20ms: killed"), "{errors}");
    assert!(errors.contains("as the test wants it"), "{errors}");
    assert!(errors.ends_with("greenway: stopped"), "{errors}");
}

#[test]
fn on_green_threads_functions_are_called_at_exit() {
    functions_are_called_at_exit("green");
}

#[test]
fn on_os_threads_functions_are_called_at_exit() {
    functions_are_called_at_exit("threads");
}
