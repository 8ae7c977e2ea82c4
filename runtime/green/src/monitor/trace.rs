//! Stacks as return addresses, and as names.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Collects the return addresses of the stack that we are on. Gives their number.
pub(crate) fn walk(frames: &[AtomicUsize]) -> usize {
    let mut len = 0;
    // SAFETY: "unsynchronized" is about the search for names, of which there is none here.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            frames[len].store(frame.ip().addr(), Ordering::Relaxed);
            len += 1;
            len < frames.len()
        });
    }
    len
}

/// The names of the functions at these return addresses, innermost first, up to the one that the
/// green thread began with.
pub(crate) fn names(frames: &[usize]) -> Vec<String> {
    let mut names = Vec::new();
    for &frame in frames {
        let mut found = false;
        let mut first = false;
        backtrace::resolve(null_mut::<libc::c_void>().with_addr(frame), |symbol| {
            found = true;
            let name = symbol
                .name()
                .map_or_else(|| format!("{frame:#x}"), |name| format!("{name:#}"));
            first |= name.contains("greenway_green::task::spawn::");
            names.push(match (symbol.filename(), symbol.lineno()) {
                (Some(file), Some(line)) => format!("{name} at {}:{line}", file.display()),
                _ => name,
            });
        });
        if !found {
            names.push(format!("{frame:#x}"));
        }
        if first {
            names.pop(); // and what is below is ours and `may`'s
            break;
        }
    }
    // It is tens of megabytes, kept for a next time that may never come.
    backtrace::clear_symbol_cache();
    names
}
