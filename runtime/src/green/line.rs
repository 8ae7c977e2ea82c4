//! The line in which threads wait for their turn, shared by all meeting points.
//!
//! Fair and loss-free: a turn is *granted* to the one at the front, nobody who comes later can
//! take it, and one who leaves without using the turn (a timeout, a kill) passes it on.

use super::thread::Thread;
use std::collections::VecDeque;
use std::sync::Arc;

/// A place in a [`Line`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: VecDeque<(Ticket, Arc<Thread>)>, // in the order of their tickets
    next: u64,
    granted: usize,
}

impl Line {
    pub(super) fn enter(&mut self, thread: Arc<Thread>) -> Ticket {
        self.next += 1;
        let ticket = Ticket(self.next);
        self.waiting.push_back((ticket, thread));
        ticket
    }

    /// Turns that have been granted and not been used yet.
    pub(super) fn granted(&self) -> usize {
        self.granted
    }

    /// Grants a turn to the one at the front. False if nobody waits.
    pub(super) fn grant(&mut self) -> bool {
        let Some((_, thread)) = self.waiting.pop_front() else {
            return false;
        };
        self.granted += 1;
        thread.wake();
        true
    }

    /// Uses a turn, if it was granted.
    pub(super) fn redeem(&mut self, ticket: Ticket) -> bool {
        let granted = self.position(ticket).is_none();
        self.granted -= usize::from(granted);
        granted
    }

    /// Leaves the line. True if a turn had been granted, which is free again now.
    pub(super) fn leave(&mut self, ticket: Ticket) -> bool {
        match self.position(ticket) {
            Some(index) => {
                self.waiting.remove(index);
                false
            }
            None => {
                self.granted -= 1;
                true
            }
        }
    }

    /// Lets everybody look at their condition again, without granting a turn.
    pub(super) fn wake_all(&self) {
        for (_, thread) in &self.waiting {
            thread.wake();
        }
    }

    /// Only those who wait are in the queue, so who is not in it has been granted a turn.
    fn position(&self, ticket: Ticket) -> Option<usize> {
        self.waiting
            .binary_search_by_key(&ticket, |(ticket, _)| *ticket)
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::green::thread::current;

    #[test]
    fn turns_are_granted_in_order_and_passed_on_by_those_who_leave() {
        let mut line = Line::default();
        let [a, b, c] = [(); 3].map(|()| line.enter(current()));
        assert!(line.grant());
        assert!(!line.redeem(b), "the turn is a's");
        assert!(line.redeem(a));
        assert_eq!(line.granted(), 0);

        assert!(line.grant());
        assert!(line.leave(b), "b leaves with a turn");
        assert!(line.grant(), "and c gets it");
        assert!(!line.grant(), "nobody is left");
        assert!(line.redeem(c));
        let d = line.enter(current());
        assert!(!line.leave(d), "d leaves without a turn");
        assert_eq!(line.granted(), 0);
    }
}
