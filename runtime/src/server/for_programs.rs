//! What is set for [`Server::run`] alone: programs have processes, users and files, and servers that
//! are started from code have none of their own.

use super::Server;
use crate::service::settings::{Mode, Processes};
use std::time::Duration;

/// What [`run`](Server::run) does with processes; without effect on a server that is
/// [started](Server::start).
impl Server {
    fn set_processes(mut self, change: impl FnOnce(&mut Processes)) -> Self {
        change(&mut self.settings.processes);
        self
    }

    /// Processes that serve. With more than one, a master starts them, which also takes signals.
    /// Default: 1.
    pub fn workers(self, count: usize) -> Self {
        self.set_processes(|all| all.workers = count)
    }

    /// Whether there is a master also where one process serves, so that HUP replaces it without
    /// losing a request. Default: off.
    pub fn master(self, wanted: bool) -> Self {
        self.set_processes(|all| all.master = wanted)
    }

    /// How long a process may take until it serves; then the master kills it. 0 for no limit.
    /// Default: 60 s.
    pub fn boot_timeout(self, timeout: Duration) -> Self {
        self.set_processes(|all| all.boot_timeout = super::builder::limit(timeout))
    }

    /// Where to write the number of the process that takes signals. Default: nowhere.
    pub fn pid(self, path: impl Into<String>) -> Self {
        self.set_processes(|all| all.pid = Some(path.into()))
    }

    /// The user to serve as, by name or number. A master listens first, as whoever has started it.
    /// Default: whoever has started it.
    pub fn user(self, user: impl Into<String>) -> Self {
        self.set_processes(|all| all.user = Some(user.into()))
    }

    /// The group to serve as, by name or number. Default: that of [`user`](Self::user).
    pub fn group(self, group: impl Into<String>) -> Self {
        self.set_processes(|all| all.group = Some(group.into()))
    }

    /// What files and unix sockets may not be used for, as bits: `0o007` keeps others out.
    /// Default: that of whoever has started it.
    pub fn umask(self, mode: u32) -> Self {
        self.set_processes(|all| all.umask = Some(Mode(mode & 0o777)))
    }

    /// For development: whether processes are replaced when the program's file changes.
    /// Default: off.
    pub fn reload(self, wanted: bool) -> Self {
        self.set_processes(|all| all.reload = wanted)
    }

    /// For development: what to run in a shell when a source below the working directory changes,
    /// such as `cargo build`. Implies [`reload`](Self::reload). Default: nothing.
    pub fn reload_build(self, command: impl Into<String>) -> Self {
        self.set_processes(|all| all.reload_build = Some(command.into()))
    }
}
