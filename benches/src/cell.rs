//! One cell: one scenario, one contender, one round. A fresh process, a warm-up, a
//! measurement, and figures or the reason why there are none.

mod first_byte;
mod hog;
mod publish;
mod requests;
mod room;
mod slow;
mod upload;
mod wrk;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use crate::contender::Contender;
use crate::load::crowd::Form;
use crate::load::{self, Job, Moment, Outcome, Plan};
use crate::machine::Cores;
use crate::probe;
use crate::programs::Program;
use crate::results::{Metric, Sample};
use crate::scenario::{CLIENTS, DEPTH, Scenario};
use crate::server::{Needs, Server};
use crate::stop::stopped;

/// Longest ramp: opening (and answering) all connections.
const SETUP_LIMIT: Duration = Duration::from_secs(20);
/// Far longer than any hold, shorter than the servers' own bound on a handler's time.
const PARK_MS: u64 = 25_000;
/// Ten ticks of 10 ms: below, CPU time per request is not told.
const LEAST_CPU: Duration = Duration::from_millis(100);
/// Idle connections have been idle for so long when they are counted: servers may give up what
/// they have kept ready for the next request.
const IDLE: Duration = Duration::from_secs(1);
/// How long a server may work on after the last connection is held.
const SETTLE_LIMIT: Duration = Duration::from_secs(3);

/// How long a client of the mixed load thinks.
const THINK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(300));

/// How long the parts of a cell take.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Load before the window.
    pub warmup: Duration,
    /// What is counted.
    pub window: Duration,
    /// Sleep of a long poll; their window is two of it, so that no wave counts twice.
    pub poll: Duration,
    /// What slow clients are allowed: the server's clocks are set to it.
    pub clock: Duration,
}

impl Pace {
    /// Seconds that a cell of this scenario takes, about.
    #[must_use]
    pub fn estimate(&self, scenario: Scenario) -> f64 {
        let ramp = scenario.connections() as f64 / 12_000.0;
        let poll = self.poll.as_secs_f64();
        let clock = self.clock.as_secs_f64();
        match scenario {
            Scenario::StartUp => 0.1,
            Scenario::Slow(Form::Body, _) => 0.4 + ramp + 3.0 * clock,
            Scenario::Slow(..) => 0.4 + ramp + 2.2 * clock,
            Scenario::Publish(_) => 0.6 + 4.0 * ramp,
            Scenario::SocketRoom(_) => 0.5 + 4.0 * ramp + room::window(*self).as_secs_f64(),
            Scenario::Parked(_) => 0.9 + ramp,
            Scenario::Idle(_) => 1.9 + ramp,
            Scenario::SocketIdle(_) => 1.9 + 2.0 * ramp,
            Scenario::LongPoll(_) => 0.2 + 3.5 * poll + ramp,
            // Half a GiB per second, and the wait for a server that has come to rest.
            Scenario::Upload(_, length) => 0.25 + length as f64 / f64::from(512 << 20),
            _ => {
                let windows = f64::from(scenario.windows());
                0.15 + windows * (self.warmup.as_secs_f64() + self.window.as_secs_f64())
            }
        }
    }
}

/// Runs a cell.
///
/// # Errors
/// A sentence that says why there are no figures.
pub fn run(
    scenario: Scenario,
    contender: Contender,
    program: &Program,
    cores: &Cores,
    files: &Path,
    pace: Pace,
    log: &Path,
) -> Result<Sample, String> {
    let needs = Needs {
        clock: matches!(scenario, Scenario::Slow(..)).then_some(pace.clock),
        many_routes: scenario.wants_many_routes(),
    };
    let server = Server::start(contender, &program.path, &cores.server, needs, files, log)?;
    let cell = Cell {
        scenario,
        server: &server,
        cores,
        pace,
    };
    let mut sample = match scenario {
        Scenario::StartUp => cell.start_up(program),
        Scenario::Idle(_) | Scenario::Parked(_) | Scenario::SocketIdle(_) => cell.hold(),
        Scenario::SocketRoom(clients) => room::run(&cell, clients),
        Scenario::FirstByte => first_byte::run(&cell),
        Scenario::Wrk => wrk::run(&cell),
        Scenario::Slow(form, clients) => slow::run(&cell, form, clients),
        Scenario::Publish(clients) => publish::run(&cell, clients),
        Scenario::Upload(store, length) => upload::run(&cell, store, length),
        Scenario::Hog(_) => hog::beside(&cell, || cell.flow()),
        _ => cell.flow(),
    }?;
    // What could not be told is left out.
    sample.retain(|_, value| value.is_finite());
    Ok(sample)
}

