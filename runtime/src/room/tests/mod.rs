//! Rooms from green threads of two workers and from OS threads.

mod members;
mod orders;
mod polls;
mod presence;
mod storms;

use super::*;
use crate::green::{Builder, Config, Greenlet, config, start};

/// Longer than anything here takes, however slow the machine; only failures wait for it.
const LONG: Duration = Duration::from_secs(60);

/// A green thread on the worker with this number, or the remainder where there are fewer. Two
/// workers, unless this machine has one core only and another test was faster.
fn on_worker<T: Send + 'static>(
    worker: usize,
    body: impl FnOnce() -> T + Send + 'static,
) -> Greenlet<T> {
    start(Config {
        workers: 2,
        ..Config::default()
    });
    let workers = config().workers;
    Builder::new().worker(worker % workers).spawn(body)
}

/// Runs `body` on a green thread of each of two workers, and on this OS thread.
fn everywhere(body: fn()) {
    for worker in 0..2 {
        if let Err(error) = on_worker(worker, body).join() {
            error.resume();
        }
    }
    body();
}

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
