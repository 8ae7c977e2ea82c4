//! [`File`]: an open file.

use super::{Metadata, OpenOptions, with_path};
use crate::scheduler::lock::lock;
use crate::{is_green, unblock};
use rustix::io::{ReadWriteFlags, preadv2};
use std::fmt;
use std::io::{self, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The most that one read or write takes to the pool.
const PIECE: usize = 256 * 1024;

/// For [`preadv2`]: where the file is now.
const HERE: u64 = u64::MAX;

/// An open file, with std's traits: `std::fs::File` on OS threads.
///
/// A read that was given up while it ran has moved the file's position, and what it read is lost;
/// a write that was given up is written.
///
/// ```
/// use greenway_green::fs::File;
/// use std::io::Read;
///
/// let mut name = String::new();
/// File::open("/proc/self/comm")?.read_to_string(&mut name)?; // others go on meanwhile
/// assert!(name.ends_with('\n'));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct File {
    file: Arc<std::fs::File>,
    /// A buffer for the next call.
    spare: Mutex<Vec<u8>>,
}

impl File {
    /// Opens a file to be read.
    ///
    /// # Errors
    /// As `std::fs::File::open`.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        with_path(path, |path| std::fs::File::open(path)).map(Self::from)
    }

    /// Opens a file to be written, which is made or emptied.
    ///
    /// # Errors
    /// As `std::fs::File::create`.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        with_path(path, |path| std::fs::File::create(path)).map(Self::from)
    }

    /// Makes a file, to be read and written, where there is none.
    ///
    /// # Errors
    /// As `std::fs::File::create_new`.
    pub fn create_new(path: impl AsRef<Path>) -> io::Result<Self> {
        with_path(path, |path| std::fs::File::create_new(path)).map(Self::from)
    }

    /// Opens a file as `options` say.
    ///
    /// # Errors
    /// As std's `OpenOptions::open`.
    pub fn open_with(options: &OpenOptions, path: impl AsRef<Path>) -> io::Result<Self> {
        let options = options.clone();
        with_path(path, move |path| options.open(path)).map(Self::from)
    }

    fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&std::fs::File) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let file = self.file.clone();
        unblock(move || call(&file))
    }

    /// What is known of it.
    ///
    /// # Errors
    /// As std's.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.call(std::fs::File::metadata)
    }

    /// Cuts it, or adds zeros.
    ///
    /// # Errors
    /// As std's.
    pub fn set_len(&self, size: u64) -> io::Result<()> {
        self.call(move |file| file.set_len(size))
    }

    /// Waits until all is on the disk.
    ///
    /// # Errors
    /// As std's.
    pub fn sync_all(&self) -> io::Result<()> {
        self.call(std::fs::File::sync_all)
    }

    /// As [`sync_all`](Self::sync_all), without what only the metadata say.
    ///
    /// # Errors
    /// As std's.
    pub fn sync_data(&self) -> io::Result<()> {
        self.call(std::fs::File::sync_data)
    }

    /// Another handle of the same open file.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.file.try_clone().map(Self::from)
    }

    /// Runs `call` with a buffer on the pool; `take` sees the buffer afterwards.
    fn with_buffer<T: Send + 'static>(
        &self,
        prepare: impl FnOnce(&mut Vec<u8>),
        call: impl FnOnce(&std::fs::File, &mut Vec<u8>) -> io::Result<T> + Send + 'static,
        take: impl FnOnce(&T, &[u8]),
    ) -> io::Result<T> {
        let mut buffer = mem::take(&mut *lock(&self.spare));
        prepare(&mut buffer);
        let file = self.file.clone();
        let (result, buffer) = unblock(move || (call(&file, &mut buffer), buffer));
        if let Ok(done) = &result {
            take(done, &buffer);
        }
        *lock(&self.spare) = buffer;
        result
    }
}

impl Read for &File {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if !is_green() {
            return (&*self.file).read(buf);
        }
        // What the kernel has in its cache is there at once. It says no (EAGAIN) if it has not,
        // and if it knows no such reads.
        let at_once = preadv2(
            &self.file,
            &mut [IoSliceMut::new(buf)],
            HERE,
            ReadWriteFlags::NOWAIT,
        );
        if let Ok(n) = at_once {
            return Ok(n);
        }
        let length = buf.len().min(PIECE);
        self.with_buffer(
            |buffer| buffer.resize(length, 0),
            |mut file, buffer| file.read(buffer),
            |&n, buffer| buf[..n].copy_from_slice(&buffer[..n]),
        )
    }
}

impl Write for &File {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if !is_green() {
            return (&*self.file).write(buf);
        }
        let piece = &buf[..buf.len().min(PIECE)];
        self.with_buffer(
            |buffer| {
                buffer.clear();
                buffer.extend_from_slice(piece);
            },
            |mut file, buffer| file.write(buffer),
            |_, _| {},
        )
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for &File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (&*self.file).seek(to) // a number in the kernel; no disk is asked
    }
}

impl Read for File {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl Write for File {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (&*self).seek(to)
    }
}

impl From<std::fs::File> for File {
    fn from(file: std::fs::File) -> Self {
        Self {
            file: Arc::new(file),
            spare: Mutex::default(),
        }
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.fmt(f)
    }
}
