//! What holds for a thread until a guard is dropped: time limits, and what it does before it blocks.

use super::{Thread, current, with_current};
use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A time limit around whatever runs until the guard is dropped. When it is over, the next
/// wait unwinds with [`Unwind::LimitPassed`] and the guard's number.
#[derive(Debug)]
pub struct LimitGuard<M: Deref<Target = Thread> = Arc<Thread>> {
    me: M,
    number: u64,
    _not_send: PhantomData<*const ()>,
}

impl LimitGuard {
    pub fn new(at: Instant) -> Self {
        Self::on(current(), at)
    }

    /// Takes a limit of this thread back, by its number; the guard then guards nothing. Nor will
    /// the thread be woken at a time that was set for what it has done before: the next wait
    /// sets its own.
    pub fn lift(number: LimitNumber) {
        let me = current();
        // SAFETY: called by the thread itself; the borrow ends before the timer is looked at.
        let limits = &mut unsafe { me.own() }.limits;
        limits.retain(|(_, other)| *other != number);
        limits.shrink_to_fit();
        me.cancel_timer();
    }
}

impl<M: Deref<Target = Thread>> LimitGuard<M> {
    /// As [`new`](Self::new), for a caller that knows which thread it is on.
    ///
    /// # Panics
    /// When it is mistaken.
    pub fn on(me: M, at: Instant) -> Self {
        thread_local!(static NEXT: Cell<u64> = const { Cell::new(0) });
        // Numbers need only differ among the limits of one thread, and a thread stays put.
        let number = NEXT.with(|next| next.replace(next.get() + 1));
        me.assert_here();
        // SAFETY: called on the thread itself, or at least on its OS thread and by nobody who
        // has a reference to it.
        unsafe { me.own() }.limits.push((at, number));
        Self {
            me,
            number,
            _not_send: PhantomData,
        }
    }

    /// Moves the limit.
    pub fn set(&self, at: Instant) {
        replace(&self.me, self.number, |_| Some(at));
    }

    pub fn number(&self) -> LimitNumber {
        self.number
    }
}

/// What a limit of the running thread is known by.
pub type LimitNumber = u64;

/// Replaces when a limit of the running thread is over, and gives what it was. `None` if there
/// is no such limit, or it stays.
fn replace(
    me: &Thread,
    number: LimitNumber,
    by: impl FnOnce(Instant) -> Option<Instant>,
) -> Option<Instant> {
    // SAFETY: called by the thread itself; `by` does not reach `own`.
    let limits = unsafe { &mut me.own().limits };
    let limit = limits.iter_mut().find(|limit| limit.1 == number)?;
    let at = by(limit.0)?;
    Some(std::mem::replace(&mut limit.0, at))
}

/// While it lives, the time of a limit stands still: what the thread waits for is not the fault
/// of whoever is limited.
#[derive(Debug)]
pub struct Standstill {
    number: LimitNumber,
    begun: Instant,
    was: Instant,
    _not_send: PhantomData<*const ()>,
}

impl Standstill {
    /// `None` if the running thread has no such limit.
    pub fn new(number: LimitNumber) -> Option<Self> {
        /// Longer than anything is waited for.
        const AGE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        let begun = Instant::now();
        let was = with_current(|me| replace(me, number, |_| begun.checked_add(AGE)))?;
        Some(Self {
            number,
            begun,
            was,
            _not_send: PhantomData,
        })
    }
}

impl Drop for Standstill {
    fn drop(&mut self) {
        let stood = self.begun.elapsed();
        with_current(|me| replace(me, self.number, |_| self.was.checked_add(stood)));
    }
}

impl<M: Deref<Target = Thread>> Drop for LimitGuard<M> {
    fn drop(&mut self) {
        // SAFETY: as in `set`.
        let limits = &mut unsafe { self.me.own() }.limits;
        limits.retain(|(_, number)| *number != self.number);
    }
}

/// Something to do whenever this thread is about to block, until the guard is dropped: the
/// connection uses it to send finished responses that it has held back for company.
#[derive(Debug)]
pub struct BeforeBlock(PhantomData<*const ()>);

impl BeforeBlock {
    pub fn new(hook: Rc<dyn Fn()>) -> Self {
        // SAFETY: called by the thread itself.
        with_current(|me| unsafe { me.own() }.before_block = Some(hook));
        Self(PhantomData)
    }
}

impl Drop for BeforeBlock {
    fn drop(&mut self) {
        // SAFETY: called by the thread itself.
        let hook = with_current(|me| unsafe { me.own() }.before_block.take());
        drop(hook);
    }
}
