//! What a server counts.
//!
//! Counting is always on and costs a request a few additions that no other thread makes to the
//! same memory: each OS thread has a [`Shard`] of its own, and whoever asks adds them up. What can be counted when somebody asks (connections by state, green threads) is
//! not counted before.
//!
//! What must stay true: nothing here waits, and no number of connections, routes or clients makes
//! the answer longer. Labels are fixed sets: codes, reasons, workers.

mod labels;

#[cfg(feature = "http2")]
pub(crate) use labels::Http2Event;
pub(crate) use labels::{Handshake, HandshakeFailure, Protocol, Refused, TLS_VERSIONS};

use super::websockets::Closed;
use http::StatusCode;
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Codes from 100 to 599 are counted each; the few beyond, which HTTP does not define, together.
pub(crate) const FIRST_CODE: u16 = 100;
pub(crate) const CODES: usize = 500;

/// Upper bounds of the buckets of the durations, in microseconds.
pub(crate) const BUCKETS: [u64; 15] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

/// A server's numbers.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) started: Instant,
    /// By the number of the OS thread.
    own: [OnceLock<Box<Shard>>; OWN],
    /// Of all threads with higher numbers.
    shared: Box<Shard>,
    pub(crate) refused: [AtomicU64; Refused::ALL.len()],
    /// TLS handshakes, by what has become of them.
    pub(crate) handshakes: [AtomicU64; Handshake::ALL.len()],
    /// Those among them that have failed, by why.
    pub(crate) handshake_failures: [AtomicU64; HandshakeFailure::ALL.len()],
    /// Those that have not, by what was agreed upon.
    pub(crate) tls_versions: [AtomicU64; TLS_VERSIONS.len()],
    /// Handlers that have panicked.
    pub(crate) panics: AtomicU64,
    /// Handlers may run at once so many.
    pub(crate) handlers_limit: Option<usize>,
    /// Running handlers, counted here only if there is a limit: an exact count is shared.
    limited: AtomicUsize,
    /// Connections that have no thread, because they are idle.
    pub(crate) idle: AtomicUsize,
}

/// So many OS threads, those that count first, have a shard of their own.
const OWN: usize = 64;

/// What an OS thread has counted. As large as to share no cache line with another.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Shard {
    pub(crate) codes: [AtomicU64; CODES],
    pub(crate) other_codes: AtomicU64,
    pub(crate) protocols: [AtomicU64; Protocol::ALL.len()],
    #[cfg(feature = "http2")]
    pub(crate) http2: [AtomicU64; Http2Event::COUNT],
    /// By bucket; the last one is for what is beyond all bounds.
    pub(crate) durations: [AtomicU64; BUCKETS.len() + 1],
    pub(crate) duration_us: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) accepted: AtomicU64,
    /// Begun minus ended; a handler ends on the OS thread on which it has begun.
    pub(crate) handlers: AtomicU64,
    /// WebSocket messages.
    pub(crate) messages_in: AtomicU64,
    pub(crate) messages_out: AtomicU64,
    pub(crate) websockets_closed: [AtomicU64; Closed::ALL.len()],
}

impl Shard {
    fn new() -> Self {
        Self {
            codes: [const { AtomicU64::new(0) }; CODES],
            other_codes: AtomicU64::new(0),
            protocols: [const { AtomicU64::new(0) }; Protocol::ALL.len()],
            #[cfg(feature = "http2")]
            http2: [const { AtomicU64::new(0) }; Http2Event::COUNT],
            durations: [const { AtomicU64::new(0) }; BUCKETS.len() + 1],
            duration_us: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            handlers: AtomicU64::new(0),
            messages_in: AtomicU64::new(0),
            messages_out: AtomicU64::new(0),
            websockets_closed: [const { AtomicU64::new(0) }; Closed::ALL.len()],
        }
    }
}

/// The shard of the thread that calls.
#[derive(Debug, Clone, Copy)]
struct Tally<'a> {
    shard: &'a Shard,
    /// No other thread adds to it.
    own: bool,
}

