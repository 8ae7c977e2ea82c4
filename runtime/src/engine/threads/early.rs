//! Requests whose body is still coming, and the threads of the pool that they may hold.
//!
//! A short body is read on the worker before its request is handed over, so that a slow client
//! holds no thread. A long one, or one whose length is not known, has to be read by its handler.
//! Such requests, and short ones that find a thread free, get at most half of the pool; beyond
//! that they stand in line until one of them is over, or their body is there.
//!
//! What must stay true: the application cannot tell. What does not come in time goes to the
//! handler as far as it has come, and reading it fails there at once.

use crate::connection::{Connection, Patience, Transport};
use crate::green::embed::{Awaited, Io, Thread, current, deadline_in, wait_for};
use greenway_proto::http1::{BodyLength, RequestHead};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many bytes of a request's body are taken in before it has a thread.
const BODY_BYTES: usize = 64 * 1024;

/// The threads for requests whose body is not there yet.
#[derive(Debug)]
pub(super) struct EarlyThreads(Mutex<State>);

#[derive(Debug)]
struct State {
    free: usize,
    /// Who waits for one, oldest first. Some have gone on since.
    line: VecDeque<Arc<Ticket>>,
}

#[derive(Debug)]
struct Ticket {
    thread: Arc<Thread>,
    /// It has a thread. Set with the lock held.
    granted: AtomicBool,
    /// It does not want one any more. Set with the lock held.
    gone: AtomicBool,
}

/// The right to hold a thread of the pool for a request whose body is not there yet.
#[derive(Debug)]
pub(super) struct Early(Arc<EarlyThreads>);

impl Drop for Early {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        while let Some(next) = state.line.pop_front() {
            if !next.gone.load(Ordering::Relaxed) {
                next.granted.store(true, Ordering::SeqCst);
                drop(state);
                next.thread.wake();
                return;
            }
        }
        state.free += 1;
    }
}

impl EarlyThreads {
    /// Half of a pool with so many threads.
    pub(super) fn new(threads: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            free: (threads / 2).max(1),
            line: VecDeque::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread if one is free, else a place in the line.
    fn ask(self: &Arc<Self>) -> Result<Early, InLine> {
        let mut state = self.lock();
        if state.free > 0 {
            state.free -= 1;
            return Ok(Early(self.clone()));
        }
        let ticket = Arc::new(Ticket {
            thread: current().handle(),
            granted: AtomicBool::new(false),
            gone: AtomicBool::new(false),
        });
        state.line.push_back(ticket.clone());
        Err(InLine {
            threads: self.clone(),
            ticket: Some(ticket),
        })
    }

    /// Waits until the request can be handed to the pool: its body is there, or there is a thread
    /// for it all the same, or it has not come in time.
    pub(super) fn ready<T: Transport>(
        self: &Arc<Self>,
        connection: &Connection<T>,
        request: &RequestHead,
        pause: Duration,
    ) -> Option<Early> {
        if body_is_there(connection, request) || connection.refuses_body(request) {
            return None;
        }
        match self.ask() {
            Ok(early) => Some(early),
            Err(in_line) => in_line.wait(connection, request, pause),
        }
    }
}

/// A place in the line, given up when dropped.
struct InLine {
    threads: Arc<EarlyThreads>,
    /// Until the thread is taken.
    ticket: Option<Arc<Ticket>>,
}

impl InLine {
    fn is_granted(&self) -> bool {
        let ticket = self.ticket.as_ref();
        ticket.is_some_and(|ticket| ticket.granted.load(Ordering::SeqCst))
    }

    /// The thread, if it has come.
    fn take(mut self) -> Option<Early> {
        if !self.is_granted() {
            return None;
        }
        self.ticket = None;
        Some(Early(self.threads.clone()))
    }

    fn wait<T: Transport>(
        self,
        connection: &Connection<T>,
        request: &RequestHead,
        pause: Duration,
    ) -> Option<Early> {
        let length = length_to_wait_for(request);
        let mut patience = Patience::new(pause);
        loop {
            let begun = Instant::now();
            let deadline = deadline_in(patience.left());
            let before = connection.buffered();
            let read = self.wait_once(connection, deadline);
            patience = patience
                .waited(begun.elapsed())
                .moved((connection.buffered() - before) as u64);
            let done = match read {
                // It is not for the client to go on, and only half of the pool is for such requests.
                Err(error) if error.kind() == ErrorKind::TimedOut && length.is_none() => {
                    patience = Patience::new(pause);
                    false
                }
                // What else has happened the handler finds out when it reads on.
                Ok(false) | Err(_) => true,
                Ok(true) => length.is_some_and(|length| connection.buffered() >= length),
            };
            if done || self.is_granted() {
                connection.has_waited_for_body(patience);
                return self.take();
            }
        }
    }

    /// Waits for a thread, or for more of the body where there is room for it. `false` if no more
    /// will come.
    fn wait_once<T: Transport>(
        &self,
        connection: &Connection<T>,
        deadline: Option<Instant>,
    ) -> std::io::Result<bool> {
        let Some(ticket) = &self.ticket else {
            return Ok(false);
        };
        if connection.buffered() < BODY_BYTES {
            let read = connection.read_ahead(&ticket.granted, deadline)?;
            return Ok(read > 0);
        }
        let granted = |_: &Arc<Thread>, _| ticket.granted.load(Ordering::SeqCst).then_some(());
        wait_for(Awaited::Permit, deadline, Io::None, granted)
            .map(|()| true)
            .map_err(|_timed_out| ErrorKind::TimedOut.into())
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        let mut state = self.threads.lock();
        if ticket.granted.load(Ordering::SeqCst) {
            drop(state);
            drop(Early(self.threads.clone())); // for the next one
            return;
        }
        ticket.gone.store(true, Ordering::Relaxed);
        // Most who leave the line do so because their body has come; they are swept out together.
        let gone = |ticket: &Arc<Ticket>| ticket.gone.load(Ordering::Relaxed);
        if state.line.front().is_some_and(gone) || state.line.len().is_multiple_of(64) {
            state.line.retain(|ticket| !gone(ticket));
        }
    }
}

/// The length of a body that can be waited for without a thread. Not one that the client sends
/// only when it is told to go on, which the handler decides; nor a chunked one, which has to be
/// decoded to see its end.
fn length_to_wait_for(request: &RequestHead) -> Option<usize> {
    let BodyLength::Length(length) = request.body else {
        return None;
    };
    let length = usize::try_from(length).ok()?;
    (length <= BODY_BYTES && !request.expect_continue).then_some(length)
}

/// Whether nothing more has to come for the request.
pub(super) fn body_is_there<T: Transport>(
    connection: &Connection<T>,
    request: &RequestHead,
) -> bool {
    match request.body {
        BodyLength::None => true,
        BodyLength::Length(length) => connection.buffered() as u64 >= length,
        // It would have to be decoded, or waited for, to see its end.
        BodyLength::Chunked | BodyLength::UntilEnd => false,
    }
}