struct Cell<'a> {
    scenario: Scenario,
    server: &'a Server,
    cores: &'a Cores,
    pace: Pace,
}

impl Cell<'_> {
    fn job(&self, plan: Plan, requests: Vec<Vec<u8>>) -> Job {
        let connections = self.scenario.connections();
        Job {
            target: self.server.address,
            plan,
            requests,
            upgrade: match self.scenario {
                Scenario::SocketRoom(_) => Some(probe::upgrade("/room")),
                scenario if scenario.upgrades() => Some(probe::upgrade("/ws")),
                _ => None,
            },
            connections,
            threads: self.cores.generator.len().min(connections),
            cores: self.cores.generator.clone(),
            setup_limit: SETUP_LIMIT,
            ramp: Duration::ZERO,
            warmup: self.pace.warmup,
            window: self.pace.window,
        }
    }

    fn start_up(&self, program: &Program) -> Result<Sample, String> {
        let mut sample = BTreeMap::from([
            (Metric::StartUp, self.server.started_in.as_secs_f64() * 1e3),
            (Metric::Resident, self.resident()?),
        ]);
        if let Some(binary) = &program.binary {
            let file = fs::metadata(binary).map_err(|error| format!("no size: {error}"))?;
            sample.insert(Metric::BinarySize, file.len() as f64);
        }
        Ok(sample)
    }

    /// Requests that flow: closed loops, the open loop, and long polls.
    fn flow(&self) -> Result<Sample, String> {
        let closed = |pipeline, per_connection| Plan::Closed {
            pipeline,
            per_connection,
        };
        requests::check(self.scenario, self.server.address)?;
        let plan = match self.scenario {
            Scenario::Pipelined => closed(DEPTH, None),
            Scenario::Churn(n) => closed(1, NonZeroU32::new(n)),
            Scenario::Latency(rate) | Scenario::Hog(rate) => Plan::Open {
                rate: f64::from(rate),
            },
            Scenario::Mixed(_) => Plan::Think {
                least: THINK.0,
                most: THINK.1,
            },
            _ => closed(1, None),
        };
        let mut job = self.job(plan, requests::of(self.scenario, self.pace.poll));
        let polls = matches!(self.scenario, Scenario::LongPoll(_));
        if polls {
            job.ramp = self.pace.poll;
            job.warmup = self.pace.poll / 2;
            job.window = self.pace.poll * 2;
        }
        let pids = self.server.pids();
        let mut machine = None;
        let (mut before, mut after, mut resident) = (Ok(Duration::ZERO), Ok(Duration::ZERO), None);
        let outcome = load::run(&job, &stopped, &mut |moment| match moment {
            Moment::Start => {
                machine = probe::machine_cpu_time().ok();
                before = probe::cpu_time(pids);
            }
            Moment::Middle if polls => resident = Some(probe::resident(pids)),
            Moment::Middle => {}
            Moment::End => {
                after = probe::cpu_time(pids);
                machine = probe::machine_cpu_time()
                    .ok()
                    .zip(machine)
                    .map(|(end, start)| end - start);
            }
        })
        .map_err(|error| error.to_string())?;
        let gone = |error: io::Error| format!("the server is gone: {error}");
        let cpu = after.map_err(gone)?.saturating_sub(before.map_err(gone)?);
        judge(&outcome)?;
        let mut sample = figures(&outcome, cpu);
        if let Some(machine) = machine {
            let others = machine
                .saturating_sub(cpu)
                .saturating_sub(outcome.generator_cpu);
            sample.insert(
                Metric::Others,
                others.as_secs_f64() / outcome.window.as_secs_f64(),
            );
        }
        if let Some(resident) = resident {
            sample.insert(Metric::Resident, resident.map_err(gone)? as f64);
            sample.insert(Metric::Starved, outcome.starved as f64);
        }
        Ok(sample)
    }

    /// Connections that are held: resident bytes before and after, per connection.
    fn hold(&self) -> Result<Sample, String> {
        self.warm_up()?;
        let before = self.resident()?;
        let parked = matches!(self.scenario, Scenario::Parked(_));
        let mut job = if parked {
            let request = probe::request(&format!("/sleep?ms={PARK_MS}"), &[]);
            self.job(Plan::Park, vec![request])
        } else {
            self.job(Plan::Idle, vec![probe::request("/", &[])])
        };
        job.warmup = Duration::ZERO;
        job.window = Duration::from_millis(50);
        let (pids, address) = (self.server.pids(), self.server.address);
        let (mut held, mut alive) = (Err("never held".to_owned()), Ok(()));
        let outcome = load::run(&job, &stopped, &mut |moment| match moment {
            Moment::Start => {
                if !parked {
                    std::thread::sleep(IDLE);
                }
                held = match probe::settle(pids, SETTLE_LIMIT) {
                    Ok(_) => self.resident(),
                    Err(error) => Err(format!("the server is gone: {error}")),
                };
            }
            Moment::Middle => {
                alive = probe::get(address, "/", Duration::from_secs(2)).map(|_| ());
            }
            Moment::End => {}
        })
        .map_err(|error| error.to_string())?;
        alive.map_err(|error| {
            format!(
                "answers nobody else while it holds {} connections: {error}",
                job.connections
            )
        })?;
        if outcome.open < job.connections {
            return Err(format!(
                "kept only {} of {} connections",
                outcome.open, job.connections
            ));
        }
        if parked && outcome.completed > 0 {
            return Err(format!("{} handlers did not sleep", outcome.completed));
        }
        let held = held?;
        Ok(BTreeMap::from([
            (
                Metric::BytesEach,
                (held - before).max(0.0) / job.connections as f64,
            ),
            (Metric::Resident, held),
        ]))
    }

    /// Touches code and lazily made pools, so that they do not count as connections.
    fn warm_up(&self) -> Result<(), String> {
        let plan = Plan::Closed {
            pipeline: 1,
            per_connection: None,
        };
        let mut job = self.job(plan, vec![probe::request("/", &[])]);
        job.upgrade = None;
        // Few enough that what they leave behind is not mistaken for the held ones'.
        job.connections = (job.connections / 50).clamp(1, CLIENTS);
        job.threads = 1;
        job.warmup = Duration::ZERO;
        job.window = Duration::from_millis(100);
        load::run(&job, &stopped, &mut |_| {}).map_err(|error| error.to_string())?;
        probe::settle(self.server.pids(), SETTLE_LIMIT)
            .map_err(|error| format!("the server is gone: {error}"))?;
        Ok(())
    }

    fn resident(&self) -> Result<f64, String> {
        match probe::resident(self.server.pids()) {
            Ok(bytes) => Ok(bytes as f64),
            Err(error) => Err(format!("no resident size: {error}")),
        }
    }
}

