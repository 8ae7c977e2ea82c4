//! What holds for a thread until a guard is dropped: time limits, and what it does before it blocks.

use super::control_block::Thread;
use super::current::{Current, current, with_current};
use crate::platform::sync::Arc;
use crate::platform::{Duration, Instant};
use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::Rc;

/// A time limit around whatever runs until the guard is dropped. When it is over, the next
/// wait unwinds with [`Unwind::LimitPassed`](super::Unwind::LimitPassed) and the guard's number.
#[derive(Debug)]
pub struct LimitGuard<M: Deref<Target = Thread> = Arc<Thread>> {
    me: Current<M>,
    number: u64,
}

impl LimitGuard {
    /// A limit of the thread that calls, which is over at `at`.
    pub fn new(at: Instant) -> Self {
        Self::begin(current(), at)
    }

    /// Moves a limit of this thread, by its number. No effect if it is over.
    pub fn move_to(number: LimitNumber, at: Instant) {
        with_current(|me| replace(me, number, |_| Some(at)));
    }

    /// Takes a limit of this thread back, by its number; the guard then guards nothing. Nor will
    /// the thread be woken at a time that was set for what it has done before: the next wait
    /// sets its own.
    pub fn lift(number: LimitNumber) {
        with_current(|me| {
            let mut limits = me.own().limits.borrow_mut();
            limits.retain(|(_, other)| *other != number);
            limits.shrink_to_fit();
            drop(limits);
            me.cancel_timer();
        });
    }
}

impl<'a> LimitGuard<&'a Thread> {
    /// As [`new`](LimitGuard::new), for a caller that knows which thread it is on.
    ///
    /// # Panics
    /// When it is mistaken.
    pub fn on(me: &'a Thread, at: Instant) -> Self {
        Self::begin(me.here(), at)
    }
}

impl<M: Deref<Target = Thread>> LimitGuard<M> {
    fn begin(me: Current<M>, at: Instant) -> Self {
        let number = next_number();
        me.own().limits.borrow_mut().push((at, number));
        Self { me, number }
    }

    /// Moves the limit.
    pub fn set(&self, at: Instant) {
        replace(&self.me, self.number, |_| Some(at));
    }

    /// What the limit is known by.
    pub fn number(&self) -> LimitNumber {
        self.number
    }
}

impl<M: Deref<Target = Thread>> Drop for LimitGuard<M> {
    fn drop(&mut self) {
        let mut limits = self.me.own().limits.borrow_mut();
        limits.retain(|(_, number)| *number != self.number);
        drop(limits);
        // The end that it has brought, if it has, was no end of the thread.
        if self.me.has_ended_before() && !self.me.is_to_end() {
            self.me.forget_ends();
        }
    }
}

/// While it lives, neither interrupts nor limits from outside end the thread; limits that begin
/// inside do.
#[derive(Debug)]
pub(crate) struct Shield {
    former: Option<LimitNumber>,
    _not_send: PhantomData<*const ()>,
}

impl Shield {
    /// For the thread that calls.
    pub(crate) fn new() -> Self {
        let first_inside = next_number();
        Self {
            former: with_current(|me| me.own().shield.replace(Some(first_inside))),
            _not_send: PhantomData,
        }
    }
}

impl Drop for Shield {
    fn drop(&mut self) {
        with_current(|me| me.own().shield.set(self.former));
    }
}

/// Numbers need only differ among the limits of one thread, and a thread stays put: there, a later one
/// is larger.
fn next_number() -> LimitNumber {
    thread_local!(static NEXT: Cell<u64> = const { Cell::new(0) });
    NEXT.with(|next| next.replace(next.get() + 1))
}

/// What a limit of the running thread is known by.
pub type LimitNumber = u64;

/// Replaces when a limit of the running thread is over, and gives what it was. `None` if there
/// is no such limit, or it stays.
fn replace<M: Deref<Target = Thread>>(
    me: &Current<M>,
    number: LimitNumber,
    by: impl FnOnce(Instant) -> Option<Instant>,
) -> Option<Instant> {
    let mut limits = me.own().limits.borrow_mut();
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
    /// Stops the time of a limit of the thread that calls; `None` if it has no such limit.
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

/// Something to do whenever this thread is about to block, until the guard is dropped: a
/// connection sends finished responses then, which it has kept to send several in one write.
///
/// While there are two of them the later one counts; the former counts again afterwards.
pub struct BeforeBlock<M: Deref<Target = Thread> = Arc<Thread>> {
    me: Current<M>,
    former: Option<Rc<dyn Fn()>>,
}

impl BeforeBlock {
    /// Has `hook` called on this thread before each of its waits that blocks.
    pub fn new(hook: Rc<dyn Fn()>) -> Self {
        Self::begin(current(), hook)
    }
}

impl<'a> BeforeBlock<&'a Thread> {
    /// As [`new`](BeforeBlock::new), for a caller that knows which thread it is on.
    ///
    /// # Panics
    /// When it is mistaken.
    pub fn on(me: &'a Thread, hook: Rc<dyn Fn()>) -> Self {
        Self::begin(me.here(), hook)
    }
}

impl<M: Deref<Target = Thread>> BeforeBlock<M> {
    fn begin(me: Current<M>, hook: Rc<dyn Fn()>) -> Self {
        let former = me.own().before_block.replace(Some(hook));
        Self { me, former }
    }
}

impl<M: Deref<Target = Thread>> Drop for BeforeBlock<M> {
    fn drop(&mut self) {
        let former = self.former.take();
        let hook = self.me.own().before_block.replace(former);
        drop(hook); // what it holds may have a destructor that looks at the thread
    }
}

impl<M: Deref<Target = Thread>> std::fmt::Debug for BeforeBlock<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BeforeBlock")
    }
}
