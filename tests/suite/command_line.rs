//! `greenway::serve`: flags, environment, messages and exit statuses.

use greenway_tests::request::{get_close, post};
use greenway_tests::{Client, Ended, Program};
use std::net::TcpListener;
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_longpoll");

fn run(args: &[&str]) -> Ended {
    Program::start(PROGRAM, args).wait()
}

/// One clear line, and the status that says whose fault it is.
#[track_caller]
fn assert_one_line(ended: &Ended, code: i32, part: &str) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert_eq!(ended.stderr.len(), 1, "one line: {:#?}", ended.stderr);
    assert!(
        ended.stderr[0].contains(part),
        "{:?} names {part:?}",
        ended.stderr[0]
    );
    assert!(ended.stdout.is_empty(), "{:?}", ended.stdout);
}

#[test]
fn a_bad_flag_is_one_line_and_status_2() {
    assert_one_line(&run(&["--no-such-flag"]), 2, "--no-such-flag");
    assert_one_line(&run(&["--engine", "steam"]), 2, "steam");
    assert_one_line(&run(&["--threads", "0"]), 2, "--threads");
    assert_one_line(&run(&["--threads", "many"]), 2, "--threads");
    assert_one_line(&run(&["--timeout=-1"]), 2, "--timeout");
    assert_one_line(&run(&["--timeout"]), 2, "--timeout");
    assert_one_line(&run(&["surplus"]), 2, "surplus");
    assert_one_line(&run(&["--timeout", "1e30"]), 2, "--timeout");
    assert_one_line(&run(&["--keep-alive", "nan"]), 2, "--keep-alive");
    let fields = ["--limit-request-fields", "1073741825"];
    assert_one_line(&run(&fields), 2, "--limit-request-fields");
}

#[test]
fn a_bad_address_is_one_line_and_status_2() {
    assert_one_line(&run(&["--bind", "nonsense"]), 2, "nonsense");
    assert_one_line(&run(&["--bind", "127.0.0.1:99999"]), 2, "127.0.0.1:99999");
    assert_one_line(&run(&["--bind", "::1:80"]), 2, "[::1]");
    assert_one_line(&run(&["--bind", "unix:"]), 2, "unix:/run/app.sock");
    let metrics = ["--bind", "127.0.0.1:0", "--metrics-bind", "nonsense"];
    assert_one_line(&run(&metrics), 2, "metrics on nonsense");
}

/// What looks up names may be out of order for a while, so the flag need not be wrong.
#[test]
fn a_name_without_address_is_one_line_and_status_1() {
    let ended = run(&["--bind", "nowhere.invalid:80"]);
    assert_one_line(&ended, 1, "\"nowhere.invalid\" cannot be looked up");
    assert_one_line(&ended, 1, "0.0.0.0:80");
}

#[test]
fn a_taken_port_is_one_line_and_status_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for engine in ["green", "threads", "minihttp"] {
        assert_one_line(&run(&["--bind", &addr, "--engine", engine]), 1, &addr);
    }
}

#[test]
fn help_and_version_go_to_the_standard_output() {
    let help = run(&["--help"]);
    assert_eq!((help.code, help.stderr.len()), (Some(0), 0));
    for flag in [
        "--engine",
        "--bind",
        "--cores",
        "--threads",
        "--backlog",
        "--keep-alive",
        "--timeout",
        "--graceful-timeout",
        "--limit-request-line",
        "--limit-request-fields",
        "--limit-request-field-size",
        "--limit-request-body",
        "--stack-size",
        "--access-logfile",
        "--log-level",
    ] {
        assert!(
            help.stdout.iter().any(|line| line.contains(flag)),
            "{flag} is not in --help"
        );
    }
    let version = run(&["--version"]);
    assert_eq!((version.code, version.stdout.len()), (Some(0), 1));
    assert!(
        version.stdout[0].ends_with(greenway::VERSION),
        "{:?}",
        version.stdout
    );
}

