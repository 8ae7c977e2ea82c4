//! Whom processes serve as: `--user` and `--group`.
//!
//! The master stays who it is, and so can listen on any port, write its file and start processes
//! anew. What serves clients has no such rights from its first instruction on: it changes before
//! the program is executed.

use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Numbers of a user and a group; `None` where they stay as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Identity {
    user: Option<u32>,
    group: Option<u32>,
}

impl Identity {
    /// Looks names up. Without a group, it is the user's own.
    ///
    /// # Errors
    /// When a name is not known.
    pub(super) fn of(user: Option<&str>, group: Option<&str>) -> io::Result<Self> {
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

    /// Gives it a log that the process is to write to.
    ///
    /// # Errors
    /// When that cannot be opened, or given away.
    pub(super) fn give_log(self, path: &str) -> io::Result<()> {
        if self == Self::default() || path == "-" {
            return Ok(());
        }
        let mut options = fs::OpenOptions::new();
        // Does not wait where it is a FIFO.
        let nonblocking = options.read(true).append(true).create(true);
        let file = nonblocking.custom_flags(libc::O_NONBLOCK).open(path)?;
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
