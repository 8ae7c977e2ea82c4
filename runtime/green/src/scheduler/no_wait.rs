//! [`NoWait`]: stretches of code in which the running thread must not wait.
//!
//! While a lock of ours is held, or state of a worker is borrowed, no other green thread may run: it
//! would find the lock taken for ever, or the state borrowed. Nothing in this crate waits there. But
//! the crate `greenway-monkey` turns what looks like a system call into a wait, and std's mutexes
//! and some allocators make such calls. So these stretches are marked, and a hooked call within one
//! goes to the kernel.
//!
//! State that belongs to an OS thread or to a green thread is therefore behind a [`NoWaitCell`], which can
//! only be borrowed together with such a stretch. Code that need not borrow anything, but must not be
//! divided either, begins one by itself. The wait itself is such code as well; there the worker's
//! [turn](super::turn) says so, which is given up before anything else is done.
//!
//! What must stay true: a stretch ends on the OS thread, and before the wait, after which others run.
//! Each wait asserts that. No code of a user's runs in a stretch: a lock that it waited for would be waited
//! for by the whole worker.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

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

/// A `RefCell` whose borrows are stretches in which nobody waits, so that no other green thread of the OS
/// thread ever finds it borrowed, nor a handler of a signal that makes a patched call.
#[derive(Debug, Default)]
pub struct NoWaitCell<T>(RefCell<T>);

impl<T> NoWaitCell<T> {
    /// A cell with this value.
    pub const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    /// Looks at the value.
    ///
    /// # Panics
    /// While it is borrowed mutably.
    #[inline]
    pub fn borrow(&self) -> NoWaitBorrow<Ref<'_, T>> {
        let no_wait = NoWait::begin();
        NoWaitBorrow {
            borrow: self.0.borrow(),
            _no_wait: no_wait,
        }
    }

    /// Changes the value. What is taken out of it is to be dropped afterwards, if it has a destructor of
    /// somebody else's.
    ///
    /// # Panics
    /// While it is borrowed.
    #[inline]
    pub fn borrow_mut(&self) -> NoWaitBorrow<RefMut<'_, T>> {
        let no_wait = NoWait::begin();
        NoWaitBorrow {
            borrow: self.0.borrow_mut(),
            _no_wait: no_wait,
        }
    }

    /// Puts another value there, and gives the present one.
    ///
    /// # Panics
    /// While it is borrowed.
    pub fn replace(&self, value: T) -> T {
        std::mem::replace(&mut *self.borrow_mut(), value)
    }

    /// Takes the value out.
    ///
    /// # Panics
    /// While it is borrowed.
    pub fn take(&self) -> T
    where
        T: Default,
    {
        std::mem::take(&mut *self.borrow_mut())
    }
}

/// What is borrowed of a [`NoWaitCell`], and with it the promise not to wait.
#[derive(Debug)]
pub struct NoWaitBorrow<B> {
    borrow: B,
    /// Dropped after the borrow is over.
    _no_wait: NoWait,
}

impl<B: Deref> Deref for NoWaitBorrow<B> {
    type Target = B::Target;

    #[inline]
    fn deref(&self) -> &B::Target {
        &self.borrow
    }
}

impl<B: DerefMut> DerefMut for NoWaitBorrow<B> {
    #[inline]
    fn deref_mut(&mut self) -> &mut B::Target {
        &mut self.borrow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_borrow_is_a_stretch() {
        let cell = NoWaitCell::new(vec![1]);
        let borrow = cell.borrow_mut();
        assert!(NoWait::is_held());
        drop(borrow);
        assert!(!NoWait::is_held());
        assert_eq!(cell.borrow().len(), 1);
        assert_eq!(cell.replace(Vec::new()), [1]);
        assert!(!NoWait::is_held() && cell.take().is_empty());
    }

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
