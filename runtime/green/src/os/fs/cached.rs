//! Files of std's, read by a green thread: what the kernel has in its cache at once, and the rest
//! by the pool.
//!
//! For servers, which are given files by code that knows no green threads.

use crate::{is_green, unblock};
use rustix::fs::fstatfs;
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use std::fs::File;
use std::io::{self, IoSliceMut, Read, Seek};

/// For [`preadv2`]: where the file is now.
const HERE: u64 = u64::MAX;

/// Of so many bytes, one is asked for: as many as the kernel reads ahead at the least, so that few
/// are missing where none of these is.
const STRIDE: usize = 64 * 1024;

/// File systems without a disk, which do not know reads that never wait: `TMPFS_MAGIC` and
/// `RAMFS_MAGIC` of linux/magic.h.
const IN_MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];

/// Reads from the file's position on, as [`Read`] does.
///
/// # Errors
/// As [`File`]'s.
pub fn read_from(file: &File, buf: &mut [u8]) -> io::Result<usize> {
    if is_green() {
        match at_once(file, buf, HERE) {
            Ok(n) => return Ok(n),
            Err(error) if waits(file, error) => return read_elsewhere(file, buf),
            Err(_) => {} // it is told by the usual read
        }
    }
    let mut file = file;
    file.read(buf)
}

/// Gets the next `n` bytes of a file into the kernel's cache, if they are not there, so that
/// sending them does not wait for the disk. Gives whether the first of them was read, so that there
/// is something to send; what cannot be read further on, sending will find out about.
pub fn prepare(file: &File, n: usize) -> bool {
    let mut position = file;
    let Ok(start) = position.stream_position() else {
        return false;
    };
    if !is_green() {
        return n > 0 && rustix::io::pread(file, &mut [0], start) == Ok(1);
    }
    let probes = (0..n).step_by(STRIDE).chain(n.checked_sub(1));
    let mut readable = false;
    for offset in probes {
        match at_once(file, &mut [0], start + offset as u64) {
            Ok(0) => break, // beyond the end
            Ok(_) => readable = true,
            Err(error) if waits(file, error) => {
                // What is there already is read once more: it is seldom, and costs no wait.
                let from = start + offset as u64;
                return fetch(file, from, n - offset) || readable;
            }
            Err(_) => break,
        }
    }
    readable
}

fn at_once(file: &File, buf: &mut [u8], at: u64) -> Result<usize, Errno> {
    preadv2(
        file,
        &mut [IoSliceMut::new(buf)],
        at,
        ReadWriteFlags::NOWAIT,
    )
}

/// Whether a read that must not wait has failed because it would have, or might have.
fn waits(file: &File, error: Errno) -> bool {
    match error {
        Errno::AGAIN => true,
        // The file system, or the kernel, knows no such reads.
        Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL => {
            !fstatfs(file).is_ok_and(|of| IN_MEMORY.contains(&(of.f_type as u32)))
        }
        _ => false,
    }
}

#[cold]
fn read_elsewhere(file: &File, buf: &mut [u8]) -> io::Result<usize> {
    let mut there = file.try_clone()?; // the same open file, with the same position
    let length = buf.len();
    let bytes = unblock(move || {
        let mut bytes = vec![0; length];
        let n = there.read(&mut bytes)?;
        bytes.truncate(n);
        Ok::<_, io::Error>(bytes)
    })?;
    buf[..bytes.len()].copy_from_slice(&bytes);
    Ok(bytes.len())
}

/// Reads so many bytes, to have them in the cache; whether there was any.
#[cold]
fn fetch(file: &File, from: u64, n: usize) -> bool {
    let Ok(there) = file.try_clone() else {
        return false;
    };
    unblock(move || {
        let mut bytes = [0; 16 * 1024];
        let end = from + n as u64;
        let mut at = from;
        while at < end {
            // At most the size of the buffer, so it fits.
            let piece = (end - at).min(bytes.len() as u64) as usize;
            match rustix::io::pread(&there, &mut bytes[..piece], at) {
                Ok(0) => break,
                Ok(read) => at += read as u64,
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        at > from
    })
}
