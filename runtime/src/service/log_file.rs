//! A file that is written to for as long as the server runs, and opened anew when somebody has
//! moved it away (`logrotate`, then USR1).

use crate::lock::lock;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A log that can be opened anew.
#[derive(Debug)]
pub(crate) enum LogFile {
    /// Belongs to whoever has started us; opening it anew means nothing.
    Stdout,
    Named {
        path: PathBuf,
        file: File,
    },
}

impl LogFile {
    /// Opens a file for appending.
    ///
    /// # Errors
    /// When it cannot be opened; the message names it.
    pub(crate) fn open(path: &str) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"));
        // The working directory may be another one when it is opened anew.
        let absolute = std::path::absolute(path).map_err(named)?;
        Ok(Self::Named {
            file: append_to(&absolute).map_err(named)?,
            path: absolute,
        })
    }

    /// Opens the file anew. On error the old one stays in use.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        if let Self::Named { path, file } = self {
            *file = append_to(path)?;
        }
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout => io::stdout().write(bytes),
            Self::Named { file, .. } => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().flush(),
            Self::Named { file, .. } => file.flush(),
        }
    }
}

/// A [`LogFile`] for several writers.
#[derive(Debug, Clone)]
pub(crate) struct SharedLog(Arc<Mutex<LogFile>>);

impl SharedLog {
    pub(crate) fn new(file: LogFile) -> Self {
        Self(Arc::new(Mutex::new(file)))
    }

    /// As [`LogFile::reopen`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        self.with(LogFile::reopen)
    }

    fn with<R>(&self, f: impl FnOnce(&mut LogFile) -> R) -> R {
        f(&mut lock(&self.0))
    }
}

impl Write for SharedLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with(LogFile::flush)
    }
}
