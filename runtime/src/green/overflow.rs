//! The end of a green thread that has used up its stack: one message that says which, then SIGABRT.
//!
//! Nothing can be saved then: no destructor could run. `may` tries to go on without the thread,
//! and ends the process with a message that names nobody, or leaves locks held for ever. So our
//! handler takes the place of its.
//!
//! What must stay true:
//! - What is not the overflow of a green thread goes to whoever handled `SIGSEGV` before `may` did:
//!   std, which tells of an OS thread's overflow, or somebody whom the program has put there.
//! - The handler does not allocate, and waits for no lock: whoever overflowed may hold it.

use super::handlers;
use super::worker::{self, Worker};
use std::fmt::{self, Write as _};
use std::io;
use std::sync::OnceLock;

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
pub(super) fn present_handler() -> io::Result<[libc::sigaction; SIGNALS.len()]> {
    Ok([
        handlers::action_of(SIGNALS[0])?,
        handlers::action_of(SIGNALS[1])?,
    ])
}

/// Handles the signals from now on, to be called after `may` has done so.
///
/// # Errors
/// Whatever the kernel reports.
pub(super) fn install(before: [libc::sigaction; SIGNALS.len()]) -> io::Result<()> {
    BEFORE.get_or_init(|| before);
    for number in SIGNALS {
        // Not deferred: a fault of the handler itself is to end the process, not to hang it.
        handlers::handle_signal(number, on_fault, libc::SA_NODEFER)?;
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
        // SAFETY: as above.
        let stack = unsafe { handlers::stack_address(context) };
        let is_guard = number != libc::SIGSEGV || code == SEGV_ACCERR;
        if code > 0 && is_guard && address.abs_diff(stack) < NEAR {
            die(here);
        }
    }
    let place = SIGNALS.iter().position(|signal| *signal == number);
    let before = place.and_then(|place| BEFORE.get().map(|before| &before[place]));
    // SAFETY: it was installed for this signal, and gets what the kernel gave us.
    if !before.is_some_and(|before| unsafe { handlers::pass_on(before, number, info, context) }) {
        // The instruction is tried again, and then the process ends as if nobody had looked.
        handlers::default_action(number);
    }
}

#[cold]
fn die(here: &Worker) -> ! {
    let mut out = Stderr;
    // Writing to the standard error may fail, and then nobody reads it.
    let _ = tell(here, &mut out);
    handlers::default_action(libc::SIGABRT);
    // SAFETY: ends the process, whatever state it is in.
    unsafe { libc::abort() }
}

fn tell(here: &Worker, out: &mut Stderr) -> fmt::Result {
    // SAFETY: we are in a handler on that worker.
    let running = unsafe { here.turn().running() };
    out.write_str("\ngreenway: ")?;
    match running.and_then(|thread| thread.control()) {
        Some(control) => control.write_name(out)?,
        None => out.write_str("a coroutine")?,
    }
    out.write_str(" has overflowed its stack")?;
    let size = worker::config_now().map_or(0, |config| config.stack_size / 1024);
    if size > 0 {
        write!(out, " of {size} KiB")?;
    }
    if let Some(errand) = running.and_then(|thread| thread.errand_now()) {
        out.write_str(", ")?;
        errand.show(out)?;
        std::mem::forget(errand); // to drop the last one would free it
    }
    out.write_str(
        ".\ngreenway: Either a recursion has no end, or the stack is too small for what it \
         does: --stack-size BYTES (green::Config::stack_size) makes it larger. \
         Ending the process.\n",
    )
}

/// The standard error, without a buffer and without a lock.
struct Stderr;

impl fmt::Write for Stderr {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            // SAFETY: the bytes live over the call.
            let n = unsafe { libc::write(2, rest.as_ptr().cast(), rest.len()) };
            let n = usize::try_from(n).map_err(|_| fmt::Error)?;
            rest = &rest[n..];
        }
        Ok(())
    }
}
