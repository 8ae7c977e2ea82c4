//! The access log's formats, and logs that are opened anew.

use super::Served;
use greenway::{App, Engine, Request, Response};
use greenway_tests::request::{get, with};
use greenway_tests::{Client, Folder, Program, Signal, linted, on_green_and_threads, until};
use std::path::Path;

on_green_and_threads!(
    a_format_of_ones_own,
    lines_as_json,
    logs_are_opened_anew,
    usr1_and_hup_open_the_logs_anew,
    a_stop_writes_all_lines,
    many_panics_are_a_few_lines_and_a_count,
    many_errors_are_a_few_lines_and_a_count,
    a_log_on_a_full_disk_is_an_error_once,
    a_process_that_a_destructor_ends_says_why,
);

const PROGRAM: &str = env!("CARGO_BIN_EXE_longpoll");

/// Waits for a file to have so many lines, and gives them.
#[track_caller]
fn lines(path: &Path, count: usize) -> Vec<String> {
    let read = || std::fs::read_to_string(path).unwrap_or_default();
    until(&format!("{count} lines in {}", path.display()), || {
        read().lines().count() >= count
    });
    let lines: Vec<_> = read().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), count, "{lines:?}");
    lines
}

fn a_format_of_ones_own(engine: Engine) {
    let folder = Folder::new(&format!("format-{}", engine.name()));
    let log = folder.path("access.log");
    let app = |_: Request| Response::new("12345").with_header("X-Thing", "a\"b");
    let server = linted(app)
        .engine(engine)
        .access_log(log.to_str().expect("the name is ours"))
        .access_log_format("%(m)s|%(U)s|%(q)s|%(H)s|%(s)s|%(B)s|%({x-id}i)s|%({x-thing}o)s|%({content-length}o)s|%({PATH_INFO}e)s");
    let served = Served::on_port(server);
    let fields = "X-Id: 7\r\nConnection: close\r\n";
    assert_eq!(
        served.ask(with("GET", "/a%20b?c=d", fields, "")).status(),
        200
    );
    assert_eq!(
        lines(&log, 1),
        ["GET|/a%20b|c=d|HTTP/1.1|200|5|7|a\\\"b|5|/a b"]
    );
}

fn lines_as_json(engine: Engine) {
    let folder = Folder::new(&format!("json-{}", engine.name()));
    let log = folder.path("access.log");
    let server = linted(App::new())
        .engine(engine)
        .access_log(log.to_str().expect("the name is ours"))
        .access_log_format("json");
    let served = Served::on_port(server);
    let fields = "User-Agent: \"\u{e9}\\\r\nConnection: close\r\n";
    assert_eq!(
        served.ask(with("GET", "/nowhere?a", fields, "")).status(),
        404
    );
    let line = &lines(&log, 1)[0];
    let value: serde_json::Value =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!(value["status"], 404);
    assert_eq!(value["target"], "/nowhere?a");
    assert_eq!(value["remote_addr"], "127.0.0.1");
    assert_eq!(value["user_agent"], "\"\u{e9}\\");
    assert!(value["duration_us"].is_u64(), "{line}");
}

fn logs_are_opened_anew(engine: Engine) {
    let folder = Folder::new(&format!("reopen-{}", engine.name()));
    let (log, moved) = (folder.path("access.log"), folder.path("access.log.1"));
    let server = linted(|_: Request| "")
        .engine(engine)
        .access_log(log.to_str().expect("the name is ours"))
        .access_log_format("%(U)s");
    let served = Served::on_port(server);
    served.get("/first");
    lines(&log, 1);
    std::fs::rename(&log, &moved).expect("it is there");
    served.get("/second");
    lines(&moved, 2); // nobody has told the server
    served.0.reopen_logs();
    served.get("/third");
    assert_eq!(lines(&log, 1), ["/third"]);
    assert_eq!(lines(&moved, 2), ["/first", "/second"]);
}

