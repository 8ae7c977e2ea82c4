//! Whom processes serve as: `--user` and `--group`.
//!
//! The master stays who it is, and so can listen on any port, write its file and start processes
//! anew. What serves clients has no such rights from its first instruction on: it changes before
//! the program is executed.

use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_thread_gid, set_thread_groups, set_thread_uid};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::os::unix::process::CommandExt;
use std::panic::resume_unwind;
use std::path::Path;
use std::process::Command;

/// What Linux calls the rights to change one's group and user (capabilities(7)).
const CAP_SETGID: u64 = 1 << 6;
const CAP_SETUID: u64 = 1 << 7;

/// Numbers of a user and a group; `None` where they stay as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    user: Option<u32>,
    group: Option<u32>,
}

impl Identity {
    /// Looks names up. Without a group, it is the user's own.
    ///
    /// # Errors
    /// When a name is not known.
    pub(crate) fn of(user: Option<&str>, group: Option<&str>) -> io::Result<Self> {
        let users = || fs::read_to_string("/etc/passwd").unwrap_or_default();
        let groups = || fs::read_to_string("/etc/group").unwrap_or_default();
        Self::look_up(user, group, users, groups)
    }

    fn look_up(
        user: Option<&str>,
        group: Option<&str>,
        users: impl FnOnce() -> String,
        groups: impl FnOnce() -> String,
    ) -> io::Result<Self> {
        let unknown = |kind: &str, name: &str, file: &str| {
            let why = format!("there is no {kind} {name:?} in {file} (a number works as well)");
            io::Error::new(io::ErrorKind::InvalidInput, why)
        };
        let mut identity = Self::default();
        if let Some(name) = user {
            let users = users();
            let found = line_of(&users, name);
            let number = name
                .parse()
                .ok()
                .or_else(|| found.as_ref()?.first().copied());
            let number = number.ok_or_else(|| unknown("user", name, "/etc/passwd"))?;
            identity.user = Some(number);
            identity.group = found.and_then(|numbers| numbers.get(1).copied());
        }
        if let Some(name) = group {
            let number = name.parse().ok();
            let number = number.or_else(|| line_of(&groups(), name)?.first().copied());
            let number = number.ok_or_else(|| unknown("group", name, "/etc/group"))?;
            identity.group = Some(number);
        }
        Ok(identity)
    }

    /// Lets a command's process have it.
    pub(super) fn put_on(self, command: &mut Command) {
        if let Some(group) = self.group {
            command.gid(group);
        }
        // Where we are root, this takes away our further groups as well.
        if let Some(user) = self.user {
            command.uid(user);
        }
    }

    /// Why processes cannot be started with it; `None` if they can.
    pub(crate) fn is_out_of_reach(self) -> Option<String> {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        self.is_out_of_reach_of(&status)
    }

    /// `status` is that of this process, as /proc shows it; empty if nobody knows.
    fn is_out_of_reach_of(self, status: &str) -> Option<String> {
        let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let may = line("CapEff:").and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())?;
        let is_own = |wanted: Option<u32>, name: &str| {
            let own = line(name).and_then(|ids| ids.split_whitespace().nth(1));
            wanted.is_none_or(|wanted| own.is_some_and(|own| own == wanted.to_string()))
        };
        let missing = [
            (self.user, "Uid:", CAP_SETUID, "--user"),
            (self.group, "Gid:", CAP_SETGID, "--group"),
        ];
        let mut missing = missing.into_iter();
        let (_, _, _, flag) = missing.find(|(wanted, name, capability, _)| {
            may & capability == 0 && !is_own(*wanted, name)
        })?;
        Some(format!(
            "{flag} cannot be had: the master has to be started by root for that"
        ))
    }

    /// Has `work` done by somebody who has it, on a thread that ends afterwards: to see what such
    /// processes will be able to do. Where it is out of reach, by whom we are.
    pub(crate) fn act_as<T: Send>(self, work: impl FnOnce() -> T + Send) -> T {
        if self == Self::default() || self.is_out_of_reach().is_some() {
            return work();
        }
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let _as_far_as_it_goes = self.change_thread();
                work()
            });
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// As `Command` does for a process.
    fn change_thread(self) -> rustix::io::Result<()> {
        if let Some(group) = self.group {
            set_thread_gid(Gid::from_raw(group))?;
        }
        if let Some(user) = self.user {
            if geteuid().is_root() {
                set_thread_groups(&[])?;
            }
            set_thread_uid(Uid::from_raw(user))?;
        }
        Ok(())
    }

    /// Gives it a log that the process is to write to, and creates that first where it is missing.
    /// So logs may lie in a folder that is root's.
    ///
    /// # Errors
    /// When that cannot be opened, or given away.
    pub(super) fn give_log(self, path: &str) -> io::Result<()> {
        if self == Self::default() || path == "-" {
            return Ok(());
        }
        // In a folder of its own, whoever serves could put a link to any file of root's in the place
        // of the log, and would be given that.
        let trusted = is_safe(Path::new(path));
        let more = if trusted { 0 } else { libc::O_NOFOLLOW };
        let mut options = fs::OpenOptions::new();
        // Does not wait where it is a FIFO.
        let nonblocking = options.read(true).append(true).create(true);
        let file = nonblocking.custom_flags(libc::O_NONBLOCK | more);
        let file = file.open(path)?;
        let found = file.metadata()?;
        if !trusted && found.nlink() > 1 {
            let why = "the file has another name as well, and the folder is not root's";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        fchown(file, self.user, self.group)
    }

    /// Gives it a unix socket that it listens on.
    ///
    /// # Errors
    /// When that cannot be given away.
    pub(super) fn give_socket(self, path: &Path) -> io::Result<()> {
        if self == Self::default() {
            return Ok(());
        }
        std::os::unix::fs::chown(path, self.user, self.group)
    }
}

