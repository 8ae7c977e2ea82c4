//! [`Order`]: the places that were promised to messages which are not there yet.
//!
//! [`Room::publish_with`](super::Room::publish_with) shows a message its place before it is made, and
//! what makes it is the application's code: it may wait, or publish in its turn. So nothing is
//! locked meanwhile. The place is promised, what is published behind it waits here, and all of it
//! goes on in the order of the places.
//!
//! What must stay true: a place that was given to somebody is given to nobody else; what waits here
//! goes on as soon as all before it have come, or will not come.

use super::cursor::Cursor;
use super::history::History;
use super::post::{Message, Post};
use std::collections::VecDeque;

/// What there is at a place.
#[derive(Debug)]
enum Place {
    /// A message is being made.
    Promised,
    Taken(Box<Post>),
    /// What should have made a message has panicked.
    Left,
}

/// The places behind the last message of the history, the first one promised.
#[derive(Debug, Default)]
pub(super) struct Order(VecDeque<Place>);

impl Order {
    /// Places behind the history.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The place of what is published next.
    fn next(&self, history: &History) -> Cursor {
        history.last().plus(self.0.len() as u64 + 1)
    }

    /// Promises the next place.
    pub(super) fn promise(&mut self, history: &History) -> Cursor {
        let cursor = self.next(history);
        self.0.push_back(Place::Promised);
        cursor
    }

    /// Gives a message the next place. It goes on at once if `None` comes back with it.
    pub(super) fn append(&mut self, history: &History, post: Post) -> (Cursor, Option<Post>) {
        let cursor = self.next(history);
        if self.0.is_empty() {
            return (cursor, Some(post));
        }
        self.0.push_back(Place::Taken(Box::new(post)));
        (cursor, None)
    }

    /// Fills the place that was promised; with `None`, it is left out.
    pub(super) fn fill(&mut self, history: &History, cursor: Cursor, post: Option<Post>) {
        let index = cursor.number - history.last().number - 1;
        let place = usize::try_from(index)
            .ok()
            .and_then(|at| self.0.get_mut(at));
        if let Some(place) = place {
            *place = post.map_or(Place::Left, |post| Place::Taken(Box::new(post)));
        }
        // A place that nobody has seen behind it need not be left out.
        while matches!(self.0.back(), Some(Place::Left)) {
            self.0.pop_back();
        }
    }

    /// The next message that can go on, which is in the history then.
    pub(super) fn go_on(&mut self, history: &mut History) -> Option<Message> {
        while !matches!(self.0.front(), None | Some(Place::Promised)) {
            match self.0.pop_front() {
                Some(Place::Taken(post)) => return Some(history.add(*post)),
                _ => history.skip(),
            }
        }
        None
    }
}
