//! A connection's transport as the state machine wants it: polled, and never waited for.
//!
//! A poll that finds nothing notes that, and registers no waker: the thread that polls waits for
//! the transport itself when the state machine has nothing more to do.

use crate::connection::{Transport, WritePace};
use bytes::BytesMut;
use greenway_proto::http2::{FrameWatch, Misuse};
use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So much is read before others of the worker have their turn.
const READ_AT_ONCE: usize = 256 * 1024;

/// What the state machine reads and writes, and who drives it looks at.
pub(super) struct Shared<T> {
    pub(super) stream: T,
    /// What has come, and was not read: it came before HTTP/2 was recognised, or there was no room.
    first: RefCell<BytesMut>,
    watch: RefCell<FrameWatch>,
    /// Bytes that may still be read in this turn.
    budget: Cell<usize>,
    /// The last write has found no room.
    blocked: Cell<bool>,
    sent: Cell<u64>,
    pub(super) pace: Cell<WritePace>,
    begun: Instant,
}

impl<T: Transport> Shared<T> {
    pub(super) fn new(stream: T, first: BytesMut, pace: WritePace) -> Rc<Self> {
        Rc::new(Self {
            stream,
            first: RefCell::new(first),
            watch: RefCell::default(),
            budget: Cell::new(READ_AT_ONCE),
            blocked: Cell::new(false),
            sent: Cell::new(0),
            pace: Cell::new(pace),
            begun: Instant::now(),
        })
    }

    /// A turn begins.
    pub(super) fn begin_turn(&self) {
        self.budget.set(READ_AT_ONCE);
        self.blocked.set(false);
    }

    /// The number of the head of which a part has come and the end has not.
    pub(super) fn head_under_way(&self) -> Option<u64> {
        self.watch.borrow().head_under_way()
    }

    /// Whether as much was read as is for one turn.
    pub(super) fn is_spent(&self) -> bool {
        self.budget.get() == 0
    }

    /// What the client does too much of.
    pub(super) fn misuse(&self) -> Option<Misuse> {
        let seconds = self.begun.elapsed().as_secs();
        self.watch.borrow().misuse(seconds, self.sent.get())
    }

    /// Waits for the transport, or for `woken`. `false` if the client has taken nothing for too
    /// long.
    pub(super) fn wait(&self, woken: &AtomicBool, deadline: Option<Instant>) -> io::Result<bool> {
        if !self.blocked.get() {
            return self.wait_once(woken, deadline).map(|()| true);
        }
        let look = |pace: WritePace| pace.seen(self.stream.unsent());
        let pace = look(self.pace.get());
        let begun = Instant::now();
        let write = begun.checked_add(pace.left());
        let next = deadline.into_iter().chain(write).min();
        self.wait_once(woken, next)?;
        let pace = look(pace.waited(begun.elapsed()));
        self.pace.set(pace);
        Ok(!pace.left().is_zero())
    }

    /// A deadline that has passed is no error: who waits looks at the clock.
    fn wait_once(&self, woken: &AtomicBool, deadline: Option<Instant>) -> io::Result<()> {
        match self.stream.wait_any(woken, deadline) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(()),
            done => done,
        }
    }

    fn wrote(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
        self.pace.set(self.pace.get().gave(bytes));
    }
}

/// The state machine's end.
pub(super) struct PolledIo<T>(pub(super) Rc<Shared<T>>);

impl<T: Transport> AsyncRead for PolledIo<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let all = &*self.0;
        if all.budget.get() == 0 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut first = all.first.borrow_mut();
        let start = buf.filled().len();
        if first.is_empty() {
            // Not read into `buf` itself, which would have to be filled with zeros before: of the
            // memory of an idle connection, that is a part.
            let read = all.stream.receive_now(&mut |bytes| {
                let (fits, more) = bytes.split_at(bytes.len().min(buf.remaining()));
                buf.put_slice(fits);
                first.extend_from_slice(more);
            });
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                result => drop(result?),
            }
        } else {
            let n = first.len().min(buf.remaining());
            buf.put_slice(&first.split_to(n));
            if first.is_empty() {
                *first = BytesMut::new();
            }
        }
        let came = &buf.filled()[start..];
        all.watch.borrow_mut().came(came);
        all.budget.set(all.budget.get().saturating_sub(came.len()));
        Poll::Ready(Ok(()))
    }
}

impl<T: Transport> AsyncWrite for PolledIo<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.0.stream.write_now(bufs) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.0.blocked.set(true);
                Poll::Pending
            }
            result => {
                self.0.wrote(*result.as_ref().unwrap_or(&0));
                Poll::Ready(result)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Where there is no room for TLS's last word, whoever lingers says it.
        let _said_or_not = self.0.stream.finish();
        Poll::Ready(Ok(()))
    }
}
