//! Readers as bodies.
//!
//! A file whose length is known is offered to the server as it is: the kernel can
//! take it from there to the socket without a copy in between (PEP 3333,
//! "Optional Platform-Specific File Handling").

use std::any::Any;
use std::fs::File;
use std::io::{self, Read};

use bytes::BytesMut;

use super::error::BodyError;
use super::sink::Out;

/// Largest chunk, in bytes.
const CHUNK: usize = 64 * 1024;

/// Below this many free bytes a buffer is not worth another read.
const WORTH_READING: usize = 4 * 1024;

/// Copies `length` bytes (or all) from `reader`; dropping it is the last act.
pub(super) fn copy(
    mut reader: impl Read + 'static,
    length: Option<u64>,
    out: &mut Out<'_>,
) -> Result<(), BodyError> {
    match (&reader as &dyn Any).downcast_ref::<File>() {
        Some(file) => copy_file(file, length, out),
        None => copy_chunks(length, out, |_, buf| reader.read(buf), |_, _| Ok(0)),
    }
}

/// Copies `length` bytes (or all) of a file, from its position on.
pub(crate) fn copy_file(
    file: &File,
    length: Option<u64>,
    out: &mut Out<'_>,
) -> Result<(), BodyError> {
    copy_chunks(
        length,
        out,
        |out, buf| out.read_file(file, buf),
        |out, rest| out.send_file(file, rest),
    )
}

/// Copies what `read` gives. Where more than a chunk is left, `send` may have sent some of it in
/// another way.
fn copy_chunks(
    length: Option<u64>,
    out: &mut Out<'_>,
    mut read: impl FnMut(&mut Out<'_>, &mut [u8]) -> io::Result<usize>,
    mut send: impl FnMut(&mut Out<'_>, u64) -> Result<u64, BodyError>,
) -> Result<(), BodyError> {
    let mut left = length;
    let mut buf = BytesMut::new();
    while left != Some(0) {
        if let Some(rest) = left
            && rest > CHUNK as u64
        {
            let sent = send(out, rest)?;
            left = Some(rest.saturating_sub(sent));
            if sent >= rest {
                break;
            }
            // More of it needs waiting, or another server: a chunk in between will see to that.
        }
        // `left` may exceed a usize on 32-bit machines; CHUNK never does.
        let want = left.map_or(CHUNK, |left| {
            usize::try_from(left).unwrap_or(CHUNK).min(CHUNK)
        });
        if buf.len() < want.min(WORTH_READING) {
            // `clear` gives the rest of the old chunk back; `resize` reuses the
            // allocation when the sink has let go of what it was sent.
            buf.clear();
            buf.resize(want, 0);
        }
        let room = buf.len().min(want);
        let n = match read(out, &mut buf[..room]) {
            Ok(0) if left.is_some() => {
                let message = "the reader ended before the declared length";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message).into());
            }
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        out.send(buf.split_to(n).freeze())?;
        left = left.map(|left| left - n as u64);
    }
    Ok(())
}
