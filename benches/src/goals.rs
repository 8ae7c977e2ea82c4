//! The numbers that Greenway wants to reach, judged from a run: what was measured, what
//! it was measured against, and an honest "not measured" where the run cannot say.

use serde_json::{Value, json};

use crate::contender::{Contender, Engine, Peer};
use crate::results::{Metric, Results, Table};
use crate::scenario::Scenario;

/// How a goal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Reached in this run.
    Reached,
    /// Missed in this run.
    Missed,
    /// This run has not what it takes to say.
    NotMeasured,
}

/// One goal with what this run says about it.
#[derive(Debug, Clone)]
pub struct Goal {
    /// What is wanted.
    pub what: &'static str,
    /// Greenway's figure.
    pub ours: Option<String>,
    /// The figure to reach, and whose it is.
    pub wanted: String,
    /// The bare epoll loop's figure, where that means something.
    pub limit: Option<String>,
    /// How it stands.
    pub verdict: Verdict,
}

impl Goal {
    /// For the raw JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let verdict = match self.verdict {
            Verdict::Reached => "reached",
            Verdict::Missed => "missed",
            Verdict::NotMeasured => "not measured",
        };
        json!({
            "what": self.what, "greenway": self.ours, "wanted": self.wanted,
            "limit": self.limit, "verdict": verdict,
        })
    }
}

const GREEN: Contender = Contender::Engine(Engine::Green);
const THREADS: Contender = Contender::Engine(Engine::Threads);
const FLOOR: Contender = Contender::Peer(Peer::Floor);
const MINIHTTP: Contender = Contender::Peer(Peer::MiniHttp);
const HYPER: Contender = Contender::Peer(Peer::Hyper);

/// Held connections from which on bytes per connection are about connections.
const ENOUGH: usize = 2_000;

/// Judges all goals.
#[must_use]
pub fn judge(results: &Results) -> Vec<Goal> {
    let find =
        |wanted: fn(Scenario) -> bool| results.tables.iter().rfind(|table| wanted(table.scenario));
    let keep_alive = find(|scenario| scenario == Scenario::KeepAlive);
    let pipelined = find(|scenario| scenario == Scenario::Pipelined);
    let churn = find(|scenario| scenario == Scenario::Churn(10));
    let idle = find(|scenario| matches!(scenario, Scenario::Idle(ENOUGH..)));
    let parked = find(|scenario| matches!(scenario, Scenario::Parked(ENOUGH..)));
    let polls = find(|scenario| scenario == Scenario::LongPoll(1_000));
    let most = find(|scenario| scenario == Scenario::LongPoll(10_000));
    vec![
        against(
            "keep-alive hello: CPU per request at most that of the best of hyper and may_minihttp",
            keep_alive,
            Metric::CpuPerRequest,
            &[HYPER, MINIHTTP],
            1.0,
        ),
        against(
            "pipelined by 16: CPU per request at most 1.15 times may_minihttp's",
            pipelined,
            Metric::CpuPerRequest,
            &[MINIHTTP],
            1.15,
        ),
        against(
            "10 requests per connection: as many answers per CPU second as hyper",
            churn,
            Metric::CpuPerRequest,
            &[HYPER],
            1.0,
        ),
        at_most(
            "an idle keep-alive connection: at most 9 kB resident",
            idle,
            9_000.0,
        ),
        at_most("a parked handler: at most 12 kB resident", parked, 12_000.0),
        stall(polls),
        nobody_starves(most),
    ]
}

/// Greenway's figure within `factor` of the best of `peers`, by ratios within rounds.
fn against(
    what: &'static str,
    table: Option<&Table>,
    metric: Metric,
    peers: &[Contender],
    factor: f64,
) -> Goal {
    let figure = |contender| Some(table?.row(contender)?.summary(metric)?.median);
    let ours = figure(GREEN);
    let green = table.and_then(|table| table.row(GREEN));
    let ratios = peers.iter().filter_map(|&peer| {
        let ratio = green?.ratio(table?.row(peer)?, metric)?;
        Some((peer, ratio.median))
    });
    // The best peer is the one against which we look worst.
    let worst = ratios.max_by(|a, b| a.1.total_cmp(&b.1));
    let (wanted, verdict) = match worst {
        Some((peer, ratio)) if figure(peer).is_some() => {
            let theirs = metric.show(figure(peer).unwrap_or_default());
            let verdict = if ratio <= factor {
                Verdict::Reached
            } else {
                Verdict::Missed
            };
            (
                format!("{peer}: {theirs}; Greenway takes {ratio:.2} times that"),
                verdict,
            )
        }
        _ => (
            "needs Greenway and the peers in one run".to_owned(),
            Verdict::NotMeasured,
        ),
    };
    let show = |value: f64| metric.show(value);
    Goal {
        what,
        ours: ours.map(show),
        wanted,
        limit: figure(FLOOR).map(show),
        verdict,
    }
}

