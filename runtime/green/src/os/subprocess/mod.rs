//! Child processes whose pipes and whose end are waits like any other.
//!
//! The names are those of `std::process`; [`Stdio`], [`ExitStatus`] and [`Output`] are std's own.
//! It works in green threads and in OS threads.
//!
//! ```
//! use greenway_green::subprocess::Command;
//! use std::time::Duration;
//!
//! let sorted = Command::new("sort")
//!     .input("pear\napple\n")
//!     .timeout(Duration::from_secs(10))
//!     .output()?;
//! assert!(sorted.status.success());
//! assert_eq!(sorted.stdout, b"apple\npear\n");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! What must stay true:
//! - A [`Child`] that is dropped is killed, unless it has ended or was
//!   [detached](Child::detach). So the process that a handler has started does not outlive the
//!   handler: a client that leaves, a [`Timeout`](crate::Timeout) and a kill end it as well.
//! - Every process is reaped when it has ended, whatever became of its handle.
//! - Nothing is captured without a bound.
//!
//! # Implementation
//!
//! A pidfd tells of the end of a process, so no handler for SIGCHLD is needed and nobody else's
//! children are touched. Where the kernel has none (before Linux 5.3, or in a sandbox that
//! forbids it), the process is asked every few milliseconds. Children that nobody waits for any
//! more go to the thread `greenway-reaper`, which is started with the first of them.
//!
//! Starting a process is std's `posix_spawn`, or `fork` where the limit on descriptors was raised
//! and is restored for the child. Either holds up the worker until the new program runs: about a
//! millisecond.

mod child;
mod communicate;
mod pipe;
mod reaper;

pub use child::Child;
pub use pipe::{ChildStderr, ChildStdin, ChildStdout};
pub use std::process::{ExitStatus, Output, Stdio};

use crate::sys::restore_descriptor_limit;
use bytes::Bytes;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;

/// Bytes of each of stdout and stderr that are captured, unless another bound is set.
const MAX_OUTPUT: usize = 16 * 1024 * 1024;

/// What is to be run and how: `std::process::Command`, and what a service needs besides.
///
/// The program is looked for in `PATH`, and no shell is involved.
pub struct Command {
    std: std::process::Command,
    /// Whether stdin, stdout and stderr were chosen.
    chosen: [bool; 3],
    limits_restored: bool,
    settings: Settings,
}

/// What std's command does not know.
#[derive(Debug, Clone)]
struct Settings {
    input: Bytes,
    timeout: Option<Duration>,
    max_output: usize,
    leads_group: bool,
}

