//! [`PooledConnection`]: a connection that is lent out.

use super::shared::{Member, Slot};
use crate::scheduler::thread::with_current;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// A connection of a [`ConnectionPool`](crate::ConnectionPool), given back when dropped.
///
/// It is closed instead when nobody can know what state it is in: when it is dropped while the thread
/// unwinds (a panic, a kill, a client that has left), or a wait of the thread was ended meanwhile by a
/// [`Timeout`](crate::Timeout) or a kill that somebody caught. A reply that was given up would
/// otherwise be read by the next borrower as the answer to its own question.
#[must_use = "the connection is given back when this is dropped"]
pub struct PooledConnection<C: Send + 'static> {
    /// `None` only while it is being dropped.
    member: Option<Member<C>>,
    /// The thread that has borrowed it, and how many of its waits had been ended before.
    borrower: (u64, u32),
    // The last field: the place is free when the connection is back.
    slot: Slot<C>,
}

fn thread_and_ends() -> (u64, u32) {
    with_current(|me| (me.id(), me.times_raised()))
}

impl<C: Send + 'static> PooledConnection<C> {
    pub(super) fn new(slot: Slot<C>, member: Member<C>) -> Self {
        Self {
            member: Some(member),
            borrower: thread_and_ends(),
            slot,
        }
    }

    /// Closes the connection instead of giving it back, because an answer shows that it is of no use
    /// any more. An associated function, so that it hides no method of the connection:
    /// `PooledConnection::discard(connection)`.
    pub fn discard(mut this: Self) {
        this.close();
    }

    fn close(&mut self) {
        if let Some(member) = self.member.take() {
            self.slot.dispose(member);
        }
    }

    /// Whether a wait of the borrower has ended, because it is to end, since it has the connection. Where it
    /// was given to another thread, that one's own unwinding tells.
    fn was_given_up(&self) -> bool {
        let (thread, ends) = thread_and_ends();
        std::thread::panicking() || (thread == self.borrower.0 && ends != self.borrower.1)
    }
}

impl<C: Send + 'static> Drop for PooledConnection<C> {
    fn drop(&mut self) {
        if self.was_given_up() {
            self.close();
        } else if let Some(member) = self.member.take() {
            self.slot.put(member);
        }
    }
}

impl<C: Send + 'static> Deref for PooledConnection<C> {
    type Target = C;
    fn deref(&self) -> &C {
        let member = self.member.as_ref().expect("there until it is dropped");
        &member.connection
    }
}

impl<C: Send + 'static> DerefMut for PooledConnection<C> {
    fn deref_mut(&mut self) -> &mut C {
        let member = self.member.as_mut().expect("there until it is dropped");
        &mut member.connection
    }
}

impl<C: Send + 'static + fmt::Debug> fmt::Debug for PooledConnection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PooledConnection").field(&**self).finish()
    }
}
