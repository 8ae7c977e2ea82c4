//! Where settings come from: the program's own defaults, a file, the environment, flags; and what is
//! said of settings that are wrong.

use greenway_tests::request::{get_close, post};
use greenway_tests::{Ended, Program};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_defaults");

/// A file that is gone after the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("greenway-config-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn start(args: &[&str], variables: &[(&str, &str)]) -> Program {
    let mut command = Command::new(PROGRAM);
    for name in ["PORT", "RUST_LOG", "GREENWAY_ENGINE", "GREENWAY_CORES"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied()).args(args);
    Program::start_command(&mut command)
}

fn status_of(program: &Program, length: usize) -> u16 {
    let mut client = program.connect();
    client.send(post("/length", &"x".repeat(length)));
    client.reply().status()
}

#[test]
fn the_programs_defaults_hold_until_something_else_is_said() {
    let file = File::new("limit.toml", "# of the operator\nlimit-request-body = 20\n");
    let (config, variable) = (
        ["--config", file.path()],
        [("GREENWAY_LIMIT_REQUEST_BODY", "30")],
    );
    let flag = ["--limit-request-body", "40"];
    for (args, variables, limit) in [
        (vec![], &[][..], 10),
        (config.to_vec(), &[], 20),
        (vec![], &[("GREENWAY_CONFIG", file.path())], 20),
        (config.to_vec(), &variable, 30),
        ([config, flag].concat(), &variable, 40),
    ] {
        let program = start(&args, variables);
        let statuses = [limit, limit + 1].map(|length| status_of(&program, length));
        assert_eq!(statuses, [200, 413], "{args:?} {variables:?}");
    }
}

#[test]
fn help_shows_the_programs_defaults() {
    let help = start(&["--help"], &[]).wait();
    assert_eq!(help.code, Some(0));
    let text = help.stdout.join(" ");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "more is 413 [default: 10]",
        "[default: 127.0.0.1:0]",
        "[default: 3900]",
        "GREENWAY_KEEP_ALIVE",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[track_caller]
fn assert_refused(ended: &Ended, code: i32, part: &str) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert_eq!(ended.stderr.len(), 1, "{ended:?}");
    assert!(ended.stderr[0].contains(part), "{part}: {ended:?}");
}

#[test]
fn what_is_wrong_is_said_in_one_line_with_its_place() {
    let unknown = File::new("unknown.toml", "\nkeep_alive = 3\n");
    let wrong = File::new("wrong.toml", "threads = 'many'\n");
    let missing = std::env::temp_dir().join("greenway-config-missing.toml");
    let missing = missing.to_str().unwrap();
    for (args, variables, part) in [
        (
            ["-c", unknown.path()],
            &[][..],
            "unknown.toml:2: \"keep_alive\" is no setting; keep-alive is",
        ),
        (
            ["-c", wrong.path()],
            &[],
            "wrong.toml:1: threads takes a number",
        ),
        (
            ["-c", missing],
            &[],
            "greenway-config-missing.toml: No such file",
        ),
        (
            ["--bind", "127.0.0.1:0"],
            &[("GREENWAY_THREADS", "many")],
            "invalid value 'many' for GREENWAY_THREADS: a whole number from 1",
        ),
    ] {
        assert_refused(&start(&args, variables).wait(), 2, part);
        let check = [&args[..], &["--check-config"]].concat();
        assert_refused(&start(&check, variables).wait(), 1, part);
    }
    let check = start(&["--bind", "nonsense", "--check-config"], &[]).wait();
    assert_refused(
        &check,
        1,
        "cannot listen on nonsense: this is not host:port",
    );
}

#[test]
fn settings_can_be_checked_and_printed_without_serving() {
    let file = File::new("printed.toml", "timeout = 7\n");
    let variables = [("GREENWAY_THREADS", "5")];
    let args = ["-c", file.path(), "--debug", "--check-config"];
    let checked = start(&args, &variables).wait();
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let place = format!("timeout = 7 # {}:1", file.path());
    assert_eq!(
        checked.stdout,
        [
            "bind = [\"127.0.0.1:0\"] # the program's default",
            "threads = 5 # $GREENWAY_THREADS",
            &place,
            "limit-request-body = 10 # the program's default",
            "debug = true # the command line",
        ]
    );
    assert_eq!(checked.stderr, ["greenway: the settings are right"]);

    let printed = start(&["-c", file.path(), "--print-config"], &variables).wait();
    assert_eq!((printed.code, printed.stderr.len()), (Some(0), 0));
    let again = File::new("again.toml", &printed.stdout.join("\n"));
    let again = start(&["-c", again.path(), "--print-config"], &[]).wait();
    let values = |printed: &Ended| -> Vec<String> {
        // Defaults are comments.
        let lines = printed
            .stdout
            .iter()
            .map(|line| line.trim_start_matches("# "));
        let values = lines.filter_map(|line| Some(line.rsplit_once(" # ")?.0));
        let values = values.filter(|value| value.contains(" = "));
        values.map(str::to_owned).collect()
    };
    assert_eq!(values(&again), values(&printed));
    assert!(values(&printed).contains(&"keep-alive = 3900".to_owned()));
    let default = "# keep-alive = 3900 # the default".to_owned();
    assert!(printed.stdout.contains(&default), "{printed:?}");
    let given = |line: &String| line.starts_with("threads = 5 ");
    assert!(printed.stdout.iter().any(given), "{printed:?}");
}

#[test]
fn debugging_is_off_unless_asked_for() {
    for (args, variables, debug) in [
        (&[][..], &[][..], "false"),
        (&["--debug"], &[], "true"),
        (&[], &[("GREENWAY_DEBUG", "true")], "true"),
        (&["--debug=false"], &[("GREENWAY_DEBUG", "true")], "false"),
        (&["--debug", "--engine", "threads"], &[], "true"),
    ] {
        let program = start(args, variables);
        let reply = program.connect().send(get_close("/debug")).reply();
        assert_eq!(reply.text(), debug, "{args:?} {variables:?}");
    }
}

/// A slip in a name would otherwise go unnoticed.
#[test]
fn a_variable_that_is_no_setting_is_a_warning() {
    let program = start(&[], &[("GREENWAY_KEEP_ALIV", "3")]);
    program.wait_for_line("GREENWAY_KEEP_ALIV has no effect");
}
