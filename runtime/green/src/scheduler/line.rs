//! The line in which threads wait for their turn, shared by all meeting points.
//!
//! Fair and loss-free: a turn is *granted* to the one at the front, nobody who comes later can
//! take it, and one who leaves without using the turn (a timeout, a kill) passes it on.
//!
//! Where all who wait are to look again at once (an event, the end of a thread), nobody is granted
//! anything: [`Line::wake_all`] wakes them and [`wait_in`] is the wait.

use super::lock::lock;
use crate::platform::BorrowedFd;
use crate::platform::Instant;
use crate::platform::sync::{Arc, Mutex};
use crate::scheduler::thread::{Awaited, Io, Thread, wait_for};
use crate::scheduler::timed_out::TimedOut;
use crate::sys::Interest;
use std::collections::VecDeque;

/// A place in a [`Line`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// Threads in the order in which they came, each with what it has come for.
#[derive(Debug)]
pub(crate) struct Line<K = ()> {
    waiting: VecDeque<(Ticket, Arc<Thread>, K)>, // in the order of their tickets
    next: u64,
    granted: usize,
}

impl<K> Default for Line<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> Line<K> {
    pub(crate) const fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            next: 0,
            granted: 0,
        }
    }
}

impl Line {
    pub(crate) fn enter(&mut self, thread: Arc<Thread>) -> Ticket {
        self.enter_for(thread, ())
    }

    /// Goes back to the place that it had, after a turn that it could not use.
    pub(crate) fn restore(&mut self, ticket: Ticket, thread: Arc<Thread>) {
        let index = self.position(ticket).unwrap_or_else(|index| index);
        self.waiting.insert(index, (ticket, thread, ()));
    }
}

impl<K> Line<K> {
    pub(crate) fn enter_for(&mut self, thread: Arc<Thread>, what: K) -> Ticket {
        self.next += 1;
        let ticket = Ticket(self.next);
        self.waiting.push_back((ticket, thread, what));
        ticket
    }

    /// Turns that have been granted and not been used yet.
    pub(crate) fn granted(&self) -> usize {
        self.granted
    }

    /// What the one at the front has come for. `None` if nobody waits.
    pub(crate) fn front(&self) -> Option<&K> {
        self.waiting.front().map(|(_, _, what)| what)
    }

    /// Grants a turn to the one at the front. False if nobody waits.
    pub(crate) fn grant(&mut self) -> bool {
        let Some((_, thread, _)) = self.waiting.pop_front() else {
            return false;
        };
        self.granted += 1;
        thread.wake();
        true
    }

    /// Uses a turn, if it was granted.
    pub(crate) fn redeem(&mut self, ticket: Ticket) -> bool {
        let granted = self.position(ticket).is_err();
        self.granted -= usize::from(granted);
        granted
    }

    /// Leaves the line. True if a turn had been granted, which is free again now.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> bool {
        match self.position(ticket) {
            Ok(index) => {
                self.waiting.remove(index);
                false
            }
            Err(_) => {
                self.granted -= 1;
                true
            }
        }
    }

    /// Lets everybody look at their condition again, without granting a turn.
    pub(crate) fn wake_all(&self) {
        for (_, thread, _) in &self.waiting {
            thread.wake();
        }
    }

    /// Only those who wait are in the queue, so who is not in it has been granted a turn.
    fn position(&self, ticket: Ticket) -> Result<usize, usize> {
        self.waiting
            .binary_search_by_key(&ticket, |(ticket, _, _)| *ticket)
    }
}

/// What [`wait`](crate::wait) does with an object that has a line.
pub(crate) trait Lookout {
    /// Whether it is ready now.
    fn is_ready(&self) -> bool;
    /// Lets `thread` be woken whenever that may have changed.
    fn watch(&self, thread: &Arc<Thread>) -> Ticket;
    /// Ends what [`watch`](Self::watch) has begun.
    fn unwatch(&self, ticket: Ticket);
    /// The descriptor that it is about, which the wait then watches itself.
    fn descriptor(&self) -> Option<(BorrowedFd<'_>, Interest)> {
        None
    }
}

/// Waits until `check` finds in the shared state what it looks for, in that state's `line`
/// meanwhile, whose [`wake_all`](Line::wake_all) makes it look again.
///
/// # Errors
/// [`TimedOut`] at the deadline, or at once when the thread is unwinding.
pub(crate) fn wait_in<S, T>(
    what: Awaited,
    shared: &Mutex<S>,
    line: impl Fn(&mut S) -> &mut Line,
    deadline: Option<Instant>,
    mut check: impl FnMut(&mut S) -> Option<T>,
) -> Result<T, TimedOut> {
    struct Place<'a, S, L: Fn(&mut S) -> &mut Line> {
        shared: &'a Mutex<S>,
        line: L,
        ticket: Option<Ticket>,
    }
    impl<S, L: Fn(&mut S) -> &mut Line> Drop for Place<'_, S, L> {
        fn drop(&mut self) {
            if let Some(ticket) = self.ticket {
                (self.line)(&mut lock(self.shared)).leave(ticket);
            }
        }
    }
    let mut place = Place {
        shared,
        line,
        ticket: None,
    };
    wait_for(what, deadline, Io::None, |me, _| {
        let mut state = lock(shared);
        let found = check(&mut state);
        if found.is_none() && place.ticket.is_none() {
            place.ticket = Some((place.line)(&mut state).enter(me.clone()));
        }
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::thread::current;

    #[test]
    fn turns_are_granted_in_order_and_passed_on_by_those_who_leave() {
        let mut line = Line::<()>::default();
        let [a, b, c] = [(); 3].map(|()| line.enter(current().handle()));
        assert!(line.grant());
        assert!(!line.redeem(b), "the turn is a's");
        assert!(line.redeem(a));
        assert_eq!(line.granted(), 0);

        assert!(line.grant());
        assert!(line.leave(b), "b leaves with a turn");
        assert!(line.grant(), "and c gets it");
        assert!(!line.grant(), "nobody is left");
        assert!(line.redeem(c));
        let d = line.enter(current().handle());
        assert!(!line.leave(d), "d leaves without a turn");
        assert_eq!(line.granted(), 0);
    }

    #[test]
    fn one_who_comes_back_with_a_worthless_turn_is_first_again() {
        let mut line = Line::<()>::default();
        let [a, b, c] = [(); 3].map(|()| line.enter(current().handle()));
        assert!(line.grant() && line.grant());
        for early in [b, a] {
            assert!(line.redeem(early));
            line.restore(early, current().handle());
        }
        assert_eq!(line.granted(), 0);
        assert!(line.grant());
        assert!(line.redeem(a) && !line.redeem(b) && !line.redeem(c));
    }
}
