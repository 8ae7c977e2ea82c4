//! Parking: what `thread::park`, std's `mpsc`, scoped threads and `crossbeam-channel` wait with.
//!
//! std has one word for each OS thread: 0 is empty, 1 notified, `u32::MAX` parked. `park` takes one off the
//! word and waits while it is `u32::MAX`; a second green thread of the worker that parks as well would
//! find 0xFFFF_FFFE, see without any call that this is not `u32::MAX`, and look again for ever. So whoever waits here
//! puts the word back to 0 first: the next one that parks arrives here, too.
//!
//! `unpark` stores 1, and calls the kernel only if it finds `u32::MAX`. It finds 0, so nobody tells us. So those
//! who are parked look at the word, first soon, later not so often, and whoever finds 1 has all
//! others of its worker wake up: it cannot be known for whom it was. `park` may return for no reason, by
//! its contract, and each one looks again at what it waits for. A token may also be taken by one who parks and finds it
//! there, without a call of which we would learn; therefore all come back for no reason once in a while.
//!
//! What this cannot help: std's `mpsc` and `crossbeam-channel` wake nobody who has their own thread's number, so
//! two green threads of one worker at both ends of such a channel never wake one another. That is told in
//! the log.

use super::suspects;
use crate::errno;
use crate::waiting::wait_quietly;
use greenway_green::Awaited;
use greenway_green::embed::{Ended, Io, NoWaitCell, Thread, at_worker_start, current};
use libc::c_long;
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const EMPTY: u32 = 0;
const NOTIFIED: u32 = 1;
const PARKED: u32 = u32::MAX;

/// How often one who is parked looks at the word, at first and at last. Those of a worker share it, so the
/// more there are, the less often each of them looks.
const FIRST: Duration = Duration::from_micros(200);
const LAST: Duration = Duration::from_millis(5);

/// So many green threads of a worker may be parked before they look less often.
const A_FEW: usize = 64;

thread_local! {
    /// The OS thread is being asked for the address of its word.
    static ASKED: Cell<bool> = const { Cell::new(false) };
    /// That address; 0 if it is not known.
    static WORD: Cell<usize> = const { Cell::new(0) };
    /// Green threads of this worker that are parked.
    static WAITING: NoWaitCell<Vec<Rc<Parked>>> = const { NoWaitCell::new(Vec::new()) };
    /// Since when those have waited who came back for no reason, and are likely to park again.
    static CAME_BACK: NoWaitCell<HashMap<u64, Instant>> = NoWaitCell::new(HashMap::new());
}

/// One that is parked.
struct Parked {
    thread: Arc<Thread>,
    woken: Cell<bool>,
}

/// Lets each worker find out where its word is, now or when it starts.
pub(super) fn learn_on_all_workers() {
    at_worker_start(learn);
}

/// Finds out where this OS thread's word is: it parks, and the call that it makes tells.
fn learn() {
    // A token that nobody has taken makes the first attempt come back at once.
    for _ in 0..2 {
        ASKED.set(true);
        std::thread::park_timeout(Duration::from_nanos(1));
        ASKED.set(false);
    }
}

/// Answers the wait of an OS thread that is being asked for the address of its word.
#[inline]
pub(super) fn captured(address: usize) -> Option<c_long> {
    ASKED.get().then(|| {
        WORD.set(address);
        errno::fail(libc::ETIMEDOUT)
    })
}

/// Whether a wait is that of `park`, on this OS thread.
pub(super) fn is_parker(word: &AtomicU32, expected: u32) -> bool {
    expected == PARKED && word.as_ptr() as usize == WORD.get()
}

/// The wait of `park`.
pub(super) fn park(word: &AtomicU32, deadline: Option<Instant>) -> c_long {
    let left = word.compare_exchange(PARKED, EMPTY, Ordering::SeqCst, Ordering::SeqCst);
    if left.is_err() {
        wake_all(); // a token has come, and may be for somebody else
        return 0;
    }
    let me = Rc::new(Parked {
        thread: current().handle(),
        woken: Cell::new(false),
    });
    let number = me.thread.id();
    let begun = CAME_BACK.with(|came_back| came_back.borrow_mut().remove(&number));
    let begun = begun.unwrap_or_else(Instant::now);
    WAITING.with(|waiting| waiting.borrow_mut().push(me.clone()));
    let look = Instant::now().checked_add(pause(begun));
    let until = look.into_iter().chain(deadline).min();
    let notified = || word.load(Ordering::SeqCst) == NOTIFIED;
    let ended = wait_quietly(Awaited::Other("park"), until, Io::None, |_| {
        (me.woken.get() || notified()).then_some(())
    });
    WAITING.with(|waiting| waiting.borrow_mut().retain(|other| !Rc::ptr_eq(other, &me)));
    if notified() {
        wake_all();
    }
    if deadline.is_some_and(|at| at <= Instant::now()) {
        return errno::fail(libc::ETIMEDOUT);
    }
    if ended == Err(Ended::TimedOut) {
        remember(number, begun);
        if begun.elapsed() >= suspects::LONG {
            suspects::parked(&me.thread);
        }
    }
    // Whoever comes back without a token would park again at once, in user space, for ever.
    word.store(NOTIFIED, Ordering::SeqCst);
    0
}

/// How long one looks away who has been parked since `begun`.
fn pause(begun: Instant) -> Duration {
    let crowd = 1 + WAITING.with(|waiting| waiting.borrow().len()) / A_FEW;
    (begun.elapsed() / 16).clamp(FIRST, LAST) * u32::try_from(crowd).unwrap_or(u32::MAX)
}

/// Has all that are parked on this worker come back.
fn wake_all() {
    let waiting = WAITING.with(|waiting| waiting.borrow().clone());
    for parked in waiting {
        parked.woken.set(true);
        parked.thread.wake();
    }
}

/// Notes since when one has waited who comes back for no reason. Some of these do not park again.
fn remember(number: u64, begun: Instant) {
    let waiting = WAITING.with(|waiting| waiting.borrow().len());
    CAME_BACK.with(|came_back| {
        let mut came_back = came_back.borrow_mut();
        if came_back.len() > 4 * (waiting + A_FEW) {
            came_back.clear();
        }
        came_back.insert(number, begun);
    });
}
