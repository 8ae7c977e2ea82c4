//! OS threads that serve: seen from outside, as green threads are.

use super::{Awaited, Kind, Thread};
use crate::scheduler::line::lock;
use crate::scheduler::task_context::{Errand, Serving};
use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// OS threads with an errand; those that have ended are removed when one is added.
static THREADS: Mutex<Vec<Weak<Thread>>> = Mutex::new(Vec::new());

impl Thread {
    /// What the layers above do on this thread from now on.
    pub fn set_errand(self: &Arc<Self>, errand: Weak<dyn Errand>) {
        if matches!(self.kind, Kind::Os { .. }) {
            let mut threads = lock(&THREADS);
            threads.retain(|thread| {
                thread.strong_count() > 0 && !thread.ptr_eq(&Arc::downgrade(self))
            });
            threads.push(Arc::downgrade(self));
        }
        *lock(&self.errand) = Some(errand);
    }

    /// What the layers above do on this thread.
    pub fn errand(&self) -> Option<Arc<dyn Errand>> {
        lock(&self.errand).as_ref()?.upgrade()
    }

    /// As [`errand`](Self::errand), for a signal handler: `None` where the lock is held.
    pub fn errand_now(&self) -> Option<Arc<dyn Errand>> {
        self.errand.try_lock().ok()?.as_ref()?.upgrade()
    }
}

/// An OS thread that serves, at some moment. Shown, it is one line.
#[derive(Debug, Clone)]
pub(crate) struct OsSight {
    name: String,
    waiting_for: Option<(Awaited, Duration)>,
    serving: Serving,
}

/// All OS threads that serve.
pub(crate) fn os_errands() -> Vec<OsSight> {
    let threads: Vec<_> = lock(&THREADS).iter().filter_map(Weak::upgrade).collect();
    let sight = |thread: &Arc<Thread>| {
        let Kind::Os { thread: os, .. } = &thread.kind else {
            return None;
        };
        Some(OsSight {
            name: os.name().unwrap_or("(no name)").to_owned(),
            waiting_for: thread.waiting_for(),
            serving: thread.errand()?.serving(),
        })
    };
    threads.iter().filter_map(sight).collect()
}

impl fmt::Display for OsSight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        match self.waiting_for {
            Some((what, since)) => write!(f, "{what} for {since:.1?}")?,
            None => f.write_str("running")?,
        }
        write!(f, "; {}", self.serving)
    }
}
