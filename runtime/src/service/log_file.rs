//! Where a log's lines end up: a file that is opened anew when somebody has moved it away
//! (`logrotate`, then USR1), or a standard stream.
//!
//! Only a log's own thread writes here, because each call may wait: for a disk, for whoever reads
//! a pipe, for somebody to open the other end of a FIFO.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// What a log is written to.
#[derive(Debug)]
pub(crate) enum LogFile {
    /// Belongs to whoever has started us; opening it anew means nothing.
    Stdout,
    /// As `Stdout`.
    Stderr,
    Named {
        path: PathBuf,
        /// `None` for a FIFO before the first line: opening it waits for a reader.
        file: Option<File>,
    },
}

impl LogFile {
    /// Opens a file for appending. Does not wait: a FIFO is opened with the first line.
    ///
    /// # Errors
    /// When it cannot be opened; the message names it.
    pub(crate) fn open(path: &str) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"));
        // The working directory may be another one when it is opened anew.
        let absolute = std::path::absolute(path).map_err(named)?;
        let file = match is_fifo(&absolute) {
            true => None,
            false => Some(append_to(&absolute).map_err(named)?),
        };
        Ok(Self::Named {
            file,
            path: absolute,
        })
    }

    /// Opens the file anew. On error the old one stays in use.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let Self::Named { path, file } = self {
            *file = Some(append_to(path)?);
        }
        Ok(())
    }
}

fn is_fifo(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            // Not through std's lock: the program's own `println` may hold it and wait.
            Self::Stdout => Ok(rustix::io::write(io::stdout(), bytes)?),
            Self::Stderr => Ok(rustix::io::write(io::stderr(), bytes)?),
            Self::Named { path, file } => {
                let open = match file.take() {
                    Some(open) => open,
                    None => append_to(path)?,
                };
                file.insert(open).write(bytes)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // nothing is kept back
    }
}
