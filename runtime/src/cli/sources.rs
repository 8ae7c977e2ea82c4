//! Where each setting comes from: a flag, the environment, the file, the program, or us.

use super::arguments;
use super::file::File;
use super::flags;
use super::gunicorn;
use crate::processes::VARIABLE;
use crate::server::inherited_sockets;
use crate::service::settings::{self, Setting, Settings, VARIABLES};
use clap::ArgMatches;
use std::ffi::OsString;
use std::fmt;

/// Names the file, if no flag does.
const CONFIG_VARIABLE: &str = "GREENWAY_CONFIG";

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// It is our default.
    Ours,
    /// It is the default of the program.
    Program,
    /// It stands in a file: name and line.
    File(String),
    /// It is this variable of the environment.
    Variable(String),
    /// It is the flag of its name.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours => f.write_str("the default"),
            Self::Program => f.write_str("the program's default"),
            Self::File(place) => f.write_str(place),
            Self::Variable(name) => write!(f, "${name}"),
            Self::Flag => f.write_str("the command line"),
        }
    }
}

/// The settings that hold.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) settings: Settings,
    /// Of each setting, in the order of the table.
    pub(super) sources: Vec<Source>,
    /// What is to be said of flags that have no effect.
    pub(super) ignored: Vec<String>,
}

/// The environment, or what a test takes for it.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Decides about all settings.
///
/// # Errors
/// One line that says what is wrong where, and what would be right.
pub(super) fn resolve(
    defaults: Settings,
    matches: &ArgMatches,
    environment: Environment<'_>,
) -> Result<Resolved, String> {
    let arguments = arguments::in_environment(environment)?;
    let named = |matches: &ArgMatches| matches.get_one::<String>(flags::CONFIG).cloned();
    let path = named(matches).or_else(|| named(&arguments.as_ref()?.1));
    let path = match path {
        Some(path) => Some(path),
        None => text(environment, CONFIG_VARIABLE)?.filter(|path| !path.is_empty()),
    };
    let file = path.map(|path| File::read(&path)).transpose()?;
    let file = file.unwrap_or_default();
    let mut settings = defaults.clone();
    let mut sources = Vec::new();
    for setting in settings::all() {
        let (source, texts) = if let Some(texts) = flags::given(matches, setting) {
            (Source::Flag, texts)
        } else if let Some((name, matches)) = &arguments
            && let Some(texts) = flags::given(matches, setting)
        {
            (Source::Variable((*name).to_owned()), texts)
        } else if let Some((name, texts)) = variable(environment, setting)? {
            (Source::Variable(name), texts)
        } else if let Some((place, texts)) = file.given(setting) {
            (Source::File(place.to_owned()), texts.to_vec())
        } else {
            sources.push(match setting.is_changed_in(&defaults) {
                true => Source::Program,
                false => Source::Ours,
            });
            continue;
        };
        let taken = setting.replace(&mut settings, &texts);
        taken.map_err(|(text, right)| {
            let name = match &source {
                Source::Variable(name) => name,
                _ => setting.flag,
            };
            format!("invalid value '{text}' for {name}: {right}")
        })?;
        sources.push(source);
    }
    let default_cores = settings::all().position(|setting| setting.flag == "cores");
    if default_cores.is_some_and(|at| sources[at] == Source::Ours) {
        // The processes share the machine's cores.
        let cores = settings.server.green.workers;
        settings.server.green.workers = cores.div_ceil(settings.processes.workers).max(1);
    }
    let all = [
        Some(matches),
        arguments.as_ref().map(|(_, matches)| matches),
    ];
    let ignored = all.into_iter().flatten().flat_map(gunicorn::ignored_among);
    Ok(Resolved {
        settings,
        sources,
        ignored: ignored.collect(),
    })
}

/// What the environment gives for a setting, and by which name. An empty variable gives nothing,
/// unless nothing is a value.
fn variable(
    environment: Environment<'_>,
    setting: &Setting,
) -> Result<Option<(String, Vec<String>)>, String> {
    let names = [
        Some(setting.variable()),
        setting.other_variable.map(str::to_owned),
    ];
    for name in names.into_iter().flatten() {
        match text(environment, &name)? {
            Some(text) if setting.is_list() => {
                let items = text
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty());
                let items: Vec<_> = items.map(str::to_owned).collect();
                if !items.is_empty() {
                    return Ok(Some((name, items)));
                }
            }
            Some(text) if !text.is_empty() || setting.is_comma_list() => {
                return Ok(Some((name, vec![text])));
            }
            _ => {}
        }
    }
    if setting.flag != "bind" {
        return Ok(None);
    }
    // What service managers and platforms decide in ways of their own.
    if !inherited_sockets().is_empty() {
        return Ok(Some(("LISTEN_FDS".to_owned(), Vec::new())));
    }
    let port = text(environment, "PORT")?.filter(|port| !port.is_empty());
    Ok(port.map(|port| ("PORT".to_owned(), vec![format!("0.0.0.0:{port}")])))
}

/// Variables that look like ours and are none: slips, most likely.
pub(super) fn unknown_variables() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let is_known = |name: &str| {
        let ours = [CONFIG_VARIABLE, VARIABLE].contains(&name);
        let ours = ours || arguments::VARIABLES.contains(&name);
        ours || settings::all().any(|one| one.variable() == name)
    };
    names
        .filter(|name| name.starts_with(VARIABLES) && !is_known(name))
        .collect()
}

