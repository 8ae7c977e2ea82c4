//! The processes that serve, whose they are, and when they are replaced.

use super::setting::Setting;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What decides about processes. Only programs have them: a server that is started from code is a
/// part of its program's process.
#[derive(Debug, Clone)]
pub(crate) struct Processes {
    /// How many serve.
    pub(crate) workers: usize,
    /// There is a master, although one process serves.
    pub(crate) master: bool,
    /// How long one may take until it serves.
    pub(crate) boot_timeout: Duration,
    /// The file with the number of the process that takes signals.
    pub(crate) pid: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) umask: Option<Mode>,
    /// They are replaced when the program's file changes.
    pub(crate) reload: bool,
    /// What makes that file, when sources change.
    pub(crate) reload_build: Option<String>,
}

impl Default for Processes {
    fn default() -> Self {
        Self {
            workers: 1,
            master: false,
            boot_timeout: Duration::from_secs(60),
            pid: None,
            user: None,
            group: None,
            umask: None,
            reload: false,
            reload_build: None,
        }
    }
}

impl Processes {
    /// Whether a master is needed, which starts the processes that serve.
    pub(crate) fn need_master(&self) -> bool {
        let Self { user, group, .. } = self;
        let others = user.is_some() || group.is_some() || self.reloads();
        self.workers > 1 || self.master || others
    }

    /// Whether they are replaced when the program's file changes.
    pub(crate) fn reloads(&self) -> bool {
        self.reload || self.reload_build.is_some()
    }
}

/// Bits of permission, in octal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mode(pub(crate) u32);

impl Mode {
    /// Makes it the umask of the process, and of those that it starts.
    pub(crate) fn set(self) {
        let _before = rustix::process::umask(rustix::fs::Mode::from_bits_truncate(self.0));
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let mode = u32::from_str_radix(digits, 8).ok();
        let mode = mode.filter(|mode| *mode <= 0o777);
        mode.map(Self)
            .ok_or_else(|| "an octal number up to 0777".to_owned())
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// More processes than any machine has use for.
const MOST_WORKERS: usize = 1000;

pub(super) static PROCESSES: &[Setting] = &[
    Setting::new(
        "workers",
        "N",
        |all| &mut all.processes.workers,
        "Processes that serve. With more than one, a master starts them, and TTIN, TTOU, HUP and USR2 \
         change them.",
    )
    .short('w')
    .other_variable("WEB_CONCURRENCY")
    .most(MOST_WORKERS),
    Setting::new(
        "master",
        "",
        |all| &mut all.processes.master,
        "Have a master also where one process serves, so that HUP replaces it without losing a \
         request.",
    )
    .default("off"),
    Setting::new(
        "boot-timeout",
        "SECONDS",
        |all| &mut all.processes.boot_timeout,
        "How long a process may take until it serves; then the master kills it.",
    )
    .zero_is_none(),
    Setting::new(
        "pid",
        "FILE",
        |all| &mut all.processes.pid,
        "Write the number of the process that takes signals to this file.",
    )
    .short('p')
    .default("nowhere"),
    Setting::new(
        "user",
        "USER",
        |all| &mut all.processes.user,
        "Serve as this user, by name or number; the master listens first, as whoever starts it.",
    )
    .short('u')
    .default("whoever starts it"),
    Setting::new(
        "group",
        "GROUP",
        |all| &mut all.processes.group,
        "Serve as this group, by name or number.",
    )
    .short('g')
    .default("that of --user"),
    Setting::new(
        "umask",
        "MODE",
        |all| &mut all.processes.umask,
        "What files and unix sockets may not be used for, in octal: 0007 keeps others out.",
    )
    .short('m')
    .default("that of whoever starts it"),
    Setting::new(
        "reload",
        "",
        |all| &mut all.processes.reload,
        "For development: replace the processes when the program's file changes.",
    )
    .default("off"),
    Setting::new(
        "reload-build",
        "COMMAND",
        |all| &mut all.processes.reload_build,
        "For development: run this in a shell when a source below the working directory changes, \
         such as \"cargo build\". Includes what --reload does.",
    )
    .default("nothing"),
];
