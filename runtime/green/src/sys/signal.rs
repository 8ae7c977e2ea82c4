//! What handlers of signals need, in one place: what they may do is little.

use std::io;
use std::ptr::{null, null_mut};

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
    let mut before = empty_action();
    // SAFETY: both live over the call; the handlers of this crate do only what handlers may do.
    let result = unsafe { libc::sigaction(signal, &raw const action, &raw mut before) };
    if result == 0 {
        Ok(before)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// What is done on a signal now.
///
/// # Errors
/// Whatever the kernel reports.
pub(crate) fn action_of(signal: libc::c_int) -> io::Result<libc::sigaction> {
    let mut action = empty_action();
    // SAFETY: `action` lives over the call, and nothing is changed.
    match unsafe { libc::sigaction(signal, null(), &raw mut action) } {
        0 => Ok(action),
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
        // SAFETY: with this flag the address is that of such a function.
        let handler = unsafe { std::mem::transmute::<usize, Handler>(address) };
        handler(signal, info, context);
    } else {
        // SAFETY: without it, of this one.
        let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(libc::c_int)>(address) };
        handler(signal);
    }
    true
}

/// Lets the kernel do by default what it does on a signal.
pub(crate) fn default_action(signal: libc::c_int) {
    let action = empty_action();
    // SAFETY: `action` lives over the call. Fails only for a signal that does not exist.
    unsafe { libc::sigaction(signal, &raw const action, null_mut()) };
}

/// The address of the code that a signal has interrupted; 0 where we do not know where to look.
///
/// # Safety
/// `context` is what the kernel has passed to a handler.
pub(crate) unsafe fn code_address(context: *mut libc::c_void) -> usize {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    {
        // SAFETY: the caller vouches for it.
        let context = unsafe { &*context.cast::<libc::ucontext_t>() };
        context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize
    }
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    {
        let _ = context;
        0
    }
}

/// Sends a signal to a thread of this process.
pub(crate) fn signal_thread(tid: i32, signal: libc::c_int) {
    // SAFETY: no pointers are passed. Fails only for a thread that has ended; workers do not.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, signal) };
}

/// Waits for a hundredth of a second, as a handler may.
pub(crate) fn pause() {
    let time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 10_000_000,
    };
    // SAFETY: `time` lives over the call. One that is interrupted waits for less.
    unsafe { libc::nanosleep(&raw const time, null_mut()) };
}

/// The kernel's number of the thread that calls.
pub(crate) fn thread_number() -> i32 {
    // SAFETY: no pointers are passed.
    unsafe { libc::gettid() }
}

/// Gives the OS thread that calls a stack of its own for signals, for ever. Where there is no
/// memory for it, the small one that std has made stays in use.
pub(crate) fn use_signal_stack() {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping, at an address of the kernel's choice, which stays.
    let memory = unsafe { libc::mmap(null_mut(), SIGNAL_STACK, protection, flags, -1, 0) };
    if memory == libc::MAP_FAILED {
        return;
    }
    let stack = libc::stack_t {
        ss_sp: memory,
        ss_flags: 0,
        ss_size: SIGNAL_STACK,
    };
    // SAFETY: the memory is ours alone, and nobody runs on the present signal stack.
    unsafe { libc::sigaltstack(&raw const stack, null_mut()) };
}

/// The thread's `errno`, which a handler must leave as it was.
pub(crate) fn errno() -> libc::c_int {
    // SAFETY: the address is valid for the thread that calls.
    unsafe { *libc::__errno_location() }
}

pub(crate) fn set_errno(errno: libc::c_int) {
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// The stack pointer of the code that a signal has interrupted; 0 where we do not know where to
/// look.
///
/// # Safety
/// As [`code_address`].
pub(crate) unsafe fn stack_address(context: *mut libc::c_void) -> usize {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    {
        // SAFETY: the caller vouches for it.
        let context = unsafe { &*context.cast::<libc::ucontext_t>() };
        context.uc_mcontext.gregs[libc::REG_RSP as usize] as usize
    }
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    {
        let _ = context;
        0
    }
}
