//! Where uploaded files are until the handler is done with them.
//!
//! Small ones are in memory. All others of a request share one file on disk, so that a form of a
//! thousand files takes one descriptor. The file has no name (on Linux it never had one), so the
//! system frees it when its last descriptor is closed: also when the process is killed.

use bytes::{Buf, Bytes};
use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The file that the large uploads of a request share. It is made when it is needed.
#[derive(Debug, Default)]
pub(super) struct Spool {
    file: Option<Arc<Mutex<File>>>,
    length: u64,
}

/// What an upload has brought.
#[derive(Debug, Clone)]
pub(super) enum Stored {
    Memory(Bytes),
    Disk {
        file: Arc<Mutex<File>>,
        start: u64,
        length: u64,
    },
}

impl Spool {
    /// Appends to the file.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &self.file {
            Some(file) => file,
            None => {
                let file = Arc::new(Mutex::new(tempfile::tempfile()?));
                self.file.insert(file)
            }
        };
        let mut file = lock(file);
        file.seek(SeekFrom::Start(self.length))?;
        file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// What was written since the file had `start` bytes.
    pub(super) fn since(&self, start: u64) -> Stored {
        match &self.file {
            Some(file) => Stored::Disk {
                file: Arc::clone(file),
                start,
                length: self.length - start,
            },
            None => Stored::Memory(Bytes::new()),
        }
    }
}

/// A panic cannot happen while it is held, and a file has no invariant.
fn lock(file: &Mutex<File>) -> MutexGuard<'_, File> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stored {
    pub(super) fn length(&self) -> u64 {
        match self {
            Stored::Memory(bytes) => bytes.len() as u64,
            Stored::Disk { length, .. } => *length,
        }
    }
}

/// Reads an uploaded file, from its start. It keeps the file alive, so it may be taken along into
/// a response body or to another thread.
#[derive(Debug, Clone)]
pub struct FileReader {
    stored: Stored,
    position: u64,
    /// What was read of a file on disk, and not consumed.
    buffered: Bytes,
}

/// Read at once from disk.
const READ: u64 = 64 * 1024;

impl FileReader {
    pub(super) fn new(stored: Stored) -> Self {
        Self {
            stored,
            position: 0,
            buffered: Bytes::new(),
        }
    }
}

impl BufRead for FileReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &self.stored {
            Stored::Memory(bytes) => {
                let at = usize::try_from(self.position).unwrap_or(usize::MAX);
                Ok(bytes.get(at..).unwrap_or(&[]))
            }
            Stored::Disk {
                file,
                start,
                length,
            } => {
                let left = length.saturating_sub(self.position);
                if self.buffered.is_empty() && left > 0 {
                    // Cannot truncate: it is at most `READ`.
                    let mut bytes = vec![0; left.min(READ) as usize];
                    let mut file = lock(file);
                    file.seek(SeekFrom::Start(start + self.position))?;
                    file.read_exact(&mut bytes)?;
                    self.buffered = bytes.into();
                }
                Ok(&self.buffered)
            }
        }
    }

    fn consume(&mut self, n: usize) {
        if let Stored::Disk { .. } = self.stored {
            let n = n.min(self.buffered.len());
            self.buffered.advance(n);
            self.position += n as u64;
        } else {
            self.position = (self.position + n as u64).min(self.stored.length());
        }
    }
}

impl Read for FileReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let chunk = self.fill_buf()?;
        let taken = chunk.len().min(out.len());
        out[..taken].copy_from_slice(&chunk[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}

impl Seek for FileReader {
    /// A position behind the end is one where nothing is left.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, offset) = match to {
            SeekFrom::Start(position) => (position, 0),
            SeekFrom::End(offset) => (self.stored.length(), offset),
            SeekFrom::Current(offset) => (self.position, offset),
        };
        let Some(position) = base.checked_add_signed(offset) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a position before the start of an uploaded file",
            ));
        };
        self.buffered.clear();
        self.position = position;
        Ok(position)
    }
}
