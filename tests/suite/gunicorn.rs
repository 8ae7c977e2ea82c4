//! The chapter for those who come from gunicorn has all of its settings, and what it says of them is
//! what the program does.

use greenway_tests::{Ended, Program};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// The list of gunicorn's settings.
const SETTINGS: &str = include_str!("gunicorn-settings.txt");
const CHAPTER: &str = include_str!("../../docs/src/gunicorn.md");

/// Flags that need more than a value, such as a file: by the tests of TLS and HTTP/2.
const ELSEWHERE: [&str; 9] = [
    "--certfile",
    "--keyfile",
    "--ca-certs",
    "--cert-reqs",
    "--http-protocols",
    "--http2-max-concurrent-streams",
    "--http2-initial-window-size",
    "--http2-max-frame-size",
    "--http2-max-header-list-size",
];

/// What gunicorn's flags are given where "1" is no value of theirs.
const VALUES: [(&str, &str); 9] = [
    ("--worker-class", "gevent"),
    ("-k", "gthread"),
    ("--bind", "127.0.0.1:0"),
    ("-b", "127.0.0.1:0"),
    ("--access-logformat", "%(h)s %({request_method}e)s"),
    ("--log-level", "warning"),
    ("--forwarded-allow-ips", "*"),
    ("--proxy-allow-from", "*"),
    ("--proxy-protocol", "v2"),
];

/// gunicorn's switches, and what is asked of the program here anyway.
const SWITCHES: [&str; 4] = [
    "--check-config",
    "--print-config",
    "--proxy-protocol",
    "--reload",
];

/// A row: name and flags of gunicorn's, flags of ours, and what is said of it.
struct Row<'a> {
    theirs: Vec<&'a str>,
    ours: Vec<&'a str>,
    said: &'a str,
}

/// Code within a line of Markdown.
fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn rows() -> Vec<Row<'static>> {
    let (_, tables) = CHAPTER.split_once("\n## ").expect("there are tables");
    let (tables, _) = tables.split_once("\n## Signals").expect("they end there");
    let lines = tables.lines().filter(|line| line.starts_with("| `"));
    let row = |line: &'static str| {
        let cells: Vec<_> = line.split(" | ").collect();
        assert!(cells.len() >= 3, "{line}");
        Row {
            theirs: code(cells[0]),
            ours: code(cells[1]),
            said: cells[2].trim_end_matches('|').trim(),
        }
    };
    lines.map(row).collect()
}

fn run(args: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longpoll"));
    command.args(args).envs(variables.iter().copied());
    Program::start_command(&mut command).wait()
}

#[test]
fn every_setting_of_gunicorns_is_in_the_chapter() {
    let listed: BTreeSet<&str> = SETTINGS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert!(listed.len() > 100, "the list is short");
    let told: Vec<String> = rows().iter().map(|row| row.theirs.join(" ")).collect();
    let set: BTreeSet<&str> = told.iter().map(String::as_str).collect();
    assert_eq!(told.len(), set.len(), "each once");
    let missing: Vec<_> = listed.difference(&set).collect();
    let unknown: Vec<_> = set.difference(&listed).collect();
    assert!(
        missing.is_empty(),
        "gunicorn has, the chapter has not: {missing:?}"
    );
    assert!(
        unknown.is_empty(),
        "the chapter has, gunicorn has not: {unknown:?}"
    );
}

#[test]
fn every_flag_of_ours_in_the_chapter_exists() {
    let help = run(&["--help"], &[]).stdout.join(" ");
    let words = help.split([' ', ',', ']', '[']);
    let flags: BTreeSet<&str> = words.filter(|word| word.starts_with("--")).collect();
    for row in rows() {
        assert!(row.ours.len() <= 1, "{:?}", row.ours);
        for ours in row.ours {
            assert!(flags.contains(ours), "{ours}");
        }
    }
}

