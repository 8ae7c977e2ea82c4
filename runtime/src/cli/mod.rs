//! [`serve`] and [`Server::run`]: a server from the command line, the environment and a file, with
//! gunicorn's flags.

mod arguments;
mod check;
mod file;
mod flags;
#[cfg(feature = "generate")]
mod generate;
mod gunicorn;
mod leading;
mod life;
mod operator;
mod show;
mod sources;

use self::operator::Operator;
use self::sources::Resolved;
use crate::processes::{Role, inherited};
use crate::server::Server;
use crate::service::log_writer::Troubles;
use crate::service::settings::Settings;
use crate::service::{LogFile, LogWriter, logger};
use clap::ArgMatches;
use greenway_app::Application;
use std::io::{self, Write};
use std::path::Path;

/// Prints in one line what is wrong with the flags; or shows what `--help` or `--version` asks for.
fn refuse_flags(operator: &Operator, error: &clap::Error) -> ! {
    if !error.use_stderr() {
        error.exit();
    }
    operator.say(format_args!("{}", flags::wrong(error)));
    operator.exit(2)
}

/// Serves `app` as the command line, the environment and a file say, until TERM, INT or QUIT;
/// `--help` lists the flags.
///
/// Each setting comes from where it is given first: its flag (`--keep-alive 5`), its environment
/// variable (`GREENWAY_KEEP_ALIVE=5`), the file that `--config` or `GREENWAY_CONFIG` names
/// (`keep-alive = 5`, in TOML), the defaults of the program (see [`Server::run`]), and ours.
///
/// Logs to the standard error, unless the program has set a logger of its own. TERM, INT and QUIT
/// stop gracefully: whoever has connected is served, idle connections are closed, and requests may
/// go on for `--graceful-timeout`. A second signal ends the process at once: half a second is left
/// for unwinding the handlers that wait. USR1 and HUP open the log files
/// anew, and HUP reads certificates and keys anew; USR2 writes to it what all green threads do. [`green::at_exit`](crate::green::at_exit) is for
/// what is to be done after the stop; [`green::signals`](crate::green::signals) for signals that the program wants itself, these among them.
///
/// With `--workers` or `--master`, this is a master, which starts the program again for each process
/// that serves: what `main` does before this call is done in all of them.
///
/// Does not return. The process exits with 0, or with 1 when the server could not start or had
/// to cut requests short at its stop, or with 2 when a setting is wrong; what was wrong is said in
/// one line. `--check-config` and `--print-config` serve nothing: they exit with 0, or with 1 when
/// a setting is wrong.
///
/// ```no_run
/// use greenway::{App, Request};
///
/// let mut app = App::new();
/// app.get("/hello/<name>", |req: Request| format!("Hello {}!\n", req.param("name")));
/// greenway::serve(app)
/// ```
pub fn serve(app: impl Application) -> ! {
    Server::new(app).run()
}

impl Server {
    /// Serves as [`serve`] does, with what is set here as the defaults: `--help` shows them, and
    /// the command line, the environment and the file of `--config` win.
    ///
    /// ```no_run
    /// use greenway::{Request, Server};
    ///
    /// Server::new(|_: Request| "Hello\n")
    ///     .limit_request_body(32 << 20)
    ///     .run()
    /// ```
    ///
    /// Does not return; see [`serve`] for the exit statuses.
    pub fn run(mut self) -> ! {
        let mut operator = Operator::new();
        if let Some(why) = self.invalid {
            operator.say(format_args!("the program's own settings are wrong: {why}"));
            operator.exit(2);
        }
        let inherited = inherited().unwrap_or_else(|error| {
            operator.say(format_args!("{error}"));
            operator.exit(1)
        });
        let role = inherited.as_ref().map(|inherited| inherited.role);
        if let Some(Role::Serve(number)) = role {
            operator.number = Some(number);
        }
        let defaults = self.settings.clone();
        let matches = flags(&operator, &defaults);
        let resolved = settings(&operator, defaults.clone(), &matches);
        let in_vain = match role {
            None => check::in_vain(&resolved),
            Some(_) => Vec::new(), // the master has said it
        };
        self.settings = resolved.settings;
        if let Some(umask) = self.settings.processes.umask {
            umask.set();
        }
        open_error_log(&mut operator, &self.settings);
        for what in in_vain {
            log::warn!("{what}");
        }
        let leads = match role {
            Some(Role::Serve(_)) => false,
            Some(Role::Succeed) => true,
            None => self.settings.processes.need_master(),
        };
        if !leads {
            life::serve(self, operator, inherited);
        }
        let Self { app, settings, .. } = self;
        drop(app); // that of the processes that serve is another one
        let settings_now = || {
            let resolved =
                sources::resolve(defaults.clone(), &matches, &|name| std::env::var_os(name));
            let resolved = resolved.inspect_err(|why| log::error!("the settings are wrong: {why}"));
            resolved.ok().map(|resolved| resolved.settings)
        };
        leading::lead(&settings, &operator, inherited, &settings_now)
    }
}

/// What the command line says. Ends the process if it is wrong, or asks for help alone.
fn flags(operator: &Operator, defaults: &Settings) -> ArgMatches {
    // Under the program's own name, where clap would say ours.
    let name = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&name)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let command = flags::command(defaults).bin_name(name.clone());
    let matches = command.try_get_matches();
    let matches = matches.unwrap_or_else(|error| refuse_flags(operator, &error));
    #[cfg(feature = "generate")]
    if let Some(kind) = matches.get_one::<String>(flags::GENERATE) {
        let printed = generate::print(kind, &name, defaults);
        operator.exit(printed.map_or(1, |()| 0));
    }
    matches
}

/// The settings that hold. Ends the process if they are wrong, or were all that was asked for.
fn settings(operator: &Operator, defaults: Settings, matches: &ArgMatches) -> Resolved {
    let resolved = sources::resolve(defaults, matches, &|name| std::env::var_os(name));
    let (check, print) = (
        matches.get_flag(flags::CHECK),
        matches.get_flag(flags::PRINT),
    );
    if check || print {
        show_settings(operator, resolved, print);
    }
    match resolved {
        Ok(resolved) => resolved,
        Err(why) => {
            operator.say(format_args!("{why}"));
            operator.exit(2)
        }
    }
}

/// Prints what would be used, and ends the process.
fn show_settings(operator: &Operator, resolved: Result<Resolved, String>, all: bool) -> ! {
    let checked = resolved.and_then(|resolved| {
        check::check(&resolved.settings)?;
        for what in check::in_vain(&resolved) {
            operator.say(format_args!("{what}"));
        }
        Ok(show::as_file(&resolved, !all))
    });
    let shown = checked.and_then(|shown| {
        let written = io::stdout().write_all(shown.as_bytes());
        written.map_err(|error| format!("cannot print the settings: {error}"))
    });
    if let Err(why) = shown {
        operator.say(format_args!("{why}"));
        operator.exit(1);
    }
    if !all {
        operator.say(format_args!("the settings are right"));
    }
    operator.exit(0)
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
        flags::command(&Settings::default()).debug_assert();
    }

    #[test]
    fn what_is_not_given_is_as_in_the_builder() {
        let matches = flags::command(&Settings::default()).get_matches_from(["app"]);
        let resolved = sources::resolve(Settings::default(), &matches, &|_| None).unwrap();
        assert_eq!(
            format!("{:?}", resolved.settings),
            format!("{:?}", Settings::default())
        );
    }
}
