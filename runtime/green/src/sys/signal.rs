//! What handlers of signals need, in one place: what they may do is little.

use rustix::time::Timespec;
use std::io;
use std::ptr::{from_ref, null, null_mut};

/// A handler, as the kernel calls it.
pub(crate) type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

/// Bytes of the stack on which a worker handles signals. A walk through a deep stack takes a tenth
/// of it, with the largest registers that the kernel may have to save.
const SIGNAL_STACK: usize = 64 * 1024;

/// Handles a signal with `handler`, on the thread's signal stack if it has one. Gives what was done
/// on it before.
///
/// # Errors
/// Whatever the kernel reports.
pub(crate) fn handle_signal(
    signal: libc::c_int,
    handler: Handler,
    flags: libc::c_int,
) -> io::Result<libc::sigaction> {
    let mut action = empty_action();
    action.sa_sigaction = handler as *const () as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | flags;
    set_action(signal, Some(&action))
}

/// What is done on a signal now.
///
/// # Errors
/// Whatever the kernel reports.
pub(crate) fn action_of(signal: libc::c_int) -> io::Result<libc::sigaction> {
    set_action(signal, None)
}

/// Sees to it that a write to a pipe or a socket whose reader has gone fails, instead of ending the
/// process: where SIGPIPE would do that, it is handled by doing nothing. Rust's `main` has ignored the
/// signal; that of another language, which calls us as a library, has not. Children are not affected,
/// since no handler lives through an exec.
///
/// # Errors
/// Whatever the kernel reports.
pub(crate) fn survive_broken_pipes() -> io::Result<()> {
    extern "C" fn nothing(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}

    if action_of(libc::SIGPIPE)?.sa_sigaction == libc::SIG_DFL {
        handle_signal(libc::SIGPIPE, nothing, libc::SA_RESTART)?;
    }
    Ok(())
}

/// Lets the kernel do by default what it does on a signal.
pub(crate) fn default_action(signal: libc::c_int) {
    // Fails only for a signal that does not exist.
    let _ = set_action(signal, Some(&empty_action()));
}

/// Sets what is done on a signal, or leaves it, and gives what was done before.
fn set_action(
    signal: libc::c_int,
    action: Option<&libc::sigaction>,
) -> io::Result<libc::sigaction> {
    let mut before = empty_action();
    let action = action.map_or(null(), from_ref);
    // SAFETY: both live over the call, or the first is null and nothing is set. What is set is the
    // default, or a function of the type `Handler`, which does only what handlers may do.
    match unsafe { libc::sigaction(signal, action, &raw mut before) } {
        0 => Ok(before),
        _ => Err(io::Error::last_os_error()),
    }
}

fn empty_action() -> libc::sigaction {
    // SAFETY: plain integers, for which zero is a value: the default action, no flags, no mask.
    unsafe { std::mem::zeroed() }
}

/// Calls the handler that was there before; false if there was none.
///
/// # Safety
/// `before` was installed for this signal, and the rest is what the kernel has passed.
pub(crate) unsafe fn pass_on(
    before: &libc::sigaction,
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) -> bool {
    let address = before.sa_sigaction;
    if address == libc::SIG_DFL || address == libc::SIG_IGN {
        return false;
    }
    if before.sa_flags & libc::SA_SIGINFO != 0 {
        // SAFETY: with this flag the address is that of a function of three arguments.
        let handler = unsafe { std::mem::transmute::<usize, Handler>(address) };
        handler(signal, info, context);
    } else {
        // SAFETY: without the flag it is that of a function of one.
        let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(libc::c_int)>(address) };
        handler(signal);
    }
    true
}

/// Where a signal has interrupted the code; zeros where we do not know where to look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interrupted {
    /// The address of the instruction.
    pub(crate) code: usize,
    /// The stack pointer.
    pub(crate) stack: usize,
}

impl Interrupted {
    /// # Safety
    /// `context` is what the kernel has passed to a handler.
    pub(crate) unsafe fn of(context: *mut libc::c_void) -> Self {
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        {
            // SAFETY: the kernel passes a `ucontext_t`, as the caller vouches, which is there until
            // the handler returns.
            let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
            Self {
                code: registers[libc::REG_RIP as usize] as usize,
                stack: registers[libc::REG_RSP as usize] as usize,
            }
        }
        #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
        {
            let _ = context;
            Self { code: 0, stack: 0 }
        }
    }
}

/// Sends a signal to a thread of this process.
pub(crate) fn signal_thread(tid: i32, signal: libc::c_int) {
    // SAFETY: no pointers are passed. Fails only for a thread that has ended; workers do not.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, signal) };
}

/// Waits for a hundredth of a second, as a handler may.
pub(crate) fn pause() {
    // One that is interrupted waits for less.
    let _ = rustix::thread::nanosleep(&Timespec {
        tv_sec: 0,
        tv_nsec: 10_000_000,
    });
}

/// The kernel's number of the thread that calls.
pub(crate) fn thread_number() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

/// Gives the OS thread that calls a stack of its own for signals, for ever.
pub(crate) fn use_signal_stack() {
    let memory: &'static mut [u8] = vec![0; SIGNAL_STACK].leak();
    let stack = libc::stack_t {
        ss_sp: memory.as_mut_ptr().cast(),
        ss_flags: 0,
        ss_size: memory.len(),
    };
    // SAFETY: the memory is leaked and used for nothing else, and nobody runs on the present
    // signal stack. If it fails, the small one that std has made stays in use.
    unsafe { libc::sigaltstack(&raw const stack, null_mut()) };
}

/// Runs `handler`, and leaves the thread's `errno` as it was, which the interrupted code may be
/// about to look at.
pub(crate) fn with_errno_kept(handler: impl FnOnce()) {
    let before = io::Error::last_os_error().raw_os_error().unwrap_or(0);
    handler();
    // SAFETY: the address is that of the calling thread's own `errno`, a plain integer.
    unsafe { *libc::__errno_location() = before };
}

/// Writes to the standard error, as a handler may: without a buffer and without a lock.
pub(crate) struct Stderr;

impl std::fmt::Write for Stderr {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let n =
                rustix::io::write(rustix::stdio::stderr(), rest).map_err(|_| std::fmt::Error)?;
            rest = &rest[n..];
        }
        Ok(())
    }
}
