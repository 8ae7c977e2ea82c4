//! [`Blocked`]: the report of a green thread that holds up its worker, and the hook that decides about it.

use super::snapshot;
use super::trace::names;
use crate::logging::Count;
use crate::logging::RateLimit;
use crate::logging::{Frames, is_of_application};
use crate::scheduler::control::alive_on;
use crate::scheduler::lock::lock;
use crate::scheduler::task_context::{RequestInfo, kind_of};
use crate::scheduler::thread::Thread;
use crate::scheduler::worker::Worker;
use std::cell::OnceCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A kind of green threads is reported once in this time.
const QUIET: Duration = Duration::from_secs(60);
/// The most reports of all kinds together in that time.
const MOST: usize = 20;
/// Frames that are shown.
const MOST_FRAMES: usize = 40;

/// A green thread that has not come to a wait for longer than `max_blocking_time`, and thereby
/// holds up all others of its worker. Shown, it is what is logged.
pub struct Blocked {
    name: String,
    number: u64,
    worker: &'static Worker,
    turn: u64,
    duration: Duration,
    serving: Option<RequestInfo>,
    stack: OnceCell<Vec<String>>,
    /// Times that its like was not reported since the last report.
    unsaid: u64,
}

impl Blocked {
    /// The green thread's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The green thread's number, as [`TaskInfo::number`](crate::TaskInfo::number).
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The number of its worker.
    pub fn worker(&self) -> usize {
        self.worker.index()
    }

    /// For how long it has been seen not to wait, so far.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Whom it serves, if it is a connection of a server.
    pub fn serving(&self) -> Option<&RequestInfo> {
        self.serving.as_ref()
    }

    /// Its stack, the innermost function first; empty when it has come to a wait meanwhile. Taken
    /// at the first call. What is logged of it are the application's functions, unless
    /// `RUST_BACKTRACE` is `full`.
    pub fn stack(&self) -> &[String] {
        self.stack.get_or_init(|| {
            let frames = snapshot::ask(self.worker, self.turn);
            frames.map_or_else(Vec::new, |frames| names(&frames))
        })
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, number, worker) = (&self.name, self.number, self.worker.index());
        let duration = self.duration;
        write!(
            f,
            "green thread {name:?} (#{number}) has held up worker {worker} for {duration:.1?}"
        )?;
        if let Some(serving) = &self.serving {
            write!(f, ", {serving}")?;
        }
        if self.unsaid > 0 {
            let times = Count(self.unsaid, "time");
            write!(f, " (and {times} more since the last report)")?;
        }
        f.write_str(
            ". Give way with green::yield_now(), or hand what blocks or computes to an OS thread \
             with green::unblock().",
        )?;
        let stack = self.stack();
        let shown = match Frames::wanted() {
            Frames::Everything => stack.iter().collect(),
            Frames::Nothing | Frames::Application => telling(stack),
        };
        for (place, frame) in shown.iter().take(MOST_FRAMES).enumerate() {
            write!(f, "\n  {place:>3}: {frame}")?;
        }
        if shown.len() > MOST_FRAMES {
            write!(f, "\n       and {} more", shown.len() - MOST_FRAMES)?;
        }
        if stack.is_empty() {
            f.write_str("\n  (no stack: it has just come back, or is in a call of the kernel)")?;
        }
        Ok(())
    }
}

/// The frames that say whose mistake it is: those of the application, and what the innermost of them
/// has called, such as std's `sleep`. All of them where none is the application's.
fn telling(stack: &[String]) -> Vec<&String> {
    let Some(innermost) = stack.iter().position(|frame| is_of_application(frame)) else {
        return stack.iter().collect();
    };
    let called = innermost.checked_sub(1).map(|at| &stack[at]);
    let own = stack[innermost..].iter();
    called
        .into_iter()
        .chain(own.filter(|frame| is_of_application(frame)))
        .collect()
}

