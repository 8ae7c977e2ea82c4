//! How a thread blocks: a green thread in `may`, an OS thread in the kernel.

use super::awaited::Awaited;
use super::control_block::{Kind, Thread, Waiting};
use super::current::Current;
use super::io::Io;
use crate::platform::sync::Arc;
use crate::platform::sync::atomic::Ordering;
use crate::platform::{
    BorrowedFd, Duration, Instant, NoWait, park_coroutine, pass_turn_of_coroutine, thread,
};
use crate::scheduler::worker::{self, Here, Worker};
use crate::sys::{self, Interest};
use std::cell::Cell;

/// Where epoll does not take a descriptor (the limit on watches, a regular file), a green thread
/// looks again after so long: late is better than never.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Flags of a wait that does not know what has happened to a registered descriptor: the one who
/// waits has to ask the kernel. No flag of epoll's.
const LOOK_ANYWAY: usize = 1 << 31;

impl Current {
    /// How often it has blocked so far. Only a difference says something: it wraps around.
    pub(super) fn times_blocked(&self) -> u32 {
        self.own().blocks.get()
    }

    /// Blocks until a wake, a readiness of `io`, or `deadline`; may return early.
    /// Returns the epoll flags of a wait for a registered descriptor.
    ///
    /// `blocks` is [how often it had blocked](Self::times_blocked) when it began to look at its condition. If it
    /// has blocked since, in that look or in the hook, a wake that was meant for this wait may have ended that
    /// other one: then it does not block, and the condition is to be looked at again.
    pub(super) fn block(
        &self,
        what: Awaited,
        io: Io<'_>,
        deadline: Option<Instant>,
        blocks: u32,
    ) -> usize {
        self.run_hook();
        if self.times_blocked() != blocks {
            return 0;
        }
        self.block_within_limits(what, io, deadline)
    }

