//! The list of all green threads as a text that stays of use when there are ten thousand.

use crate::logging::Count;
use crate::observe::task_dump::{TaskInfo, TaskState, tasks_on};
use crate::runtime;
use crate::scheduler::stack::{StackMark, stack_marks};
use crate::scheduler::task_context::kind_of;
use crate::scheduler::thread::{OsThreadInfo, serving_os_threads};
use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

/// Groups that are shown, and OS threads.
const MOST_LINES: usize = 60;

/// What all green threads of the process do: gevent's `print_run_info` as a value. Shown, it is a
/// text in which threads that do the same are one line; with `{:#}` each has one of its own.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunInfo {
    /// All workers.
    pub workers: Vec<WorkerInfo>,
    /// All green threads, as [`green_threads`](crate::green_threads) tells of them.
    pub threads: Vec<TaskInfo>,
    os_threads: Vec<OsThreadInfo>,
    stacks: Vec<StackMark>,
}

/// A worker at the moment of a [`run_info`] call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerInfo {
    /// Its number.
    pub index: usize,
    /// How long one green thread has been holding it up, if the monitor has noticed one.
    pub held_up: Option<Duration>,
    /// Times that it has been held up for longer than `max_blocking_time`.
    pub times_held_up: u64,
}

/// Tells what all green threads do, and how the workers are.
///
/// ```
/// use greenway_green::run_info;
///
/// println!("{}", run_info());
/// ```
pub fn run_info() -> RunInfo {
    let now = Instant::now();
    let mut info = RunInfo {
        workers: Vec::new(),
        threads: Vec::new(),
        os_threads: serving_os_threads(),
        stacks: stack_marks(),
    };
    for worker in runtime::workers() {
        let held = worker.held();
        info.workers.push(WorkerInfo {
            index: worker.index(),
            held_up: held.now(),
            times_held_up: held.times(),
        });
        info.threads.extend(tasks_on(worker, now));
    }
    info
}

impl fmt::Display for RunInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads = Count(self.threads.len(), "green thread");
        let workers = Count(self.workers.len(), "worker");
        writeln!(f, "{threads} on {workers}")?;
        for worker in &self.workers {
            self.worker(worker, f)?;
        }
        if f.alternate() {
            for task in &self.threads {
                writeln!(f, "{task}")?;
            }
        } else {
            self.groups(f)?;
        }
        if !self.os_threads.is_empty() {
            writeln!(f, "\nOS threads that serve")?;
        }
        for thread in self.os_threads.iter().take(MOST_LINES) {
            writeln!(f, "{thread}")?;
        }
        if !self.stacks.is_empty() {
            let size = runtime::config().stack_size / 1024;
            writeln!(f, "\nStacks, by the most that was used of {size} KiB")?;
        }
        for mark in self.stacks.iter().take(MOST_LINES) {
            writeln!(f, "{mark}")?;
        }
        Ok(())
    }
}

impl RunInfo {
    fn worker(&self, worker: &WorkerInfo, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = worker.index;
        let here = || self.threads.iter().filter(|task| task.worker == index);
        let threads = Count(here().count(), "green thread");
        write!(f, "worker {index}: {threads}")?;
        if worker.times_held_up > 0 {
            let times = Count(worker.times_held_up, "time");
            write!(f, ", was held up {times}")?;
        }
        if let Some(held) = worker.held_up {
            write!(f, ", IS HELD UP for {held:.1?}")?;
            if let Some(by) = here().find(|task| task.state == TaskState::Running) {
                write!(f, " by {by}")?;
            }
        }
        writeln!(f)
    }

    fn groups(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups: HashMap<(String, TaskState), (usize, Duration)> = HashMap::new();
        for task in &self.threads {
            let (count, longest) = groups
                .entry((kind_of(task.serving.as_ref(), &task.name), task.state))
                .or_default();
            *count += 1;
            *longest = (*longest).max(task.since);
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by(|((a, _), (many, _)), ((b, _), (few, _))| few.cmp(many).then(a.cmp(b)));
        writeln!(f, "\n{:>8} {:>9}  who: what", "count", "longest")?;
        for ((who, state), (count, longest)) in groups.iter().take(MOST_LINES) {
            let longest = format!("{longest:.1?}");
            writeln!(f, "{count:>8} {longest:>9}  {who}: {state}")?;
        }
        if let Some(rest) = groups.get(MOST_LINES..).filter(|rest| !rest.is_empty()) {
            let count: usize = rest.iter().map(|(_, (count, _))| count).sum();
            writeln!(f, "{count:>8} {:>9}  others, of {} kinds", "", rest.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Awaited, RequestInfo};

    fn task(number: u64, name: &str, state: TaskState, serving: Option<RequestInfo>) -> TaskInfo {
        TaskInfo {
            number,
            name: name.into(),
            worker: 0,
            parent: None,
            age: Duration::from_secs(number),
            state,
            about: None,
            since: Duration::from_millis(number),
            serving,
        }
    }

    #[test]
    fn ten_thousand_threads_are_a_few_lines() {
        let serving = |request: &str| {
            Some(RequestInfo {
                state: "busy",
                peer: None,
                request: Some(request.into()),
                route: Some("/poll/<n>".into()),
            })
        };
        let event = TaskState::Waiting(Awaited::Event);
        let mut threads = Vec::new();
        for number in 0..9_000 {
            let request = format!("GET /poll/{number} HTTP/1.1");
            threads.push(task(
                number,
                &format!("green-{number}"),
                event,
                serving(&request),
            ));
        }
        for number in 9_000..10_000 {
            let state = TaskState::Waiting(Awaited::Time);
            threads.push(task(number, &format!("green-{number}"), state, None));
        }
        for number in 10_000..10_100 {
            threads.push(task(
                number,
                &format!("other {number}"),
                TaskState::Ready,
                None,
            ));
        }
        threads.push(task(20_000, "hog", TaskState::Running, None));
        let info = RunInfo {
            workers: vec![WorkerInfo {
                index: 0,
                held_up: Some(Duration::from_millis(1500)),
                times_held_up: 3,
            }],
            threads,
            os_threads: Vec::new(),
            stacks: Vec::new(),
        };
        let text = info.to_string();
        let has = |line: &str| assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        has("10101 green threads on 1 worker");
        has(
            "worker 0: 10101 green threads, was held up 3 times, IS HELD UP for 1.5s by #20000 \
             \"hog\" on worker 0, 20000.0s old: running",
        );
        has("    9000      9.0s  GET /poll/<n>: event");
        has("    1000     10.0s  (no name): sleep");
        has("      43            others, of 43 kinds");
        assert!(text.lines().count() < 70);
        assert_eq!(format!("{info:#}").lines().count(), 10_101 + 2);
    }
}
