//! The logger of programs that [`serve`](crate::serve): level, filters and the form of a line.
//!
//! The form is that of `env_logger`, made here because its own time stamps cost a program a
//! library for time zones, which takes longer to build than most of Greenway.

use super::{SharedLog, timestamp};
use env_logger::fmt::Formatter;
use env_logger::fmt::style::{AnsiColor, Style};
use log::{LevelFilter, Record};
use std::io::{self, Write};
use std::time::SystemTime;

/// Spaces before the second and further lines of a message, such as a backtrace.
const INDENT: usize = 4;

/// Sets up the program's logger, unless the program has set one of its own: messages from `level`
/// on go to `file`, or to the standard error. `RUST_LOG` overrides `level` where it is set.
pub(crate) fn install(level: LevelFilter, file: Option<SharedLog>) {
    let mut logger = env_logger::Builder::new();
    if let Some(file) = file {
        logger.target(env_logger::Target::Pipe(Box::new(file)));
    }
    logger
        .filter_level(level)
        // `may` reports every descriptor.
        .filter_module("may", level.min(LevelFilter::Warn))
        .format(write_record);
    // `may_minihttp` reports every connection that closes as an error.
    #[cfg(feature = "minihttp")]
    logger.filter_module("may_minihttp", LevelFilter::Off);
    let _program_has_its_own = logger.parse_default_env().try_init();
}

/// `[1994-11-06T08:49:37Z INFO ] the message`, coloured on a terminal.
fn write_record(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let level_style = out.default_level_style(record.level());
    let colours = level_style != Style::new();
    let brackets = match colours {
        true => AnsiColor::BrightBlack.on_default(),
        false => Style::new(),
    };
    let mut time = String::with_capacity(20);
    timestamp::push_rfc3339(&mut time, SystemTime::now());
    let level = record.level();
    write!(
        out,
        "{brackets}[{brackets:#}{time} {level_style}{level:<5}{level_style:#}{brackets}]{brackets:#} "
    )?;
    writeln!(out, "{}", indented(&record.args().to_string()))
}

/// The message, with its further lines moved to the right, so that a reader sees where the next
/// message begins.
fn indented(message: &str) -> String {
    message.replace('\n', &format!("\n{:INDENT$}", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_lines_are_moved_to_the_right() {
        assert_eq!(indented("one"), "one");
        assert_eq!(indented("one\ntwo\n\nfour"), "one\n    two\n    \n    four");
    }
}
