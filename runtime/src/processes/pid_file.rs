//! The file with the number of the process that takes signals (`--pid`).

use rustix::io::Errno;
use rustix::process::{Pid, getpid, test_kill_process};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The file; removed when dropped, unless it tells another process's number by then.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Writes our number.
    ///
    /// # Errors
    /// When the file names another process that runs, or cannot be written.
    pub(crate) fn write(path: impl AsRef<Path>) -> io::Result<Self> {
        // The working directory may be another one when we stop.
        let path = std::path::absolute(path)?;
        if let Some(other) = number_in(&path)
            && other != getpid()
            && test_kill_process(other) != Err(Errno::SRCH)
        {
            let why = format!("process {} runs already", other.as_raw_nonzero());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        write(&path)?;
        Ok(Self { path })
    }

    /// As [`write`](Self::write), beside the file of a process in whose place we are to be:
    /// `app.pid.2` for `app.pid`.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(crate) fn write_beside(path: impl AsRef<Path>) -> io::Result<Self> {
        let mut beside = path.as_ref().as_os_str().to_owned();
        beside.push(".2");
        Self::write(beside)
    }

    /// Takes the place of the file that it was written beside.
    ///
    /// # Errors
    /// When the file cannot be renamed.
    pub(crate) fn promote(&mut self) -> io::Result<()> {
        let place = self.path.with_extension("");
        fs::rename(&self.path, &place)?;
        self.path = place;
        Ok(())
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if number_in(&self.path) == Some(getpid()) {
            let _gone_already = fs::remove_file(&self.path);
        }
    }
}

/// Nobody finds it half written.
fn write(path: &Path) -> io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let number = getpid().as_raw_nonzero();
    fs::write(&part, format!("{number}\n"))?;
    // Whatever the umask is for sockets: whoever can write here decides whom an operator signals.
    fs::set_permissions(&part, Permissions::from_mode(0o644))?;
    fs::rename(&part, path)
}

fn number_in(path: &Path) -> Option<Pid> {
    Pid::from_raw(fs::read_to_string(path).ok()?.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_process_that_runs_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("greenway-pid-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("app.pid");
        let text = |path: &Path| fs::read_to_string(path).unwrap();
        let own = format!("{}\n", std::process::id());
        // Nobody has this number, or what is left of a file.
        for left in ["2147483647\n", "", "what?"] {
            fs::write(&path, left).unwrap();
            let file = PidFile::write(&path).unwrap();
            assert_eq!(text(&path), own);
            drop(file);
            assert!(!path.exists());
        }
        fs::write(&path, "1\n").unwrap();
        let error = PidFile::write(&path).unwrap_err();
        assert_eq!(error.to_string(), "process 1 runs already");
        let mut next = PidFile::write_beside(&path).unwrap();
        assert_eq!(text(&folder.join("app.pid.2")), own);
        next.promote().unwrap();
        assert_eq!(text(&path), own);
        drop(next);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::remove_dir(&folder).unwrap();
    }
}