/// Whether only root can put files into a path's folder.
fn is_safe(path: &Path) -> bool {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    fs::metadata(folder).is_ok_and(|folder| folder.uid() == 0 && folder.mode() & 0o022 == 0)
}

/// The numbers in the line of a name or a number: `name:password:number:number:...`.
fn line_of(lines: &str, name: &str) -> Option<Vec<u32>> {
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let mut lines = lines.lines().map(fields);
    let is_it = |fields: &Vec<String>| {
        let known = [fields.first(), fields.get(2)];
        known.into_iter().flatten().any(|known| known == name)
    };
    let found = lines.find(is_it)?;
    let numbers = found
        .iter()
        .skip(2)
        .take(2)
        .map_while(|text| text.parse().ok());
    Some(numbers.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_had_by_those_who_may_change_or_have_it() {
        let status = |user: u32, mask: &str| {
            format!(
                "Name:\tapp\nUid:\t{user}\t{user}\t{user}\t{user}\nGid:\t5\t5\t5\t5\nCapEff:\t{mask}\n"
            )
        };
        let (all, none) = ("000001ffffffffff", "0000000000000000");
        let of = |user, group| Identity { user, group };
        for (identity, status, missing) in [
            (of(Some(7), Some(7)), status(0, all), None),
            (of(Some(7), None), status(0, "0000000000000080"), None),
            (
                of(Some(7), None),
                status(0, "0000000000000040"),
                Some("--user"),
            ),
            (
                of(Some(7), Some(7)),
                status(0, "0000000000000080"),
                Some("--group"),
            ),
            (of(Some(7), Some(5)), status(7, none), None),
            (of(None, Some(6)), status(7, none), Some("--group")),
            (of(Some(0), None), status(7, none), Some("--user")),
            (of(None, None), status(7, none), None),
            (of(Some(0), None), String::new(), None),
        ] {
            let why = identity.is_out_of_reach_of(&status);
            let flag = why.as_deref().and_then(|why| why.split(' ').next());
            assert_eq!(flag, missing, "{identity:?} {status}");
        }
    }

    #[test]
    fn names_and_numbers_are_looked_up() {
        let users =
            || "root:x:0:0:root:/root:/bin/sh\nwww:x:33:44::/var/www:/bin/false\n".to_owned();
        let groups = || "root:x:0:\nstaff:x:50:www\n".to_owned();
        let of = |user, group| Identity::look_up(user, group, users, groups);
        let identity = |user, group| Identity { user, group };
        for (user, group, expected) in [
            (None, None, identity(None, None)),
            (Some("www"), None, identity(Some(33), Some(44))),
            (Some("33"), None, identity(Some(33), Some(44))),
            (Some("www"), Some("staff"), identity(Some(33), Some(50))),
            (Some("1234"), None, identity(Some(1234), None)),
            (None, Some("50"), identity(None, Some(50))),
        ] {
            assert_eq!(of(user, group).unwrap(), expected);
        }
        let error = of(Some("nobody-here"), None).unwrap_err().to_string();
        assert!(error.contains("\"nobody-here\""), "{error}");
        assert!(of(None, Some("www")).is_err());
    }
}