impl Tally<'_> {
    fn add(self, count: &AtomicU64, n: u64) {
        if self.own {
            // Several times quicker than `fetch_add`, which keeps other threads from losing a
            // count; there are none.
            count.store(count.load(Relaxed).wrapping_add(n), Relaxed);
        } else {
            count.fetch_add(n, Relaxed);
        }
    }
}

/// The number of this OS thread, from 0 in the order in which they first count something.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: Cell<Option<usize>> = const { Cell::new(None) });
    NUMBER.get().unwrap_or_else(|| {
        let number = NEXT.fetch_add(1, Relaxed);
        NUMBER.set(Some(number));
        number
    })
}

impl Metrics {
    pub(crate) fn new(handlers_limit: Option<usize>) -> Self {
        Self {
            started: Instant::now(),
            own: [const { OnceLock::new() }; OWN],
            shared: Box::new(Shard::new()),
            refused: [const { AtomicU64::new(0) }; Refused::ALL.len()],
            handshakes: [const { AtomicU64::new(0) }; Handshake::ALL.len()],
            handshake_failures: [const { AtomicU64::new(0) }; HandshakeFailure::ALL.len()],
            tls_versions: [const { AtomicU64::new(0) }; TLS_VERSIONS.len()],
            panics: AtomicU64::new(0),
            handlers_limit,
            limited: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
        }
    }

    fn tally(&self) -> Tally<'_> {
        match self.own.get(thread_number()) {
            Some(own) => Tally {
                shard: own.get_or_init(|| Box::new(Shard::new())),
                own: true,
            },
            None => Tally {
                shard: &self.shared,
                own: false,
            },
        }
    }

    pub(crate) fn sum(&self, of: impl Fn(&Shard) -> u64) -> u64 {
        let own = self.own.iter().filter_map(OnceLock::get);
        own.chain([&self.shared]).map(|shard| of(shard)).sum()
    }

    /// A connection was let in.
    pub(crate) fn accepted(&self) {
        let tally = self.tally();
        tally.add(&tally.shard.accepted, 1);
    }

    /// A client was sent away.
    pub(crate) fn refused(&self, why: Refused) {
        self.refused[why as usize].fetch_add(1, Relaxed);
    }

    /// Notes what has become of a TLS handshake.
    #[cfg(feature = "tls")]
    pub(crate) fn handshake(&self, result: Handshake) {
        self.handshakes[result as usize].fetch_add(1, Relaxed);
    }

    /// Notes why a TLS handshake has failed.
    #[cfg(feature = "tls")]
    pub(crate) fn handshake_failure(&self, why: HandshakeFailure) {
        self.handshake(Handshake::Failed);
        self.handshake_failures[why as usize].fetch_add(1, Relaxed);
    }

    /// Notes a TLS handshake that is over, with this version.
    #[cfg(feature = "tls")]
    pub(crate) fn secured(&self, version: &str, resumed: bool) {
        self.handshake(match resumed {
            true => Handshake::Resumed,
            false => Handshake::Full,
        });
        let known = TLS_VERSIONS.iter().position(|known| *known == version);
        if let Some(known) = known {
            self.tls_versions[known].fetch_add(1, Relaxed);
        }
    }

    /// Notes what has happened to a connection of HTTP/2.
    #[cfg(feature = "http2")]
    pub(crate) fn http2(&self, event: Http2Event) {
        let tally = self.tally();
        tally.add(&tally.shard.http2[event as usize], 1);
    }

    /// How often this has happened.
    #[cfg(feature = "http2")]
    pub(crate) fn http2_count(&self, event: Http2Event) -> u64 {
        self.sum(|shard| shard.http2[event as usize].load(Relaxed))
    }

    /// A handler has panicked.
    pub(crate) fn panicked(&self) {
        self.panics.fetch_add(1, Relaxed);
    }

    /// A WebSocket message has come, or was sent.
    pub(crate) fn websocket_message(&self, received: bool) {
        let tally = self.tally();
        let count = if received {
            &tally.shard.messages_in
        } else {
            &tally.shard.messages_out
        };
        tally.add(count, 1);
    }

    pub(crate) fn websocket_closed(&self, how: Closed) {
        let tally = self.tally();
        tally.add(&tally.shard.websockets_closed[how as usize], 1);
    }

    /// A request is over. Sizes in bytes; no protocol if what came was no request.
    pub(crate) fn request(
        &self,
        status: StatusCode,
        protocol: Option<Protocol>,
        duration: Option<Duration>,
        received: u64,
        sent: u64,
    ) {
        let tally = self.tally();
        let shard = tally.shard;
        let code = usize::from(status.as_u16() - FIRST_CODE); // a StatusCode is 100 to 999
        tally.add(shard.codes.get(code).unwrap_or(&shard.other_codes), 1);
        if let Some(protocol) = protocol {
            tally.add(&shard.protocols[protocol as usize], 1);
        }
        tally.add(&shard.received, received);
        tally.add(&shard.sent, sent);
        if let Some(duration) = duration {
            let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
            let bucket = BUCKETS.partition_point(|bound| *bound < us);
            tally.add(&shard.durations[bucket], 1);
            tally.add(&shard.duration_us, us);
        }
    }

    /// A handler is about to run, until the guard is dropped. `None` if as many run as may.
    pub(crate) fn handler(&self) -> Option<Handling<'_>> {
        let limited = self.handlers_limit.is_some();
        if let Some(limit) = self.handlers_limit
            && self.limited.fetch_add(1, Relaxed) >= limit
        {
            self.limited.fetch_sub(1, Relaxed);
            self.refused(Refused::Handlers);
            return None;
        }
        let tally = self.tally();
        tally.add(&tally.shard.handlers, 1);
        Some(Handling {
            metrics: self,
            tally,
            limited,
            _not_send: PhantomData,
        })
    }

    /// Handlers that run now.
    pub(crate) fn handlers(&self) -> u64 {
        self.sum(|shard| shard.handlers.load(Relaxed))
    }

    /// Requests answered with this code.
    pub(crate) fn code(&self, code: usize) -> u64 {
        self.sum(|shard| shard.codes[code].load(Relaxed))
    }
}

