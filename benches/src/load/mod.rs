//! The load generator: what `wrk` cannot do, and a report on itself.
//!
//! It exists because a benchmark of parked handlers needs 10,000 connections, honest
//! latency needs a fixed rate, and both need a generator that says when *it* was the
//! bottleneck. What must stay true:
//!
//! * Requests are counted by counters that only grow. Whoever measures reads them at
//!   the two ends of the window, at the same moments as the server's CPU time, so that
//!   the quotient is about the same requests.
//! * An open loop takes the latency from the moment a request was *due*, not from the
//!   moment it could be sent. Requests that are never answered stay in the histogram
//!   with the time that they have waited ("coordinated omission" is the name of
//!   leaving them out).
//! * Every loop ends: connections, errors, set-up time, window and drain are bounded.
//! * Traffic goes to 127.0.0.0/8 and nowhere else.
//!
//! # Implementation
//!
//! Each generator thread runs one epoll loop (`driver`) over its share of the
//! connections and shares with the thread that started it nothing but a `Lane` of
//! counters and the `Shared` phase. No thread waits for another.

mod connect;
mod connection;
pub mod crowd;
mod driver;
mod frames;
mod lane;
mod reply;
pub mod ticks;
mod timing;
pub mod upload;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use hdrhistogram::Histogram;

pub use connect::raise_descriptor_limit;
pub use frames::frame;
pub(crate) use lane::now;
use lane::{Lane, Phase, Shared};

/// Largest number of connections that one job may ask for.
pub const MAX_CONNECTIONS: usize = 200_000;

/// What each connection does.
#[derive(Debug, Clone)]
pub enum Plan {
    /// The next request goes out when the previous answer is complete.
    Closed {
        /// Requests that are written at once; all are answered before the next batch.
        pipeline: usize,
        /// The client closes and opens a new connection after that many requests.
        per_connection: Option<NonZeroU32>,
    },
    /// Clients that wait for a while between an answer and their next request; a request
    /// is due when its client's pause is over.
    Think {
        /// Shortest pause.
        least: Duration,
        /// Longest pause.
        most: Duration,
    },
    /// Requests are due at fixed times whether or not earlier ones were answered.
    Open {
        /// Requests per second over all connections.
        rate: f64,
    },
    /// Each connection sends one request, takes the answer and stays open.
    Idle,
    /// Each connection sends one request whose answer will not come for a while.
    Park,
    /// Each WebSocket takes the messages that come, which tell when they were sent: latencies
    /// are from then. Needs [`Job::upgrade`].
    Listen,
}

/// One piece of work for the generator.
#[derive(Debug, Clone)]
pub struct Job {
    /// The server; must be in 127.0.0.0/8.
    pub target: SocketAddr,
    /// What each connection does.
    pub plan: Plan,
    /// The requests, head and body, as they go on the wire; each connection sends one
    /// after the other, and the connections begin at different ones.
    pub requests: Vec<Vec<u8>>,
    /// The request that makes a WebSocket of each connection: `requests` are frames then
    /// ([`frame`]), and answers are messages.
    pub upgrade: Option<Vec<u8>>,
    /// Connections held open at once (at most [`MAX_CONNECTIONS`]).
    pub connections: usize,
    /// Generator threads.
    pub threads: usize,
    /// Cores the threads are pinned to, one after the other; empty leaves them alone.
    pub cores: Vec<usize>,
    /// Time for all connections to be open (and, for [`Plan::Idle`], answered).
    pub setup_limit: Duration,
    /// Time over which the connections are opened, evenly; zero opens them as fast as
    /// the server takes them. Clients that wait equally long would otherwise move in
    /// step, and a window would count one wave more or less.
    pub ramp: Duration,
    /// Load before the window opens.
    pub warmup: Duration,
    /// What is counted. [`Plan::Idle`] and [`Plan::Park`] hold for this time.
    pub window: Duration,
}

/// The moments at which the caller may look at the server from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The window opens now; for a plan that holds: all connections are held.
    Start,
    /// Half of the window is over.
    Middle,
    /// The window has closed.
    End,
}

