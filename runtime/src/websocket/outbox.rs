//! What is to go to the peer: frames in order, written at once where the kernel takes them.
//!
//! Everybody who sends shares one outbox, from any thread. A frame that comes while nothing waits
//! is written at once, by whoever brings it, with no thread and no wait in between. What the
//! kernel does not take is queued, and a green thread of its own (the drainer) writes it as the
//! peer reads; it has a descriptor of its own for that, so that it can wait for room while the
//! connection's thread waits for input, and both end with the queue.
//!
//! What must stay true:
//! - Frames are whole. Nobody who is ended or gives up leaves half of one behind: a frame is either
//!   not here, or the outbox's business.
//! - Between the frames of a message that is sent in pieces come control frames only.
//! - The lock is held over system calls that do not wait, and never over a wait.
//! - What can be queued is bounded: one frame of those who wait for their turn (of whom there is
//!   one at a time), the posts up to [`Bounds`], one pong, one close frame.

use super::error::{ErrorKind, SocketError};
use super::{CloseCode, CloseFrame};
use crate::connection::WritePace;
use crate::connection::shared_socket::{SharedSocket, Writer};
use crate::green::embed::{
    Awaited, Io, Locked, Thread, TimedOut, Worker, current_worker, least_loaded, lock, spawn_on,
    wait_for, workers,
};
use bytes::{Buf, Bytes};
use greenway_proto::websocket::{Encoder, Role};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Frames that one system call writes.
const TOGETHER: usize = 16;

/// What [`Outbox::post`] may queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

pub(super) struct Outbox {
    socket: Arc<dyn SharedSocket>,
    /// Where the drainer lives; `None`: where there is room.
    home: Option<&'static Worker>,
    role: Role,
    bounds: Bounds,
    write_timeout: Duration,
    state: Mutex<OutboxState>,
}

/// What every message touches comes first, so that it lies together.
#[repr(C)]
pub(super) struct OutboxState {
    /// How it ends; `None` while it does not.
    end: Option<Box<End>>,
    /// In the order of the wire. The first may be written in part; it is cut off as it goes.
    queue: VecDeque<Bytes>,
    queued: usize,
    /// Bytes of all time that were brought, and that the kernel has taken.
    pushed: u64,
    written: u64,
    /// The drainer is at work: nobody else writes.
    draining: bool,
    /// Writing has failed.
    broken: bool,
    /// A message is being sent in pieces; posts wait here for its end.
    in_pieces: bool,
    posts: VecDeque<Bytes>,
    /// The answer to the last ping, while something else waits: older ones need none (RFC 6455
    /// section 5.5.3).
    pong: Option<Bytes>,
    /// For control frames.
    control: Encoder,
    /// Those who wait for some of this to change.
    waiting: Vec<Arc<Thread>>,
}

#[derive(Default)]
struct End {
    /// The close frame that we have sent, and that of the peer.
    ours: Option<CloseFrame>,
    theirs: Option<CloseFrame>,
    fault: Option<SocketError>,
    /// The connection is over and cannot be reached any more.
    gone: bool,
}

impl Outbox {
    pub(super) fn new(
        socket: Arc<dyn SharedSocket>,
        role: Role,
        bounds: Bounds,
        write_timeout: Duration,
    ) -> Self {
        Self {
            socket,
            home: current_worker().and_then(|here| workers().get(here.index()).copied()),
            role,
            bounds,
            write_timeout,
            state: Mutex::new(OutboxState {
                end: None,
                queue: VecDeque::new(),
                queued: 0,
                pushed: 0,
                written: 0,
                draining: false,
                broken: false,
                in_pieces: false,
                posts: VecDeque::new(),
                pong: None,
                control: Encoder::new(role, None),
                waiting: Vec::new(),
            }),
        }
    }

