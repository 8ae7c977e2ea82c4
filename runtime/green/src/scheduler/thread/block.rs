//! How a thread blocks: a green thread in `may`, an OS thread in the kernel.

use super::{Awaited, Kind, Thread, Waiting};
use crate::{
    sys,
    worker::{self, Worker},
};
use may::io::{WaitIo, WaitIoWaker};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A descriptor that a wait is about, besides its condition.
#[derive(Clone, Copy)]
pub enum Io<'a> {
    /// No descriptor.
    None,
    /// One that `may`'s epoll watches on this worker.
    Green(&'a dyn DynWaitIo),
    /// Any other. The worker watches it for as long as the wait lasts; an OS thread polls it.
    Poll(BorrowedFd<'a>, Interest),
    /// As `Poll`, for whichever is ready first.
    PollAny(&'a [(BorrowedFd<'a>, Interest)]),
}

/// Where epoll does not take a descriptor (the limit on watches, a regular file), a green thread
/// looks again after so long: late is better than never.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What a descriptor is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    Readable,
    Writable,
}

/// `WaitIo` is not object safe for our purpose (blanket implementation), so we name what we need.
pub trait DynWaitIo {
    fn block(&self) -> usize;
    fn io_waker(&self) -> WaitIoWaker;
}

impl<T: WaitIo> DynWaitIo for T {
    fn block(&self) -> usize {
        self.wait_io()
    }
    fn io_waker(&self) -> WaitIoWaker {
        self.waker()
    }
}

impl Thread {
    /// Blocks until a wake, a readiness of `io`, or `deadline`; may return early.
    /// Returns the epoll flags of a green wait for I/O.
    pub(crate) fn block(
        self: &Arc<Self>,
        what: Awaited,
        io: Io<'_>,
        deadline: Option<Instant>,
    ) -> usize {
        // SAFETY: called by the thread itself. The borrow ends with the statement.
        unsafe { self.own() }.done = 0;
        // SAFETY: called by the thread itself. The borrow ends with the statement.
        if let Some(hook) = unsafe { self.own() }.before_block.clone() {
            hook();
        }
        // SAFETY: as above.
        let limit = unsafe { &self.own().limits }
            .iter()
            .map(|(at, _)| *at)
            .chain(deadline)
            .min();
        match &self.kind {
            Kind::Green { home, .. } => self.block_green(home, what, io, limit),
            Kind::Os { .. } => {
                self.block_os(what, io, limit);
                0
            }
        }
    }

    pub(crate) fn block_green(
        self: &Arc<Self>,
        home: &'static Worker,
        what: Awaited,
        io: Io<'_>,
        limit: Option<Instant>,
    ) -> usize {
        if self.token.swap(false, Ordering::AcqRel) {
            return 0;
        }
        if let Some(limit) = limit {
            self.wake_at(home, limit);
        }
        self.waiting_for.begin(what);
        let turn = home.turn().give();
        let flags = match io {
            Io::Green(io) => {
                // SAFETY: as above; the borrow ends before the thread blocks.
                unsafe { self.own() }.waiting = Waiting::Io(io.io_waker());
                io.block()
            }
            Io::None => {
                self.park(home);
                0
            }
            Io::Poll(fd, interest) => self.park_watching(home, &[(fd, interest)]),
            Io::PollAny(fds) => self.park_watching(home, fds),
        };
        self.check_home(home);
        home.turn().take(turn);
        self.waiting_for.end();
        // SAFETY: as above.
        unsafe { self.own() }.waiting = Waiting::No;
        self.token.store(false, Ordering::Release);
        flags
    }

    /// Has its timer fire at `limit` or earlier.
    fn wake_at(self: &Arc<Self>, home: &'static Worker, limit: Instant) {
        // SAFETY: called by the thread itself, on its home worker.
        let own = unsafe { self.own() };
        if own.timer.is_none_or(|(at, _)| limit < at) {
            if let Some(late) = own.timer.take() {
                home.cancel_timer(late);
            }
            own.timer = Some(home.set_timer(limit, self.clone()));
        }
    }

    fn park(&self, home: &'static Worker) {
        // SAFETY: called by the thread itself; the borrow ends before it blocks.
        unsafe { self.own() }.waiting = Waiting::Parked;
        may::coroutine::park();
        self.check_home(home);
    }

    /// Parks until one of the descriptors is ready. Gives no flags: who waits has to try.
    #[inline(never)] // off the stack of those who serve
    fn park_watching(
        self: &Arc<Self>,
        home: &'static Worker,
        fds: &[(BorrowedFd<'_>, Interest)],
    ) -> usize {
        for (fd, interest) in fds {
            if home.watch(*fd, *interest, self).is_err() {
                self.wake_at(home, Instant::now() + LOOK_AGAIN);
            }
        }
        self.park(home);
        for (fd, _) in fds {
            home.unwatch(*fd, self);
        }
        0
    }

    pub(crate) fn block_os(&self, what: Awaited, io: Io<'_>, limit: Option<Instant>) {
        let Kind::Os { polling, bell, .. } = &self.kind else {
            unreachable!("checked by block")
        };
        self.waiting_for.begin(what);
        let left = limit.map(|at| at.saturating_duration_since(Instant::now()));
        let one;
        let fds = match io {
            Io::None | Io::Green(_) => &[],
            Io::Poll(fd, interest) => {
                one = [(fd, interest)];
                &one[..]
            }
            Io::PollAny(fds) => fds,
        };
        if fds.is_empty() {
            if !self.token.load(Ordering::SeqCst) {
                match left {
                    Some(left) => std::thread::park_timeout(left),
                    None => std::thread::park(),
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

    /// Cargo unifies features: any crate that depends on `may` with its default features turns
    /// work stealing on behind our back. Then nothing holds any more; say so and stop.
    fn check_home(&self, home: &'static Worker) {
        if !worker::is_current(home) {
            worker::migrated(self.id, home);
        }
    }
}
