//! The end of a green thread that has used up its stack: one message that says which, then SIGABRT.
//!
//! Nothing can be saved then: no destructor could run. `may` tries to go on without the thread,
//! and ends the process with a message that names nobody, or leaves locks held for ever. So our
//! handler takes the place of its.
//!
//! What must stay true:
//! - What is not the overflow of a green thread goes to whoever handled `SIGSEGV` before `may` did:
//!   std, which tells of an OS thread's overflow, or a handler of the program itself.
//! - The handler does not allocate, and waits for no lock: whoever overflowed may hold it. It only
//!   collects the stack; the monitor, if there is one, looks up the names, which takes memory. If
//!   the monitor needs a lock that the thread holds, the process ends without the names.

use super::trace::{names, walk};
use crate::scheduler::config;
use crate::scheduler::worker::{self, Worker};
use crate::sys::signal::{self, Interrupted, Stderr};
use std::fmt::{self, Write as _};
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

/// The signals that tell of a guard page: which one, the system decides.
const SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// Code of a `SIGSEGV` in memory that is mapped, but not for this.
const SEGV_ACCERR: libc::c_int = 2;

/// A stack grows by frames, each of which touches its pages in order. So what meets the guard page
/// is at most a few pages away from the stack pointer.
const NEAR: usize = 64 * 1024;

static BEFORE: OnceLock<[libc::sigaction; SIGNALS.len()]> = OnceLock::new();

/// What is done now on the signals, to be called before `may` is started.
///
/// # Errors
/// Whatever the kernel reports.
pub(crate) fn present_handler() -> io::Result<[libc::sigaction; SIGNALS.len()]> {
    Ok([
        signal::action_of(SIGNALS[0])?,
        signal::action_of(SIGNALS[1])?,
    ])
}

/// Handles the signals from now on, to be called after `may` has done so.
///
/// # Errors
/// Whatever the kernel reports.
pub(crate) fn install(before: [libc::sigaction; SIGNALS.len()]) -> io::Result<()> {
    BEFORE.get_or_init(|| before);
    for number in SIGNALS {
        // Not deferred: a fault of the handler itself is to end the process, not to hang it.
        signal::handle_signal(number, on_fault, libc::SA_NODEFER)?;
    }
    Ok(())
}

extern "C" fn on_fault(
    number: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    if let Some(here) = worker::current() {
        // SAFETY: the kernel passes what it has to say.
        let (code, address) = unsafe { ((*info).si_code, (*info).si_addr().addr()) };
        // SAFETY: this is the context that the kernel has passed to us.
        let Interrupted { code: at, stack } = unsafe { Interrupted::of(context) };
        let is_guard = number != libc::SIGSEGV || code == SEGV_ACCERR;
        if code > 0 && is_guard && address.abs_diff(stack) < NEAR {
            die(here, at);
        }
    }
    let place = SIGNALS.iter().position(|signal| *signal == number);
    let before = place.and_then(|place| BEFORE.get().map(|before| &before[place]));
    // SAFETY: it was installed for this signal, and gets what the kernel gave us.
    if !before.is_some_and(|before| unsafe { signal::pass_on(before, number, info, context) }) {
        // The handler returns to the faulting instruction, whose next fault ends the process by default.
        signal::default_action(number);
    }
}

#[cold]
fn die(here: &Worker, at: usize) -> ! {
    let mut out = Stderr;
    // Writing to the standard error may fail, and then nobody reads it.
    let _ = tell(here, &mut out);
    TRACE.take(at);
    TRACE.wait_until_told();
    let _ = out.write_str("greenway: Ending the process.\n");
    signal::default_action(libc::SIGABRT);
    std::process::abort()
}

fn tell(here: &Worker, out: &mut Stderr) -> fmt::Result {
    // SAFETY: we are in a handler on that worker.
    let running = unsafe { here.turn().running() };
    out.write_str("\ngreenway: ")?;
    match running.and_then(|thread| thread.identity()) {
        Some(identity) => identity.write_name(out)?,
        None => out.write_str("a coroutine")?,
    }
    out.write_str(" has overflowed its stack")?;
    let size = config::in_effect().map_or(0, |config| config.stack_size / 1024);
    if size > 0 {
        write!(out, " of {size} KiB")?;
    }
    if let Some(context) = running.and_then(|thread| thread.context_now()) {
        out.write_str(", ")?;
        context.show(out)?;
        std::mem::forget(context); // to drop the last one would free it
    }
    out.write_str(
        ".\ngreenway: Either a recursion has no end, or the stack is too small for what it \
         does: --stack-size BYTES (green::Config::stack_size) makes it larger.\n",
    )
}

/// Writes the names of the stack that has overflowed, if there is one. For the monitor.
pub(super) fn write_names() {
    TRACE.tell();
}

static NAMES_ARE_WRITTEN: AtomicBool = AtomicBool::new(false);

/// There is a monitor, which calls [`write_names`] several times a second from now on.
pub(super) fn names_are_written() {
    NAMES_ARE_WRITTEN.store(true, Ordering::Relaxed);
}

static TRACE: Trace = Trace {
    state: AtomicU8::new(NONE),
    at: AtomicUsize::new(0),
    len: AtomicUsize::new(0),
    frames: [const { AtomicUsize::new(0) }; MOST_FRAMES],
};

/// Frames that are looked at, those of the handler included; a recursion shows in fewer.
const MOST_FRAMES: usize = 32;
/// How long the handler waits for the names, in pieces of a hundredth of a second.
const PATIENCE: u32 = 200;

const NONE: u8 = 0;
const TAKING: u8 = 1;
const TAKEN: u8 = 2;
const TOLD: u8 = 3;

/// The upper frames of the stack that has overflowed.
struct Trace {
    state: AtomicU8,
    at: AtomicUsize,
    len: AtomicUsize,
    frames: [AtomicUsize; MOST_FRAMES],
}

impl Trace {
    /// Collects the frames, in the handler. `at` is where the code was.
    fn take(&self, at: usize) {
        let (order, failed) = (Ordering::AcqRel, Ordering::Relaxed);
        let first = self.state.compare_exchange(NONE, TAKING, order, failed);
        if first.is_ok() {
            self.len.store(walk(&self.frames), Ordering::Relaxed);
            self.at.store(at, Ordering::Relaxed);
            self.state.store(TAKEN, Ordering::Release);
        }
    }

    fn wait_until_told(&self) {
        for _ in 0..PATIENCE {
            if self.state.load(Ordering::Acquire) == TOLD
                || !NAMES_ARE_WRITTEN.load(Ordering::Relaxed)
            {
                return;
            }
            signal::pause();
        }
    }

    fn tell(&self) {
        if self.state.load(Ordering::Acquire) != TAKEN {
            return;
        }
        let len = self.len.load(Ordering::Relaxed);
        let at = self.at.load(Ordering::Relaxed);
        let frames: Vec<_> = self.frames[..len]
            .iter()
            .map(|f| f.load(Ordering::Relaxed))
            .collect();
        let first = frames.iter().position(|frame| *frame == at).unwrap_or(0);
        let mut text = String::new();
        for (place, name) in names(&frames[first..]).iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {place:>3}: {name}");
        }
        // Without std's lock, which the thread may hold; it may fail, and then nobody reads it.
        let _ = Stderr.write_str(&text);
        self.state.store(TOLD, Ordering::Release);
    }
}
