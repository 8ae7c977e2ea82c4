//! What a room remembers: the last messages, within bounds.
//!
//! What must stay true: numbers grow by one and are never reused; somebody who has seen everything
//! up to a cursor and asks for the rest gets all of it, in order, or is told that there is a gap.

use super::cursor::{Cursor, Since};
use super::post::{Message, Post};
use std::collections::VecDeque;

/// Passing messages that are kept for those who are just between two polls.
const PASSING: usize = 64;

/// What somebody has not seen yet.
#[derive(Debug, Clone)]
pub struct News {
    /// In the order in which they were published.
    pub messages: Vec<Message>,
    /// The place up to which everything has been seen then: what to ask with the next time.
    pub cursor: Cursor,
    /// Something is missing before the first message: the room does not remember that far, or
    /// the cursor was not from this room (the program was started anew). The client had better
    /// load everything again.
    pub gap: bool,
}

#[derive(Debug)]
pub(super) struct History {
    last: Cursor,
    /// Other processes give places as well, and may be ahead of this one.
    shared: bool,
    kept: Ring,
    passing: Ring,
    /// What had to go, for whoever holds the room's lock to drop when it holds it no more: the bytes
    /// of a message may be the application's own, with a destructor.
    dropped: Vec<Message>,
}

impl History {
    pub(super) fn new(messages: usize, bytes: usize) -> Self {
        Self {
            last: Cursor::fresh(),
            shared: false,
            kept: Ring::new(messages, bytes),
            passing: Ring::new(PASSING, bytes),
            dropped: Vec::new(),
        }
    }

    /// From now on, messages and their places come from a bus. Called before there are any.
    pub(super) fn share(&mut self) {
        self.last = Cursor::UNREAD;
        self.shared = true;
    }

    /// Goes on from another place, and forgets all before it: something is missing in between.
    pub(super) fn jump(&mut self, to: Cursor) {
        self.last = to;
        self.kept.forget(to.number, &mut self.dropped);
        self.passing.forget(to.number, &mut self.dropped);
    }

    /// The place of the last message.
    pub(super) fn last(&self) -> Cursor {
        self.last
    }

    /// The place of the next message.
    pub(super) fn next(&self) -> Cursor {
        self.last.plus(1)
    }

    pub(super) fn add(&mut self, post: Post) -> Message {
        self.last = self.next();
        let message = Message::new(self.last, post);
        let ring = if message.is_passing() {
            &mut self.passing
        } else {
            &mut self.kept
        };
        ring.push(message.clone(), &mut self.dropped);
        message
    }

    /// Leaves out the next place, which was promised to a message that does not come.
    pub(super) fn skip(&mut self) {
        self.last = self.next();
    }

    /// What had to go since the last call.
    pub(super) fn take_dropped(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.dropped)
    }

    /// Whether there is anything to tell somebody, a gap included.
    pub(super) fn has_news(&self, since: Since) -> bool {
        match since {
            Since::Start => true,
            Since::Now => false,
            Since::Cursor(cursor) => cursor != self.last && !self.is_ahead(cursor),
        }
    }

    pub(super) fn since(&self, since: Since) -> News {
        let number = match since {
            Since::Now => Some(self.last.number),
            // Who comes new has no use for what has passed.
            Since::Start => None,
            Since::Cursor(cursor) if self.knows(cursor) => Some(cursor.number),
            Since::Cursor(_) => None,
        };
        let gap = match since {
            Since::Now | Since::Start => false,
            Since::Cursor(_) => number.is_none_or(|number| number < self.kept.forgotten),
        };
        let mut messages: Vec<_> = self.kept.after(number.unwrap_or(0)).cloned().collect();
        if let Some(number) = number {
            messages.extend(self.passing.after(number).cloned());
            messages.sort_unstable_by_key(|message| message.cursor().number);
        }
        let cursor = match since {
            Since::Cursor(cursor) if self.is_ahead(cursor) => cursor,
            _ => self.last,
        };
        News {
            messages,
            cursor,
            gap,
        }
    }

    /// A place that another process has given, and whose message has not come here yet.
    fn is_ahead(&self, cursor: Cursor) -> bool {
        self.shared && cursor.epoch == self.last.epoch && cursor.number > self.last.number
    }

    /// A cursor with a number that has not been given is not from here, whatever its epoch.
    fn knows(&self, cursor: Cursor) -> bool {
        cursor.epoch == self.last.epoch
            && (cursor.number <= self.last.number || self.is_ahead(cursor))
    }
}

