//! [`serve`]: a server from the command line and the environment, with gunicorn's flags.

use crate::green;
use crate::green::embed::Count;
use crate::server::{OnSignal, Server, SignalAction, catch_signals, inherited_sockets};
use crate::service::settings::{SETTINGS, Setting, Settings};
use crate::service::{LogFile, SharedLog, logger};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use greenway_app::Application;
use std::io::{self, Write};
use std::path::Path;
use std::process::exit;
use std::sync::Arc;

/// Prints a line for whoever has started the program. If nobody reads it any more, that must not
/// end the program, as a panic of `eprintln` would.
macro_rules! print_line {
    ($($what:tt)*) => {{
        let _nobody_reads_it = writeln!(io::stderr(), "greenway: {}", format_args!($($what)*));
    }};
}

/// The command line: a flag for each setting.
fn command() -> Command {
    Command::new("greenway")
        .about("A Greenway application")
        .version(crate::VERSION)
        .max_term_width(100)
        .args(SETTINGS.iter().map(flag))
}

fn flag(setting: &'static Setting) -> Arg {
    let mut help = setting.help.to_owned();
    if let Some(default) = setting.default {
        help = format!("{help} Default: {default}.");
    }
    let arg = Arg::new(setting.flag)
        .long(setting.flag)
        .short(setting.short)
        .visible_aliases(setting.alias)
        .help(help.trim_end_matches('.').to_owned());
    let arg = match setting.env {
        Some(variable) => arg.env(variable),
        None => arg,
    };
    if setting.is_switch() {
        return arg.action(ArgAction::SetTrue);
    }
    let check = |text: &str| {
        let checked = setting.read(&mut Settings::default(), text);
        checked.map(|()| text.to_owned())
    };
    let arg = match setting.default_text() {
        Some(text) => arg.default_value(text),
        None => arg,
    };
    arg.value_name(setting.value)
        .allow_negative_numbers(true) // to say what is wrong with them, not that -1 is no flag
        .action(if setting.is_list() {
            ArgAction::Append
        } else {
            ArgAction::Set
        })
        .value_parser(check)
}

/// The settings of a command line that clap has accepted.
fn settings(matches: &ArgMatches) -> Settings {
    let mut settings = Settings::default();
    let given = |setting: &&Setting| {
        let source = matches.value_source(setting.flag);
        source.is_some_and(|source| source != ValueSource::DefaultValue)
    };
    for setting in SETTINGS.iter().filter(given) {
        let values: Vec<String> = if setting.is_switch() {
            vec![matches.get_flag(setting.flag).to_string()]
        } else {
            let values = matches.get_many(setting.flag).into_iter().flatten();
            values.cloned().collect()
        };
        for value in values {
            let read = setting.read(&mut settings, &value);
            read.expect("clap has checked it with the same function");
        }
    }
    let bind = &mut settings.server.bind;
    if bind.is_empty()
        && inherited_sockets().is_empty()
        && let Ok(port) = std::env::var("PORT")
    {
        bind.push(format!("0.0.0.0:{port}"));
    }
    settings
}

/// Prints in one line what is wrong with the flags; or shows what `--help` or `--version` asks for.
fn refuse_flags(error: &clap::Error) -> ! {
    if !error.use_stderr() {
        error.exit();
    }
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    print_line!(
        "{} (--help lists the flags)",
        line.trim_start_matches("error: ")
    );
    exit(2)
}

/// Serves `app` as the command line says, until TERM or INT; `--help` lists the flags.
///
/// Logs to the standard error, unless the program has set a logger of its own. TERM and INT stop
/// gracefully: whoever has connected is served, idle connections are closed, and requests may go
/// on for `--graceful-timeout`. A second signal ends them at once. USR1 and HUP open the log files
/// anew; USR2 writes to it what all green threads do. [`green::at_exit`] is for what is to be done
/// after the stop; [`green::signals`] for signals that the program wants itself, these among them.
///
/// Does not return. The process exits with 0, or with 1 when the server could not start or had
/// to cut requests short at its stop, or with 2 when a flag is wrong; what was wrong is said in
/// one line.
///
/// ```no_run
/// use greenway::{App, Request};
///
/// let mut app = App::new();
/// app.get("/hello/<name>", |req: Request| format!("Hello {}!\n", req.param("name")));
/// greenway::serve(app)
/// ```
pub fn serve(app: impl Application) -> ! {
    // Under the program's own name, where clap would say ours.
    let name = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&name)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let matches = command().bin_name(name).try_get_matches();
    let settings = settings(&matches.unwrap_or_else(|error| refuse_flags(&error)));
    let error_log = open_error_log(&settings.error_log);
    logger::install(settings.log_level, error_log.clone());

    let caught = catch_signals().unwrap_or_else(|error| no_signals(&error));
    let running = match Server::with_config(app, settings.server).start() {
        Ok(running) => Arc::new(running),
        Err(error) => {
            print_line!("{error}");
            let misused = error.kind() == io::ErrorKind::InvalidInput;
            exit(if misused { 2 } else { 1 });
        }
    };
    let (first_signal, stop) = crossbeam_channel::bounded(1);
    let ending = running.clone();
    let on_signal = OnSignal::new(caught, move |action| match action {
        SignalAction::Stop(1) => {
            let _ = first_signal.try_send(());
        }
        SignalAction::Stop(_) => ending.end_now(),
        // A warning, since whoever asks wants to see it.
        SignalAction::Show => log::warn!("what everyone does: {}", green::run_info()),
        SignalAction::Reopen => {
            ending.reopen_logs();
            if let Some(log) = &error_log
                && let Err(error) = log.reopen()
            {
                log::error!("the error log cannot be opened anew: {error}");
            }
            log::info!("the logs are opened anew");
        }
    });
    if let Err(error) = &on_signal {
        no_signals(error);
    }
    print_line!("{}", running.describe());
    // Ends by the signal alone: the sender lives in `on_signal`.
    let _ = stop.recv();
    let open = Count(running.connections(), "connection");
    print_line!("stopping ({open})");
    let stopped = running.stop();
    green::run_at_exit();
    if stopped.cut > 0 {
        let were = if stopped.cut == 1 { "was" } else { "were" };
        let cut = Count(stopped.cut, "request");
        print_line!("stopped; {cut} {were} cut short");
        exit(1);
    }
    print_line!("stopped");
    exit(0)
}

fn no_signals(error: &io::Error) -> ! {
    print_line!("cannot handle signals: {error}");
    exit(1)
}

/// The server's own log, if it is not the standard error. Ends the process if it cannot be had.
fn open_error_log(path: &str) -> Option<SharedLog> {
    if path == "-" {
        return None;
    }
    match LogFile::open(path) {
        Ok(file) => Some(SharedLog::new(file)),
        Err(error) => {
            print_line!("cannot open the error log: {error}");
            exit(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn what_is_not_given_is_as_in_the_builder() {
        let matches = command().try_get_matches_from(["app"]).unwrap();
        let mut settings = settings(&matches);
        settings.server.bind.clear(); // $PORT may be set
        assert_eq!(
            format!("{settings:?}"),
            format!("{:?}", Settings::default())
        );
    }
}