fn usr1_and_hup_open_the_logs_anew(engine: Engine) {
    for (signal, name) in [(Signal::USR1, "usr1"), (Signal::HUP, "hup")] {
        let folder = Folder::new(&format!("{name}-{}", engine.name()));
        let (access, error) = (folder.path("access.log"), folder.path("error.log"));
        let path = |path: &Path| path.to_str().expect("the name is ours").to_owned();
        let program = Program::start(
            PROGRAM,
            &[
                &[
                    "--bind",
                    "127.0.0.1:0",
                    "--engine",
                    engine.name(),
                    "--access-logformat",
                    "%(U)s",
                ][..],
                &[
                    "--access-logfile",
                    &path(&access),
                    "--error-logfile",
                    &path(&error),
                ],
            ]
            .concat(),
        );
        let mut client = program.connect();
        assert_eq!(client.send(get("/hello")).reply().status(), 200);
        lines(&access, 1);
        for log in [&access, &error] {
            std::fs::rename(log, log.with_extension("1")).expect("it is there");
        }
        program.signal(signal);
        // The last thing that is done, in the log that is new.
        // HUP says besides that the program is the same: there is no master to replace it.
        let said = if signal == Signal::HUP { 2 } else { 1 };
        assert!(lines(&error, said)[0].contains("opened anew"));
        assert_eq!(client.send(get("/hello?again")).reply().status(), 200);
        assert_eq!(lines(&access, 1), ["/hello"]);
        program.signal(Signal::TERM);
        assert_eq!(program.wait().code, Some(0));
    }
}

/// A program may end as soon as its server has stopped.
fn a_stop_writes_all_lines(engine: Engine) {
    let folder = Folder::new(&format!("all-{}", engine.name()));
    let log = folder.path("access.log");
    let server = linted(|_: Request| "")
        .engine(engine)
        .access_log(log.to_str().expect("the name is ours"))
        .access_log_format("%(U)s");
    let served = Served::on_port(server);
    let mut client = served.connect();
    client.send(get("/").repeat(1000));
    for _ in 0..1000 {
        client.reply();
    }
    served.0.stop();
    let text = std::fs::read_to_string(&log).expect("it was opened");
    assert_eq!(text.lines().count(), 1000);
}

#[test]
fn a_bad_format_is_told() {
    let ended = Program::start(PROGRAM, &["--access-logformat", "%(nonsense)s"]).wait();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.concat().contains("nonsense"), "{ended:?}");
    let error = linted(|_: Request| "")
        .access_log_format("%")
        .start()
        .expect_err("it is no format");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

fn many_panics_are_a_few_lines_and_a_count(engine: Engine) {
    let args = ["--bind", "127.0.0.1:0", "--metrics-bind", "127.0.0.1:0"];
    let program = Program::start(PROGRAM, &[&args[..], &["--engine", engine.name()]].concat());
    let metrics = program.wait_for_line("metrics on http://");
    let metrics = metrics.split("metrics on http://").nth(1);
    let metrics = metrics.and_then(|rest| rest.split('/').next());
    let metrics = metrics.and_then(|addr| addr.parse().ok());
    let metrics = metrics.expect("the line names the address");
    let mut client = program.connect();
    for n in 0..200 {
        let reply = client.send(get(&format!("/fail/{n}"))).reply();
        assert_eq!(reply.status(), 500);
    }
    let numbers = Client::connect(metrics).send(get("/metrics")).reply();
    let panics = "\ngreenway_handler_panics_total 200\n";
    assert!(numbers.text().contains(panics), "{}", numbers.text());
    if engine == Engine::Green {
        program.wait_for_line("not shown, "); // when the ten seconds are over
    }
    program.signal(Signal::TERM);
    let ended = program.wait();
    assert_eq!(ended.code, Some(0));
    let shown = few_and_a_count(
        &ended.stderr,
        "the handler panicked: ",
        "panics of GET /fail/<n>",
        200,
    );
    let first = &shown[0];
    assert!(
        first.contains("GET /fail/0 HTTP/1.1: the handler panicked"),
        "{first}"
    );
    assert!(with_text(&ended.stderr, "failure 0").len() == 1, "message");
    assert!(
        with_text(&ended.stderr, "longpoll.rs").len() >= 10,
        "where it was"
    );
}