    pub(super) fn lock(&self) -> Locked<'_, OutboxState> {
        lock(&self.state)
    }

    pub(super) fn socket(&self) -> &dyn SharedSocket {
        &*self.socket
    }

    /// Waits until what was here when the caller came has left for the kernel. The caller has the
    /// turn to send: there is one of them at a time.
    ///
    /// # Errors
    /// When the WebSocket is closed or lost; `TimedOut` at the deadline.
    pub(super) fn wait_turn(&self, deadline: Option<Instant>) -> Result<(), SocketError> {
        let state = self.lock();
        state.check_open()?;
        if state.queue.is_empty() {
            return Ok(());
        }
        let before_me = state.pushed;
        drop(state);
        self.wait(deadline, |state| match state.check_open() {
            Err(error) => Some(Err(error)),
            Ok(()) => (state.written >= before_me).then_some(Ok(())),
        })
        .unwrap_or_else(|TimedOut| Err(SocketError::timed_out()))
    }

    /// Waits until all has left for the kernel, or nothing more can. The drainer bounds it.
    pub(super) fn wait_empty(&self) {
        let empty = |state: &mut OutboxState| {
            let done = state.queue.is_empty() || state.fault().is_some() || state.is_gone();
            done.then_some(())
        };
        let (Ok(()) | Err(TimedOut)) = self.wait(None, empty);
    }

    /// Bytes that have not reached the peer: those that wait here, and those of the kernel as far
    /// as it tells.
    pub(super) fn undelivered(&self) -> u64 {
        let queued = self.lock().queued as u64;
        queued + self.socket.unsent()
    }

    /// The pace that is asked of the peer, from here on.
    pub(super) fn pace(&self) -> WritePace {
        WritePace::new(self.write_timeout).seen(Some(self.undelivered()))
    }

    fn wait<R>(
        &self,
        deadline: Option<Instant>,
        mut check: impl FnMut(&mut OutboxState) -> Option<R>,
    ) -> Result<R, TimedOut> {
        wait_for(Awaited::Writable, deadline, Io::None, |me, _| {
            let mut state = self.lock();
            let found = check(&mut state);
            // Whoever wakes us takes us off the list.
            if found.is_none() && !state.waiting.iter().any(|thread| Arc::ptr_eq(thread, me)) {
                state.waiting.push(me.clone());
            }
            found
        })
    }

    /// Sends a data frame, or several of one message, of one who has the turn.
    ///
    /// # Errors
    /// When the WebSocket is closed or lost.
    pub(super) fn send(self: &Arc<Self>, frames: &[u8]) -> Result<(), SocketError> {
        let state = self.lock();
        state.check_open()?;
        self.push(state, frames, |from| {
            Bytes::copy_from_slice(&frames[from..])
        });
        Ok(())
    }

    /// Begins a message in pieces, or ends it: then the posts that have waited for that go.
    pub(super) fn in_pieces(self: &Arc<Self>, in_pieces: bool) {
        let mut state = self.lock();
        state.in_pieces = in_pieces;
        if in_pieces || state.posts.is_empty() {
            return;
        }
        let posts = std::mem::take(&mut state.posts);
        if state.check_open().is_err() {
            state.queued -= posts.iter().map(Bytes::len).sum::<usize>();
            return;
        }
        for frame in posts {
            state.queued -= frame.len(); // counted again
            self.push_to(&mut state, &frame, |from| frame.slice(from..));
        }
        self.see_to_rest(state);
    }

    /// Sends a whole message without waiting for anybody.
    ///
    /// # Errors
    /// When the WebSocket is closed or lost; `Full` if there is too much already.
    pub(super) fn post(self: &Arc<Self>, frame: Bytes) -> Result<(), SocketError> {
        let mut state = self.lock();
        state.check_open()?;
        let waiting = state.queue.len() + state.posts.len();
        let full = waiting >= self.bounds.messages
            || state.queued.saturating_add(frame.len()) > self.bounds.bytes;
        if waiting > 0 && full {
            return Err(SocketError::full());
        }
        if state.in_pieces {
            state.queued += frame.len();
            state.posts.push_back(frame);
        } else {
            self.push(state, &frame, |from| frame.slice(from..));
        }
        Ok(())
    }

    /// Sends a ping without waiting.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    pub(super) fn ping(self: &Arc<Self>, payload: &[u8]) -> Result<(), SocketError> {
        let mut state = self.lock();
        state.check_open()?;
        if state.queue.len() >= self.bounds.messages {
            return Err(SocketError::full());
        }
        let mut frame = Vec::new();
        state.control.ping(payload, &mut frame);
        self.push_small(state, frame);
        Ok(())
    }

    /// Messages and bytes that wait.
    pub(super) fn queued(&self) -> (usize, usize) {
        let state = self.lock();
        (state.queue.len() + state.posts.len(), state.queued)
    }

    /// Whether nothing waits to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().queue.is_empty()
    }

    /// Answers a ping.
    pub(super) fn pong(self: &Arc<Self>, payload: &[u8]) {
        let mut state = self.lock();
        if state.check_open().is_err() {
            return; // nothing may follow a close frame
        }
        let mut frame = Vec::new();
        state.control.pong(payload, &mut frame);
        if state.queue.is_empty() {
            self.push_small(state, frame);
        } else {
            state.pong = Some(frame.into());
        }
    }

    /// Sends our close frame; with 1005 for its code, an empty one. False if nothing can be sent
    /// any more.
    pub(super) fn close(self: &Arc<Self>, frame: CloseFrame) -> bool {
        let mut state = self.lock();
        if state.ours().is_some() || state.fault().is_some() || state.is_gone() {
            return false;
        }
        let mut bytes = Vec::new();
        let shown = (frame.code != CloseCode::NO_STATUS).then_some(&frame);
        state.control.close(shown, &mut bytes);
        state.end().ours = Some(frame);
        state.pong = None;
        self.push_small(state, bytes);
        true
    }

    /// The peer's close frame has come: answers it. The server ends the connection, once all is
    /// written (RFC 6455 section 7.1.1).
    pub(super) fn peer_closed(self: &Arc<Self>, frame: Option<CloseFrame>) {
        let frame = frame.unwrap_or_else(|| CloseFrame::new(CloseCode::NO_STATUS, ""));
        let mut state = self.lock();
        state.end().theirs = Some(frame.clone());
        state.wake_all();
        drop(state);
        self.close(CloseFrame::new(frame.code, ""));
        self.end_if_closed(&self.lock());
    }

    /// A server ends the connection when both have closed and all is written; the handler may
    /// still have things to do.
    fn end_if_closed(&self, state: &OutboxState) {
        if self.role == Role::Server && state.theirs().is_some() && state.queue.is_empty() {
            self.socket.finish();
        }
    }

    /// The peer has broken the protocol: it is sent the reason, and that is the end.
    pub(super) fn peer_failed(self: &Arc<Self>, code: CloseCode, reason: &'static str) {
        self.close(CloseFrame::new(code, reason));
        self.note_fault(SocketError::new(ErrorKind::Protocol, code, reason));
    }

    /// The connection is lost, by whatever was noticed first.
    pub(super) fn lost(&self, kind: ErrorKind, reason: &'static str) {
        self.note_fault(SocketError::new(kind, CloseCode::ABNORMAL, reason));
        self.lock().clear();
        // Ends the waits of those who read and write. What the kernel has is thrown away.
        self.socket.reset();
    }

    fn note_fault(&self, fault: SocketError) {
        let mut state = self.lock();
        state.end().fault.get_or_insert(fault);
        state.wake_all();
    }

    /// The connection is over: nobody can send any more.
    pub(super) fn gone(&self) {
        let mut state = self.lock();
        state.end().gone = true;
        state.clear();
        state.wake_all();
        if state.draining {
            self.socket.shutdown();
        }
    }

    fn push_small(self: &Arc<Self>, state: Locked<'_, OutboxState>, frame: Vec<u8>) {
        let frame = Bytes::from(frame);
        self.push(state, &frame, |from| frame.slice(from..));
    }

    /// Writes a frame, or queues what is left of it, which `rest` gives.
    fn push(
        self: &Arc<Self>,
        mut state: Locked<'_, OutboxState>,
        frame: &[u8],
        rest: impl FnOnce(usize) -> Bytes,
    ) {
        self.push_to(&mut state, frame, rest);
        self.see_to_rest(state);
    }

    fn push_to(&self, state: &mut OutboxState, frame: &[u8], rest: impl FnOnce(usize) -> Bytes) {
        let mut written = 0;
        if state.queue.is_empty() && !state.draining && !state.broken {
            while written < frame.len() {
                match self.socket.write_now(&[IoSlice::new(&frame[written..])]) {
                    Ok(n) => written += n,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) => {
                        state.broken = true;
                        break;
                    }
                }
            }
        }
        state.pushed += frame.len() as u64;
        state.written += written as u64;
        if written < frame.len() {
            state.queued += frame.len() - written;
            state.queue.push_back(rest(written));
        }
    }

    /// Gives what was not written to the drainer.
    fn see_to_rest(self: &Arc<Self>, mut state: Locked<'_, OutboxState>) {
        if state.broken {
            drop(state);
            return self.lost(ErrorKind::Lost, "writing has failed");
        }
        if state.queue.is_empty() || state.draining {
            return;
        }
        state.draining = true;
        drop(state);
        let outbox = self.clone();
        let home = self.home.unwrap_or_else(least_loaded);
        let drainer = Drainer(Some(outbox));
        spawn_on(home, move || drainer.run());
    }

    /// The drainer's life.
    fn drain(&self) {
        let writer = match self.socket.clone().writer() {
            Ok(writer) => writer,
            Err(error) => {
                log::warn!("a WebSocket is lost: {error}");
                return self.lost(ErrorKind::Lost, "the process is out of descriptors");
            }
        };
        let mut pace = WritePace::new(self.write_timeout).seen(Some(self.socket.unsent()));
        loop {
            let batch: Vec<_> = {
                let mut state = self.lock();
                if state.queue.is_empty() {
                    state.draining = false;
                    return self.end_if_closed(&state);
                }
                state.queue.iter().take(TOGETHER).cloned().collect()
            };
            let begun = Instant::now();
            let result = write_some(&*writer, &batch, begun.checked_add(pace.left()));
            let unsent = Some(self.socket.unsent());
            pace = pace.waited(begun.elapsed()).seen(unsent);
            match result {
                Ok(n @ 1..) => {
                    pace = pace.gave(n);
                    self.lock().advance(n);
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    if pace.left().is_zero() {
                        return self.lost(ErrorKind::TooSlow, "too slow");
                    }
                }
                Ok(0) | Err(_) => return self.lost(ErrorKind::Lost, "writing has failed"),
            }
        }
    }
}