    /// Runs what is to be done whenever the thread is about to block.
    fn run_hook(&self) {
        struct Running<'a>(&'a Cell<bool>, bool);
        impl Drop for Running<'_> {
            fn drop(&mut self) {
                self.0.set(self.1);
            }
        }
        // A copy: the hook may wait, or replace itself.
        let hook = self.own().before_block.borrow().clone();
        if let Some(hook) = hook {
            let in_hook = &self.own().in_hook;
            let _running = Running(in_hook, in_hook.replace(true));
            self.aloud(&*hook);
        }
    }

    /// As [`block`](Self::block), for a call that comes out of C. One that the hook itself makes, at
    /// a lock of std's perhaps, does not run the hook once more: it would come to that call again, for ever.
    pub(super) fn block_below_c(
        &self,
        what: Awaited,
        io: Io<'_>,
        deadline: Option<Instant>,
        blocks: u32,
    ) {
        if !self.own().in_hook.get() {
            self.block(what, io, deadline, blocks);
        } else if self.times_blocked() == blocks {
            self.block_within_limits(what, io, deadline);
        }
    }

    fn block_within_limits(&self, what: Awaited, io: Io<'_>, deadline: Option<Instant>) -> usize {
        let own = self.own();
        own.ticks.set(0);
        self.forget_ends();
        let limits = own.limits.borrow();
        let first = own.shield.get().unwrap_or(0);
        let effective = limits.iter().filter(|(_, number)| *number >= first);
        let limit = effective.map(|(at, _)| *at).chain(deadline).min();
        drop(limits);
        self.block_plainly(what, io, limit)
    }

    /// As [`block`](Self::block), without a look at the thread's own limits and hook.
    pub(super) fn block_plainly(&self, what: Awaited, io: Io<'_>, limit: Option<Instant>) -> usize {
        self.own().blocks.set(self.times_blocked().wrapping_add(1));
        match &self.kind {
            Kind::Green { home, .. } => self.block_green(at_home(self, home), what, io, limit),
            Kind::Os { .. } => {
                self.block_os(what, io, limit);
                0
            }
        }
    }

    fn block_green(&self, here: Here, what: Awaited, io: Io<'_>, limit: Option<Instant>) -> usize {
        assert!(!NoWait::is_held(), "a wait under a lock of the scheduler's");
        if self.token.swap(false, Ordering::AcqRel) {
            return 0;
        }
        // From here on no patched call waits, also none that std makes below this: it would take the wake
        // that this wait is to end with, and come here once more.
        let turn = here.turn().leave();
        if let Some(limit) = limit {
            self.wake_at(here, limit);
        }
        self.waiting_for.begin(what);
        let flags = match io {
            Io::Registered(io) => match io.claim() {
                Some(place) => {
                    *self.own().waiting.borrow_mut() = Waiting::Io(place.waker());
                    place.wait()
                }
                None => {
                    self.park_watching(here, &[io.other_way()]);
                    LOOK_ANYWAY
                }
            },
            Io::None => {
                self.park(here);
                0
            }
            Io::Poll(fd, interest) => self.park_watching(here, &[(fd, interest)]),
            Io::PollAny(fds) => self.park_watching(here, fds),
        };
        at_home(self, &here);
        self.waiting_for.end();
        *self.own().waiting.borrow_mut() = Waiting::No;
        self.token.store(false, Ordering::Release);
        here.turn().enter(turn);
        flags
    }

    /// Lets those of its worker run that can run now. It stays among them, so nobody need wake it; a
    /// wake that comes meanwhile, as one that has come before, makes whoever waits afterwards look again.
    pub(in crate::scheduler) fn pass_turn(&self, here: Here) {
        self.run_hook();
        self.own().ticks.set(0);
        self.forget_ends();
        self.own().blocks.set(self.times_blocked().wrapping_add(1));
        assert!(!NoWait::is_held(), "a wait under a lock of the scheduler's");
        let turn = here.turn().leave();
        self.waiting_for.begin(Awaited::Turn);
        pass_turn_of_coroutine();
        at_home(self, &here);
        self.waiting_for.end();
        self.token.store(false, Ordering::Release);
        here.turn().enter(turn);
    }

    /// Has its timer fire at `limit` or earlier.
    fn wake_at(&self, here: Here, limit: Instant) {
        let timer = &self.own().timer;
        if timer.get().is_none_or(|(at, _)| limit < at) {
            if let Some(late) = timer.take() {
                here.cancel_timer(late);
            }
            timer.set(Some(here.set_timer(limit, self.handle())));
        }
    }

    fn park(&self, here: Here) {
        *self.own().waiting.borrow_mut() = Waiting::Parked;
        park_coroutine();
        at_home(self, &here);
    }

    /// Parks until one of the descriptors is ready. Gives no flags: who waits has to try.
    #[inline(never)] // off the stack of those who serve
    fn park_watching(&self, here: Here, fds: &[(BorrowedFd<'_>, Interest)]) -> usize {
        for (fd, interest) in fds {
            if here.watch(*fd, *interest, self).is_err() {
                self.wake_at(here, Instant::now() + LOOK_AGAIN);
            }
        }
        self.park(here);
        for (fd, _) in fds {
            here.unwatch(*fd, self);
        }
        0
    }

    fn block_os(&self, what: Awaited, io: Io<'_>, limit: Option<Instant>) {
        let Kind::Os { polling, bell, .. } = &self.kind else {
            unreachable!("`block_plainly` has looked")
        };
        self.waiting_for.begin(what);
        let left = limit.map(|at| at.saturating_duration_since(Instant::now()));
        let one;
        let fds = match io {
            Io::None | Io::Registered(_) => &[],
            Io::Poll(fd, interest) => {
                one = [(fd, interest)];
                &one[..]
            }
            Io::PollAny(fds) => fds,
        };
        if fds.is_empty() {
            if !self.token.load(Ordering::SeqCst) {
                match left {
                    Some(left) => thread::park_timeout(left),
                    None => thread::park(),
                }
            }
        } else {
            let bell = bell.get_or_init(sys::bell);
            polling.store(true, Ordering::SeqCst);
            if !self.token.load(Ordering::SeqCst) {
                sys::poll(fds, bell, left);
            }
            polling.store(false, Ordering::SeqCst);
        }
        self.token.store(false, Ordering::SeqCst);
        self.waiting_for.end();
    }
}

/// Where a green thread runs, which is at home.
///
/// Cargo unifies features: any crate that depends on `may` with its default features turns work
/// stealing on for all. Then no promise of this crate holds, so the process ends with a message.
fn at_home(thread: &Arc<Thread>, home: &Worker) -> Here {
    match worker::here() {
        Some(here) if here.is(home) => here,
        _ => worker::migrated(thread.id(), home),
    }
}