/// The last so many messages, of so many bytes together.
#[derive(Debug)]
struct Ring {
    messages: VecDeque<Message>,
    bytes: usize,
    most: usize,
    most_bytes: usize,
    /// The number of the last message that had to go.
    forgotten: u64,
}

impl Ring {
    fn new(most: usize, most_bytes: usize) -> Self {
        Self {
            messages: VecDeque::new(),
            bytes: 0,
            most,
            most_bytes,
            forgotten: 0,
        }
    }

    fn push(&mut self, message: Message, dropped: &mut Vec<Message>) {
        self.bytes += message.size();
        self.messages.push_back(message);
        while self.messages.len() > self.most || self.bytes > self.most_bytes {
            let Some(oldest) = self.messages.pop_front() else {
                break;
            };
            self.bytes -= oldest.size();
            self.forgotten = oldest.cursor().number;
            dropped.push(oldest);
        }
    }

    fn forget(&mut self, number: u64, dropped: &mut Vec<Message>) {
        self.bytes = 0;
        self.forgotten = number;
        dropped.extend(self.messages.drain(..));
    }

    fn after(&self, number: u64) -> impl Iterator<Item = &Message> {
        let start = self
            .messages
            .partition_point(|message| message.cursor().number <= number);
        self.messages.range(start..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(news: &News) -> Vec<&str> {
        let text = |message: &Message| -> &str {
            // They live as long as the news.
            let text = message.text().expect("all are texts");
            Box::leak(text.to_owned().into_boxed_str())
        };
        news.messages.iter().map(text).collect()
    }

    fn filled(history: &mut History, count: usize) -> Vec<Cursor> {
        (1..=count)
            .map(|n| history.add(Post::new(n.to_string())).cursor())
            .collect()
    }

    #[test]
    fn one_gets_what_one_has_not_seen_or_is_told_of_the_gap() {
        let mut history = History::new(3, usize::MAX);
        let start = history.last();
        let cursors = filled(&mut history, 5);
        let all = ["3", "4", "5"];
        for (since, expected, gap) in [
            (Since::Start, &all[..], false),
            (Since::Now, &[], false),
            (Since::Cursor(start), &all, true),
            (Since::Cursor(cursors[0]), &all, true),
            (Since::Cursor(cursors[1]), &all, false),
            (Since::Cursor(cursors[3]), &all[2..], false),
            (Since::Cursor(cursors[4]), &[], false),
            (Since::Cursor(history.next()), &all, true),
            (Since::Cursor(Cursor::fresh()), &all, true),
            (Since::seen(Some("junk")), &all, true),
        ] {
            let news = history.since(since);
            assert_eq!(texts(&news), expected, "{since:?}");
            assert_eq!(news.gap, gap, "{since:?}");
            assert_eq!(news.cursor, cursors[4]);
        }
    }

    #[test]
    fn history_is_bounded_in_bytes_too() {
        let mut history = History::new(100, 10);
        for text in ["1234", "5678", "90"] {
            history.add(Post::new(text));
        }
        assert_eq!(texts(&history.since(Since::Start)), ["1234", "5678", "90"]);
        history.add(Post::new("x"));
        assert_eq!(texts(&history.since(Since::Start)), ["5678", "90", "x"]);
        let before = history.last();
        history.add(Post::new("more than fits at all"));
        let news = history.since(before.into());
        assert_eq!((texts(&news).len(), news.gap), (0, true));
    }

    #[test]
    fn what_passes_takes_no_place_and_is_not_for_newcomers() {
        let mut history = History::new(2, usize::MAX);
        let start = history.last();
        history.add(Post::new("1"));
        for n in 0..PASSING + 5 {
            history.add(Post::new(format!("p{n}")).passing());
        }
        let last = history.last();
        history.add(Post::new("2"));
        assert_eq!(texts(&history.since(Since::Start)), ["1", "2"]);
        let news = history.since(start.into());
        assert_eq!(news.messages.len(), PASSING + 2, "the first have passed");
        assert!(!news.gap, "and that is no gap");
        assert!(texts(&news).starts_with(&["1", "p5"]) && texts(&news).ends_with(&["2"]));
        assert_eq!(texts(&history.since(last.into())), ["2"]);
    }

    #[test]
    fn a_room_without_history_has_gaps_only() {
        let mut history = History::new(0, 0);
        let start = history.last();
        history.add(Post::new("1"));
        let news = history.since(start.into());
        assert_eq!((news.messages.len(), news.gap), (0, true));
        assert!(!history.since(history.last().into()).gap);
    }
}