/// A drainer that is about to start; where there is no stack for it, the peer is lost.
struct Drainer(Option<Arc<Outbox>>);

impl Drainer {
    fn run(mut self) {
        if let Some(outbox) = self.0.take() {
            outbox.drain();
        }
    }
}

impl Drop for Drainer {
    fn drop(&mut self) {
        if let Some(outbox) = self.0.take() {
            outbox.lost(ErrorKind::Lost, "no memory for a green thread");
        }
    }
}

fn write_some(
    writer: &dyn Writer,
    batch: &[Bytes],
    deadline: Option<Instant>,
) -> io::Result<usize> {
    let slices: Vec<_> = batch.iter().map(|frame| IoSlice::new(frame)).collect();
    writer.write(&slices, deadline)
}

impl End {
    #[cold]
    fn check_open(&self) -> Result<(), SocketError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        // The peer's word says why; ours was the application's own.
        if let Some(frame) = self.theirs.as_ref().or(self.ours.as_ref()) {
            return Err(SocketError::closed(frame));
        }
        if self.gone {
            return Err(SocketError::new(
                ErrorKind::Closed,
                CloseCode::NORMAL,
                "the handler is over",
            ));
        }
        Ok(())
    }
}

impl OutboxState {
    fn end(&mut self) -> &mut End {
        self.end.get_or_insert_default()
    }

