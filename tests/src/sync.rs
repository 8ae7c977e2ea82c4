//! Order between a test and its handlers, without clocks.

use greenway::green::Queue;
use std::time::{Duration, Instant};

/// What a test waits for has happened by then, or the test has failed.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// What one side passes after the other has opened it, as often as it was opened.
///
/// Works between green threads and OS threads, and before or after the other side is there.
#[derive(Debug, Clone)]
pub struct Gate(Queue<()>);

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self(Queue::new(64 * 1024))
    }

    /// Lets one more through.
    ///
    /// # Panics
    /// When 65,536 have been let through that have not come yet.
    pub fn open(&self) {
        self.open_for(1);
    }

    /// Lets `count` more through.
    ///
    /// # Panics
    /// As [`open`](Self::open).
    pub fn open_for(&self, count: usize) {
        for _ in 0..count {
            self.0
                .try_put(())
                .expect("a gate has room for 65,536 and is never closed");
        }
    }

    /// Waits until it is let through.
    ///
    /// # Panics
    /// When nobody opens within [`DEADLINE`].
    #[track_caller]
    pub fn pass(&self) {
        assert!(
            self.0.get_timeout(DEADLINE).is_ok(),
            "nobody has opened the gate"
        );
    }

    /// Waits until `count` have been let through.
    ///
    /// # Panics
    /// When nobody opens within [`DEADLINE`] of the one before.
    #[track_caller]
    pub fn pass_times(&self, count: usize) {
        for passed in 0..count {
            assert!(
                self.0.get_timeout(DEADLINE).is_ok(),
                "the gate was opened {passed} times only"
            );
        }
    }

    /// How many could pass now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.len()
    }
}

/// The next item of a queue.
///
/// # Panics
/// When none comes within [`DEADLINE`], or the queue has ended.
#[track_caller]
pub fn next<T>(queue: &Queue<T>) -> T {
    match queue.get_timeout(DEADLINE) {
        Ok(Some(item)) => item,
        Ok(None) => panic!("the queue has ended"),
        Err(_) => panic!("nothing came through the queue"),
    }
}

/// Waits until `condition` holds, for what nobody can announce (a count, a closed port).
///
/// # Panics
/// When it does not within [`DEADLINE`]; the message names `what`.
#[track_caller]
pub fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
