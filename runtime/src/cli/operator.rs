//! What whoever has started the program is told.

use crate::green::embed::Count;
use crate::service::log_writer::Troubles;
use crate::service::{LogFile, LogWriter};
use std::fmt;
use std::io::{self, Write};
use std::process::exit;
use std::time::{Duration, Instant};

/// The last lines of all logs are not waited for longer than this when the process ends.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The standard error, and the way out. Nobody may read it: that must neither end the program, as a
/// panic of `eprintln` would, nor hold it up.
#[derive(Debug, Clone)]
pub(super) struct Operator {
    /// `None` if there is no thread for it, which is why the program ends soon.
    pub(super) stderr: Option<LogWriter>,
    /// The server's log, if that is another one.
    pub(super) log: Option<LogWriter>,
    /// Of several processes, this is the one with this number; the master says what concerns all.
    pub(super) number: Option<usize>,
}

impl Operator {
    pub(super) fn new() -> Self {
        let stderr = LogWriter::start("standard error", LogFile::Stderr, Troubles::Here);
        Self {
            stderr: stderr.ok(),
            log: None,
            number: None,
        }
    }

    pub(super) fn say(&self, what: fmt::Arguments<'_>) {
        let line = match self.number {
            None => format!("greenway: {what}\n"),
            Some(number) => format!("greenway: process {number}: {what}\n"),
        };
        match &self.stderr {
            Some(writer) => writer.write(line),
            None => {
                let _nobody_reads_it = io::stderr().write_all(line.as_bytes());
            }
        }
    }

    /// Ends the process, once the logs are written, or stuck.
    pub(super) fn exit(&self, status: i32) -> ! {
        let deadline = Instant::now() + LAST_LINES;
        for writer in self.log.iter().chain(&self.stderr) {
            let _written_or_stuck = writer.flush(deadline);
        }
        exit(status)
    }

    /// Says how the server has stopped, and ends the process.
    pub(super) fn stopped(&self, cut: usize) -> ! {
        if cut > 0 {
            let were = if cut == 1 { "was" } else { "were" };
            self.say(format_args!(
                "stopped; {} {were} cut short",
                Count(cut, "request")
            ));
            self.exit(1);
        }
        if self.number.is_none() {
            self.say(format_args!("stopped"));
        }
        self.exit(0)
    }
}