    /// The close frame that we have sent.
    pub(super) fn ours(&self) -> Option<&CloseFrame> {
        self.end.as_ref()?.ours.as_ref()
    }

    /// The peer's close frame.
    pub(super) fn theirs(&self) -> Option<&CloseFrame> {
        self.end.as_ref()?.theirs.as_ref()
    }

    pub(super) fn fault(&self) -> Option<&SocketError> {
        self.end.as_ref()?.fault.as_ref()
    }

    fn is_gone(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.gone)
    }

    /// Whether data may still be sent.
    pub(super) fn check_open(&self) -> Result<(), SocketError> {
        self.end.as_ref().map_or(Ok(()), |end| end.check_open())
    }

    /// Whether nothing that comes counts any more.
    pub(super) fn has_ended(&self) -> bool {
        let ended = |end: &End| end.fault.is_some() || end.theirs.is_some() || end.gone;
        self.end.as_deref().is_some_and(ended)
    }

    /// The kernel has taken `n` bytes.
    fn advance(&mut self, mut n: usize) {
        self.written += n as u64;
        self.queued = self.queued.saturating_sub(n); // all is gone when the connection is
        while n > 0
            && let Some(first) = self.queue.front_mut()
        {
            let part = n.min(first.len());
            first.advance(part);
            n -= part;
            if first.is_empty() {
                self.queue.pop_front();
                // Between two frames: the only place where another may be put in.
                if let Some(pong) = (n == 0).then(|| self.pong.take()).flatten() {
                    self.pushed += pong.len() as u64;
                    self.queued += pong.len();
                    self.queue.push_front(pong);
                }
            }
        }
        if self.queue.is_empty() && self.queue.capacity() > TOGETHER {
            self.queue = VecDeque::new();
        }
        self.wake_all();
    }

    /// Nothing of what is here will be sent.
    fn clear(&mut self) {
        self.queue = VecDeque::new();
        self.posts = VecDeque::new();
        self.queued = 0;
        self.pong = None;
    }

    fn wake_all(&mut self) {
        for thread in self.waiting.drain(..) {
            thread.wake();
        }
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        f.debug_struct("Outbox")
            .field("frames", &state.queue.len())
            .field("bytes", &state.queued)
            .field("ours", &state.ours())
            .field("theirs", &state.theirs())
            .field("fault", &state.fault())
            .finish_non_exhaustive()
    }
}
