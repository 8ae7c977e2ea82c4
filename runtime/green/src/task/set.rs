//! [`TaskSet`]: green threads of which somebody waits until all have ended.

use crate::scheduler::control::Control;
use crate::scheduler::line::{Line, Lookout, Ticket, wait_in};
use crate::scheduler::lock::lock;
use crate::scheduler::thread::{Awaited, Thread, wait_through};
use crate::scheduler::timed_out::TimedOut;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Green threads that somebody wants to see the end of: the members of a group or of a scope.
#[derive(Default)]
pub(crate) struct TaskSet(Mutex<Members>);

#[derive(Default)]
struct Members {
    present: BTreeMap<u64, Arc<Control>>,
    /// Nobody is to stay, also of those who come later.
    ending: bool,
    /// Those who wait until nobody is left.
    waiting: Line,
}

impl TaskSet {
    /// Adds one that has not started yet.
    pub(crate) fn add(&self, control: Arc<Control>) {
        let mut members = lock(&self.0);
        if members.ending {
            control.kill();
        }
        members.present.insert(control.number(), control);
    }

    /// Removes one that has ended.
    pub(crate) fn remove(&self, control: &Control) {
        let mut members = lock(&self.0);
        members.present.remove(&control.number());
        if members.present.is_empty() {
            members.waiting.wake_all();
        }
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.0).present.len()
    }

    pub(crate) fn kill(&self) {
        let present: Vec<_> = lock(&self.0).present.values().cloned().collect();
        for control in present {
            control.kill();
        }
    }

    /// As [`kill`](Self::kill), also for all who are added from now on: one that swallows its kill
    /// may start others.
    pub(crate) fn end(&self) {
        lock(&self.0).ending = true;
        self.kill();
    }

    /// Waits until nobody is left.
    pub(crate) fn wait_empty(&self, deadline: Option<Instant>) -> Result<(), TimedOut> {
        let empty = |members: &mut Members| members.present.is_empty().then_some(());
        wait_in(
            Awaited::Join,
            &self.0,
            |members| &mut members.waiting,
            deadline,
            empty,
        )
    }

    /// As [`wait_empty`](Self::wait_empty), and nothing ends this wait early. The caller is not
    /// unwinding.
    pub(crate) fn wait_empty_through(&self) {
        let mut ticket = None;
        wait_through(Awaited::Join, |me| {
            let mut members = lock(&self.0);
            let empty = members.present.is_empty();
            match ticket {
                None if !empty => ticket = Some(members.waiting.enter(me.clone())),
                Some(ticket) if empty => {
                    members.waiting.leave(ticket);
                }
                None | Some(_) => {}
            }
            empty
        });
    }
}

impl Lookout for TaskSet {
    fn is_ready(&self) -> bool {
        self.len() == 0
    }
    fn watch(&self, thread: &Arc<Thread>) -> Ticket {
        lock(&self.0).waiting.enter(thread.clone())
    }
    fn unwatch(&self, ticket: Ticket) {
        lock(&self.0).waiting.leave(ticket);
    }
}

impl fmt::Debug for TaskSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not under the lock: what is written to is the user's.
        let present: Vec<_> = lock(&self.0).present.values().cloned().collect();
        f.debug_list().entries(present).finish()
    }
}
