//! One well-behaved client, alone and then beside thousands of slow ones; and how the
//! server gets rid of those.
//!
//! Two witnesses tell of the end of a slow client. The clients see an answer, a close
//! or a reset. But a slow reader has a backlog to read before it can see that the
//! server has gone, so whether a slot was freed is told by the server's open sockets.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Cell, SETUP_LIMIT, judge};
use crate::load::crowd::{self, CrowdJob, Fates, Form, View};
use crate::load::{self, Outcome, Plan};
use crate::probe;
use crate::results::{Metric, Sample};
use crate::stop::stopped;

/// What a slow client sends at once. The rest, byte by byte, never completes it.
fn opening(form: Form) -> &'static [u8] {
    match form {
        Form::Head => b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ",
        Form::Body => b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n",
        Form::Reader => b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    }
}

pub(super) fn run(cell: &Cell<'_>, form: Form, clients: usize) -> Result<Sample, String> {
    let clock = cell.pace.clock;
    let alone = good_client(cell)?;
    judge(&alone)?;
    let pids = cell.server.pids();
    let gone = |error: std::io::Error| format!("the server is gone: {error}");
    let before = probe::sockets(pids).map_err(gone)?;
    let job = CrowdJob {
        target: cell.server.address,
        form,
        opening: opening(form).to_vec(),
        clients,
        ramp: clock / 3,
        // Several bytes within every clock: none is cut for having said nothing.
        pause: (clock / 8).min(Duration::from_millis(250)),
        limit: SETUP_LIMIT + clock * 4,
        core: cell.cores.generator.last().copied(),
    };
    let view = View::default();
    std::thread::scope(|scope| {
        let crowd = scope.spawn(|| crowd::run(&job, &view, &stopped));
        let measured = beside(cell, &view, clients, before);
        view.leave();
        let fates = crowd
            .join()
            .map_err(|_| "the crowd's thread panicked".to_owned())?;
        let fates = fates.map_err(|error| error.to_string())?;
        let (with, held, remaining, freed) = measured?;
        if with.refused > 0 {
            return Err(format!("{} answers were not 2xx", with.refused));
        }
        let mut sample = latencies(&alone, &with);
        sample.insert(Metric::Held, held as f64);
        sample.insert(Metric::Cut, 1.0 - remaining as f64 / clients as f64);
        if let Some(freed) = freed {
            sample.insert(Metric::Freed, freed.as_secs_f64());
        }
        tell(&fates, &mut sample);
        Ok(sample)
    })
}

/// Beside the crowd: what the good client saw, how many slow ones there were by then,
/// how many the server still had at the end, and when it had none any more.
fn beside(
    cell: &Cell<'_>,
    view: &View,
    clients: usize,
    before: usize,
) -> Result<(Outcome, usize, usize, Option<Duration>), String> {
    let arriving = Instant::now();
    while view.opened() < clients {
        if arriving.elapsed() > SETUP_LIMIT || stopped() {
            return Err(format!(
                "only {} of {clients} slow clients were taken",
                view.opened()
            ));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let all_there = Instant::now();
    let held_by_server = || match probe::sockets(cell.server.pids()) {
        Ok(now) => Ok(now.saturating_sub(before).min(clients)),
        Err(error) => Err(format!("the server is gone: {error}")),
    };
    // Connected means that the kernel took them. Behind a queue of thousands that the
    // server has still to accept, anybody's first request is slow.
    while held_by_server()? < clients && all_there.elapsed() < cell.pace.clock / 4 && !stopped() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let with = good_client(cell)?;
    let held = clients - view.gone();
    loop {
        let remaining = held_by_server()?;
        let elapsed = all_there.elapsed();
        if remaining == 0 {
            return Ok((with, held, 0, Some(elapsed)));
        }
        // The handler's clock is twice the others', and twenty threads may have to serve
        // their fill one after the other: after half as much again nobody is coming.
        if elapsed > cell.pace.clock * 3 || stopped() {
            return Ok((with, held, remaining, None));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A third of the clock. The crowd takes one third to arrive, and the server has a part of
/// the last to take it in: no slow client is due to be cut within the window.
fn good_client(cell: &Cell<'_>) -> Result<Outcome, String> {
    let plan = Plan::Closed {
        pipeline: 1,
        per_connection: None,
    };
    let mut job = cell.job(plan, vec![probe::request("/", &[])]);
    (job.connections, job.threads) = (1, 1);
    job.warmup = Duration::from_millis(20);
    job.window = cell.pace.clock / 3;
    load::run(&job, &stopped, &mut |_| {}).map_err(|error| error.to_string())
}

fn latencies(alone: &Outcome, with: &Outcome) -> Sample {
    let at = |outcome: &Outcome, quantile| {
        if outcome.latency.is_empty() {
            // Nothing came: the one request waited for at least the whole window.
            outcome.window.as_secs_f64() * 1e6
        } else {
            outcome.latency.value_at_quantile(quantile) as f64 / 1e3
        }
    };
    BTreeMap::from([
        (Metric::P50, at(with, 0.5)),
        (Metric::P99, at(with, 0.99)),
        (Metric::P50Alone, at(alone, 0.5)),
        (Metric::P99Alone, at(alone, 0.99)),
        (Metric::Starved, with.starved as f64),
    ])
}

fn tell(fates: &Fates, sample: &mut Sample) {
    if let Some(status) = fates.usual_status() {
        sample.insert(Metric::CutStatus, f64::from(status));
    }
    if let (Some(middle), Some(last)) = (fates.ages.get(fates.ages.len() / 2), fates.ages.last()) {
        sample.insert(Metric::CutAfter, middle.as_secs_f64());
        sample.insert(Metric::CutLast, last.as_secs_f64());
    }
}
