//! The reaper of children that nobody waits for any more: an OS thread of its own, so that it
//! needs neither workers nor stacks, and works for programs without green threads.

use super::child::Running;
use crate::scheduler::lock::lock;
use crate::scheduler::service_thread;
use crate::scheduler::thread::{self, Thread, deadline_in};
use crate::scheduler::timed_out::TimedOut;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often children are asked whether they have ended: at first, and at last.
///
/// Most have just been killed, and take as long as the kernel takes for that. The others, that
/// were detached, may take a while, and nobody waits for them.
const ASK: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(100)];

struct Reaper {
    children: Vec<Running>,
    /// The thread, once it is there.
    thread: Option<Arc<Thread>>,
    started: bool,
}

static REAPER: Mutex<Reaper> = Mutex::new(Reaper {
    children: Vec::new(),
    thread: None,
    started: false,
});

/// Reaps a child when it has ended. Does not wait.
pub(super) fn bury(child: Running) {
    let mut reaper = lock(&REAPER);
    reaper.children.push(child);
    if let Some(thread) = &reaper.thread {
        return thread.wake();
    }
    if reaper.started {
        return;
    }
    match service_thread::start("greenway-reaper", work) {
        Ok(()) => reaper.started = true,
        // The next one tries again.
        Err(error) => {
            drop(reaper); // a logger may start a program
            log::error!("children stay unreaped: no thread for that: {error}");
        }
    }
}

fn work() {
    let [first, longest] = ASK;
    let mut pause = first;
    let mut known = 0;
    loop {
        let deadline = deadline_in(pause);
        // Ended by the deadline, or by a new child; without children only by the latter.
        let (Ok(()) | Err(TimedOut)) = thread::wait_for(
            thread::Awaited::Child,
            (known > 0).then_some(deadline).flatten(),
            thread::Io::None,
            |me, _| {
                let mut reaper = lock(&REAPER);
                reaper.thread.get_or_insert_with(|| me.clone());
                (reaper.children.len() > known).then_some(())
            },
        );
        let mut reaper = lock(&REAPER);
        pause = if reaper.children.len() > known {
            first
        } else {
            (2 * pause).min(longest)
        };
        // An error means that somebody else has reaped it.
        reaper
            .children
            .retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        known = reaper.children.len();
    }
}
