//! [`NoWait`]: stretches of code in which the running thread must not wait.
//!
//! While a lock of ours is held, or state of a worker is borrowed, no other green thread may run: it
//! would find the lock taken for ever, or the state borrowed. Nothing in this crate waits there. But
//! the crate `greenway-monkey` turns what looks like a system call into a wait, and std's mutexes
//! and some allocators make such calls. So these stretches are marked, and a hooked call within one
//! goes to the kernel.
//!
//! What must stay true: a stretch ends on the OS thread, and before the wait, after which others run.
//! Each wait asserts that.

use std::cell::Cell;
use std::marker::PhantomData;

thread_local!(static DEPTH: Cell<u32> = const { Cell::new(0) });

/// While it lives, the OS thread that made it must not switch to another green thread.
#[derive(Debug)]
pub(crate) struct NoWait(PhantomData<*const ()>);

impl NoWait {
    /// Begins a stretch; they nest.
    #[inline]
    pub(crate) fn begin() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self(PhantomData)
    }

    /// Whether the OS thread that calls is in such a stretch.
    #[inline]
    pub(crate) fn is_held() -> bool {
        DEPTH.get() > 0
    }
}

impl Drop for NoWait {
    #[inline]
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_nest_and_end() {
        assert!(!NoWait::is_held());
        let outer = NoWait::begin();
        drop(NoWait::begin());
        assert!(NoWait::is_held());
        drop(outer);
        assert!(!NoWait::is_held());
    }
}
