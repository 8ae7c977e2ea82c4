//! The end of a connection whose client is to get all of what it was sent.
//!
//! A close while bytes from the client are unread, or still come, makes the kernel send a reset.
//! The reset overtakes the response where that is still on its way, and throws away what the client
//! has not taken (RFC 9112 section 9.6). So the sending direction is ended first, and what comes is
//! read and thrown away until the client has ended its own.
//!
//! What must stay true: the clocks of a close run from when the client can act. While the kernel
//! still has bytes for it, it is given time as one who is slow to take a response; only then does
//! it have to close, or to go on sending at a rate that gets it to the end of an upload.

use super::pace::WritePace;
use super::transport::Transport;
use crate::green::embed::take_turn;
use crate::service::Service;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// How long a client that has got everything may be silent.
const PAUSE: Duration = Duration::from_secs(2);
/// How long it may go on altogether. This is nginx's figure.
const TOTAL: Duration = Duration::from_secs(30);
/// A client that uploads, and looks at its answer only afterwards, has as much more as it needs at
/// this rate, in bytes for each second...
const RATE: u64 = 64 * 1024;
/// ...until here. This is Node's figure for a whole request.
const MOST: Duration = Duration::from_secs(300);
/// How long a client may be silent that has got everything and was not sending when the server
/// stopped: it is idle, as most clients that keep connections are, and the stop is not to wait for
/// it. A request that it sends in this time is read, so that the close is no reset.
const AT_STOP: Duration = Duration::from_millis(200);
/// Both when the grace period of a stop is over.
const LAST: Duration = Duration::from_millis(100);
/// How often the kernel is asked what the client has not taken yet.
const LOOK: Duration = Duration::from_millis(250);

