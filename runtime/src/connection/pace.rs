//! How long a slow client is waited for.
//!
//! A clock that each byte starts anew is no clock: a client that sends or takes a byte in time,
//! again and again, would hold its place for ever. So a client has [`Patience`], an amount of
//! time that waiting for it uses up and that each byte gives back a little of, as a bucket leaks
//! and is filled. One that stops uses it up at once, one that trickles in the end, and one that
//! is faster than the least rate never, however much it has to send or to take.
//!
//! What must stay true: the handler's clock stands still while the client is waited for. Whose
//! fault it is that nothing goes on is decided by the clock that runs.

use std::time::Duration;

/// Bytes that a client must send or take in a second, on average, besides the pause that it may
/// make: one that trickles is as slow as one that stops. Apache's figure.
const LEAST_RATE: u64 = 500;

/// How long `bytes` take at the least rate.
fn at_least_rate(bytes: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1000) / LEAST_RATE)
}

/// How long a client may be waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    left: Duration,
    most: Duration,
}

impl Patience {
    /// Patience with a pause of at most `most`. Never more than that, so that what went quickly
    /// cannot be used up slowly afterwards.
    pub(crate) fn new(most: Duration) -> Self {
        Self { left: most, most }
    }

    pub(crate) fn left(self) -> Duration {
        self.left
    }

    /// The client was waited for.
    #[must_use]
    pub(crate) fn waited(self, time: Duration) -> Self {
        let left = self.left.saturating_sub(time);
        Self { left, ..self }
    }

    /// The client has sent or taken something.
    #[must_use]
    pub(crate) fn moved(self, bytes: u64) -> Self {
        let left = self
            .left
            .saturating_add(at_least_rate(bytes))
            .min(self.most);
        Self { left, ..self }
    }
}

/// The pace at which a client takes what it is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WritePace {
    patience: Patience,
    /// Bytes that the kernel was given and of which it is not known that the client has them.
    unseen: u64,
    given: bool,
}

impl WritePace {
    pub(crate) fn new(most: Duration) -> Self {
        let patience = Patience::new(most);
        Self {
            patience,
            unseen: 0,
            given: false,
        }
    }

    /// How long the client may be waited for.
    pub(crate) fn left(self) -> Duration {
        self.patience.left
    }

    /// The client was waited for.
    #[must_use]
    pub(crate) fn waited(self, time: Duration) -> Self {
        let patience = self.patience.waited(time);
        Self { patience, ..self }
    }

    /// The kernel has taken something at some time.
    pub(crate) fn has_given(self) -> bool {
        self.given
    }

    /// The kernel has taken something.
    #[must_use]
    pub(crate) fn gave(self, bytes: usize) -> Self {
        let unseen = self.unseen + bytes as u64;
        Self {
            unseen,
            given: true,
            ..self
        }
    }

