//! `--generate`: completions of flags for shells, and a page for `man`, made from the flags
//! themselves.
//!
//! A package of the program runs it while it is built, and installs what it prints.

use super::flags;
use crate::service::settings::Settings;
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::io::{self, Write};

/// What can be generated.
pub(super) const KINDS: [&str; 4] = ["complete-bash", "complete-zsh", "complete-fish", "man"];

/// What the signals do, as in the book.
const SIGNALS: &[(&str, &str)] = &[
    (
        "TERM, INT, QUIT",
        "Stop: requests may go on for --graceful-timeout. A second one ends the process at once.",
    ),
    ("USR1, HUP", "Open the log files anew."),
    ("USR2", "Write to the log what all green threads do."),
];

const EXIT: &[(&str, &str)] = &[
    ("0", "Stopped, and every request was finished."),
    (
        "1",
        "Could not start, or requests had to be cut short at the stop.",
    ),
    ("2", "A setting is wrong."),
];

/// What was asked for, for the program of this name.
///
/// # Errors
/// What the standard output reports.
pub(super) fn print(kind: &str, name: &str, defaults: &Settings) -> io::Result<()> {
    let mut text = Vec::new();
    let command = flags::command(defaults).name(name.to_owned());
    match kind {
        "complete-bash" => complete(Shell::Bash, command, name, &mut text),
        "complete-zsh" => complete(Shell::Zsh, command, name, &mut text),
        "complete-fish" => complete(Shell::Fish, command, name, &mut text),
        _ => man(command, &mut text)?,
    }
    io::stdout().write_all(&text)
}

fn complete(shell: Shell, mut command: Command, name: &str, out: &mut Vec<u8>) {
    clap_complete::generate(shell, &mut command, name, out);
}

fn man(command: Command, out: &mut Vec<u8>) -> io::Result<()> {
    let man = Man::new(command);
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    let mut rest = Roff::new();
    rest.control("SH", ["ENVIRONMENT"]);
    rest.text([roman(flags::SOURCES)]);
    for (title, rows) in [("SIGNALS", SIGNALS), ("EXIT STATUS", EXIT)] {
        rest.control("SH", [title]);
        for (name, meaning) in rows {
            rest.control("TP", []);
            rest.text([roman(*name)]);
            rest.text([roman(*meaning)]);
        }
    }
    rest.to_writer(out)?;
    man.render_version_section(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::settings;

    #[test]
    fn each_kind_names_each_flag() {
        for kind in KINDS {
            let command = flags::command(&Settings::default()).name("app");
            let mut text = Vec::new();
            match kind {
                "complete-bash" => complete(Shell::Bash, command, "app", &mut text),
                "complete-zsh" => complete(Shell::Zsh, command, "app", &mut text),
                "complete-fish" => complete(Shell::Fish, command, "app", &mut text),
                _ => man(command, &mut text).unwrap(),
            }
            // A dash is escaped in a page of `man`, and fish has flags without theirs.
            let text = String::from_utf8(text).unwrap().replace("\\-", "-");
            for setting in settings::all() {
                assert!(text.contains(setting.flag), "{kind}: {}", setting.flag);
            }
        }
    }
}
