//! What is everyone doing? A list of all green threads.
//!
//! Nobody is asked: each thread notes for itself what it waits for, where all can see it. So the
//! answer is the same, and comes as soon, when a worker is held up.

use crate::runtime;
use crate::scheduler::control::{Control, alive_on};
use crate::scheduler::task_context::RequestInfo;
use crate::scheduler::thread::{Awaited, Thread};
use crate::scheduler::worker::Worker;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A green thread at the moment of a [`green_threads`] call. Shown, it is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskInfo {
    /// No other green thread of the process has or has had it.
    pub number: u64,
    /// As [`Greenlet::name`](crate::Greenlet::name).
    pub name: String,
    /// The number of its worker.
    pub worker: usize,
    /// The number of the green thread that has spawned it; `None` if an OS thread has.
    pub parent: Option<u64>,
    /// The time since it was spawned.
    pub age: Duration,
    /// What it does.
    pub state: TaskState,
    /// More of what it waits for, where that is known: whose answer a patched system call waits for.
    pub about: Option<String>,
    /// The time since it began to wait; 0 if it does not.
    pub since: Duration,
    /// For a connection of a server: whom it serves.
    pub serving: Option<RequestInfo>,
}

/// What a green thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskState {
    /// It has not begun.
    Starting,
    /// It runs, and all others of its worker wait for it to come to a wait.
    Running,
    /// It could run, and does when its turn comes.
    Ready,
    /// It waits.
    Waiting(Awaited),
}

/// Who knows more of what a thread waits for.
static DESCRIBE: OnceLock<fn(&Thread) -> Option<String>> = OnceLock::new();

/// Has `tell` say more of what a thread waits for, for whoever looks at [`green_threads`]. The first one
/// counts. It is called from any thread, and must not wait.
pub fn describe_waits(tell: fn(&Thread) -> Option<String>) {
    let _first_time = DESCRIBE.set(tell);
}

/// Tells of all green threads that have not ended, worker by worker, oldest first.
///
/// A look at threads that go on meanwhile: each line was true at some moment of the call.
///
/// ```
/// use greenway_green::{Awaited, Builder, TaskState, green_threads, sleep};
/// use std::time::Duration;
///
/// let sleeper = Builder::new().name("sleeper").spawn(|| sleep(Duration::MAX));
/// sleep(Duration::from_millis(5));
/// let task = green_threads().into_iter().find(|task| task.name == "sleeper").unwrap();
/// assert_eq!(task.state, TaskState::Waiting(Awaited::Time));
/// sleeper.kill();
/// ```
pub fn green_threads() -> Vec<TaskInfo> {
    let now = Instant::now();
    runtime::workers()
        .iter()
        .flat_map(|worker| tasks_on(worker, now))
        .collect()
}

pub(crate) fn tasks_on(worker: &Worker, now: Instant) -> impl Iterator<Item = TaskInfo> {
    let (_, running) = worker.turn().look();
    alive_on(worker)
        .into_iter()
        .filter_map(move |control| task(&control, running, now))
}

/// `None` for one that has ended meanwhile.
fn task(control: &Arc<Control>, running: *const Thread, now: Instant) -> Option<TaskInfo> {
    let thread = control.thread();
    let (state, since) = match &thread {
        None if control.has_ended() => return None,
        None => (TaskState::Starting, Duration::ZERO),
        Some(thread) if Arc::as_ptr(thread) == running => (TaskState::Running, Duration::ZERO),
        Some(thread) => match thread.waiting_for() {
            Some((what, since)) if !thread.is_woken() => (TaskState::Waiting(what), since),
            _ => (TaskState::Ready, Duration::ZERO),
        },
    };
    let about = match (&thread, state) {
        (Some(thread), TaskState::Waiting(_)) => DESCRIBE.get().and_then(|tell| tell(thread)),
        _ => None,
    };
    let context = thread.as_ref().and_then(|thread| thread.context());
    Some(TaskInfo {
        number: control.number(),
        name: control.name().into_owned(),
        worker: control.home().index(),
        parent: control.parent(),
        age: now.saturating_duration_since(control.born()),
        state,
        about,
        since,
        serving: context.map(|context| context.request_info()),
    })
}

impl fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            number,
            name,
            worker,
            age,
            state,
            ..
        } = self;
        write!(f, "#{number} {name:?} on worker {worker}, {age:.1?} old")?;
        if let Some(parent) = self.parent {
            write!(f, ", of #{parent}")?;
        }
        write!(f, ": {state}")?;
        if let Some(about) = &self.about {
            write!(f, " {about}")?;
        }
        if matches!(state, TaskState::Waiting(_)) {
            write!(f, " for {:.1?}", self.since)?;
        }
        match &self.serving {
            Some(serving) => write!(f, "; {serving}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("about to begin"),
            Self::Running => f.write_str("running"),
            Self::Ready => f.write_str("about to go on"),
            Self::Waiting(what) => write!(f, "{what}"),
        }
    }
}
