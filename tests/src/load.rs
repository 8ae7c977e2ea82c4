//! Clients that go on asking while something else happens to the server.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// What the clients of [`under_load`] and those who watch them share.
#[derive(Debug, Default)]
pub struct Load {
    over: AtomicBool,
    answered: AtomicUsize,
}

impl Load {
    /// Whether the clients are to stop asking.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Counts a request that was answered.
    pub fn count(&self) {
        self.answered.fetch_add(1, Ordering::SeqCst);
    }

    /// Requests that were answered so far.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }
}

/// Ends the load also if what runs beside it has failed.
struct EndsLoad<'a>(&'a Load);

impl Drop for EndsLoad<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::SeqCst);
    }
}

/// Runs each of the clients twice, on threads of their own, until `beside` has ended.
///
/// # Panics
/// When `beside` or a client does.
pub fn under_load<R>(clients: &[&(dyn Fn(&Load) + Sync)], beside: impl FnOnce(&Load) -> R) -> R {
    let load = Load::default();
    thread::scope(|scope| {
        let _ends = EndsLoad(&load);
        for client in clients.iter().chain(clients) {
            scope.spawn(|| client(&load));
        }
        beside(&load)
    })
}
