//! OS threads that serve: seen from outside, as green threads are.

use super::awaited::Awaited;
use super::control_block::{Kind, Thread};
use crate::platform::Duration;
use crate::platform::sync::{Arc, Mutex, Weak};
use crate::scheduler::lock::{Locked, lock};
use crate::scheduler::task_context::{RequestInfo, TaskContext};
use std::fmt;

/// OS threads with a context; those that have ended are removed when one is added.
static THREADS: Mutex<Vec<Weak<Thread>>> = Mutex::new(Vec::new());

/// It is held for a moment, and nothing under it can panic.
fn threads() -> Locked<'static, Vec<Weak<Thread>>> {
    lock(&THREADS)
}

impl Thread {
    /// What the layers above do on this thread from now on.
    pub fn set_context(self: &Arc<Self>, context: Weak<dyn TaskContext>) {
        if matches!(self.kind, Kind::Os { .. }) {
            let mut threads = threads();
            threads.retain(|thread| {
                thread.strong_count() > 0 && !thread.ptr_eq(&Arc::downgrade(self))
            });
            threads.push(Arc::downgrade(self));
        }
        *lock(&self.context) = Some(context);
    }

    /// What the layers above do on this thread.
    pub fn context(&self) -> Option<Arc<dyn TaskContext>> {
        lock(&self.context).as_ref()?.upgrade()
    }

    /// As [`context`](Self::context), for a signal handler: `None` where the lock is held.
    pub(crate) fn context_now(&self) -> Option<Arc<dyn TaskContext>> {
        self.context.try_lock().ok()?.as_ref()?.upgrade()
    }
}

/// An OS thread that serves, at some moment. Shown, it is one line.
#[derive(Debug, Clone)]
pub(crate) struct OsThreadInfo {
    name: String,
    waiting_for: Option<(Awaited, Duration)>,
    serving: RequestInfo,
}

/// All OS threads that serve.
pub(crate) fn serving_os_threads() -> Vec<OsThreadInfo> {
    let threads: Vec<_> = threads().iter().filter_map(Weak::upgrade).collect();
    let info = |thread: &Arc<Thread>| {
        let Kind::Os { thread: os, .. } = &thread.kind else {
            return None;
        };
        Some(OsThreadInfo {
            name: os.name().unwrap_or("(no name)").to_owned(),
            waiting_for: thread.waiting_for(),
            serving: thread.context()?.request_info(),
        })
    };
    threads.iter().filter_map(info).collect()
}

impl fmt::Display for OsThreadInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        match self.waiting_for {
            Some((what, since)) => write!(f, "{what} for {since:.1?}")?,
            None => f.write_str("running")?,
        }
        write!(f, "; {}", self.serving)
    }
}
