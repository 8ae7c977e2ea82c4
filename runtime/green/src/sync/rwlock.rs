//! [`RwLock`]: many readers or one writer, also over waits.
//!
//! # Implementation
//!
//! One line for both kinds, served strictly in order: readers that stand next to one another go in
//! together, and neither kind can starve the other. Whoever is let in has the lock from that
//! moment, and gives it back if it leaves without using it. The value lies in a std lock which is
//! therefore never contended. No poison, for the reason given at [`Lock`](crate::Lock).

use crate::scheduler::line::{Line, Ticket};
use crate::scheduler::lock::lock;
use crate::scheduler::thread::{Awaited, Io, deadline_in, wait_for};
use crate::scheduler::timed_out::TimedOut;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, RwLock as StdRwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};
use std::time::{Duration, Instant};

/// A value that many threads can read or one can write, in the order in which they ask.
///
/// A thread that holds it must not ask for it again: with a writer in the line before it, even a
/// second reading would wait for ever.
///
/// ```
/// use greenway_green::RwLock;
///
/// let table = RwLock::new(vec![1]);
/// {
///     let (a, b) = (table.read().unwrap(), table.try_read().unwrap());
///     assert_eq!(*a, *b);
///     assert!(table.try_write().is_none());
/// }
/// table.write().unwrap().push(2);
/// assert_eq!(table.into_inner(), [1, 2]);
/// ```
pub struct RwLock<T: ?Sized> {
    state: Mutex<State>,
    value: StdRwLock<T>,
}

#[derive(Default)]
struct State {
    readers: usize,
    writer: bool,
    line: Line<Kind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

impl State {
    fn admits(&self, kind: Kind) -> bool {
        match kind {
            Kind::Read => !self.writer,
            Kind::Write => !self.writer && self.readers == 0,
        }
    }

    fn let_in(&mut self, kind: Kind) {
        match kind {
            Kind::Read => self.readers += 1,
            Kind::Write => self.writer = true,
        }
    }

    fn let_out(&mut self, kind: Kind) {
        match kind {
            Kind::Read => self.readers -= 1,
            Kind::Write => self.writer = false,
        }
        self.serve();
    }

    /// Lets in whoever is at the front, as long as that is possible.
    fn serve(&mut self) {
        while let Some(&kind) = self.line.front()
            && self.admits(kind)
        {
            self.let_in(kind);
            self.line.grant();
        }
    }
}

/// Shared access to the value of an [`RwLock`].
#[must_use = "the lock is given back when this is dropped"]
pub struct ReadGuard<'a, T: ?Sized> {
    value: Option<RwLockReadGuard<'a, T>>, // `None` only while it is being dropped
    state: &'a Mutex<State>,
}

/// Exclusive access to the value of an [`RwLock`].
#[must_use = "the lock is given back when this is dropped"]
pub struct WriteGuard<'a, T: ?Sized> {
    value: Option<RwLockWriteGuard<'a, T>>, // `None` only while it is being dropped
    state: &'a Mutex<State>,
}

impl<T> RwLock<T> {
    /// A lock that nobody holds.
    pub fn new(value: T) -> Self {
        Self {
            state: Mutex::default(),
            value: StdRwLock::new(value),
        }
    }

    /// The value. Nobody can hold the lock here.
    pub fn into_inner(self) -> T {
        self.value
            .into_inner()
            .unwrap_or_else(|poison| poison.into_inner())
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits until the value may be read.
    ///
    /// # Errors
    /// [`TimedOut`] only when it may not yet and this thread is unwinding.
    pub fn read(&self) -> Result<ReadGuard<'_, T>, TimedOut> {
        self.enter(Kind::Read, None).map(|()| self.reader())
    }