/// Each flag of gunicorn's that is in a row with one of ours is taken, and does what ours does; each
/// other is refused with the words of the chapter.
#[test]
fn every_flag_of_gunicorns_is_taken_or_told_what_to_use_instead() {
    let values = BTreeMap::from(VALUES);
    let plain = |text: &str| text.to_lowercase().replace('`', "");
    for row in rows() {
        let is_elsewhere = |ours: &&str| ELSEWHERE.contains(ours);
        if row.ours.iter().any(is_elsewhere) {
            continue;
        }
        for flag in row.theirs.iter().filter(|word| word.starts_with('-')) {
            let ours = row.ours.first();
            if matches!(
                ours,
                Some(&("--config" | "--check-config" | "--print-config"))
            ) {
                continue; // by the tests of the file
            }
            let mut args = vec![*flag];
            if let Some(value) = values.get(flag) {
                args.push(value);
            } else if ours.is_some() && !SWITCHES.contains(flag) {
                args.push("1");
            }
            let ended = run(&[&args[..], &["--check-config"]].concat(), &[]);
            match ours {
                Some(ours) => {
                    assert_eq!(ended.code, Some(0), "{flag}: {ended:?}");
                    let line = format!("{} = ", ours.trim_start_matches('-'));
                    let from_flag = |shown: &String| {
                        shown.starts_with(&line) && shown.ends_with("# the command line")
                    };
                    assert!(ended.stdout.iter().any(from_flag), "{flag}: {ended:?}");
                }
                None if row.said.starts_with("No effect: ") => {
                    let (args, more) = (args.clone(), ["x", "--check-config"]);
                    let ended = match ended.code {
                        Some(0) => ended,
                        _ => run(&[&args[..], &more].concat(), &[]), // it takes a value
                    };
                    assert_eq!(ended.code, Some(0), "{flag}: {ended:?}");
                    let told = plain(&ended.stderr.join("\n"));
                    let why = plain(row.said.trim_start_matches("No effect: "));
                    assert!(told.contains(" has no effect: "), "{flag}: {told}");
                    assert!(told.contains(&why), "{flag}: {told}");
                }
                None => {
                    assert_eq!(ended.code, Some(2), "{flag}: {ended:?}");
                    assert_eq!(ended.stderr.len(), 1, "{flag}: {ended:?}");
                    let told = plain(&ended.stderr[0]);
                    assert!(
                        told.contains(&plain(row.said)),
                        "{flag}: {told}, {}",
                        row.said
                    );
                }
            }
        }
    }
}

#[test]
fn workers_are_known_by_their_names() {
    for (name, engine) in [
        ("gevent", "green"),
        ("eventlet", "green"),
        ("gthread", "threads"),
        ("sync", "threads"),
        ("green", "green"),
    ] {
        let ended = run(&["-k", name, "--print-config"], &[]);
        let line = format!("engine = \"{engine}\" # the command line");
        assert!(ended.stdout.contains(&line), "{name}: {ended:?}");
    }
    for name in ["asgi", "tornado", "uvicorn.workers.UvicornWorker"] {
        let refused = run(&["-k", name], &[]);
        assert_eq!((refused.code, refused.stderr.len()), (Some(2), 1));
        assert!(
            refused.stderr[0].contains("green, where ten thousand"),
            "{refused:?}"
        );
    }
}

#[test]
fn flags_may_stand_in_the_environment() {
    for name in ["GREENWAY_CMD_ARGS", "GUNICORN_CMD_ARGS"] {
        let args = "-k gthread --access-logformat '%(h)s \"%(r)s\"' --log-file /dev/null";
        let variables = [(name, args), ("GREENWAY_LOG_LEVEL", "debug")];
        let ended = run(&["--check-config", "--engine", "green"], &variables);
        let mut lines = vec![
            "engine = \"green\" # the command line".to_owned(),
            format!("access-logformat = '%(h)s \"%(r)s\"' # ${name}"),
            format!("error-logfile = \"/dev/null\" # ${name}"),
            "log-level = \"debug\" # $GREENWAY_LOG_LEVEL".to_owned(),
        ];
        // With what `longpoll` sets itself, and what the one who runs the tests has set.
        lines.retain(|line| !ended.stdout.contains(line));
        assert!(lines.is_empty(), "{lines:?}: {ended:?}");
    }
    let ignored = [("GUNICORN_CMD_ARGS", "--worker-tmp-dir /dev/shm -n shop")];
    let ended = run(&["--check-config"], &ignored);
    assert_eq!((ended.code, ended.stderr.len()), (Some(0), 3), "{ended:?}");
    let wrong = run(&[], &[("GREENWAY_CMD_ARGS", "--statsd-host x")]);
    assert_eq!((wrong.code, wrong.stderr.len()), (Some(2), 1), "{wrong:?}");
    assert!(wrong.stderr[0].contains("GREENWAY_CMD_ARGS: unexpected argument '--statsd-host'"));
}

/// A file of gunicorn's is Python, and is said to be.
#[test]
fn a_file_in_python_is_told_so() {
    let ended = run(&["-c", "gunicorn.conf.py"], &[]);
    assert_eq!((ended.code, ended.stderr.len()), (Some(2), 1));
    assert!(
        ended.stderr[0].contains("settings are in TOML here"),
        "{ended:?}"
    );
}
