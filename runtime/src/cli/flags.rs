//! The command line: a flag for each setting, and those about the settings themselves.

use super::file::distance;
use super::gunicorn;
use crate::service::settings::{self, Setting, Settings};
use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};
use std::ffi::OsStr;

/// Names the file; it may come from the environment as well.
pub(super) const CONFIG: &str = "config";
pub(super) const CHECK: &str = "check-config";
pub(super) const PRINT: &str = "print-config";
/// Only with the feature of that name.
#[cfg(feature = "generate")]
pub(super) const GENERATE: &str = "generate";

pub(super) const SOURCES: &str = "Each setting may also come from the environment (--keep-alive is \
    GREENWAY_KEEP_ALIVE) or from the file that --config names (keep-alive = 5). A flag wins over \
    the environment, that over the file, and the file over the defaults.";

/// The command line of a program with these defaults.
pub(super) fn command(defaults: &Settings) -> Command {
    let of_settings = settings::all().map(|setting| flag(setting, defaults));
    let command = Command::new("greenway")
        .about("A Greenway application")
        .version(crate::VERSION)
        .max_term_width(100)
        .after_help(SOURCES)
        .args(of_settings)
        .args(gunicorn::ignored_flags())
        .args([
            Arg::new(CONFIG)
                .long(CONFIG)
                .short('c')
                .value_name("FILE")
                .value_hint(ValueHint::FilePath)
                .help("Take settings from this file (TOML). Also from $GREENWAY_CONFIG. Default: none"),
            Arg::new(CHECK)
                .long(CHECK)
                .action(ArgAction::SetTrue)
                .help("Say what is set otherwise than by default, and where, without serving. Default: off"),
            Arg::new(PRINT)
                .long(PRINT)
                .action(ArgAction::SetTrue)
                .help("Print all settings as a file for --config (defaults as comments), without serving. Default: off"),
        ]);
    #[cfg(feature = "generate")]
    let command = command.arg(
        Arg::new(GENERATE)
            .long(GENERATE)
            .value_name("KIND")
            .value_parser(super::generate::KINDS)
            .help("Print completions of flags for a shell, or a page for man, without serving. Default: off"),
    );
    command
}

fn flag(setting: &'static Setting, defaults: &Settings) -> Arg {
    let mut help = setting.help.trim_end_matches('.').to_owned();
    match (setting.default_text(defaults), setting.default) {
        (Some(_), _) if setting.is_switch() => help += ". Default: on",
        (Some(text), _) => help += &format!(" [default: {text}]"),
        (None, Some(words)) => help += &format!(". Default: {words}"),
        (None, None) => {}
    }
    let arg = Arg::new(setting.flag)
        .long(setting.flag)
        .short(setting.short)
        .visible_aliases(setting.alias)
        .help(help);
    let arg = arg.value_parser(Checked(setting));
    let arg = match setting.value {
        "FILE" => arg.value_hint(ValueHint::FilePath),
        _ => arg.hide_possible_values(true), // the text of the help tells more of them
    };
    if setting.is_switch() {
        return arg
            .value_name("BOOL")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true");
    }
    let arg = match setting.missing {
        Some(text) => arg.num_args(0..=1).default_missing_value(text),
        None => arg,
    };
    arg.value_name(setting.value)
        .allow_negative_numbers(true) // to say what is wrong with them, not that -1 is no flag
        .action(if setting.is_list() {
            ArgAction::Append
        } else {
            ArgAction::Set
        })
}

/// Reads the value of a setting, and knows the words for it.
#[derive(Clone)]
struct Checked(&'static Setting);

impl TypedValueParser for Checked {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        let check = |text: &str| {
            let checked = self.0.read(&mut Settings::default(), text);
            checked.map(|()| text.to_owned())
        };
        check.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let words = self.0.words;
        (!words.is_empty()).then(|| Box::new(words.iter().map(PossibleValue::new)) as _)
    }
}

/// The flag among `matches` that asks for something to be shown instead of serving.
pub(super) fn asks_to_be_shown(matches: &ArgMatches) -> Option<&'static str> {
    #[cfg(feature = "generate")]
    if matches.contains_id(GENERATE) {
        return Some(GENERATE);
    }
    let flags = [CHECK, PRINT];
    flags.into_iter().find(|flag| matches.get_flag(flag))
}

/// What is wrong with a command line, in one line.
pub(super) fn wrong(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line.trim_start_matches("error: ");
    let instead = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(flag)) if error.kind() == ErrorKind::UnknownArgument => {
            instead_of(flag)
        }
        _ => None,
    };
    match instead {
        Some(instead) => format!("{line}: {instead}"),
        None => format!("{line} (--help lists the flags)"),
    }
}

/// What may have been meant by a flag that there is none of.
fn instead_of(flag: &str) -> Option<String> {
    if let Some(instead) = gunicorn::instead_of_flag(flag) {
        return Some(instead.to_owned());
    }
    if flag == "-v" {
        return Some("-V and --version show the version".to_owned());
    }
    let name = flag.strip_prefix("--")?;
    let meant = |name: &str| Some(format!("is --{name} meant?"));
    let plain = name.replace('_', "-");
    // gunicorn's names in its file are not always those of its flags.
    let in_file = gunicorn::renamed(&plain.replace('-', "_"));
    if let Some(ours) = in_file {
        return meant(ours);
    }
    let settings = settings::all().flat_map(|one| [Some(one.flag), one.alias]);
    let ours = settings.flatten().chain([CONFIG, CHECK, PRINT]);
    let nearest = ours.map(|known| (distance(&plain, known), known)).min();
    if let Some((letters, known)) = nearest
        && letters <= 2
        && plain.len() > 3
        && (letters < 2 || gunicorn::almost(flag).is_none())
    {
        return meant(known);
    }
    if let Some((known, instead)) = gunicorn::almost(flag) {
        return Some(format!("gunicorn's {known} has no counterpart: {instead}"));
    }
    // Python's flags may be cut short.
    let mut longer = settings::all().filter(|one| one.flag.starts_with(&plain));
    match (longer.next(), longer.next()) {
        (Some(one), None) if plain.len() > 3 => meant(one.flag),
        _ => None,
    }
}

/// What the command line gives for a setting.
pub(super) fn given(matches: &ArgMatches, setting: &Setting) -> Option<Vec<String>> {
    matches
        .value_source(setting.flag)
        .filter(|source| *source == ValueSource::CommandLine)?;
    let texts = matches.get_many(setting.flag).into_iter().flatten();
    Some(texts.cloned().collect())
}
