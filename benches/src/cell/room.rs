//! WebSockets in one room: what each publish costs, and how long until the last member has
//! heard of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::publish::{ask, await_count};
use super::{Cell, Pace, figures, judge};
use crate::load::{self, Moment, Plan};
use crate::probe;
use crate::results::{Metric, Sample};
use crate::scenario::PUBLISHES;
use crate::stop::stopped;

pub(super) fn run(cell: &Cell<'_>, clients: usize) -> Result<Sample, String> {
    // Members send nothing, but the generator wants to know what they would.
    let mut job = cell.job(Plan::Listen, vec![load::frame(b"")]);
    job.warmup = Duration::ZERO;
    job.window = window(cell.pace);
    let pids = cell.server.pids();
    let (started, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let published = AtomicU64::new(0);
    let (mut there, mut before, mut after) = (Ok(()), None, None);
    let mut resident = None;
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            publish(cell, &started, &over, &published);
        });
        let outcome = load::run(&job, &stopped, &mut |moment| match moment {
            Moment::Start => {
                there = await_count(cell, "/room/members", clients);
                resident = probe::resident(pids).ok();
                before = probe::cpu_time(pids).ok();
                started.store(there.is_ok(), Ordering::Relaxed);
            }
            Moment::Middle => {}
            Moment::End => after = probe::cpu_time(pids).ok(),
        });
        over.store(true, Ordering::Relaxed);
        outcome
    });
    let outcome = outcome.map_err(|error| error.to_string())?;
    there?;
    let cpu = after.zip(before).map(|(after, before)| after - before);
    let cpu = cpu.ok_or("the server is gone")?;
    judge(&outcome)?;
    let published = published.load(Ordering::Relaxed);
    if published < u64::from(PUBLISHES) {
        return Err(format!(
            "only {published} of {PUBLISHES} publishes were answered"
        ));
    }
    let mut sample = figures(&outcome, cpu);
    let lost = (published * clients as u64).saturating_sub(outcome.completed);
    sample.insert(Metric::Lost, lost as f64);
    if let Some(resident) = resident {
        sample.insert(Metric::Resident, resident as f64);
    }
    Ok(sample)
}

/// As long as three long polls.
pub(super) fn window(pace: Pace) -> Duration {
    pace.poll * 3
}

/// Publishes at even distances from when the window opens. Nothing is published in its last
/// third, so that the slowest delivery still counts.
fn publish(cell: &Cell<'_>, started: &AtomicBool, over: &AtomicBool, published: &AtomicU64) {
    let ended = || over.load(Ordering::Relaxed) || stopped();
    while !started.load(Ordering::Relaxed) {
        if ended() {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let from = Instant::now();
    for turn in 1..=PUBLISHES {
        let due = window(cell.pace) * 2 / 3 * turn / PUBLISHES;
        std::thread::sleep(due.saturating_sub(from.elapsed()));
        if ended() {
            return;
        }
        if ask(cell, "/room/publish").is_ok() {
            published.fetch_add(1, Ordering::Relaxed);
        }
    }
}
