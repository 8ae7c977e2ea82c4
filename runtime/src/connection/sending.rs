//! How a connection sends: what is to go, with whatever follows it, at the pace of its client.

use super::buffers;
use super::framed::Framed;
use super::io::{BufferedIo, FLUSH_AT, Output};
use super::pace::WritePace;
use super::transport::Transport;
use bytes::{Buf, Bytes};
use greenway_app::Gone;
use std::fs::File;
use std::io::{self, IoSlice};
use std::time::Instant;

impl<T: Transport> BufferedIo<T> {
    /// Adds to what is to go, without sending it.
    pub(super) fn queue<R>(&self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let mut outgoing = self.outgoing.borrow_mut();
        if outgoing.capacity() == 0 {
            *outgoing = buffers::take();
        }
        write(&mut outgoing)
    }

    /// Sends all that is to go.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.send(&[])
    }

    /// As [`flush`](Self::flush), where nobody can be told of an error; it stays known.
    pub(super) fn flush_before_block(&self) {
        self.gatherer.pause();
        if !self.is_writing() && (!self.outgoing.borrow().is_empty() || self.gatherer.holds()) {
            let _known_by_broken = self.flush();
        }
    }

    /// Sends what the kernel takes at once of what is to go. Whether that was all of it.
    pub(super) fn flush_now(&self) -> io::Result<bool> {
        self.send_keeping(&[], usize::MAX)?;
        Ok(self.outgoing.borrow().is_empty())
    }

    /// Sends all that is to go, and then `more`.
    pub(super) fn send(&self, more: &[&[u8]]) -> io::Result<()> {
        self.send_keeping(more, 0)
    }

    /// As [`send`](Self::send), for the end of a response: a thread of the pool keeps the last
    /// bytes that a slow client does not take, for the worker to send.
    pub(super) fn send_end(&self, more: &[&[u8]]) -> io::Result<()> {
        let keep = if self.stream.is_green() { 0 } else { FLUSH_AT };
        self.send_keeping(more, keep)
    }

    /// Sends until at most `keep` bytes are left, and more if that needs no waiting.
    fn send_keeping(&self, more: &[&[u8]], keep: usize) -> io::Result<()> {
        if self.output.get() != Output::Open {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, Gone));
        }
        let queued = match self.take_outgoing() {
            Ok(queued) => queued,
            Err(error) => return self.written(Err(error)),
        };
        let mut parts = [&[] as &[u8]; 4];
        let count = 1 + more.len();
        parts[0] = &queued;
        parts[1..count].copy_from_slice(more); // at most three: a chunk's size, data and end
        self.output.set(Output::Writing);
        let result = self.write_all(&mut parts[..count], keep);
        let result = self.written(result);
        buffers::give(queued);
        result
    }

    /// Takes all that is to go: chunks that were gathered, and what was added behind them.
    pub(super) fn take_outgoing(&self) -> io::Result<Vec<u8>> {
        let outgoing = self.outgoing.take();
        if self.gatherer.holds() {
            return self.take_gathered(outgoing);
        }
        Ok(outgoing)
    }

    #[inline(never)] // not to be part of the frame of those who have gathered nothing
    fn take_gathered(&self, outgoing: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut gathered = self.gatherer.take();
        self.write_pace
            .set(self.write_pace.get().gave(gathered.given));
        if let Some(error) = gathered.failed {
            return Err(error);
        }
        gathered.bytes.extend_from_slice(&outgoing);
        buffers::give(outgoing);
        Ok(gathered.bytes)
    }

    /// Sends the parts of a chunk, or keeps them for company: see [`gathering`](super::gathering).
    /// Whether it has sent them, and all that was kept.
    pub(super) fn send_or_gather(&self, parts: &[&[u8]], now: Instant) -> io::Result<bool> {
        if self.output.get() == Output::Open
            && self.gatherer.is_in_burst(now)
            && self.outgoing.borrow().is_empty()
        {
            match self.gatherer.add(parts, || self.stream.shared()) {
                Ok(true) => return Ok(false),
                Ok(false) => {}
                Err(error) => return self.written(Err(error)).map(|()| true),
            }
        }
        self.send(parts)?;
        self.gatherer.has_sent();
        Ok(true)
    }

    /// A write is over.
    fn written(&self, result: io::Result<()>) -> io::Result<()> {
        if self.is_writing() {
            self.output.set(Output::Open);
        }
        result.map_err(|error| {
            self.output.set(Output::Broken);
            if error.kind() == io::ErrorKind::TimedOut {
                // What the kernel still has for it is not to be kept for one who does not read.
                self.stream.reset();
            }
            of_client(error)
        })
    }

    /// As [`send`](Self::send), of a body's bytes on a stream that keeps them instead of copying
    /// them. With `last`, as [`send_end`](Self::send_end).
    #[inline(never)] // not to be part of the frame below handlers
    pub(super) fn send_bytes(
        &self,
        framed: &dyn Framed,
        bytes: Bytes,
        last: bool,
    ) -> io::Result<()> {
        self.flush()?;
        self.output.set(Output::Writing);
        let keep = if last && !self.stream.is_green() {
            FLUSH_AT
        } else {
            0
        };
        let result = self.give_all(framed, bytes, keep);
        self.written(result)
    }

    fn give_all(&self, framed: &dyn Framed, mut bytes: Bytes, keep: usize) -> io::Result<()> {
        while !bytes.is_empty() {
            let given = match framed.give_now(&bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if bytes.len() <= keep {
                        *self.outgoing.borrow_mut() = bytes.to_vec();
                        return Ok(());
                    }
                    self.wait_to_write(|deadline| framed.give(&bytes, deadline))?
                }
                done => {
                    let given = done?;
                    self.write_pace.set(self.write_pace.get().gave(given));
                    given
                }
            };
            bytes.advance(given);
        }
        Ok(())
    }

    /// Sends all that is to go, and then what the kernel takes at once of `n` bytes of a file,
    /// from its position on. Whatever is in the way of more, the next write will find.
    pub(super) fn send_file(&self, file: &File, n: usize) -> io::Result<usize> {
        if self.output.get() == Output::Open {
            // A head is to leave in the packet of the file's first bytes.
            let mut outgoing = self.outgoing.borrow_mut();
            if !outgoing.is_empty()
                && !self.gatherer.holds()
                && n > 0
                && let Ok(taken) = self.stream.write_with_more(&outgoing)
            {
                self.write_pace.set(self.write_pace.get().gave(taken));
                outgoing.drain(..taken);
            }
        }
        self.flush()?;
        let sent = self.stream.send_file(file, n).unwrap_or(0);
        self.write_pace.set(self.write_pace.get().gave(sent));
        Ok(sent)
    }

    fn write_all(&self, parts: &mut [&[u8]], keep: usize) -> io::Result<()> {
        loop {
            let mut slices = [IoSlice::new(&[]); 4];
            let mut count = 0;
            for part in parts.iter().filter(|part| !part.is_empty()) {
                slices[count] = IoSlice::new(part);
                count += 1;
            }
            if count == 0 {
                return Ok(());
            }
            let mut written = match self.write_some(&slices[..count]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if parts.iter().map(|part| part.len()).sum::<usize>() <= keep {
                        *self.outgoing.borrow_mut() = parts.concat();
                        return Ok(());
                    }
                    self.wait_to_write(|deadline| self.stream.write(&slices[..count], deadline))?
                }
                done => done?,
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            for part in parts.iter_mut() {
                let n = written.min(part.len());
                *part = &part[n..];
                written -= n;
            }
        }
    }

    /// Writes some of `bufs`, without waiting and without a look at any clock.
    fn write_some(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let result = self.stream.write_now(bufs);
        if let Ok(n) = result {
            self.write_pace.set(self.write_pace.get().gave(n));
        }
        result
    }

    /// The kernel has no more room, because the client takes nothing, or slowly. `write` waits for
    /// some.
    #[cold]
    #[inline(never)]
    fn wait_to_write(
        &self,
        write: impl Fn(Option<Instant>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let _handlers_clock = self.stop_handlers_clock();
        let look = |pace: WritePace| pace.seen(self.stream.unsent());
        self.write_pace.set(look(self.write_pace.get()));
        loop {
            let begun = Instant::now();
            let pace = self.write_pace.get();
            let deadline = begun.checked_add(pace.left());
            let result = write(deadline);
            // The kernel has room again only when much was taken; until then, ask it.
            let given = *result.as_ref().unwrap_or(&0);
            let pace = look(pace.waited(begun.elapsed()).gave(given));
            self.write_pace.set(pace);
            match result {
                Err(error)
                    if error.kind() == io::ErrorKind::TimedOut
                        && !pace.left().is_zero()
                        && !std::thread::panicking() => {}
                done => return done,
            }
        }
    }
}

/// An error of the client's connection. Where it says that the client has left, it is marked: such
/// errors are of other connections as well, which handlers have.
#[cold]
pub(super) fn of_client(error: io::Error) -> io::Error {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    match error.kind() {
        kind @ (BrokenPipe | ConnectionReset | ConnectionAborted) => io::Error::new(kind, Gone),
        _ => error,
    }
}