fn many_errors_are_a_few_lines_and_a_count(engine: Engine) {
    let args = ["--bind", "127.0.0.1:0", "--engine", engine.name()];
    let program = Program::start(PROGRAM, &args);
    let mut client = program.connect();
    for n in 0..100 {
        let reply = client.send(get(&format!("/error/{n}"))).reply();
        assert_eq!(reply.text(), "502 Bad Gateway: try later\n");
    }
    program.signal(Signal::TERM);
    let ended = program.wait();
    assert_eq!(ended.code, Some(0));
    let kind = "server errors of GET /error/<n>";
    let shown = few_and_a_count(&ended.stderr, "try later: cause ", kind, 100);
    let whole = "GET /error/0 HTTP/1.1: 502 Bad Gateway: try later: cause 0";
    assert!(shown[0].ends_with(whole), "{}", shown[0]);
}

fn with_text<'a>(lines: &'a [String], text: &str) -> Vec<&'a String> {
    lines.iter().filter(|line| line.contains(text)).collect()
}

/// Of so many complaints, few were shown, and the others of the kind were counted. Gives those
/// that were shown.
#[track_caller]
fn few_and_a_count<'a>(
    lines: &'a [String],
    text: &str,
    kind: &str,
    complaints: usize,
) -> Vec<&'a String> {
    let shown = with_text(lines, text);
    // A machine that needs longer than ten seconds for them shows ten for each ten seconds.
    assert!(
        shown.len() >= 10 && shown.len().is_multiple_of(10),
        "{shown:?}"
    );
    assert!(shown.len() <= complaints / 2, "{shown:?}");
    let count = |line: &String| -> Option<usize> {
        let (_, rest) = line.split_once("not shown, ")?;
        let rest = rest.strip_suffix(kind)?;
        rest.strip_suffix(" more: ")?.parse().ok()
    };
    let counts = with_text(lines, "not shown, ");
    let unsaid: usize = counts.iter().map(|line| count(line).expect(line)).sum();
    assert_eq!(shown.len() + unsaid, complaints);
    shown
}

fn a_log_on_a_full_disk_is_an_error_once(engine: Engine) {
    let args = ["--bind", "127.0.0.1:0", "--access-logfile", "/dev/full"];
    let program = Program::start(PROGRAM, &[&args[..], &["--engine", engine.name()]].concat());
    let mut client = program.connect();
    for _ in 0..3 {
        assert_eq!(client.send(get("/hello")).reply().status(), 200);
    }
    program.wait_for_line("the access log cannot be written, lines are lost: ");
    program.signal(Signal::TERM);
    let ended = program.wait();
    assert_eq!(ended.code, Some(0));
    let told = ended
        .stderr
        .iter()
        .filter(|line| line.contains("lines are lost"));
    assert_eq!(told.count(), 1, "{:?}", ended.stderr);
}

/// What a destructor lets out while its handler unwinds cannot be caught. The log tells whose it was, and
/// both panics: the one that it let out, and std's about that.
fn a_process_that_a_destructor_ends_says_why(engine: Engine) {
    let args = ["--bind", "127.0.0.1:0", "--engine", engine.name()];
    let program = Program::start(PROGRAM, &args);
    let mut client = program.connect();
    client.send(get("/drop-unwrap"));
    program.wait_for_line("waits");
    drop(client);
    let ended = program.wait();
    assert_eq!(ended.signal, Some(6), "{ended:?}");
    for text in [
        "GET /drop-unwrap HTTP/1.1",
        "panic in a destructor during cleanup",
        "called `Result::unwrap()` on an `Err` value: TimedOut",
    ] {
        let said = ended.stderr.iter().any(|line| line.contains(text));
        assert!(said, "{text}: {ended:?}");
    }
}
