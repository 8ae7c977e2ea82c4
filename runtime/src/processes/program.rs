//! The program on disk, which is started again and again.
//!
//! A deploy puts another file in its place. So it is the name that counts, not the file that this
//! process was started from: `/proc/self/exe` follows the file when that is moved away, and looks
//! through links, where a deploy may only have changed a link. The name that the shell was given is
//! kept if it leads to our file at the start.

use super::identity::Identity;
use std::env;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a service manager tells its own child, by its number. Another master takes the place of that
/// child with the service manager as well, so it is not to see the number of the one before.
const FOR_ITS_CHILD: [&str; 4] = ["WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];
/// What is for masters alone. (`WATCHDOG_USEC` is left: processes are to look after their workers
/// then.)
const FOR_MASTERS: &str = "NOTIFY_SOCKET";

/// The program, and what it was started with.
#[derive(Debug, Clone)]
pub(super) struct Program {
    path: PathBuf,
    name: OsString,
    args: Vec<OsString>,
}

impl Program {
    /// That of this process.
    ///
    /// # Errors
    /// When its file cannot be told.
    pub(super) fn of_process() -> io::Result<Self> {
        let mut args = env::args_os();
        let name = args.next().unwrap_or_default();
        let path = match find(&name) {
            Some(path) => path,
            None => present_file()?,
        };
        Ok(Self {
            path,
            name,
            args: args.collect(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What starts it to serve, as somebody else if an identity says so.
    pub(super) fn to_serve(&self, identity: Identity) -> Command {
        let mut command = self.to_succeed();
        command.env_remove(FOR_MASTERS);
        identity.put_on(&mut command);
        command
    }

    /// What starts it as this process was.
    pub(super) fn to_succeed(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.arg0(&self.name).args(&self.args);
        for name in FOR_ITS_CHILD {
            command.env_remove(name);
        }
        command
    }
}

/// The file that the shell has found under this name, if that is ours.
fn find(name: &OsString) -> Option<PathBuf> {
    let ours = fs::metadata("/proc/self/exe").ok()?;
    let is_ours = |path: &PathBuf| fs::metadata(path).is_ok_and(|file| same_file(&file, &ours));
    let path = Path::new(name);
    if path.components().count() > 1 {
        return std::path::absolute(path).ok().filter(is_ours);
    }
    let folders = env::var_os("PATH")?;
    let mut found = env::split_paths(&folders).map(|folder| folder.join(path));
    let found = found.find(|path| path.is_file())?;
    std::path::absolute(found).ok().filter(is_ours)
}

fn same_file(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Where the file of this process is, or was before somebody has replaced it.
fn present_file() -> io::Result<PathBuf> {
    let path = env::current_exe()?;
    let text = path.to_string_lossy();
    Ok(match text.strip_suffix(" (deleted)") {
        Some(before) if !path.exists() => before.into(),
        _ => path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_the_program_or_nowhere() {
        let program = Program::of_process().unwrap();
        assert_eq!(
            fs::canonicalize(program.path()).unwrap(),
            fs::canonicalize(env::current_exe().unwrap()).unwrap()
        );
        assert_eq!(find(&"/bin/sh".into()), None, "this is another program");
        assert_eq!(find(&"sh".into()), None);
    }
}
