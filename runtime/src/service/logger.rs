//! The logger of programs that [`serve`](crate::serve): level, filters and the form of a line.
//!
//! The form is that of `env_logger`, made here because its own time stamps cost a program a
//! library for time zones, which takes longer to build than most of Greenway.

use super::{LogWriter, timestamp};
use env_logger::fmt::Formatter;
use env_logger::fmt::style::{AnsiColor, Style};
use env_logger::{Target, WriteStyle};
use log::{LevelFilter, Log, Metadata, Record};
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::{Instant, SystemTime};

/// Spaces before the second and further lines of a message, such as a backtrace.
const INDENT: usize = 4;

/// What the logger writes to, where it is ours.
static WRITER: OnceLock<LogWriter> = OnceLock::new();

/// Sets up the program's logger, unless the program has set one of its own: messages from `level`
/// on go to `writer`. `RUST_LOG` overrides `level` where it is set.
pub(crate) fn install(level: LevelFilter, writer: LogWriter, colours: bool) {
    let mut logger = env_logger::Builder::new();
    logger
        .target(Target::Pipe(Box::new(writer.clone())))
        .write_style(match colours {
            true => WriteStyle::Always,
            false => WriteStyle::Never,
        })
        .filter_level(level)
        // `may` reports every descriptor.
        .filter_module("may", level.min(LevelFilter::Warn))
        .format(write_record);
    // `may_minihttp` reports every connection that closes as an error.
    #[cfg(feature = "minihttp")]
    logger.filter_module("may_minihttp", LevelFilter::Off);
    let logger = logger.parse_default_env().build();
    let most = logger.filter();
    if log::set_boxed_logger(Box::new(Filtered(logger))).is_ok() {
        log::set_max_level(most);
        let _there_is_one_logger = WRITER.set(writer);
    }
}

/// Without what is no news.
struct Filtered(env_logger::Logger);

impl Log for Filtered {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !is_interrupted_wait(record) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// `may` reports as an error that its wait for descriptors was interrupted, and waits again. That
/// happens to each worker of a process that was stopped (STOP) and goes on (CONT).
fn is_interrupted_wait(record: &Record<'_>) -> bool {
    record.target() == "may::io::event_loop" && record.args().to_string().contains("Interrupted")
}

/// Whether people want colours on the standard error.
pub(crate) fn colours_on_stderr() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
    io::stderr().is_terminal() && !dumb && !set("NO_COLOR")
}

/// Whether the program's logger is ours, to which writing never waits.
pub(crate) fn is_ours() -> bool {
    WRITER.get().is_some()
}

/// Messages that were dropped since the start, because the log was too slow.
pub(crate) fn dropped() -> u64 {
    WRITER.get().map_or(0, LogWriter::dropped)
}

/// Waits until the lines so far are written, or the deadline has come.
pub(crate) fn flush(deadline: Instant) {
    if let Some(writer) = WRITER.get() {
        let _as_far_as_there_was_time = writer.flush(deadline);
    }
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
    fn an_interrupted_wait_is_no_error() {
        let is_left_out = |target: &str, error: &io::Error| {
            // As the crate writes it.
            let said = format!("select error = {error:?}");
            let mut record = Record::builder();
            is_interrupted_wait(&record.target(target).args(format_args!("{said}")).build())
        };
        let [interrupted, other] = [libc::EINTR, libc::EBADF].map(io::Error::from_raw_os_error);
        assert!(is_left_out("may::io::event_loop", &interrupted));
        assert!(!is_left_out("may::io::event_loop", &other));
        assert!(!is_left_out("app", &interrupted));
    }

    #[test]
    fn further_lines_are_moved_to_the_right() {
        assert_eq!(indented("one"), "one");
        assert_eq!(indented("one\ntwo\n\nfour"), "one\n    two\n    \n    four");
    }
}