/// What a job brought. Times are in nanoseconds.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Length of the window as it was.
    pub window: Duration,
    /// Answers completed within the window, whatever their status.
    pub completed: u64,
    /// Answers in the window with a status other than 2xx.
    pub refused: u64,
    /// Connections that broke or could not be opened, set-up included.
    pub errors: u64,
    /// The last of those errors.
    pub last_error: Option<String>,
    /// Latencies: from being due (open loop) or sent (closed loop) to the last byte.
    pub latency: Histogram<u64>,
    /// Open loop: requests due in the window that were never answered. They are in
    /// `latency` with the time that they had waited when the job ended.
    pub unanswered: u64,
    /// Closed loop: connections whose request waited through the whole window.
    pub starved: u64,
    /// CPU seconds per second of the busiest generator thread: near 1 means that the
    /// generator, and not the server, set the figure.
    pub generator_busy: f64,
    /// CPU time of all generator threads within the window.
    pub generator_cpu: Duration,
    /// When the last answer came, by the generator's clock; 0 if none did.
    pub(crate) last_answer: u64,
    /// Connections open when the window closed.
    pub open: usize,
}

impl Outcome {
    /// Answers per second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.completed as f64 / self.window.as_secs_f64()
    }

    /// Whether the generator had too little idle time to be trusted as the asker.
    #[must_use]
    pub fn saturated(&self) -> bool {
        self.generator_busy > 0.95
    }
}

/// Why a job could not be run.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The job asks for what the generator refuses; the caller must change it.
    Refused(String),
    /// The server did not take, or answer, all connections in time.
    NotReady(String),
    /// The machine refused a system call of the generator itself.
    Io(io::Error),
    /// The caller was told to stop (a signal).
    Stopped,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "the generator refuses the job: {why}"),
            Self::NotReady(why) => write!(f, "{why}"),
            Self::Io(error) => write!(f, "the generator failed: {error}"),
            Self::Stopped => write!(f, "stopped by a signal"),
        }
    }
}

impl std::error::Error for LoadError {}

impl From<io::Error> for LoadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Runs a job and calls `observe` on this thread at each [`Moment`].
///
/// `stop` is polled; when it says `true` the job ends within milliseconds.
///
/// # Errors
/// See [`LoadError`]. Broken connections during the window are no error but counted.
pub fn run(
    job: &Job,
    stop: &dyn Fn() -> bool,
    observe: &mut dyn FnMut(Moment),
) -> Result<Outcome, LoadError> {
    check(job)?;
    let shared = Shared::default();
    let lanes: Vec<Lane> = (0..job.threads).map(|_| Lane::default()).collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = lanes
            .iter()
            .enumerate()
            .map(|(index, lane)| {
                let shared = &shared;
                scope.spawn(move || driver::drive(job, index, lane, shared))
            })
            .collect();
        let measured = measure(job, &lanes, &shared, stop, observe);
        // Whatever happened above, this is what lets the scope end.
        shared.set_phase(if measured.is_ok() {
            Phase::Drain
        } else {
            Phase::Quit
        });
        let mut latency = empty_histogram();
        let (mut unanswered, mut starved, mut open, mut last_error) = (0, 0, 0, None);
        for thread in threads {
            let part = thread
                .join()
                .map_err(|_| io::Error::other("a generator thread panicked"))??;
            latency.add(&part.latency).map_err(io::Error::other)?;
            unanswered += part.unanswered;
            starved += part.starved;
            open += part.open;
            last_error = last_error.or(part.last_error);
        }
        let measured = measured.map_err(|error| match (error, &last_error) {
            (LoadError::NotReady(why), Some(last)) => {
                LoadError::NotReady(format!("{why}; last error: {last}"))
            }
            (error, _) => error,
        })?;
        Ok(Outcome {
            window: measured.window,
            completed: measured.completed,
            refused: measured.refused,
            errors: lanes.iter().map(|lane| lane.errors.get()).sum(),
            last_error,
            latency,
            unanswered,
            starved,
            generator_busy: measured.busiest,
            generator_cpu: measured.cpu,
            last_answer: lanes.iter().map(|lane| lane.last.get()).max().unwrap_or(0),
            open,
        })
    })
}

