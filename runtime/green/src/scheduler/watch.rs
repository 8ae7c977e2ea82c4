//! The watch: how green threads wait for descriptors of whatever kind and owner.
//!
//! `may` watches a descriptor for as long as it lives, on the worker that its number gives, for
//! one who waits. That fits the server's connections, which live on one worker. It does not fit
//! sockets, pipes and processes that handlers hand around: these are used from any worker, and
//! by one who reads while another writes. So each worker has an epoll of its own, and a
//! descriptor is in it while somebody of that worker waits, and no longer. Nothing has to be
//! remembered with the descriptor, which may be closed, copied or sent elsewhere at any time that
//! nobody waits for it.
//!
//! What must stay true: who waits borrows the descriptor, so its number cannot come to mean
//! another one while it is in the table.
//!
//! # Implementation
//!
//! The epoll is itself a descriptor that `may` watches, edge-triggered, for the worker's I/O
//! task. What is in it is level-triggered and fires once (`EPOLLONESHOT`), so something that
//! was ready before it was watched is reported as well, and nothing is reported twice. A wait
//! costs two system calls (add, delete), and each round of epoll with news costs one more.

use crate::sys::{Epoll, Events, Interest};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

/// Who waits for which descriptor, on one worker. `T` is the control block of a thread, which is only
/// kept here and compared.
pub(super) struct Watches<T>(HashMap<RawFd, Vec<Waiter<T>>>);

impl<T> Default for Watches<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

struct Waiter<T> {
    thread: Arc<T>,
    interest: Interest,
    /// It is about to be woken, and takes itself out as soon as it runs.
    told: bool,
}

/// The events that those wait for who are not about to be woken.
fn wanted<T>(waiters: &[Waiter<T>]) -> Events {
    let open = waiters.iter().filter(|waiter| !waiter.told);
    open.fold(Events::default(), |events, waiter| {
        events.with(waiter.interest)
    })
}

impl<T> Watches<T> {
    /// Lets `thread` be woken when `fd` is ready, once.
    ///
    /// # Errors
    /// When epoll does not take the descriptor: a regular file, or too many watches.
    pub(crate) fn add(
        &mut self,
        epoll: &Epoll,
        fd: BorrowedFd<'_>,
        interest: Interest,
        thread: &Arc<T>,
    ) -> io::Result<()> {
        let number = fd.as_raw_fd();
        let waiters = self.0.entry(number).or_default();
        waiters.push(Waiter {
            thread: thread.clone(),
            interest,
            told: false,
        });
        let result = epoll.ask(fd, wanted(waiters), waiters.len() > 1);
        if result.is_err() {
            self.remove(epoll, fd, thread);
        }
        result
    }

    /// Ends what [`add`](Self::add) began, all of it for this descriptor and thread.
    pub(crate) fn remove(&mut self, epoll: &Epoll, fd: BorrowedFd<'_>, thread: &Arc<T>) {
        let Entry::Occupied(mut entry) = self.0.entry(fd.as_raw_fd()) else {
            return;
        };
        entry
            .get_mut()
            .retain(|waiter| !Arc::ptr_eq(&waiter.thread, thread));
        if entry.get().is_empty() {
            entry.remove();
            epoll.forget(fd);
        }
    }

    /// Notes that a descriptor is ready, and adds the threads to `woken` that wait for that.
    pub(crate) fn fired(
        &mut self,
        epoll: &Epoll,
        number: RawFd,
        events: Events,
        woken: &mut Vec<Arc<T>>,
    ) {
        let Some(waiters) = self.0.get_mut(&number) else {
            return; // the last one has left
        };
        for waiter in waiters.iter_mut() {
            if !waiter.told && events.satisfy(waiter.interest) {
                waiter.told = true;
                woken.push(waiter.thread.clone());
            }
        }
        // Epoll reports it once only, and others may still wait for the other direction.
        let wanted = wanted(waiters);
        if wanted == Events::default() {
            return;
        }
        // SAFETY: somebody still waits for it, and borrows it until its own `remove`, which ends
        // the entry that we have just found. So the number is that of the open descriptor.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        if epoll.ask(fd, wanted, true).is_err() {
            // Their own system calls will say what is wrong with the descriptor.
            for waiter in waiters.iter_mut().filter(|waiter| !waiter.told) {
                waiter.told = true;
                woken.push(waiter.thread.clone());
            }
        }
    }
}