impl Command {
    /// Runs `program` without arguments, in this process's environment and directory. Its stdin,
    /// stdout and stderr are those of this process for [`spawn`](Self::spawn) and
    /// [`status`](Self::status); [`output`](Self::output) captures the latter two.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            std: std::process::Command::new(program),
            chosen: [false; 3],
            limits_restored: false,
            settings: Settings {
                input: Bytes::new(),
                timeout: None,
                max_output: MAX_OUTPUT,
                leads_group: false,
            },
        }
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.std.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, args: impl IntoIterator<Item: AsRef<OsStr>>) -> &mut Self {
        self.std.args(args);
        self
    }

    /// Sets a variable of the environment.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.std.env(key, value);
        self
    }

    /// Sets variables of the environment.
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        &mut self,
        vars: impl IntoIterator<Item = (K, V)>,
    ) -> &mut Self {
        self.std.envs(vars);
        self
    }

    /// Removes a variable of the environment.
    pub fn env_remove(&mut self, key: impl AsRef<OsStr>) -> &mut Self {
        self.std.env_remove(key);
        self
    }

    /// Removes all variables of the environment, also `PATH`.
    pub fn env_clear(&mut self) -> &mut Self {
        self.std.env_clear();
        self
    }

    /// The directory that the process starts in.
    pub fn current_dir(&mut self, dir: impl AsRef<Path>) -> &mut Self {
        self.std.current_dir(dir);
        self
    }

    /// Where it reads from.
    pub fn stdin(&mut self, stdin: impl Into<Stdio>) -> &mut Self {
        self.chosen[0] = true;
        self.std.stdin(stdin);
        self
    }

    /// Where it writes to.
    pub fn stdout(&mut self, stdout: impl Into<Stdio>) -> &mut Self {
        self.chosen[1] = true;
        self.std.stdout(stdout);
        self
    }

    /// Where it writes complaints to.
    pub fn stderr(&mut self, stderr: impl Into<Stdio>) -> &mut Self {
        self.chosen[2] = true;
        self.std.stderr(stderr);
        self
    }

    /// As std's. With 0 the process leads a group of its own, and is killed together with it:
    /// for programs that start others, such as shells.
    pub fn process_group(&mut self, group: i32) -> &mut Self {
        self.settings.leads_group = group == 0;
        self.std.process_group(group);
        self
    }

    /// What [`output`](Self::output) and [`status`](Self::status) write to its stdin. A process
    /// that ends without reading it is no error.
    pub fn input(&mut self, input: impl Into<Bytes>) -> &mut Self {
        self.settings.input = input.into();
        self
    }

    /// How long [`output`](Self::output) and [`status`](Self::status) let it run; then it is
    /// killed. Default: without limit.
    pub fn timeout(&mut self, timeout: Duration) -> &mut Self {
        self.settings.timeout = Some(timeout);
        self
    }

    /// How many bytes of each of stdout and stderr are captured at most, by
    /// [`output`](Self::output) and [`Child::wait_with_output`]; a process that writes more is
    /// killed. Default: 16 MiB.
    pub fn max_output(&mut self, bytes: usize) -> &mut Self {
        self.settings.max_output = bytes;
        self
    }

    /// Once for a command, which may be started several times.
    fn restore_limits(&mut self) {
        if !std::mem::replace(&mut self.limits_restored, true) {
            restore_descriptor_limit(&mut self.std);
        }
    }

    /// Starts the process.
    ///
    /// # Errors
    /// When the program cannot be started, or the process is out of descriptors.
    pub fn spawn(&mut self) -> io::Result<Child> {
        self.restore_limits();
        let child = self.std.spawn()?;
        Child::new(child, self.settings.clone())
    }

    /// Runs the process to its end.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn); [`TimedOut`](io::ErrorKind::TimedOut) when the
    /// [timeout](Self::timeout) is over, and it has been killed.
    pub fn status(&mut self) -> io::Result<ExitStatus> {
        self.choose_stdin(Stdio::inherit());
        Ok(communicate::run(self.spawn()?)?.status)
    }

    /// Runs the process to its end, and captures what it writes.
    ///
    /// # Errors
    /// As [`status`](Self::status); [`FileTooLarge`](io::ErrorKind::FileTooLarge) when it has
    /// written more than [`max_output`](Self::max_output), and has been killed.
    pub fn output(&mut self) -> io::Result<Output> {
        self.choose_stdin(Stdio::null());
        if !self.chosen[1] {
            self.std.stdout(Stdio::piped());
        }
        if !self.chosen[2] {
            self.std.stderr(Stdio::piped());
        }
        let child = self.spawn();
        // For a `spawn` that may come after this one.
        if !self.chosen[1] {
            self.std.stdout(Stdio::inherit());
        }
        if !self.chosen[2] {
            self.std.stderr(Stdio::inherit());
        }
        communicate::run(child?)
    }

    fn choose_stdin(&mut self, without_input: Stdio) {
        if !self.settings.input.is_empty() {
            self.std.stdin(Stdio::piped());
        } else if !self.chosen[0] {
            self.std.stdin(without_input);
        }
    }
}

/// With its program, arguments, environment, directory and redirections. Whether the latter were
/// chosen cannot be seen, so [`output`](Command::output) captures stdout and stderr.
impl From<std::process::Command> for Command {
    fn from(std: std::process::Command) -> Self {
        Self {
            std,
            ..Self::new("")
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.std.fmt(f)
    }
}
