//! Many long polls that wait for one thing: they are told all at once, and they leave
//! all at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Cell;
use crate::load::{self, Moment, Plan};
use crate::probe;
use crate::results::{Metric, Sample};
use crate::stop::stopped;

/// How long all handlers may take to be waiting, and all to be gone.
const LIMIT: Duration = Duration::from_secs(5);
/// How long a single question may take while thousands of others are served.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn run(cell: &Cell<'_>, clients: usize) -> Result<Sample, String> {
    let (all_answered, answered, resident) = publish(cell, clients)?;
    let (unwound, remaining) = depart(cell, clients)?;
    let mut sample = BTreeMap::from([
        (Metric::Lost, clients.saturating_sub(answered) as f64),
        (Metric::Resident, resident),
        (Metric::Remaining, remaining as f64),
    ]);
    // Times are told only of what came to its end.
    if answered >= clients {
        sample.insert(Metric::AllAnswered, all_answered.as_secs_f64() * 1e3);
    }
    if let Some(unwound) = unwound {
        sample.insert(Metric::Unwound, unwound.as_secs_f64() * 1e3);
    }
    Ok(sample)
}

/// One publish: how long until the last answer, how many came, and the resident size
/// before.
fn publish(cell: &Cell<'_>, clients: usize) -> Result<(Duration, usize, f64), String> {
    let mut job = cell.job(Plan::Park, vec![probe::request("/poll", &[])]);
    job.warmup = Duration::ZERO;
    // Ten times what the slowest server here needs.
    job.window = Duration::from_millis(300) + Duration::from_micros(100) * clients as u32;
    let (mut resident, mut published) = (Err("never held".to_owned()), 0);
    let outcome = load::run(&job, &stopped, &mut |moment| {
        if moment != Moment::Start {
            return;
        }
        resident = all_wait(cell, clients)
            .and_then(|()| cell.resident())
            .and_then(|resident| {
                published = load::now();
                ask(cell, "/publish").map(|_| resident)
            });
    })
    .map_err(|error| error.to_string())?;
    let resident = resident?;
    if outcome.refused > 0 {
        return Err(format!("{} answers were not 2xx", outcome.refused));
    }
    let took = Duration::from_nanos(outcome.last_answer.saturating_sub(published));
    Ok((took, outcome.completed as usize, resident))
}

/// All clients leave at once: how long until no handler waits, and how many still did
/// when we gave up.
fn depart(cell: &Cell<'_>, clients: usize) -> Result<(Option<Duration>, usize), String> {
    let mut job = cell.job(Plan::Park, vec![probe::request("/poll", &[])]);
    job.warmup = Duration::ZERO;
    job.window = Duration::from_millis(20);
    let (mut waiting, mut left) = (Ok(()), Instant::now());
    load::run(&job, &stopped, &mut |moment| match moment {
        Moment::Start => waiting = all_wait(cell, clients),
        Moment::Middle => {}
        // The clients begin to close after this, so their own time to close counts, too.
        Moment::End => left = Instant::now(),
    })
    .map_err(|error| error.to_string())?;
    waiting?;
    loop {
        let remaining = count(cell, "/waiting")?;
        let elapsed = left.elapsed();
        if remaining == 0 {
            return Ok((Some(elapsed), 0));
        }
        if elapsed > LIMIT || stopped() {
            return Ok((None, remaining));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until that many handlers wait: a connection that was taken is not yet one.
fn all_wait(cell: &Cell<'_>, clients: usize) -> Result<(), String> {
    await_count(cell, "/waiting", clients)
}

/// Waits until a count of the server has come to so many.
pub(super) fn await_count(cell: &Cell<'_>, target: &str, wanted: usize) -> Result<(), String> {
    let started = Instant::now();
    loop {
        let there = count(cell, target)?;
        if there >= wanted {
            return Ok(());
        }
        if started.elapsed() > LIMIT || stopped() {
            return Err(format!("only {there} of {wanted} handlers wait"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn count(cell: &Cell<'_>, target: &str) -> Result<usize, String> {
    let body = ask(cell, target)?;
    let number = std::str::from_utf8(&body).ok();
    number
        .and_then(|number| number.trim().parse().ok())
        .ok_or_else(|| format!("{target} gave no number"))
}

pub(super) fn ask(cell: &Cell<'_>, target: &str) -> Result<Vec<u8>, String> {
    match probe::get(cell.server.address, target, PATIENCE) {
        Ok(answer) if answer.status == 200 => Ok(answer.body),
        Ok(answer) => Err(format!("{target} gave {}", answer.status)),
        Err(error) => Err(format!("{target} gave no answer: {error}")),
    }
}