fn check(job: &Job) -> Result<(), LoadError> {
    let refuse = |why: &str| Err(LoadError::Refused(why.to_owned()));
    if !job.target.ip().is_loopback() || !job.target.is_ipv4() {
        return refuse("the target is not in 127.0.0.0/8");
    }
    if job.connections == 0 || job.connections > MAX_CONNECTIONS {
        return refuse("the number of connections is out of bounds");
    }
    if job.threads == 0 || job.threads > job.connections {
        return refuse("there are more threads than connections, or none");
    }
    if job.requests.is_empty() || job.requests.iter().any(Vec::is_empty) {
        return refuse("there is no request, or one without a byte");
    }
    match job.plan {
        Plan::Think { least, most } if least > most || most > Duration::from_secs(60) => {
            refuse("the pauses are out of bounds")
        }
        Plan::Closed { pipeline, .. } if pipeline == 0 || pipeline > 1024 => {
            refuse("the pipeline depth is out of bounds")
        }
        Plan::Open { rate } if !(1.0..=10_000_000.0).contains(&rate) => {
            refuse("the rate is out of bounds")
        }
        Plan::Listen if job.upgrade.is_none() => refuse("nobody speaks without an upgrade"),
        _ => Ok(()),
    }
}

/// What the counters said between the two ends of the window.
struct Measured {
    window: Duration,
    completed: u64,
    refused: u64,
    busiest: f64,
    cpu: Duration,
}

fn measure(
    job: &Job,
    lanes: &[Lane],
    shared: &Shared,
    stop: &dyn Fn() -> bool,
    observe: &mut dyn FnMut(Moment),
) -> Result<Measured, LoadError> {
    let sum = |read: fn(&Lane) -> u64| lanes.iter().map(read).sum::<u64>();
    let deadline = now() + nanos(job.ramp) + nanos(job.setup_limit);
    loop {
        let ready = sum(|lane| lane.ready.get());
        if ready >= job.connections as u64 {
            break;
        }
        let failed = lanes.iter().any(|lane| lane.over.get() > 0);
        if now() > deadline || failed {
            let verb = if matches!(job.plan, Plan::Idle) || job.upgrade.is_some() {
                "answered"
            } else {
                "taken"
            };
            return Err(LoadError::NotReady(format!(
                "only {ready} of {} connections were {verb} within {:.0} s",
                job.connections,
                (job.ramp + job.setup_limit).as_secs_f64()
            )));
        }
        pause(now() + 2_000_000, stop)?;
    }
    pause(now() + nanos(job.warmup), stop)?;

    let busy_before: Vec<u64> = lanes.iter().map(|lane| lane.cpu.get()).collect();
    let (completed, refused) = (
        sum(|lane| lane.completed.get()),
        sum(|lane| lane.refused.get()),
    );
    observe(Moment::Start);
    let from = now();
    let end = from + nanos(job.window);
    shared.set_window(from, end);
    pause(from + nanos(job.window) / 2, stop)?;
    observe(Moment::Middle);
    pause(end, stop)?;
    let to = now();
    let completed = sum(|lane| lane.completed.get()) - completed;
    observe(Moment::End);
    let refused = sum(|lane| lane.refused.get()) - refused;
    let used = lanes
        .iter()
        .zip(busy_before)
        .map(|(lane, before)| lane.cpu.get() - before);
    let used: Vec<u64> = used.collect();
    let busiest = used.iter().copied().max().unwrap_or_default();
    Ok(Measured {
        window: Duration::from_nanos(to - from),
        completed,
        refused,
        busiest: busiest as f64 / (to - from).max(1) as f64,
        cpu: Duration::from_nanos(used.iter().sum()),
    })
}

/// Sleeps until `deadline` in steps short enough that a signal is noticed.
fn pause(deadline: u64, stop: &dyn Fn() -> bool) -> Result<(), LoadError> {
    loop {
        if stop() {
            return Err(LoadError::Stopped);
        }
        let left = deadline.saturating_sub(now());
        if left == 0 {
            return Ok(());
        }
        std::thread::sleep(Duration::from_nanos(left.min(50_000_000)));
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4)
}

/// Three significant digits up to ten minutes: 0.1 % error, about 200 KiB.
fn empty_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000_000, 3)
        // The three numbers are constants inside the documented bounds.
        .expect("constant histogram bounds are valid")
}

#[cfg(test)]
mod tests;