/// A handler that runs.
#[derive(Debug)]
pub(crate) struct Handling<'a> {
    metrics: &'a Metrics,
    tally: Tally<'a>,
    limited: bool,
    /// Where the tally is the thread's own, nobody else may subtract.
    _not_send: PhantomData<*const ()>,
}

impl Drop for Handling<'_> {
    fn drop(&mut self) {
        // Adds minus one.
        self.tally.add(&self.tally.shard.handlers, u64::MAX);
        if self.limited {
            self.metrics.limited.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_are_counted_and_limited() {
        let metrics = Metrics::new(Some(2));
        let first = metrics.handler();
        let second = metrics.handler();
        assert!(first.is_some() && second.is_some());
        assert!(metrics.handler().is_none());
        assert_eq!(metrics.handlers(), 2);
        drop(first);
        assert!(
            metrics.handler().is_some(),
            "the refused one has left no trace"
        );
        drop(second);
        assert_eq!(metrics.handlers(), 0);
        assert_eq!(metrics.refused[Refused::Handlers as usize].load(Relaxed), 1);
        let unlimited = Metrics::new(None);
        let all: Vec<_> = (0..1000).map(|_| unlimited.handler().unwrap()).collect();
        assert_eq!(unlimited.handlers(), 1000);
        drop(all);
        assert_eq!(unlimited.handlers(), 0);
    }

    #[test]
    fn each_thread_counts_and_all_counts_add_up() {
        let metrics = Metrics::new(None);
        std::thread::scope(|scope| {
            for _ in 0..OWN + 10 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let duration = Some(Duration::from_millis(2));
                        let protocol = Some(Protocol::Http11);
                        metrics.request(StatusCode::OK, protocol, duration, 10, 3);
                    }
                });
            }
        });
        let requests = (OWN as u64 + 10) * 100;
        assert_eq!(metrics.code(100), requests);
        assert_eq!(
            metrics.sum(|shard| shard.received.load(Relaxed)),
            requests * 10
        );
        assert_eq!(metrics.sum(|shard| shard.sent.load(Relaxed)), requests * 3);
    }
}
