//! The stack of a worker, taken on the worker itself: only there can it be walked while it stands
//! still.
//!
//! # Implementation
//!
//! The monitor asks with a signal, whose handler runs on the worker's OS thread, on a stack of its
//! own (a green thread's may be nearly full). It collects return addresses and nothing else. The
//! walk is libgcc's, which since glibc 2.35 takes no lock and never allocates; on an older one it
//! takes the loader's recursive lock, which only a `dlopen` under way could hold. Names are looked
//! up later, on the monitor's thread.
//!
//! The signal is `SIGURG`, as in Go's runtime: it is ignored by default, nothing else uses it, and
//! debuggers let it pass. System calls that it interrupts are restarted by the kernel, or fail
//! with `EINTR` where they never are (`nanosleep`, `poll`), which std and well-kept libraries
//! expect. Only a thread that is held up gets one.

use super::trace::walk;
use crate::scheduler::thread::Thread;
use crate::scheduler::turn::Turn;
use crate::scheduler::worker::{self, Worker};
use crate::sys::signal::{self, Interrupted};
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Frames that are kept, from the innermost.
const MOST_FRAMES: usize = 96;

/// How long a worker has to answer; it needs some microseconds, unless the kernel holds it.
const PATIENCE: Duration = Duration::from_millis(200);

const IDLE: u8 = 0;
const ASKED: u8 = 1;
const TAKING: u8 = 2;
const TAKEN: u8 = 3;

/// A worker's stack at some moment, written by its signal handler.
#[derive(Debug)]
struct Snapshot {
    state: AtomicU8,
    /// The turn that was asked for.
    turn: AtomicU64,
    /// Where the signal met the code.
    at: AtomicUsize,
    len: AtomicUsize,
    frames: [AtomicUsize; MOST_FRAMES],
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            state: AtomicU8::new(IDLE),
            turn: AtomicU64::new(0),
            at: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            frames: [const { AtomicUsize::new(0) }; MOST_FRAMES],
        }
    }
}

impl Snapshot {
    /// Takes the stack of the worker's OS thread `tid` if it still has this turn. Return addresses,
    /// innermost first; `None` if it has come back, or cannot answer. For the monitor alone.
    fn ask(&self, tid: i32, turn: u64) -> Option<Vec<usize>> {
        // An answer to an earlier question, which came too late, is thrown away.
        let _ = self
            .state
            .compare_exchange(TAKEN, IDLE, Ordering::AcqRel, Ordering::Relaxed);
        if self.state.load(Ordering::Acquire) != IDLE {
            return None;
        }
        self.turn.store(turn, Ordering::Relaxed);
        self.state.store(ASKED, Ordering::Release);
        signal::signal_thread(tid, libc::SIGURG);
        let start = Instant::now();
        while self.state.load(Ordering::Acquire) != TAKEN {
            if start.elapsed() > PATIENCE {
                // If the worker is just answering, the next question throws the answer away.
                let _ =
                    self.state
                        .compare_exchange(ASKED, IDLE, Ordering::AcqRel, Ordering::Relaxed);
                return None;
            }
            std::thread::sleep(Duration::from_micros(50));
        }
        let len = self.len.load(Ordering::Relaxed);
        let frames: Vec<_> = self.frames[..len]
            .iter()
            .map(|frame| frame.load(Ordering::Relaxed))
            .collect();
        let at = self.at.load(Ordering::Relaxed);
        self.state.store(IDLE, Ordering::Release);
        // The handler's own frames come first.
        let first = frames.iter().position(|frame| *frame == at).unwrap_or(0);
        (len > 0).then(|| frames[first..].to_vec())
    }

    /// Answers, in the handler.
    fn answer(&self, now: &Turn<Thread>, at: usize) {
        let asked = self
            .state
            .compare_exchange(ASKED, TAKING, Ordering::AcqRel, Ordering::Relaxed);
        if asked.is_err() {
            return;
        }
        let mut len = 0;
        let (turn, running) = now.look();
        if turn == self.turn.load(Ordering::Relaxed) && !running.is_null() {
            len = walk(&self.frames);
        }
        self.at.store(at, Ordering::Relaxed);
        self.len.store(len, Ordering::Relaxed);
        self.state.store(TAKEN, Ordering::Release);
    }
}

/// By worker.
static SNAPSHOTS: OnceLock<Box<[Snapshot]>> = OnceLock::new();

/// Takes the stack of a worker if `turn` is still going on. Return addresses, innermost first;
/// `None` if the worker has come back, or cannot answer. For the monitor alone.
pub(super) fn ask(worker: &Worker, turn: u64) -> Option<Vec<usize>> {
    SNAPSHOTS.get()?[worker.index()].ask(worker.tid(), turn)
}

/// What was done on the signal before us.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// Handles the signal from now on.
///
/// # Errors
/// Whatever the kernel reports.
pub(crate) fn install(workers: usize) -> io::Result<()> {
    SNAPSHOTS.get_or_init(|| (0..workers).map(|_| Snapshot::default()).collect());
    // The first walk of a process allocates, which a handler must not do. So it is done here.
    let frames: [AtomicUsize; 4] = Default::default();
    walk(&frames);
    let before = signal::handle_signal(libc::SIGURG, on_signal, libc::SA_RESTART)?;
    BEFORE.get_or_init(|| before);
    Ok(())
}

extern "C" fn on_signal(
    number: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    signal::with_errno_kept(|| {
        if let (Some(here), Some(snapshots)) = (worker::current(), SNAPSHOTS.get()) {
            // SAFETY: the kernel passes the context of what it has interrupted.
            let at = unsafe { Interrupted::of(context) }.code;
            snapshots[here.index()].answer(here.turn(), at);
        }
        if let Some(before) = BEFORE.get() {
            // SAFETY: it was installed for this signal, and gets what the kernel gave us. What it
            // does for a signal that is ignored by default is done by doing nothing.
            unsafe { signal::pass_on(before, number, info, context) };
        }
    });
}
