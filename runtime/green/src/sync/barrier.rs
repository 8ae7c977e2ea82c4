//! [`Barrier`]: nobody goes on before all have come.

use crate::scheduler::line::{Line, wait_in};
use crate::scheduler::lock::lock;
use crate::scheduler::thread::{Awaited, deadline_in};
use crate::scheduler::timed_out::TimedOut;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// A place where a fixed number of threads wait for one another, again and again: Python's
/// `threading.Barrier`.
///
/// One that gives up (its time is over, it is killed) *breaks* the barrier: all others get
/// [`BarrierBroken`] instead of waiting for one that will never come.
///
/// ```
/// use greenway_green::{Barrier, scope};
///
/// let barrier = Barrier::new(3);
/// let last = std::sync::atomic::AtomicUsize::new(0);
/// scope(|s| {
///     for _ in 0..3 {
///         s.spawn(|| {
///             if barrier.wait().unwrap().is_last() {
///                 last.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///             }
///         });
///     }
/// });
/// assert_eq!(last.into_inner(), 1);
/// ```
pub struct Barrier {
    parties: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    here: usize,
    /// Those who are here hold this one too, so that a later round cannot be taken for theirs.
    round: Arc<Round>,
    waiting: Line,
}

/// Whether all of a round have come (true) or it was broken (false), once that is decided.
type Round = OnceLock<bool>;

impl State {
    /// Ends the round, if it has not ended yet.
    fn decide(&self, all_here: bool) {
        if self.round.set(all_here).is_ok() {
            self.waiting.wake_all();
        }
    }

    fn is_broken(&self) -> bool {
        self.round.get() == Some(&false)
    }

    fn begin_round(&mut self) {
        self.here = 0;
        self.round = Arc::default();
    }
}

/// What [`Barrier::wait`] gives to a thread that has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    last: bool,
}

impl Passed {
    /// Whether this is the thread that came last: one of each round is.
    pub fn is_last(self) -> bool {
        self.last
    }
}

/// The error of a broken [`Barrier`]: one of the threads that it is for has given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarrierBroken;

impl Barrier {
    /// A barrier for `parties` threads.
    ///
    /// # Panics
    /// When `parties` is 0.
    pub fn new(parties: usize) -> Self {
        assert!(parties > 0, "a barrier is for at least one thread");
        Self {
            parties,
            state: Mutex::default(),
        }
    }

    /// Waits until all have come.
    ///
    /// # Errors
    /// [`BarrierBroken`] when the barrier is broken, or this thread is unwinding and would have to
    /// wait, which breaks it.
    pub fn wait(&self) -> Result<Passed, BarrierBroken> {
        self.wait_until(None)
    }

    /// Waits until all have come, at most `timeout`; breaks the barrier if they have not.
    ///
    /// # Errors
    /// [`BarrierBroken`] when the barrier is broken, by this thread or another.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Passed, BarrierBroken> {
        self.wait_until(deadline_in(timeout))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<Passed, BarrierBroken> {
        let round = {
            let mut state = lock(&self.state);
            if state.is_broken() {
                return Err(BarrierBroken);
            }
            state.here += 1;
            if state.here == self.parties {
                state.decide(true);
                state.begin_round();
                return Ok(Passed { last: true });
            }
            state.round.clone()
        };
        // Breaks the round if we leave, in whatever way, before it is decided.
        let leaving = Leaving {
            barrier: self,
            round: &round,
        };
        let decided = |_: &mut State| round.get().copied();
        let all_here = wait_in(
            Awaited::Barrier,
            &self.state,
            |state| &mut state.waiting,
            deadline,
            decided,
        );
        drop(leaving);
        match all_here {
            Ok(true) => Ok(Passed { last: false }),
            Ok(false) | Err(TimedOut) => Err(BarrierBroken),
        }
    }

    /// Breaks the barrier: all that wait, and all that come, get [`BarrierBroken`].
    pub fn abort(&self) {
        lock(&self.state).decide(false);
    }

    /// Mends the barrier. Those who still wait from before get [`BarrierBroken`].
    pub fn reset(&self) {
        let mut state = lock(&self.state);
        state.decide(false);
        state.begin_round();
    }

    /// Whether it is broken.
    pub fn is_broken(&self) -> bool {
        lock(&self.state).is_broken()
    }

    /// The number of threads that it is for.
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// The number of threads that wait.
    pub fn waiting(&self) -> usize {
        lock(&self.state).here
    }
}

struct Leaving<'a> {
    barrier: &'a Barrier,
    round: &'a Arc<Round>,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let state = lock(&self.barrier.state);
        if Arc::ptr_eq(&state.round, self.round) {
            state.decide(false);
        }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not under the lock: what is written to is the user's.
        let (waiting, broken) = {
            let state = lock(&self.state);
            (state.here, state.is_broken())
        };
        f.debug_struct("Barrier")
            .field("parties", &self.parties)
            .field("waiting", &waiting)
            .field("broken", &broken)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for BarrierBroken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the barrier is broken")
    }
}

impl Error for BarrierBroken {}
