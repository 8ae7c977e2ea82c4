//! The command line: a flag for each setting, and those about the settings themselves.

use crate::service::settings::{self, Setting, Settings};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// Names the file; it may come from the environment as well.
pub(super) const CONFIG: &str = "config";
pub(super) const CHECK: &str = "check-config";
pub(super) const PRINT: &str = "print-config";

/// What gunicorn has and we have not: long and short name, whether a value follows, and what to do
/// instead.
const REFUSED: [(&str, Option<char>, bool, &str); 3] = [
    (
        "daemon",
        Some('D'),
        false,
        "the program stays in the foreground; let systemd or a container run it, or start it with \
         setsid and &",
    ),
    (
        "chdir",
        None,
        true,
        "the program's main has run already; change the folder before it is started (cd, or \
         WorkingDirectory= of systemd)",
    ),
    (
        "preload",
        None,
        false,
        "each process runs the program's main; what they are to share belongs into a database",
    ),
];

const SOURCES: &str = "Each setting may also come from the environment (--keep-alive is \
    GREENWAY_KEEP_ALIVE) or from the file that --config names (keep-alive = 5). A flag wins over \
    the environment, that over the file, and the file over the defaults.";

/// The command line of a program with these defaults.
pub(super) fn command(defaults: &Settings) -> Command {
    let of_settings = settings::all().map(|setting| flag(setting, defaults));
    Command::new("greenway")
        .about("A Greenway application")
        .version(crate::VERSION)
        .max_term_width(100)
        .after_help(SOURCES)
        .args(of_settings)
        .args([
            Arg::new(CONFIG)
                .long(CONFIG)
                .short('c')
                .value_name("FILE")
                .help("Take settings from this file (TOML). Also from $GREENWAY_CONFIG. Default: none"),
            Arg::new(CHECK)
                .long(CHECK)
                .action(ArgAction::SetTrue)
                .help("Say what is set otherwise than by default, and where, without serving. Default: off"),
            Arg::new(PRINT)
                .long(PRINT)
                .action(ArgAction::SetTrue)
                .help("Print all settings as a file for --config, without serving. Default: off"),
        ])
        .args(REFUSED.map(|(name, short, has_value, _)| {
            let action = match has_value {
                true => ArgAction::Set,
                false => ArgAction::SetTrue,
            };
            Arg::new(name).long(name).short(short).action(action).hide(true)
        }))
}

/// The flag that was given and cannot be had, and what to do instead.
pub(super) fn refused(matches: &ArgMatches) -> Option<(&'static str, &'static str)> {
    let given = |name: &str| matches.value_source(name) == Some(ValueSource::CommandLine);
    let refused = REFUSED.iter().find(|(name, ..)| given(name));
    refused.map(|(name, .., hint)| (*name, *hint))
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
    let check = |text: &str| {
        let checked = setting.read(&mut Settings::default(), text);
        checked.map(|()| text.to_owned())
    };
    let arg = arg.value_parser(check);
    if setting.is_switch() {
        return arg
            .value_name("BOOL")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true");
    }
    arg.value_name(setting.value)
        .allow_negative_numbers(true) // to say what is wrong with them, not that -1 is no flag
        .action(if setting.is_list() {
            ArgAction::Append
        } else {
            ArgAction::Set
        })
}

/// What the command line gives for a setting.
pub(super) fn given(matches: &ArgMatches, setting: &Setting) -> Option<Vec<String>> {
    matches
        .value_source(setting.flag)
        .filter(|source| *source == ValueSource::CommandLine)?;
    let texts = matches.get_many(setting.flag).into_iter().flatten();
    Some(texts.cloned().collect())
}