fn text(environment: Environment<'_>, name: &str) -> Result<Option<String>, String> {
    let text = environment(name).map(OsString::into_string);
    text.transpose()
        .map_err(|_| format!("the value of {name} is not text in UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values, among which there is one for each setting that is not its default.
    const VALUES: [&str; 10] = [
        "threads",
        "7",
        "1012",
        "serve",
        "required",
        "1.3",
        "json",
        "10.0.0.0/8",
        "trace",
        "true",
    ];

    /// One that is not the default, and another one.
    fn values_of(setting: &Setting) -> (String, String) {
        let mut shown = Vec::new();
        for text in VALUES.into_iter().chain([
            "a:1", "8", "green", "auto", "%(h)s", "*", "off", "false", "1000", "required", "1.3",
            "v1", "h1", "65536",
        ]) {
            let mut settings = Settings::default();
            let texts = [text.to_owned()];
            if setting.replace(&mut settings, &texts).is_ok() && setting.is_changed_in(&settings) {
                shown.push(setting.show(&settings));
            }
        }
        let first = shown.first().cloned().expect(setting.flag);
        (
            first.clone(),
            shown
                .into_iter()
                .find(|other| *other != first)
                .unwrap_or(first),
        )
    }

    #[test]
    fn a_flag_wins_over_the_environment_that_over_a_file_and_that_over_the_program() {
        let dir = std::env::temp_dir().join(format!("greenway-sources-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for setting in settings::all() {
            if setting.flag == "http-protocols" && !cfg!(feature = "http2") {
                continue; // has one value alone
            }
            let (one, other) = values_of(setting);
            let file = dir.join("app.toml");
            std::fs::write(
                &file,
                super::super::show::line(setting, std::slice::from_ref(&one)),
            )
            .unwrap();
            let file = file.to_str().unwrap();
            let resolved = |args: &[String], variables: &[(&str, &str)], program: Option<&str>| {
                let mut defaults = Settings::default();
                if let Some(text) = program {
                    setting.replace(&mut defaults, &[text.to_owned()]).unwrap();
                }
                let args = ["app".to_owned()].into_iter().chain(args.iter().cloned());
                let matches = flags::command(&defaults)
                    .try_get_matches_from(args)
                    .unwrap();
                let environment = |name: &str| {
                    let mut variables = variables.iter();
                    variables
                        .find(|(known, _)| *known == name)
                        .map(|(_, value)| (*value).into())
                };
                let resolved = resolve(defaults, &matches, &environment).unwrap();
                let index = settings::all()
                    .position(|it| it.flag == setting.flag)
                    .unwrap();
                (
                    setting.show(&resolved.settings),
                    resolved.sources[index].clone(),
                )
            };
            let flag = format!("--{}={one}", setting.flag);
            let variable = setting.variable();
            let program = Some(other.as_str());
            assert_eq!(
                resolved(
                    &[flag],
                    &[(&variable, &other), ("GREENWAY_CONFIG", file)],
                    program
                ),
                (one.clone(), Source::Flag)
            );
            assert_eq!(
                resolved(
                    &["--config".to_owned(), file.to_owned()],
                    &[(&variable, &other)],
                    Some(&one)
                ),
                (other.clone(), Source::Variable(variable.clone()))
            );
            assert_eq!(
                resolved(&[], &[("GREENWAY_CONFIG", file)], program),
                (one.clone(), Source::File(format!("{file}:1")))
            );
            assert_eq!(
                resolved(&[], &[], program),
                (other.clone(), Source::Program)
            );
            assert_eq!(resolved(&[], &[], None).1, Source::Ours);
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn flags_of_the_environment_stand_between_the_command_line_and_variables() {
        let resolved = |args: &[&str]| {
            let args = ["app"].iter().chain(args);
            let matches = flags::command(&Settings::default())
                .try_get_matches_from(args)
                .unwrap();
            let environment = |name: &str| match name {
                "GUNICORN_CMD_ARGS" => Some("--threads 7 -b a:1 -b b:2 --log-level warning".into()),
                "GREENWAY_THREADS" => Some("8".into()),
                "GREENWAY_BACKLOG" => Some("9".into()),
                _ => None,
            };
            resolve(Settings::default(), &matches, &environment).unwrap()
        };
        let told = resolved(&["-b", "c:3"]);
        let server = &told.settings.server;
        assert_eq!((server.threads, server.backlog), (7, 9));
        assert_eq!(server.bind, ["c:3"], "a list is replaced");
        assert_eq!(told.settings.log_level, log::LevelFilter::Warn);
        let of_variable = Source::Variable("GUNICORN_CMD_ARGS".to_owned());
        assert!(told.sources.contains(&of_variable));
        assert_eq!(resolved(&[]).settings.server.bind, ["a:1", "b:2"]);
    }

    #[test]
    fn lists_of_the_environment_have_commas_and_the_port_wins_over_the_program() {
        let bound = |variables: &[(&str, &str)]| {
            let mut defaults = Settings::default();
            defaults.server.bind.push("127.0.0.1:3000".to_owned());
            let matches = flags::command(&defaults)
                .try_get_matches_from(["app"])
                .unwrap();
            let environment = |name: &str| {
                let mut variables = variables.iter();
                variables
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| (*value).into())
            };
            resolve(defaults, &matches, &environment)
                .unwrap()
                .settings
                .server
                .bind
        };
        assert_eq!(bound(&[]), ["127.0.0.1:3000"]);
        assert_eq!(bound(&[("GREENWAY_BIND", "")]), ["127.0.0.1:3000"]);
        assert_eq!(bound(&[("PORT", "80")]), ["0.0.0.0:80"]);
        assert_eq!(
            bound(&[("PORT", "80"), ("GREENWAY_BIND", "a:1, b:2")]),
            ["a:1", "b:2"]
        );
    }
}
