//! Epolls of our own, beside those of `may`'s workers.

use super::{Interest, PeerNews};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// What epoll is asked for and tells of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Events(EventFlags);

impl Default for Events {
    fn default() -> Self {
        Self(EventFlags::empty())
    }
}

impl Events {
    /// What ends a wait for whatever.
    const BROKEN: EventFlags = EventFlags::ERR.union(EventFlags::HUP);

    /// These and what that wait is for.
    pub(crate) fn with(self, interest: Interest) -> Self {
        Self(self.0.union(match interest {
            Interest::Readable => EventFlags::IN | EventFlags::RDHUP,
            Interest::Writable => EventFlags::OUT,
        }))
    }

    /// Whether they end a wait for that.
    pub(crate) fn satisfy(self, interest: Interest) -> bool {
        let ends = Self::default().with(interest).0 | Self::BROKEN;
        self.0.intersects(ends)
    }
}

/// An epoll. What it watches is told under numbers.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(epoll::create(CreateFlags::CLOEXEC).map(Self)?)
    }

    /// Tells once that something has come, or that the peer has ended. Again after a next call.
    pub(crate) fn watch_once(&self, fd: BorrowedFd<'_>, number: u64) -> io::Result<()> {
        let data = EventData::new_u64(number);
        let flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ONESHOT;
        match epoll::add(&self.0, fd, data, flags) {
            Err(rustix::io::Errno::EXIST) => Ok(epoll::modify(&self.0, fd, data, flags)?),
            done => Ok(done?),
        }
    }

    /// Tells once that a descriptor is ready, under its own number; `again` for one that was asked
    /// for before and not forgotten.
    pub(crate) fn ask(&self, fd: BorrowedFd<'_>, events: Events, again: bool) -> io::Result<()> {
        let data = EventData::new_u64(fd.as_raw_fd() as u64);
        let flags = events.0 | EventFlags::ONESHOT;
        let call = if again { epoll::modify } else { epoll::add };
        Ok(call(&self.0, fd, data, flags)?)
    }

    /// Forgets a descriptor.
    pub(crate) fn forget(&self, fd: BorrowedFd<'_>) {
        // Fails if it was never taken in.
        let _ = epoll::delete(&self.0, fd);
    }

    /// Shows what there is to tell; waits for something if it is to. True if there may be more.
    pub(crate) fn wait(&self, block: bool, mut tell: impl FnMut(u64, Events)) -> io::Result<bool> {
        const MOST: usize = 256;
        const NOW: Timespec = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let mut events = [MaybeUninit::<Event>::uninit(); MOST];
        let timeout = if block { None } else { Some(&NOW) };
        let (told, _) = epoll::wait(&self.0, &mut events, timeout)?;
        for event in &*told {
            tell(event.data.u64(), Events(event.flags));
        }
        Ok(told.len() == MOST)
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// An epoll that tells what becomes of peers, once for each piece of news.
#[derive(Debug)]
pub struct PeerEpoll(Epoll);

impl PeerEpoll {
    /// One that watches nobody yet.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        Epoll::new().map(Self)
    }

    /// Watches a socket under a number, until it is closed. With `input`, whatever comes is news.
    ///
    /// # Errors
    /// When epoll does not take it: the kernel's limit on watches.
    pub fn watch(&self, socket: BorrowedFd<'_>, number: u64, input: bool) -> io::Result<()> {
        // Hang-ups and errors are reported always.
        let mut flags = EventFlags::RDHUP | EventFlags::ET;
        flags.set(EventFlags::IN, input);
        Ok(epoll::add(
            &self.0.0,
            socket,
            EventData::new_u64(number),
            flags,
        )?)
    }

    /// Blocks the OS thread until there is news, and shows it to `tell`; `None` is something that
    /// has come.
    ///
    /// # Errors
    /// `Interrupted` when a signal came.
    pub fn wait(&self, mut tell: impl FnMut(u64, Option<PeerNews>)) -> io::Result<()> {
        self.0.wait(true, |number, events| {
            let finished = events.0.contains(EventFlags::RDHUP);
            let gone = events.0.intersects(Events::BROKEN);
            tell(number, PeerNews::of(finished, gone));
        })?;
        Ok(())
    }
}