#[test]
fn the_start_line_says_what_runs() {
    let cases = [
        (&["--cores", "3"][..], "engine green, 3 workers"),
        (
            &["--engine", "threads", "--threads", "7"],
            "engine threads, 7 threads",
        ),
        (&["--worker-connections", "100"], "at most 100 connections"),
        (&["--cores", "1"], "engine green, 1 worker)"),
    ];
    for (args, part) in cases {
        let program = Program::start(PROGRAM, &[&["--bind", "127.0.0.1:0"], args].concat());
        let line = program.wait_for_line("listening on http://127.0.0.1:");
        assert!(line.contains(part), "{line:?} names {part:?}");
    }
}

#[test]
fn it_may_listen_on_several_addresses() {
    let program = Program::start(PROGRAM, &["--bind", "127.0.0.1:0", "-b", "[::1]:0"]);
    let line = program.wait_for_line("listening on ");
    let addrs: Vec<_> = line
        .split("http://")
        .skip(1)
        .map(|rest| rest.split(' ').next().unwrap())
        .collect();
    assert_eq!(addrs.len(), 2, "{line}");
    for addr in addrs {
        let mut client = Client::connect(addr.parse().unwrap());
        assert_eq!(
            client.send(get_close("/hello")).reply().text(),
            "Hello\n",
            "{addr}"
        );
    }
}

#[test]
fn port_and_engine_may_come_from_the_environment() {
    let mut command = Command::new(PROGRAM);
    command.env_remove("RUST_LOG").env_remove("GREENWAY_CORES");
    command.env("PORT", "0").env("GREENWAY_ENGINE", "threads");
    let program = Program::start_command(&mut command);
    let line = program.wait_for_line("listening on http://0.0.0.0:");
    assert!(line.contains("engine threads"), "{line}");
}

#[test]
fn limits_come_from_flags_with_gunicorns_names() {
    let args = [
        ["--bind", "127.0.0.1:0"],
        ["--limit-request-line", "40"],
        ["--limit-request-fields", "3"],
        ["--limit-request-field_size", "50"],
    ];
    let program = Program::start(
        PROGRAM,
        &[args.concat(), vec!["--limit-request-body", "10"]].concat(),
    );
    let ask = |request: String| program.connect().send(request).reply().status();
    assert_eq!(ask(get_close("/hello")), 200);
    assert_eq!(ask(get_close(&"/x".repeat(30))), 414);
    assert_eq!(
        ask(format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "X: y\r\n".repeat(3)
        )),
        431
    );
    assert_eq!(
        ask(format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "y".repeat(50)
        )),
        431
    );
    assert_eq!(ask(post("/publish", "1234567890")), 200);
    assert_eq!(ask(post("/publish", "1234567890+")), 413);
}

