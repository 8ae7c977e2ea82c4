//! [`Condition`]: waiting for a change of what a [`Lock`] guards.

use crate::scheduler::line::{Line, Ticket};
use crate::scheduler::lock::lock;
use crate::scheduler::thread::{Awaited, Io, deadline_in, wait_for};
use crate::scheduler::timed_out::TimedOut;
use crate::sync::lock::LockGuard;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Lets threads that hold a [`Lock`](crate::Lock) wait until another one tells them of a change.
///
/// Notices go to those who have waited longest, and none is lost: one that was meant for a thread
/// which gives up is passed on. Wake-ups without a notice do not happen, but the state may have
/// changed again before the lock was had, so wait in a loop or use [`wait_while`](Self::wait_while).
///
/// ```
/// use greenway_green::{Condition, Lock, scope};
///
/// let (jobs, more) = (Lock::new(Vec::new()), Condition::new());
/// scope(|s| {
///     let taker = s.spawn(|| {
///         let guard = jobs.lock().unwrap();
///         more.wait_while(guard, |jobs| jobs.is_empty()).pop()
///     });
///     jobs.lock().unwrap().push("job");
///     more.notify_one();
///     assert_eq!(taker.join().unwrap(), Some("job"));
/// });
/// ```
#[derive(Debug, Default)]
pub struct Condition {
    line: Mutex<Line>,
}

impl Condition {
    /// A condition that nobody waits for.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the lock back, waits for a notice, and takes the lock again.
    ///
    /// A thread that is unwinding comes back at once and keeps the lock meanwhile. One that is
    /// killed here unwinds without the lock.
    pub fn wait<'a, T: ?Sized>(&self, guard: LockGuard<'a, T>) -> LockGuard<'a, T> {
        self.wait_until(guard, None).0
    }

    /// As [`wait`](Self::wait), for at most `timeout`, not counting the time until the lock is
    /// had again.
    ///
    /// The second value is [`TimedOut`] if no notice came.
    pub fn wait_timeout<'a, T: ?Sized>(
        &self,
        guard: LockGuard<'a, T>,
        timeout: Duration,
    ) -> (LockGuard<'a, T>, Result<(), TimedOut>) {
        self.wait_until(guard, deadline_in(timeout))
    }

    /// Waits while the value is as `busy` says.
    ///
    /// A thread that is unwinding comes back at once, whatever the value is.
    pub fn wait_while<'a, T: ?Sized>(
        &self,
        mut guard: LockGuard<'a, T>,
        mut busy: impl FnMut(&mut T) -> bool,
    ) -> LockGuard<'a, T> {
        while busy(&mut guard) && !std::thread::panicking() {
            guard = self.wait(guard);
        }
        guard
    }

    /// Waits while the value is as `busy` says, at most `timeout` in all.
    ///
    /// The second value is [`TimedOut`] if it still is.
    pub fn wait_while_timeout<'a, T: ?Sized>(
        &self,
        mut guard: LockGuard<'a, T>,
        timeout: Duration,
        mut busy: impl FnMut(&mut T) -> bool,
    ) -> (LockGuard<'a, T>, Result<(), TimedOut>) {
        let deadline = deadline_in(timeout);
        let mut noticed = Ok(());
        while busy(&mut guard) {
            if noticed.is_err() {
                return (guard, noticed);
            }
            (guard, noticed) = self.wait_until(guard, deadline);
        }
        (guard, Ok(()))
    }

    fn wait_until<'a, T: ?Sized>(
        &self,
        guard: LockGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> (LockGuard<'a, T>, Result<(), TimedOut>) {
        if std::thread::panicking() {
            return (guard, Err(TimedOut));
        }
        let value = LockGuard::lock(&guard);
        let mut place = Place {
            condition: self,
            // In the line before the lock is given back: a notice from then on is for us.
            ticket: Some(lock(&self.line).enter(crate::scheduler::thread::current().handle())),
        };
        drop(guard);
        let noticed = wait_for(Awaited::Condition, deadline, Io::None, |_, _| {
            // Taken below, where the wait is over.
            let ticket = place.ticket?;
            lock(&self.line).redeem(ticket).then(|| place.ticket = None)
        });
        drop(place);
        // Without a deadline a lock cannot be had only if the thread is unwinding, which it is
        // not: it would have come back above.
        let guard = value.lock().expect("not unwinding");
        (guard, noticed)
    }

    /// Wakes the thread that has waited longest, if any does.
    pub fn notify_one(&self) {
        lock(&self.line).grant();
    }

    /// Wakes all that wait now.
    pub fn notify_all(&self) {
        let mut line = lock(&self.line);
        while line.grant() {}
    }
}

/// A place among those who wait, given up when dropped; a notice that came is passed on.
struct Place<'a> {
    condition: &'a Condition,
    ticket: Option<Ticket>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let mut line = lock(&self.condition.line);
            if line.leave(ticket) {
                line.grant();
            }
        }
    }
}