    /// Waits until the value may be read, at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`] when it may not by then.
    pub fn read_timeout(&self, timeout: Duration) -> Result<ReadGuard<'_, T>, TimedOut> {
        let deadline = deadline_in(timeout);
        self.enter(Kind::Read, deadline).map(|()| self.reader())
    }

    /// Reads if that is possible now and nobody has asked before.
    pub fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        self.try_enter(Kind::Read).then(|| self.reader())
    }

    /// Waits until the value may be written.
    ///
    /// # Errors
    /// [`TimedOut`] only when it may not yet and this thread is unwinding.
    pub fn write(&self) -> Result<WriteGuard<'_, T>, TimedOut> {
        self.enter(Kind::Write, None).map(|()| self.writer())
    }

    /// Waits until the value may be written, at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`] when it may not by then.
    pub fn write_timeout(&self, timeout: Duration) -> Result<WriteGuard<'_, T>, TimedOut> {
        let deadline = deadline_in(timeout);
        self.enter(Kind::Write, deadline).map(|()| self.writer())
    }

    /// Writes if that is possible now and nobody has asked before.
    pub fn try_write(&self) -> Option<WriteGuard<'_, T>> {
        self.try_enter(Kind::Write).then(|| self.writer())
    }

    fn try_enter(&self, kind: Kind) -> bool {
        let mut state = lock(&self.state);
        let free = state.line.front().is_none() && state.admits(kind);
        if free {
            state.let_in(kind);
        }
        free
    }

    fn enter(&self, kind: Kind, deadline: Option<Instant>) -> Result<(), TimedOut> {
        if self.try_enter(kind) {
            return Ok(());
        }
        let mut place = Place {
            state: &self.state,
            kind,
            ticket: None,
        };
        wait_for(Awaited::RwLock, deadline, Io::None, |me, _| {
            let mut state = lock(&self.state);
            let ticket = *place.ticket.get_or_insert_with(|| {
                let ticket = state.line.enter_for(me.clone(), kind);
                state.serve(); // it may have become free since we looked
                ticket
            });
            let mine = state.line.redeem(ticket);
            if mine {
                place.ticket = None;
            }
            mine.then_some(())
        })
    }

    /// For one that was let in as a reader.
    fn reader(&self) -> ReadGuard<'_, T> {
        let value = match self.value.try_read() {
            Ok(value) => value,
            Err(TryLockError::Poisoned(poison)) => poison.into_inner(),
            // A writer lets go of the value before it is let out, and nobody waits in there.
            Err(TryLockError::WouldBlock) => unreachable!("no writer is in"),
        };
        ReadGuard {
            value: Some(value),
            state: &self.state,
        }
    }

    /// For one that was let in as the writer.
    fn writer(&self) -> WriteGuard<'_, T> {
        let value = match self.value.try_write() {
            Ok(value) => value,
            Err(TryLockError::Poisoned(poison)) => poison.into_inner(),
            // All others let go of the value before they are let out.
            Err(TryLockError::WouldBlock) => unreachable!("nobody else is in"),
        };
        WriteGuard {
            value: Some(value),
            state: &self.state,
        }
    }
}

/// A place in the line, given up when dropped, together with the lock if it has come.
struct Place<'a> {
    state: &'a Mutex<State>,
    kind: Kind,
    ticket: Option<Ticket>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let mut state = lock(self.state);
            if state.line.leave(ticket) {
                state.let_out(self.kind);
            } else {
                state.serve(); // those behind us may have waited for us only
            }
        }
    }
}

impl<T: ?Sized> Drop for ReadGuard<'_, T> {
    fn drop(&mut self) {
        self.value = None;
        lock(self.state).let_out(Kind::Read);
    }
}

impl<T: ?Sized> Drop for WriteGuard<'_, T> {
    fn drop(&mut self) {
        self.value = None;
        lock(self.state).let_out(Kind::Write);
    }
}

impl<T: ?Sized> Deref for ReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value.as_ref().expect("there until it is dropped")
    }
}

impl<T: ?Sized> Deref for WriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value.as_ref().expect("there until it is dropped")
    }
}

impl<T: ?Sized> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("there until it is dropped")
    }
}

impl<T: ?Sized> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not under the lock: what is written to is the user's.
        let (readers, writer) = {
            let state = lock(&self.state);
            (state.readers, state.writer)
        };
        f.debug_struct("RwLock")
            .field("readers", &readers)
            .field("writer", &writer)
            .finish_non_exhaustive()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadGuard").field(&&**self).finish()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for WriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteGuard").field(&&**self).finish()
    }
}
