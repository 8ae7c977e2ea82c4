//! [`Patience`]: waits for what nobody announces.

use crate::errno;
use crate::waiting::wait_quietly;
use greenway_green::Awaited;
use greenway_green::embed::{Ended, Io};
use libc::{c_int, ssize_t};
use std::time::{Duration, Instant};

/// The pauses of one who has to look again and again: at first short, later a part of the time that has
/// passed, so that what comes is seen late by a twentieth of the time that it took.
pub(crate) struct Patience {
    begun: Instant,
    longest: Duration,
}

/// The first pause.
const SHORTEST: Duration = Duration::from_micros(50);

impl Patience {
    pub(crate) fn new(longest: Duration) -> Self {
        Self {
            begun: Instant::now(),
            longest,
        }
    }

    /// When to look again.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        let now = Instant::now();
        let pause = (now.saturating_duration_since(self.begun) / 20).clamp(SHORTEST, self.longest);
        now.checked_add(pause)
    }

    /// Lets others run until it is time to look again, at most until `deadline`.
    ///
    /// # Errors
    /// When the deadline has passed, or the thread is to end.
    pub(crate) fn pause(&self, what: &'static str, deadline: Option<Instant>) -> Result<(), Ended> {
        let look = self.next_look();
        let until = look.into_iter().chain(deadline).min();
        match wait_quietly(Awaited::Other(what), until, Io::None, |_| None::<()>) {
            Err(Ended::TimedOut) if deadline.is_some_and(|at| at <= Instant::now()) => {
                Err(Ended::TimedOut)
            }
            Ok(()) | Err(Ended::TimedOut) => Ok(()),
            Err(Ended::Interrupted) => Err(Ended::Interrupted),
        }
    }
}

/// As [`until_done`], for an object of System V's. The kernel tells one that waits in another way that it was
/// removed than one that comes later.
pub(crate) fn until_done_or_removed(
    what: &'static str,
    not_yet: &[c_int],
    deadline: Option<Instant>,
    mut attempt: impl FnMut() -> ssize_t,
) -> ssize_t {
    let mut again = false;
    until_done(what, not_yet, deadline, || {
        let result = attempt();
        let waited = std::mem::replace(&mut again, true);
        if result < 0 && waited && errno::get() == libc::EINVAL {
            return errno::fail(libc::EIDRM);
        }
        result
    })
}

/// Makes `attempt`, which does not wait, until it does not fail with one of `not_yet`, or until the deadline,
/// when it fails so; `ECANCELED` tells of one who is to end. Where it succeeds, `errno` is what it was.
pub(crate) fn until_done(
    what: &'static str,
    not_yet: &[c_int],
    deadline: Option<Instant>,
    mut attempt: impl FnMut() -> ssize_t,
) -> ssize_t {
    /// The longest pause between two looks.
    const LONGEST: Duration = Duration::from_millis(20);
    let before = errno::get();
    let patience = Patience::new(LONGEST);
    loop {
        let result = attempt();
        if result >= 0 {
            errno::set(before);
            return result;
        }
        let error = errno::get();
        if !not_yet.contains(&error) {
            return result;
        }
        match patience.pause(what, deadline) {
            Ok(()) => {}
            Err(Ended::TimedOut) => return errno::fail(error),
            Err(Ended::Interrupted) => return errno::fail(libc::ECANCELED),
        }
    }
}
