//! Rooms from green threads of two workers and from OS threads.

mod members;
mod polls;
mod presence;
mod storms;

use super::*;
use crate::green::tests::{LONG, everywhere, on_worker};

/// Waits until `condition`, for a bounded time.
fn eventually(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "it has not come true");
        sleep(Duration::from_millis(1));
    }
}

/// Publishes, and waits until it is in all queues that take it.
fn say(room: &Room, text: impl ToString) {
    room.publish(text.to_string());
    eventually(|| room.shared.delivery.is_idle());
}

fn text(message: &Message) -> String {
    message.text().expect("all are texts").to_owned()
}

fn texts(messages: &[Message]) -> Vec<String> {
    messages.iter().map(text).collect()
}

/// The next so many messages.
fn take(member: &Member, count: usize) -> Vec<String> {
    let next = || match member.next_timeout(LONG) {
        Ok(Some(message)) => text(&message),
        other => panic!("no message but {other:?}"),
    };
    (0..count).map(|_| next()).collect()
}
