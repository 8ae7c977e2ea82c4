//! Waiting for whichever of several things comes first: gevent's `wait` and `iwait`.
//!
//! What is waited for is *readiness*, and nothing is taken: a thread has ended, an event is set,
//! a queue has an item that nobody has been promised. By the time that the caller acts on it,
//! somebody else may have been faster, so act with the `try_` function of the object and go round.

use crate::platform::{Duration, Instant};
use crate::scheduler::line::{Lookout, Ticket};
use crate::scheduler::thread::{Awaited, Io, deadline_in, wait_for};
use crate::scheduler::timed_out::TimedOut;
use std::collections::VecDeque;
use std::fmt;

pub(crate) mod sealed {
    use crate::scheduler::line::Lookout;
    use std::fmt;

    /// Something with a lookout.
    pub trait Watch {
        /// The lookout of the object.
        fn lookout(&self) -> Watched<'_>;
    }

    /// The lookout of an object. Nobody outside this crate can make or use one.
    pub struct Watched<'a>(pub(crate) &'a dyn Lookout);

    impl fmt::Debug for Watched<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_tuple("Watched").field(&self.0.is_ready()).finish()
        }
    }
}

/// Something whose readiness can be waited for, together with others.
///
/// | Object | is ready when |
/// |---|---|
/// | [`Greenlet`](crate::Greenlet), [`Job`](crate::Job) | it has ended |
/// | [`Group`](crate::Group) | all its members have ended |
/// | [`Event`](crate::Event) | it is set |
/// | [`AsyncResult`](crate::AsyncResult) | it has its value, or will never have one |
/// | [`Semaphore`](crate::Semaphore), [`BoundedSemaphore`](crate::BoundedSemaphore) | a permit is free |
/// | the queues | an item is there to be got, or the end mark is reached |
/// | [`Ready`](crate::net::Ready) | a socket or another descriptor can be read or written |
///
/// The trait is sealed: it can be used, not implemented.
pub trait Waitable: sealed::Watch {}

impl<W: sealed::Watch + ?Sized> Waitable for W {}

/// Waits until `count` of the objects are ready, at most `timeout`, and gives the places of those
/// that are (fewer than `count` if the time is over), in the order in which they were found.
///
/// `None` for `timeout` waits without limit, `None` for `count` waits for all.
///
/// ```
/// use greenway_green::{Event, sleep, spawn, wait};
/// use std::time::Duration;
///
/// let event = Event::new();
/// let slow = spawn(|| sleep(Duration::from_secs(60)));
/// event.set();
/// let ready = wait(&[&slow, &event], None, Some(1));
/// assert_eq!(ready, [1]);
/// slow.kill();
/// ```
pub fn wait(
    objects: &[&dyn Waitable],
    timeout: Option<Duration>,
    count: Option<usize>,
) -> Vec<usize> {
    let count = count.unwrap_or(objects.len());
    iwait(objects, timeout).take(count).collect()
}

/// Waits until one of the objects is ready, at most `timeout`, and gives its place: `select` of
/// Unix and Go. The first of several that are ready.
///
/// ```
/// use greenway_green::{Queue, select};
///
/// let (orders, news) = (Queue::new(1), Queue::new(1));
/// news.put("rain").unwrap();
/// match select(&[&orders, &news], None).unwrap() {
///     0 => println!("{:?}", orders.try_get()),
///     _ => assert_eq!(news.try_get(), Ok(Some("rain"))),
/// }
/// # orders.put("soup").unwrap();
/// ```
///
/// # Errors
/// [`TimedOut`] when none was ready in time.
pub fn select(objects: &[&dyn Waitable], timeout: Option<Duration>) -> Result<usize, TimedOut> {
    iwait(objects, timeout).next().ok_or(TimedOut)
}

/// Gives the place of each object once, as they become ready, waiting for each; ends after the
/// last, or when `timeout` is over, which counts from now.
pub fn iwait<'a>(objects: &'a [&'a dyn Waitable], timeout: Option<Duration>) -> Iwait<'a> {
    Iwait {
        objects,
        left: (0..objects.len()).collect(),
        deadline: timeout.and_then(deadline_in),
    }
}

/// The iterator that [`iwait`] gives.
pub struct Iwait<'a> {
    objects: &'a [&'a dyn Waitable],
    /// The places that it has not given. Those before the last one that it has given come last: of a
    /// thousand objects that become ready in turn, each is looked at a few times, not a thousand.
    left: VecDeque<usize>,
    deadline: Option<Instant>,
}

impl Iterator for Iwait<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.left.is_empty() {
            return None;
        }
        let index = match self.first_ready() {
            Some(index) => index,
            None => self.wait_for_one()?,
        };
        self.left.rotate_left(index);
        self.left.pop_front()
    }
}

impl Iwait<'_> {
    /// The index in `left` of the first one that is ready.
    fn first_ready(&self) -> Option<usize> {
        let mut left = self.left.iter();
        left.position(|&place| self.objects[place].lookout().0.is_ready())
    }

    /// As [`first_ready`](Self::first_ready), waiting for one; `None` when the time is over.
    fn wait_for_one(&self) -> Option<usize> {
        let lookouts = || {
            self.left
                .iter()
                .map(|&place| self.objects[place].lookout().0)
        };
        let descriptors: Vec<_> = lookouts().filter_map(Lookout::descriptor).collect();
        let mut watches = Vec::new();
        let (deadline, io) = (self.deadline, Io::PollAny(&descriptors));
        let found = wait_for(Awaited::Several, deadline, io, |me, _| {
            if watches.is_empty() {
                // Watched before they are looked at: one that becomes ready in between wakes us.
                watches.extend(lookouts().map(|object| Watching(object, object.watch(me))));
            }
            self.first_ready()
        });
        found.ok()
    }
}

/// A place in the line of an object, given up when dropped.
struct Watching<'a>(&'a dyn Lookout, Ticket);

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.0.unwatch(self.1);
    }
}

impl fmt::Debug for Iwait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iwait")
            .field("left", &self.left)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::sync::Arc;
    use crate::scheduler::thread::Thread;
    use std::cell::Cell;

    /// Is ready, and counts how often it is asked.
    struct Asked(Cell<usize>);

    impl Lookout for Asked {
        fn is_ready(&self) -> bool {
            self.0.set(self.0.get() + 1);
            true
        }
        fn watch(&self, _: &Arc<Thread>) -> Ticket {
            Ticket::default()
        }
        fn unwatch(&self, _: Ticket) {}
    }

    impl sealed::Watch for Asked {
        fn lookout(&self) -> sealed::Watched<'_> {
            sealed::Watched(self)
        }
    }

    #[test]
    fn each_of_many_that_are_ready_is_asked_once() {
        let all: Vec<_> = (0..1000).map(|_| Asked(Cell::new(0))).collect();
        let objects: Vec<&dyn Waitable> = all.iter().map(|one| one as _).collect();
        let ready = wait(&objects, None, None);
        assert!(ready.iter().copied().eq(0..1000));
        assert!(all.iter().all(|one| one.0.get() == 1));
    }
}