fn at_most(what: &'static str, table: Option<&Table>, bound: f64) -> Goal {
    let metric = Metric::BytesEach;
    let ours = table.and_then(|table| Some(table.row(GREEN)?.summary(metric)?.median));
    let verdict = match ours {
        None => Verdict::NotMeasured,
        Some(bytes) if bytes <= bound => Verdict::Reached,
        Some(_) => Verdict::Missed,
    };
    let wanted = metric.show(bound);
    Goal {
        what,
        ours: ours.map(|bytes| metric.show(bytes)),
        wanted,
        limit: None,
        verdict,
    }
}

/// The picture of the primer: the pool stalls at its size, green serves all.
fn stall(table: Option<&Table>) -> Goal {
    let figure = |who, metric| Some(table?.row(who)?.summary(metric)?.median);
    let green = figure(GREEN, Metric::PerSecond);
    let threads = figure(THREADS, Metric::PerSecond);
    let verdict = match (green, threads, figure(GREEN, Metric::Starved)) {
        (Some(green), Some(threads), Some(starved)) => {
            // 1,000 clients on 20 threads: a fiftieth. Half of that is margin enough.
            if starved == 0.0 && green > 25.0 * threads {
                Verdict::Reached
            } else {
                Verdict::Missed
            }
        }
        _ => Verdict::NotMeasured,
    };
    let show = |value: f64| format!("{} answers/s", Metric::PerSecond.show(value));
    Goal {
        what: "1,000 long polls: a pool of 20 stalls, green serves all",
        ours: green.map(show),
        wanted: threads.map_or_else(
            || "needs both engines".to_owned(),
            |threads| format!("threads: {}", show(threads)),
        ),
        limit: None,
        verdict,
    }
}

fn nobody_starves(table: Option<&Table>) -> Goal {
    let starved = table.and_then(|table| Some(table.row(GREEN)?.summary(Metric::Starved)?.max));
    let verdict = match starved {
        None => Verdict::NotMeasured,
        Some(0.0) => Verdict::Reached,
        Some(_) => Verdict::Missed,
    };
    Goal {
        what: "10,000 long polls: all answered, none starved",
        ours: starved.map(|count| format!("{count:.0} starved")),
        wanted: "0 starved".to_owned(),
        limit: None,
        verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Row, Sample};

    fn results(scenario: Scenario, metric: Metric, figures: &[(Contender, f64)]) -> Results {
        let rows = figures
            .iter()
            .map(|&(contender, value)| Row {
                contender,
                version: String::new(),
                rounds: vec![Ok(Sample::from([(metric, value)]))],
                skipped: None,
            })
            .collect();
        let tables = vec![Table { scenario, rows }];
        Results {
            machine: Value::Null,
            options: Value::Null,
            tables,
        }
    }

    #[test]
    fn the_best_peer_is_the_one_to_reach() {
        let judged = |ours| {
            let figures = [(GREEN, ours), (HYPER, 9.0), (MINIHTTP, 11.0), (FLOOR, 8.0)];
            let results = results(Scenario::KeepAlive, Metric::CpuPerRequest, &figures);
            judge(&results).swap_remove(0)
        };
        let goal = judged(8.9);
        assert_eq!(goal.verdict, Verdict::Reached);
        assert_eq!(goal.limit.as_deref(), Some("8.00 us"));
        assert!(goal.wanted.starts_with("hyper: 9.00 us"), "{}", goal.wanted);
        assert_eq!(judged(10.0).verdict, Verdict::Missed);
    }

    #[test]
    fn what_a_run_cannot_say_is_not_reached() {
        let results = results(Scenario::KeepAlive, Metric::CpuPerRequest, &[(HYPER, 9.0)]);
        assert!(
            judge(&results)
                .iter()
                .all(|goal| goal.verdict == Verdict::NotMeasured)
        );
    }

    #[test]
    fn memory_is_judged_by_its_bound() {
        for (bytes, verdict) in [(9_000.0, Verdict::Reached), (9_001.0, Verdict::Missed)] {
            let results = results(Scenario::Idle(8_000), Metric::BytesEach, &[(GREEN, bytes)]);
            assert_eq!(judge(&results)[3].verdict, verdict);
        }
    }
}