impl fmt::Debug for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocked")
            .field("name", &self.name)
            .field("number", &self.number)
            .field("worker", &self.worker)
            .field("duration", &self.duration)
            .field("serving", &self.serving)
            .finish_non_exhaustive()
    }
}

type Hook = Arc<dyn Fn(&Blocked) -> bool + Send + Sync>;

static HOOK: Mutex<Option<Hook>> = Mutex::new(None);

/// Lets `hook` decide about each report of a green thread that holds up its worker: it is logged
/// if the hook returns true. There is one hook; a later one takes the place of an earlier one.
///
/// It is called on the monitor's thread, for every time that a green thread exceeds the bound and
/// again whenever that time has become ten times as long; what is logged is limited to one report a minute for each
/// route or name. The stack is only taken if the hook asks for it or the report is logged. While
/// the hook runs nobody is watched.
///
/// ```
/// use greenway_green::on_blocked;
/// use std::time::Duration;
///
/// // The nightly report may take its time.
/// on_blocked(|blocked| blocked.name() != "nightly" || blocked.duration() > Duration::from_secs(60));
/// # on_blocked(|_| true);
/// ```
pub fn on_blocked(hook: impl Fn(&Blocked) -> bool + Send + Sync + 'static) {
    let mut present = lock(&HOOK);
    let former = present.replace(Arc::new(hook));
    drop(present);
    drop(former); // not under the lock: it is the user's code
}

/// Writes the reports.
#[derive(Debug)]
pub(crate) struct Reporter {
    limit: RateLimit,
}

impl Reporter {
    pub(crate) fn new() -> Self {
        Self {
            limit: RateLimit::new(QUIET, 1, MOST),
        }
    }

    pub(crate) fn report(
        &mut self,
        worker: &'static Worker,
        turn: u64,
        running: *const Thread,
        held: Duration,
        reports: u32,
    ) {
        let found = alive_on(worker).into_iter().find_map(|control| {
            let thread = control.thread()?;
            std::ptr::eq(Arc::as_ptr(&thread), running).then_some((control, thread))
        });
        let Some((control, thread)) = found else {
            return; // it has just ended
        };
        let context = thread.context();
        let mut blocked = Blocked {
            name: control.name().into_owned(),
            number: control.number(),
            worker,
            turn,
            duration: held,
            serving: context.map(|context| context.request_info()),
            stack: OnceCell::new(),
            unsaid: 0,
        };
        let hook = lock(&HOOK).clone();
        if let Some(hook) = hook {
            // Unwind safety: nothing of ours is changed by it. The panic was printed.
            let wanted = catch_unwind(AssertUnwindSafe(|| hook(&blocked)));
            if !wanted.unwrap_or(true) {
                return;
            }
        }
        let kind = kind_of(blocked.serving.as_ref(), &blocked.name);
        // Those that go on are another kind than those that have just exceeded the bound.
        let kind = format!("{kind} {reports}");
        if let Some(unsaid) = self.limit.admit(&kind, Instant::now()) {
            blocked.unsaid = unsaid;
            log::warn!("{blocked}");
        }
    }

    pub(crate) fn back(&mut self, worker: &Worker, held: Duration) {
        let index = worker.index();
        log::debug!("worker {index} goes on, after it was held up for {held:.1?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_the_applications_and_what_it_has_called() {
        let stack = [
            "clock_nanosleep",
            "std::thread::sleep at /rustc/thread.rs:1",
            "shop::report at src/report.rs:31",
            "<F as core::ops::function::Fn<A>>::call",
            "greenway_app::web::middleware::answer",
            "shop::main::{{closure}} at src/main.rs:7",
            "greenway::connection::call",
        ]
        .map(str::to_owned);
        let shown = |places: &[usize]| places.iter().map(|&at| &stack[at]).collect::<Vec<_>>();
        assert_eq!(telling(&stack), shown(&[1, 2, 5]));
        assert_eq!(telling(&stack[2..]), shown(&[2, 5]));
        assert_eq!(
            telling(&stack[3..5]),
            shown(&[3, 4]),
            "none is the application's"
        );
    }
}
