//! What is everyone doing? A list of all green threads.

use super::control::{Control, alive_on};
use super::spawn::spawn_on;
use super::wait::{Waitable, wait};
use super::worker;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a worker has time to say what its green threads do.
const PATIENCE: Duration = Duration::from_secs(1);

/// A green thread at the moment of a [`green_threads`] call. Shown, it is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sight {
    /// No other green thread of the process has or has had it.
    pub number: u64,
    /// As [`Greenlet::name`](super::Greenlet::name).
    pub name: String,
    /// The number of its worker.
    pub worker: usize,
    /// The time since it was spawned.
    pub age: Duration,
    /// What it does.
    pub doing: Doing,
}

/// What a green thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doing {
    /// It has not begun.
    Starting,
    /// It could run, and does when its turn comes.
    Running,
    /// It waits: for a time, or for another thread.
    Waiting,
    /// It waits for a socket.
    WaitingForIo,
    /// Its worker did not answer: some green thread there does not come to a wait, and this one
    /// may be it.
    Unknown,
}

/// Tells of all green threads that have not ended, worker by worker, oldest first.
///
/// Each worker is asked, since only it can say what its threads do. One that does not answer
/// within a second is held up by one of its threads, and their doing is [`Doing::Unknown`].
///
/// ```
/// use greenway::green::{Builder, Doing, green_threads, sleep};
/// use std::time::Duration;
///
/// let sleeper = Builder::new().name("sleeper").spawn(|| sleep(Duration::MAX));
/// sleep(Duration::from_millis(5));
/// let sight = green_threads().into_iter().find(|sight| sight.name == "sleeper").unwrap();
/// assert_eq!(sight.doing, Doing::Waiting);
/// sleeper.kill();
/// ```
pub fn green_threads() -> Vec<Sight> {
    let now = Instant::now();
    let asked: Vec<_> = worker::workers()
        .iter()
        .map(|&worker| {
            let present = alive_on(worker);
            let look = present.clone();
            let answer = spawn_on(worker, move || {
                look.iter()
                    .map(|control| doing(control))
                    .collect::<Vec<_>>()
            });
            (present, answer)
        })
        .collect();
    let answers: Vec<&dyn Waitable> = asked.iter().map(|(_, answer)| answer as _).collect();
    wait(&answers, Some(PATIENCE), None);
    let mut sights = Vec::new();
    for (present, answer) in asked {
        answer.kill(); // of no use when it comes later
        let doing = match answer.join_timeout(Duration::ZERO) {
            Some(Ok(doing)) => doing,
            _ => vec![Some(Doing::Unknown); present.len()],
        };
        for (control, doing) in present.iter().zip(doing) {
            sights.extend(doing.map(|doing| sight(control, now, doing)));
        }
    }
    sights
}

fn sight(control: &Arc<Control>, now: Instant, doing: Doing) -> Sight {
    Sight {
        number: control.number(),
        name: control.name().into_owned(),
        worker: control.home().index(),
        age: now.saturating_duration_since(control.born()),
        doing,
    }
}

/// Runs on the home worker; `None` for one that has ended meanwhile.
fn doing(control: &Control) -> Option<Doing> {
    match control.thread() {
        Some(thread) => Some(match thread.blocked() {
            None => Doing::Running,
            Some(false) => Doing::Waiting,
            Some(true) => Doing::WaitingForIo,
        }),
        None if control.has_ended() => None,
        None => Some(Doing::Starting),
    }
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            number,
            name,
            worker,
            age,
            doing,
        } = self;
        write!(
            f,
            "#{number} {name:?} on worker {worker}, {age:.1?} old: {doing}"
        )
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "about to begin",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::WaitingForIo => "waiting for a socket",
            Self::Unknown => "unknown, its worker is held up",
        })
    }
}
