//! Streams of server-sent events that wait for what is to be sent, with heartbeats meanwhile.
//!
//! The format is the contract's ([`greenway_app::sse`], whose items are here as well). What is
//! added is the wait: an [`Sse`] takes events out of a queue, or out of a room, and sends a comment
//! now and then while there are none.
//!
//! What must stay true: a stream is never silent for longer than a heartbeat, so that proxies
//! (60 s in nginx) and the server's own `--timeout` (30 s) do not take it for dead; clients that
//! lose their connection all at once do not come back all at once; a stream does not hold up the
//! server's stop.

pub use greenway_app::sse::*;

use crate::green::{Queue, TimedOut};
use greenway_app::{Body, BodyError, Bytes, IntoResponse, Out, Response};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Less than nginx's limit of 60 s, and than the 30 s of the server's own `--timeout`.
const HEARTBEAT_PAUSE: Duration = Duration::from_secs(25);

/// The least time before a client comes back.
const RECONNECT: Duration = Duration::from_secs(2);

/// A longer time would mean that the client is not to come back.
const LONGEST_RECONNECT: Duration = Duration::from_secs(24 * 60 * 60);

/// Gives what is to be sent next, in at most so much time; `None` at the end.
type Source = Box<dyn FnMut(Duration) -> Result<Option<Bytes>, TimedOut>>;

/// A response that streams events as they come.
///
/// ```
/// use greenway::green::{Queue, spawn};
/// use greenway::sse::{Event, Sse};
/// use greenway::{App, Request};
///
/// let mut app = App::new();
/// app.get("/clock", |_: Request| {
///     let ticks = Queue::new(1);
///     let feed = ticks.clone();
///     spawn(move || {
///         // `put` fails when the client has left, and the green thread ends.
///         (0..).try_for_each(|n| feed.put(Event::new(n.to_string())))
///     });
///     Sse::new(ticks)
/// });
/// ```
///
/// The head is sent at once. The stream ends with the queue's end mark, and the queue is closed
/// when the client has left. While nothing comes, a comment is sent every 25 seconds. When the
/// server stops, the stream is ended at once; its client comes again.
pub struct Sse {
    source: Source,
    heartbeat: Duration,
    reconnect: Duration,
}

impl Sse {
    /// A stream of the events of a queue.
    pub fn new(events: Queue<Event>) -> Self {
        let events = events.taker(); // closes the queue when the body is gone
        Self::from_source(move |patience| {
            let next = events.get_timeout(patience)?;
            Ok(next.map(|event| event.encode()))
        })
    }

    pub(crate) fn from_source(
        source: impl FnMut(Duration) -> Result<Option<Bytes>, TimedOut> + 'static,
    ) -> Self {
        Self {
            source: Box::new(source),
            heartbeat: HEARTBEAT_PAUSE,
            reconnect: RECONNECT,
        }
    }

    /// The longest silence, 25 seconds by default. Keep it below the server's `--timeout` and
    /// below what proxies allow. [`Duration::MAX`] is for ever.
    #[must_use]
    pub fn heartbeat(mut self, pause: Duration) -> Self {
        self.heartbeat = pause;
        self
    }

    /// The least time that a client waits before it comes back after it has lost its connection,
    /// 2 seconds by default; it is sent at the beginning (`retry`). Each client is sent another
    /// time between this (a day at most) and twice this: when a server restarts, not all clients
    /// come back at once.
    #[must_use]
    pub fn reconnect_after(mut self, pause: Duration) -> Self {
        self.reconnect = pause.min(LONGEST_RECONNECT);
        self
    }

    fn send_to(mut self, out: &mut Out<'_>) -> Result<(), BodyError> {
        let when_to_come = Event::reconnect_after(spread(self.reconnect)).encode();
        out.end_at_stop(when_to_come.clone())?;
        out.send(when_to_come)?;
        loop {
            match (self.source)(self.heartbeat) {
                Ok(Some(events)) => out.send(events)?,
                Ok(None) => return Ok(()),
                Err(TimedOut) => out.send(HEARTBEAT)?,
            }
        }
    }
}

/// A time between this and twice this, another one for each caller.
fn spread(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(()) >> 32; // its keys are random
    let share = f64::from(u32::try_from(random).expect("32 bits are left")) / f64::from(u32::MAX);
    pause + pause.mul_f64(share)
}

impl IntoResponse for Sse {
    fn into_response(self) -> Response {
        response(Body::stream(move |out| self.send_to(out)))
    }
}

impl fmt::Debug for Sse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sse")
            .field("heartbeat", &self.heartbeat)
            .field("reconnect", &self.reconnect)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use greenway_app::Request;
    use greenway_app::testing::Client;
    use std::sync::Mutex;

    /// What a client sees of a queue's stream that ends by itself, without the first chunk.
    fn seen(queue: Queue<Event>, heartbeat: Duration, leave_after: usize) -> Vec<Bytes> {
        let stream = Mutex::new(Some(queue));
        let app = move |_: Request| {
            let queue = stream.lock().unwrap().take().expect("called once");
            Sse::new(queue).heartbeat(heartbeat)
        };
        let reply = Client::new(app).get("/").leave_after(leave_after).send();
        let (first, rest) = reply.chunks().split_first().expect("the time to wait");
        assert!(first.starts_with(b"retry: "), "{first:?}");
        rest.to_vec()
    }

    #[test]
    fn events_come_in_order_until_the_end_mark() {
        let queue = Queue::new(4);
        queue.put(Event::new("a").id("1")).unwrap();
        queue.put(Event::new("b")).unwrap();
        queue.close();
        let seen = seen(queue, Duration::MAX, usize::MAX);
        assert_eq!(seen, ["id: 1\ndata: a\n\n", "data: b\n\n"]);
    }

    #[test]
    fn silence_is_filled_with_heartbeats() {
        let queue = Queue::new(1);
        let seen = seen(queue.clone(), Duration::from_millis(1), 3);
        assert_eq!(seen, [HEARTBEAT, HEARTBEAT]);
        assert!(queue.is_closed(), "who puts learns that nobody listens");
    }

    #[test]
    fn a_body_that_is_not_wanted_closes_the_queue() {
        let queue = Queue::new(1);
        let feed = queue.clone();
        let app = move |_: Request| Sse::new(queue.clone());
        assert_eq!(Client::new(app).head("/").send().text(), "");
        assert!(feed.is_closed());
    }

    #[test]
    fn clients_come_back_at_different_times() {
        let pause = Duration::from_secs(2);
        let times: Vec<_> = (0..20).map(|_| spread(pause)).collect();
        assert!(times.iter().all(|time| (pause..=2 * pause).contains(time)));
        assert!(times.iter().any(|time| *time != times[0]), "{times:?}");
        assert_eq!(spread(Duration::ZERO), Duration::ZERO);
    }
}
