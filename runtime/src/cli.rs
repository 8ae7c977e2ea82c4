//! [`serve`]: a server from the command line and the environment, with gunicorn's flags.

use crate::green;
use crate::green::embed::Count;
use crate::server::{
    OnSignal, Server, SignalAction, catch_signals, inherited_sockets, reap_as_init,
};
use crate::service::log_writer::Troubles;
use crate::service::settings::{self, Setting, Settings};
use crate::service::{LogFile, LogWriter, logger};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use greenway_app::Application;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::exit;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The last lines of all logs are not waited for longer than this when the process ends.
const LAST_LINES: Duration = Duration::from_secs(1);

/// After the second signal, handlers that wait are unwound for so long. Then the process ends.
const LAST_UNWINDS: Duration = Duration::from_millis(500);

/// What whoever has started the program is told, on the standard error. Nobody may read it: that
/// must neither end the program, as a panic of `eprintln` would, nor hold it up.
#[derive(Debug, Clone)]
struct Operator {
    /// `None` if there is no thread for it, which is why the program ends soon.
    stderr: Option<LogWriter>,
    /// The server's log, if that is another one.
    log: Option<LogWriter>,
}

impl Operator {
    fn new() -> Self {
        let stderr = LogWriter::start("standard error", LogFile::Stderr, Troubles::Here);
        Self {
            stderr: stderr.ok(),
            log: None,
        }
    }

    fn say(&self, what: fmt::Arguments<'_>) {
        let line = format!("greenway: {what}\n");
        match &self.stderr {
            Some(writer) => writer.write(line),
            None => {
                let _nobody_reads_it = io::stderr().write_all(line.as_bytes());
            }
        }
    }

    /// Ends the process, once the logs are written, or stuck.
    fn exit(&self, status: i32) -> ! {
        let deadline = Instant::now() + LAST_LINES;
        for writer in self.log.iter().chain(&self.stderr) {
            let _written_or_stuck = writer.flush(deadline);
        }
        exit(status)
    }

    /// Says how the server has stopped, and ends the process.
    fn stopped(&self, cut: usize) -> ! {
        if cut > 0 {
            let were = if cut == 1 { "was" } else { "were" };
            self.say(format_args!(
                "stopped; {} {were} cut short",
                Count(cut, "request")
            ));
            self.exit(1);
        }
        self.say(format_args!("stopped"));
        self.exit(0)
    }
}

/// The command line: a flag for each setting.
fn command() -> Command {
    Command::new("greenway")
        .about("A Greenway application")
        .version(crate::VERSION)
        .max_term_width(100)
        .args(settings::all().map(flag))
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
fn read(matches: &ArgMatches) -> Settings {
    let mut settings = Settings::default();
    let given = |setting: &&Setting| {
        let source = matches.value_source(setting.flag);
        source.is_some_and(|source| source != ValueSource::DefaultValue)
    };
    for setting in settings::all().filter(given) {
        let values: Vec<String> = if setting.is_switch() {
            vec![matches.get_flag(setting.flag).to_string()]
        } else {
            let values = matches.get_many(setting.flag).into_iter().flatten();
            values.cloned().collect()
        };
        for value in values {
            let taken = setting.read(&mut settings, &value);
            taken.expect("clap has checked it with the same function");
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
fn refuse_flags(operator: &Operator, error: &clap::Error) -> ! {
    if !error.use_stderr() {
        error.exit();
    }
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line.trim_start_matches("error: ");
    operator.say(format_args!("{line} (--help lists the flags)"));
    operator.exit(2)
}

/// Serves `app` as the command line says, until TERM, INT or QUIT; `--help` lists the flags.
///
/// Logs to the standard error, unless the program has set a logger of its own. TERM, INT and QUIT
/// stop gracefully: whoever has connected is served, idle connections are closed, and requests may
/// go on for `--graceful-timeout`. A second signal ends the process at once: half a second is left
/// for unwinding the handlers that wait. USR1 and HUP open the log files
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
    let mut operator = Operator::new();
    let matches = command().bin_name(name).try_get_matches();
    let settings = read(&matches.unwrap_or_else(|error| refuse_flags(&operator, &error)));
    open_error_log(&mut operator, &settings);

    let caught = catch_signals().unwrap_or_else(|error| no_signals(&operator, &error));
    let running = match Server::with_config(app, settings.server).start() {
        Ok(running) => Arc::new(running),
        Err(error) => {
            operator.say(format_args!("{error}"));
            let misused = error.kind() == io::ErrorKind::InvalidInput;
            operator.exit(if misused { 2 } else { 1 });
        }
    };
    let (first_signal, stop) = crossbeam_channel::bounded(1);
    let (ending, last) = (running.clone(), operator.clone());
    let on_signal = OnSignal::new(caught, move |action| match action {
        SignalAction::Stop(1) => {
            let _ = first_signal.try_send(());
        }
        SignalAction::Stop(2) => {
            ending.end_now();
            // Meanwhile the stop that is under way may end the process itself.
            std::thread::sleep(LAST_UNWINDS);
            last.stopped(ending.unfinished().max(1));
        }
        SignalAction::Stop(_) => exit(1),
        // A warning, since whoever asks wants to see it.
        SignalAction::Show => log::warn!("what everyone does: {}", green::run_info()),
        SignalAction::Reopen => {
            ending.reopen_logs();
            if let Some(log) = &last.log {
                log.reopen();
            }
            log::info!("the logs are opened anew");
        }
    });
    if let Err(error) = &on_signal {
        no_signals(&operator, error);
    }
    if let Err(error) = reap_as_init() {
        log::error!("orphans stay unreaped: {error}");
    }
    operator.say(format_args!("{}", running.describe()));
    // Ends by the signal alone: the sender lives in `on_signal`.
    let _ = stop.recv();
    let open = Count(running.connections(), "connection");
    operator.say(format_args!("stopping ({open})"));
    let stopped = running.stop();
    green::run_at_exit();
    operator.stopped(stopped.cut)
}

fn no_signals(operator: &Operator, error: &io::Error) -> ! {
    operator.say(format_args!("cannot handle signals: {error}"));
    operator.exit(1)
}

/// Opens the server's own log. Ends the process if it cannot be had.
fn open_error_log(operator: &mut Operator, settings: &Settings) {
    let result = match (settings.error_log.as_str(), &operator.stderr) {
        (_, None) => Err(io::Error::other("the process can have no more threads")),
        ("-", Some(stderr)) => Ok(stderr.clone()),
        (path, Some(stderr)) => LogFile::open(path).and_then(|file| {
            let troubles = Troubles::By(stderr.clone());
            let writer = LogWriter::start("error log", file, troubles)?;
            operator.log = Some(writer.clone());
            Ok(writer)
        }),
    };
    match result {
        Ok(writer) => {
            let colours = operator.log.is_none() && logger::colours_on_stderr();
            logger::install(settings.log_level, writer, colours);
        }
        Err(error) => {
            operator.say(format_args!("cannot open the error log: {error}"));
            operator.exit(1);
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
        let mut settings = read(&matches);
        settings.server.bind.clear(); // $PORT may be set
        assert_eq!(
            format!("{settings:?}"),
            format!("{:?}", Settings::default())
        );
    }
}
