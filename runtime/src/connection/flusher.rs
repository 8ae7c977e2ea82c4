//! The OS thread that writes the chunks that have been gathered for a millisecond.
//!
//! A producer that computes holds its worker, or its thread of the pool; so somebody else has to
//! keep the promise that its chunks are on their way. While anybody gathers, this thread looks each
//! millisecond, which costs those who gather no system call; when nobody has for a while, it sleeps
//! until it is woken, so an idle server stays idle.
//!
//! What must stay true: the list is bounded by those who produce at the moment, as whoever waits
//! has sent what it had; and nothing here waits for a client.

use crate::green::embed::lock;
use crate::service::ServiceThread;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::Thread;
use std::time::Duration;

/// What was gathered is older than one of these when it is written, and younger than two.
const TICK: Duration = Duration::from_millis(1);

/// After so many looks that have found nobody, the flusher sleeps.
const EMPTY_LOOKS: u32 = 50;

/// What a connection has gathered.
pub(super) trait Listed: Send + Sync {
    /// Called each millisecond, and must not wait. False if there is nothing, and it is to be taken
    /// off the list.
    fn tick(&self) -> bool;
}

struct Flusher {
    looks: AtomicU64,
    listed: Mutex<Vec<Arc<dyn Listed>>>,
    /// It sleeps until it is woken, or is about to.
    asleep: AtomicBool,
    /// Itself.
    thread: OnceLock<Thread>,
}

static FLUSHER: Flusher = Flusher {
    looks: AtomicU64::new(0),
    listed: Mutex::new(Vec::new()),
    asleep: AtomicBool::new(false),
    thread: OnceLock::new(),
};

/// Starts the flusher, if it does not run yet.
///
/// # Errors
/// When the process can have no more threads. The next call tries again.
pub(super) fn start() -> io::Result<()> {
    static RUNS: Mutex<bool> = Mutex::new(false);
    let mut runs = lock(&RUNS);
    if !*runs {
        // It ends with the process.
        let _detached = ServiceThread::start("greenway-flusher", || FLUSHER.run())?;
        *runs = true;
    }
    Ok(())
}

/// How often the flusher has looked: it does so each millisecond while anything is listed.
#[inline]
pub(super) fn looks() -> u64 {
    FLUSHER.looks.load(Ordering::Relaxed)
}

/// Has the flusher look at a connection until that has nothing gathered.
pub(super) fn list(gathered: Arc<dyn Listed>) {
    lock(&FLUSHER.listed).push(gathered);
    // After the list was changed, as the flusher looks at it after it has said that it sleeps.
    if FLUSHER.asleep.load(Ordering::SeqCst)
        && FLUSHER.asleep.swap(false, Ordering::SeqCst)
        && let Some(thread) = FLUSHER.thread.get()
    {
        thread.unpark();
    }
}

impl Flusher {
    fn run(&self) {
        self.thread.get_or_init(std::thread::current);
        let mut seen = Vec::new();
        let mut empty_looks = 0;
        loop {
            self.looks.fetch_add(1, Ordering::Relaxed);
            std::mem::swap(&mut seen, &mut *lock(&self.listed));
            empty_looks = if seen.is_empty() { empty_looks + 1 } else { 0 };
            // Not under the list's lock, for which producers would wait meanwhile.
            seen.retain(|gathered| gathered.tick());
            lock(&self.listed).append(&mut seen);
            if empty_looks < EMPTY_LOOKS {
                std::thread::sleep(TICK);
            } else {
                empty_looks = 0;
                self.sleep();
            }
        }
    }

    fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        while self.asleep.load(Ordering::SeqCst) && lock(&self.listed).is_empty() {
            std::thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}