    /// The kernel still has `unsent` bytes that the client has not confirmed. Where it does not
    /// tell, what it has taken counts as arrived.
    #[must_use]
    pub(crate) fn seen(self, unsent: Option<u64>) -> Self {
        let unseen = unsent.unwrap_or(0);
        let patience = self.patience.moved(self.unseen.saturating_sub(unseen));
        Self {
            patience,
            unseen,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::departure::Client;
    use super::super::io::{BufferedIo, Incoming, IoParts};
    use super::super::transport::Transport;
    use super::*;
    use crate::service::config::Config;
    use crate::service::{ConnContext, ConnState, Service};
    use std::cell::Cell;
    use std::io::{self, IoSlice};
    use std::os::fd::BorrowedFd;
    use std::sync::atomic::AtomicBool;
    use std::time::Instant;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn who_stops_uses_it_up() {
        let patience = Patience::new(30 * SECOND).waited(29 * SECOND);
        assert_eq!(patience.left(), SECOND);
        assert_eq!(patience.waited(2 * SECOND).left(), Duration::ZERO);
    }

    #[test]
    fn who_trickles_uses_it_up_in_the_end() {
        let mut patience = Patience::new(30 * SECOND);
        let mut waited = Duration::ZERO;
        while !patience.left().is_zero() {
            let wait = SECOND.min(patience.left());
            let bytes = wait.as_millis() as u64 * (LEAST_RATE / 2) / 1000;
            patience = patience.waited(wait).moved(bytes);
            waited += wait;
            assert!(waited < 100 * SECOND, "it trickles for ever");
        }
        assert_eq!(waited.as_secs(), 59, "half of the time is earned back");
    }

    #[test]
    fn who_is_fast_enough_never_does() {
        let mut patience = Patience::new(30 * SECOND);
        for _ in 0..100_000 {
            patience = patience.waited(20 * SECOND).moved(20 * LEAST_RATE);
            assert_eq!(patience.left(), 30 * SECOND);
        }
    }

    #[test]
    fn what_went_quickly_buys_no_time() {
        let patience = Patience::new(30 * SECOND).moved(u64::MAX);
        assert_eq!(patience.left(), 30 * SECOND);
    }

    #[test]
    fn what_the_kernel_keeps_has_not_arrived() {
        let pace = WritePace::new(SECOND).gave(1_000_000);
        let spent = WritePace {
            patience: pace.patience.waited(SECOND),
            ..pace
        };
        assert_eq!(spent.seen(Some(1_000_000)).patience.left, Duration::ZERO);
        let some = spent.seen(Some(999_900));
        assert_eq!(some.patience.left, SECOND / 5);
        assert_eq!(some.seen(Some(999_900)).patience.left, SECOND / 5);
        assert_eq!(spent.seen(None).patience.left, SECOND);
        assert_eq!(
            spent.seen(Some(2_000_000)).patience.left,
            Duration::ZERO,
            "of an earlier owner of the socket"
        );
    }

    /// A kernel that has no room, though the client takes some of what it has.
    struct Full {
        /// What the client takes in a second.
        rate: u64,
        has: Cell<u64>,
        waits: Cell<u32>,
        /// In the wait with this number there is room.
        room_in: u32,
    }

    impl Transport for Full {
        fn read_unless(
            &self,
            _: &AtomicBool,
            _: Option<Instant>,
            _: &mut dyn FnMut(&[u8]),
        ) -> io::Result<usize> {
            Ok(0)
        }
        fn write(&self, bufs: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
            let until = deadline.expect("nobody is waited for without end");
            let begun = Instant::now();
            std::thread::sleep(until.saturating_duration_since(begun));
            let taken = begun.elapsed().as_micros() as u64 * self.rate / 1_000_000;
            self.has.set(self.has.get().saturating_sub(taken));
            self.waits.set(self.waits.get() + 1);
            if self.waits.get() == self.room_in {
                return Ok(bufs.iter().map(|buf| buf.len()).sum());
            }
            Err(io::ErrorKind::TimedOut.into())
        }
        fn write_now(&self, _: &[IoSlice<'_>]) -> io::Result<usize> {
            Err(io::ErrorKind::WouldBlock.into())
        }
        fn unsent(&self) -> Option<u64> {
            Some(self.has.get())
        }
        fn finish(&self) -> bool {
            true
        }
        fn shutdown(&self) {}
        fn reset(&self) {}
        fn socket(&self) -> Option<BorrowedFd<'_>> {
            None
        }
        fn is_green(&self) -> bool {
            false
        }
    }

    /// Sends a byte to a client that takes so much in a second. Gives the number of waits.
    fn send(rate: u64, room_in: u32) -> (io::Result<()>, u32) {
        let mut config = Config::default();
        config.clocks.write = Duration::from_millis(20);
        let full = Full {
            rate,
            has: Cell::new(1_000_000),
            waits: Cell::new(0),
            room_in,
        };
        let service = Service::bare(|_: greenway_app::Request| "", config);
        let parts = IoParts::new(full, Incoming::default());
        let context = ConnContext::new(ConnState::Busy);
        let io = BufferedIo::new(parts, Client::default(), service, context);
        let result = io.send(&[b"x"]);
        (result, io.stream.waits.get())
    }

    /// The kernel of an ordinary client has room again when a third of its buffer was taken: a
    /// megabyte, for which one who is not slow may take longer than the clock allows.
    #[test]
    fn who_takes_something_is_waited_for_though_the_kernel_has_no_room() {
        let (result, waits) = send(100 * LEAST_RATE, 10);
        assert!(result.is_ok());
        assert_eq!(waits, 10);
    }

    #[test]
    fn who_takes_nothing_is_given_up() {
        let begun = Instant::now();
        let (result, waits) = send(0, u32::MAX);
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(waits, 1);
        assert!(begun.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn who_takes_too_little_is_given_up() {
        let (result, waits) = send(LEAST_RATE / 4, u32::MAX);
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(waits < 50, "{waits}");
    }
}