/// Ends the sending direction, and reads on within bounds. The connection is closed afterwards.
/// `pace` is the one at which the client has taken what it was sent so far; `unread` says that it
/// has sent what nobody has read.
///
/// The end of a stop's grace period shortens this if it wakes the thread.
pub(crate) fn linger<T: Transport>(stream: &T, service: &Service, pace: WritePace, unread: bool) {
    let mut finished = stream.finish();
    let ending = service.lifecycle.ending_flag();
    let mut clock = Clock::new(service.config.clocks.write, pace, stream.unsent());
    if service.lifecycle.is_stopping() && !unread {
        clock.stopping();
    }
    loop {
        // Where it could not be said yet that this is the end, the kernel is full: the clock looks
        // again while it is.
        finished = finished || stream.finish();
        let hurry = service.lifecycle.is_ending();
        if hurry {
            clock.hurry();
        }
        let next = clock.next();
        let result = if hurry {
            stream.read(Some(next), &mut |_| {})
        } else {
            stream.read_unless(ending, Some(next), &mut |_| {})
        };
        match result {
            Ok(0) if !hurry && service.lifecycle.is_ending() => {}
            Ok(n @ 1..) => {
                clock.came(n);
                take_turn();
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => {}
            Ok(0) | Err(_) => return,
        }
        if clock.is_over(|| stream.unsent()) {
            return;
        }
    }
}

/// How long a client is waited for.
struct Clock {
    pause: Duration,
    /// Until the client has everything, this decides.
    pace: WritePace,
    has_all: bool,
    looked: Instant,
    /// When the client could act, or has acted.
    active: Instant,
    /// From then on, it is not waited for whatever it does.
    end: Instant,
    /// The same before anything is added for what comes.
    least_end: Instant,
    come: u64,
    hurried: bool,
}

impl Clock {
    fn new(write: Duration, pace: WritePace, unsent: Option<u64>) -> Self {
        let now = Instant::now();
        Self {
            pause: PAUSE.min(write),
            pace: pace.seen(unsent),
            has_all: unsent.unwrap_or(0) == 0,
            looked: now,
            active: now,
            end: now + TOTAL,
            least_end: now + TOTAL,
            come: 0,
            hurried: false,
        }
    }

    /// The server stops, and the client was not sending.
    fn stopping(&mut self) {
        self.pause = self.pause.min(AT_STOP);
    }

    /// The server will not wait for much longer.
    fn hurry(&mut self) {
        if !self.hurried {
            self.hurried = true;
            self.has_all = true;
            self.pause = LAST.min(self.pause);
            self.active = Instant::now();
            self.end = self.active + LAST;
        }
    }

    /// When to look again at the latest.
    fn next(&self) -> Instant {
        if self.has_all {
            self.end.min(self.active + self.pause)
        } else {
            self.looked + LOOK
        }
    }

    /// The client has sent something.
    fn came(&mut self, bytes: usize) {
        self.come += bytes as u64;
        self.active = Instant::now();
        if !self.hurried {
            let more = Duration::from_millis(self.come.saturating_mul(1000) / RATE);
            self.end = self.least_end + more.min(MOST - TOTAL);
        }
    }

    /// Whether the client had its time. `unsent` asks what it has not taken yet.
    fn is_over(&mut self, unsent: impl FnOnce() -> Option<u64>) -> bool {
        let now = Instant::now();
        if self.has_all {
            return now >= self.next();
        }
        if now < self.looked + LOOK {
            return false;
        }
        let unsent = unsent();
        self.pace = self.pace.waited(now - self.looked).seen(unsent);
        self.looked = now;
        if unsent.unwrap_or(0) == 0 {
            self.has_all = true;
            self.active = now;
            self.end = now + TOTAL;
            self.least_end = self.end;
            self.come = 0;
        }
        !self.has_all && self.pace.left().is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A clock that looks anew at each call.
    fn clock(unsent: u64) -> Clock {
        Clock::new(30 * SECOND, WritePace::new(30 * SECOND), Some(unsent))
    }

    fn pass(clock: &mut Clock, time: Duration) {
        for at in [
            &mut clock.looked,
            &mut clock.active,
            &mut clock.end,
            &mut clock.least_end,
        ] {
            *at -= time;
        }
    }

    #[test]
    fn a_client_that_has_all_is_given_a_pause() {
        let mut clock = clock(0);
        assert!(!clock.is_over(|| Some(0)));
        pass(&mut clock, PAUSE);
        assert!(clock.is_over(|| Some(0)));
    }

    #[test]
    fn a_stop_waits_for_an_idle_client_for_a_moment_and_for_one_that_takes_its_answer() {
        let mut idle = clock(0);
        idle.stopping();
        assert!(!idle.is_over(|| Some(0)));
        pass(&mut idle, AT_STOP);
        assert!(idle.is_over(|| Some(0)));
        let mut takes = clock(3_000_000);
        takes.stopping();
        pass(&mut takes, SECOND);
        assert!(!takes.is_over(|| Some(2_000_000)));
        pass(&mut takes, SECOND);
        assert!(!takes.is_over(|| Some(0)));
        pass(&mut takes, AT_STOP);
        assert!(takes.is_over(|| Some(0)));
    }

    #[test]
    fn while_it_takes_what_was_sent_it_has_time_and_a_pause_behind_it() {
        let mut clock = clock(3_000_000);
        for step in (0..200).rev() {
            let left = step * 15_000;
            pass(&mut clock, SECOND / 10 + LOOK);
            assert!(!clock.is_over(|| Some(left)), "{left}");
        }
        assert!(clock.has_all);
        pass(&mut clock, PAUSE / 2);
        assert!(!clock.is_over(|| Some(0)));
        pass(&mut clock, PAUSE / 2);
        assert!(clock.is_over(|| Some(0)));
    }

    #[test]
    fn one_that_takes_nothing_has_the_time_of_a_slow_reader() {
        let mut clock = clock(3_000_000);
        pass(&mut clock, 29 * SECOND);
        assert!(!clock.is_over(|| Some(3_000_000)));
        pass(&mut clock, SECOND);
        assert!(clock.is_over(|| Some(3_000_000)));
    }

    #[test]
    fn an_upload_is_read_for_as_long_as_it_moves() {
        let upload = |rate: usize| {
            let mut clock = clock(0);
            let mut seconds = 0;
            while !clock.is_over(|| Some(0)) {
                pass(&mut clock, SECOND);
                clock.came(rate);
                seconds += 1;
            }
            seconds
        };
        assert_eq!(upload(1), 30);
        assert_eq!(upload(150_000), 300);
    }

    #[test]
    fn the_end_of_a_stop_is_waited_for_by_nobody() {
        let mut clock = clock(3_000_000);
        clock.hurry();
        pass(&mut clock, LAST);
        clock.hurry();
        assert!(clock.is_over(|| Some(3_000_000)));
    }
}
