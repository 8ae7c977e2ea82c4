//! What holds for a thread until a guard is dropped: time limits, and what it does before it blocks.

use super::current;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

/// A time limit around whatever runs until the guard is dropped. When it is over, the next
/// wait unwinds with [`Unwind::LimitPassed`] and the guard's number.
#[derive(Debug)]
pub(crate) struct LimitGuard {
    number: u64,
    _not_send: std::marker::PhantomData<*const ()>,
}

impl LimitGuard {
    pub(crate) fn new(at: Instant) -> Self {
        thread_local!(static NEXT: Cell<u64> = const { Cell::new(0) });
        // Numbers need only differ among the limits of one thread, and a thread stays put.
        let number = NEXT.with(|next| next.replace(next.get() + 1));
        let me = current();
        // SAFETY: called by the thread itself.
        unsafe { me.own() }.limits.push((at, number));
        Self {
            number,
            _not_send: std::marker::PhantomData,
        }
    }

    /// Moves the limit.
    pub(crate) fn set(&self, at: Instant) {
        let me = current();
        // SAFETY: called by the thread itself.
        let limits = unsafe { &mut me.own().limits };
        if let Some(limit) = limits.iter_mut().find(|(_, number)| *number == self.number) {
            limit.0 = at;
        }
    }

    /// Takes a limit of this thread back, by its number; the guard then guards nothing.
    pub(crate) fn lift(number: u64) {
        let me = current();
        // SAFETY: called by the thread itself.
        unsafe { me.own() }
            .limits
            .retain(|(_, other)| *other != number);
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for LimitGuard {
    fn drop(&mut self) {
        let me = current();
        // SAFETY: called by the thread itself.
        unsafe { me.own() }
            .limits
            .retain(|(_, number)| *number != self.number);
    }
}

/// Something to do whenever this thread is about to block, until the guard is dropped: the
/// connection uses it to send finished responses that it has held back for company.
#[derive(Debug)]
pub(crate) struct BeforeBlock(std::marker::PhantomData<*const ()>);

impl BeforeBlock {
    pub(crate) fn new(hook: Rc<dyn Fn()>) -> Self {
        let me = current();
        // SAFETY: called by the thread itself.
        unsafe { me.own() }.before_block = Some(hook);
        Self(std::marker::PhantomData)
    }
}

impl Drop for BeforeBlock {
    fn drop(&mut self) {
        let me = current();
        // SAFETY: called by the thread itself.
        let hook = unsafe { me.own() }.before_block.take();
        drop(hook);
    }
}
