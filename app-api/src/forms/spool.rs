//! Where uploaded files are until the handler is done with them.
//!
//! Small ones are in memory. All others of a request share one file on disk, so that a form of a
//! thousand files takes one descriptor. The file has no name (on Linux it never had one), so the
//! system frees it when its last descriptor is closed: also when the process is killed.
//!
//! What must stay true: a slow disk holds up no worker. All of the file is made, written and read by
//! an [`Unblocker`], in pieces that are worth the way.

use crate::unblocker::{self, Unblocker};
use bytes::{Buf, Bytes};
use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The file that the large uploads of a request share. It is made when it is needed.
#[derive(Debug)]
pub(super) struct Spool {
    file: Option<Arc<Mutex<File>>>,
    length: u64,
    unblock: Unblocker,
}

/// What an upload has brought.
#[derive(Debug, Clone)]
pub(super) enum Stored {
    Memory(Bytes),
    Disk {
        file: Arc<Mutex<File>>,
        start: u64,
        length: u64,
        unblock: Unblocker,
    },
}

/// Written at once, or read.
pub(super) const PIECE: usize = 128 * 1024;

impl Spool {
    pub(super) fn new(unblock: Unblocker) -> Self {
        Self {
            file: None,
            length: 0,
            unblock,
        }
    }

    /// Appends to the file. Gives the vector back, empty.
    pub(super) fn write(&mut self, mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let (file, at, added) = (self.file.clone(), self.length, bytes.len() as u64);
        let written = unblocker::by(self.unblock, move || {
            let file = match file {
                Some(file) => file,
                None => Arc::new(Mutex::new(tempfile::tempfile()?)),
            };
            let mut to = lock(&file);
            to.seek(SeekFrom::Start(at))?;
            to.write_all(&bytes)?;
            drop(to);
            bytes.clear();
            io::Result::Ok((file, bytes))
        });
        let (file, bytes) = written?;
        self.file = Some(file);
        self.length += added;
        Ok(bytes)
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
                unblock: self.unblock,
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
                unblock,
            } => {
                let left = length.saturating_sub(self.position);
                if self.buffered.is_empty() && left > 0 {
                    // Cannot truncate: it is at most `PIECE`.
                    let count = left.min(PIECE as u64) as usize;
                    let (file, at) = (Arc::clone(file), start + self.position);
                    let read = unblocker::by(*unblock, move || {
                        let mut bytes = vec![0; count];
                        let mut file = lock(&file);
                        file.seek(SeekFrom::Start(at))?;
                        file.read_exact(&mut bytes)?;
                        io::Result::Ok(Bytes::from(bytes))
                    });
                    self.buffered = read?;
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