/// The combined format, as gunicorn, Apache and nginx write it, and the duration in microseconds.
#[test]
fn the_access_log_has_a_line_for_each_request() {
    for engine in ["green", "threads"] {
        let program = Program::start(
            PROGRAM,
            &[
                "--bind",
                "127.0.0.1:0",
                "--engine",
                engine,
                "--access-logfile",
                "-",
            ],
        );
        let mut client = program.connect();
        client.send("GET /hello?a=1 HTTP/1.1\r\nHost: a\r\nReferer: there\r\nUser-Agent: \"quoted\"\r\n\r\n");
        assert_eq!(client.reply().status(), 200);
        client.send(get_close("/nowhere"));
        assert_eq!(client.reply().status(), 404);
        client.end();
        assert_eq!(
            program.connect().send("nonsense\r\n\r\n").reply().status(),
            400
        );
        program.signal(greenway_tests::Signal::TERM);
        let lines = program.wait().stdout;
        assert_eq!(lines.len(), 3, "{engine}: {lines:#?}");
        let first = &lines[0];
        assert!(first.starts_with("127.0.0.1 - - ["), "{first}");
        let (_, rest) = first.split_once("] ").unwrap();
        let (rest, micros) = rest.rsplit_once(' ').unwrap();
        assert_eq!(
            rest,
            r#""GET /hello?a=1 HTTP/1.1" 200 6 "there" "\"quoted\"""#
        );
        assert!(micros.parse::<u64>().is_ok(), "{first}");
        assert!(
            lines[1].contains(r#""GET /nowhere HTTP/1.1" 404 "#),
            "{}",
            lines[1]
        );
        assert!(lines[2].contains(r#""-" 400 "#), "{}", lines[2]);
    }
}

/// What outlasts every clock, and 0, which is none.
#[test]
fn a_timeout_of_zero_or_of_ages_is_none() {
    for engine in ["green", "threads"] {
        for time in ["0", "1e19"] {
            let args = ["--bind", "127.0.0.1:0", "--engine", engine];
            let clocks = ["--timeout", time, "--header-timeout", time];
            let more = ["--body-timeout", time, "--write-timeout", time];
            let all = [&args[..], &clocks, &more, &["--keep-alive", "1e19"]].concat();
            let program = Program::start(PROGRAM, &all);
            let mut client = program.connect();
            client.send(greenway_tests::request::get("/wait"));
            let mut other = program.connect();
            other.send(greenway_tests::request::get("/until/1"));
            assert_eq!(other.reply().status(), 200);
            assert_eq!(other.send(post("/publish", "news")).reply().status(), 200);
            assert_eq!(client.reply().text(), "news", "{engine}, {time}");
        }
    }
}

/// As in gunicorn: one request on each connection.
#[test]
fn without_keep_alive_each_connection_has_one_request() {
    for engine in ["green", "threads"] {
        let args = [
            "--bind",
            "127.0.0.1:0",
            "--engine",
            engine,
            "--keep-alive",
            "0",
        ];
        let program = Program::start(PROGRAM, &args);
        let mut client = program.connect();
        // Whoever connects has time to ask: another's request is served meanwhile.
        let mut other = program.connect();
        for client in [&mut other, &mut client] {
            client.send(greenway_tests::request::get("/hello"));
            let reply = client.reply();
            assert_eq!(reply.text(), "Hello\n", "{engine}");
            assert_eq!(reply.head.field("connection"), Some("close"));
            client.end();
        }
    }
}

#[test]
fn limits_have_no_hidden_maxima() {
    for engine in ["green", "threads"] {
        let args = ["--bind", "127.0.0.1:0", "--engine", engine];
        let fields = ["--limit-request-fields", "500", "--limit-request-line", "0"];
        let size = ["--limit-request-field-size", "131072"];
        let program = Program::start(PROGRAM, &[&args[..], &fields, &size].concat());
        let ask = |line: &str, fields: &str| {
            let head = format!("GET {line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            program.connect().send(head).reply().status()
        };
        let field = |length: usize| format!("X: {}\r\n", "y".repeat(length - 3));
        assert_eq!(ask("/hello", &"X: y\r\n".repeat(499)), 200, "{engine}");
        assert_eq!(ask("/hello", &"X: y\r\n".repeat(500)), 431, "{engine}");
        assert_eq!(ask("/hello", &field(131_072)), 200, "{engine}");
        assert_eq!(ask("/hello", &field(131_073)), 431, "{engine}");
        assert_eq!(ask("/hello", &field(8000).repeat(100)), 200, "{engine}");
        let query = format!("/hello?{}", "q".repeat(100_000));
        assert_eq!(ask(&query, ""), 200, "{engine}");
    }
}

/// The default, as RFC 9112 section 3 recommends. A port may be empty (RFC 3986 section 3.2.3).
#[test]
fn a_line_of_8000_bytes_and_a_host_with_an_empty_port() {
    let program = Program::start(PROGRAM, &["--bind", "127.0.0.1:0"]);
    let line = |length: usize| {
        let query = "q".repeat(length - "GET /hello? HTTP/1.1".len());
        format!("GET /hello?{query} HTTP/1.1\r\nHost: a:\r\n\r\n")
    };
    let ask = |request: String| program.connect().send(request).reply().status();
    assert_eq!([ask(line(8000)), ask(line(8001))], [200, 414]);
}

#[test]
fn both_families_are_listened_to() {
    if TcpListener::bind("[::1]:0").is_err() {
        return; // a machine without IPv6
    }
    for bind in ["[::]:0", ":0"] {
        let program = Program::start(PROGRAM, &["--bind", bind]);
        let port = program.wait_for_addr().port();
        for (host, seen) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")] {
            let addr = format!("{host}:{port}").parse().unwrap();
            let reply = Client::connect(addr).send(get_close("/who")).reply();
            assert_eq!(reply.text(), seen, "{bind}");
        }
    }
}