/// Refuses what would be a fast wrong answer.
fn judge(outcome: &Outcome) -> Result<(), String> {
    let last = outcome.last_error.as_deref().unwrap_or("unknown");
    if outcome.refused > 0 {
        return Err(format!("{} answers were not 2xx", outcome.refused));
    }
    if outcome.errors * 100 > outcome.completed.max(100) {
        return Err(format!(
            "{} connections broke, the last one: {last}",
            outcome.errors
        ));
    }
    if outcome.completed == 0 {
        return Err("no answer within the window".to_owned());
    }
    Ok(())
}

fn figures(outcome: &Outcome, cpu: Duration) -> Sample {
    let latency = &outcome.latency;
    let at = |quantile| latency.value_at_quantile(quantile) as f64 / 1e3;
    let seconds = cpu.as_secs_f64();
    // A few ticks of the kernel's clock say nothing about a request.
    let told = if cpu < LEAST_CPU { f64::NAN } else { seconds };
    BTreeMap::from([
        (Metric::CpuPerRequest, told * 1e6 / outcome.completed as f64),
        (Metric::PerSecond, outcome.per_second()),
        (Metric::ServerCores, seconds / outcome.window.as_secs_f64()),
        (Metric::GeneratorBusy, outcome.generator_busy),
        (Metric::P50, at(0.5)),
        (Metric::P99, at(0.99)),
        (Metric::P999, at(0.999)),
        (Metric::Max, latency.max() as f64 / 1e3),
        (Metric::Unanswered, outcome.unanswered as f64),
        (Metric::Errors, outcome.errors as f64),
    ])
}
