//! The numbers that Greenway wants to reach, judged from a run: what was measured, what
//! it was measured against, and an honest "not measured" where the run cannot say.

use serde_json::{Value, json};

use crate::contender::{Contender, Engine, Peer};
use crate::load::crowd::Form;
use crate::results::{Metric, Results, Row, Table};
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
const AXUM: Contender = Contender::Peer(Peer::Axum);
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
    let publish = find(|scenario| matches!(scenario, Scenario::Publish(10_000..)));
    let echo = find(|scenario| scenario == Scenario::SocketEcho(1_000));
    let sockets = find(|scenario| matches!(scenario, Scenario::SocketIdle(ENOUGH..)));
    let chunks = find(|scenario| scenario == Scenario::FirstByte);
    let slow = |form| {
        let mut tables = results.tables.iter();
        let table = tables
            .rfind(|table| matches!(table.scenario, Scenario::Slow(this, 5_000..) if this == form));
        table.and_then(|table| table.row(GREEN))
    };
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
            Metric::BytesEach,
            9_000.0,
        ),
        at_most(
            "a parked handler: at most 12 kB resident",
            parked,
            Metric::BytesEach,
            12_000.0,
        ),
        stall(polls),
        nobody_starves(most),
        all_hear(publish),
        all_unwind(publish),
        against(
            "WebSocket echo to 1,000 clients: less CPU per message than axum",
            echo,
            Metric::CpuPerRequest,
            &[AXUM],
            1.0,
        ),
        at_most(
            "an idle WebSocket: at most 16 kB resident",
            sockets,
            Metric::BytesEach,
            16_000.0,
        ),
        // The head goes with the first chunk; the end of the body may take one of its own.
        at_most(
            "a streamed chunk: one write, so one segment",
            chunks,
            Metric::Segments,
            1.02,
        ),
        calm(
            "5,000 slow heads: each is cut, and another client's median at most doubles",
            slow(Form::Head),
        ),
        calm(
            "5,000 slow bodies: each is cut, and another client's median at most doubles",
            slow(Form::Body),
        ),
        calm(
            "5,000 slow readers: each is cut, and another client's median at most doubles",
            slow(Form::Reader),
        ),
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

fn at_most(what: &'static str, table: Option<&Table>, metric: Metric, bound: f64) -> Goal {
    let ours = table.and_then(|table| Some(table.row(GREEN)?.summary(metric)?.median));
    let verdict = match ours {
        None => Verdict::NotMeasured,
        Some(value) if value <= bound => Verdict::Reached,
        Some(_) => Verdict::Missed,
    };
    let wanted = metric.show(bound);
    Goal {
        what,
        ours: ours.map(|value| metric.show(value)),
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

fn all_hear(table: Option<&Table>) -> Goal {
    let row = table.and_then(|table| table.row(GREEN));
    let lost = row.and_then(|row| Some(row.summary(Metric::Lost)?.max));
    let took = row.and_then(|row| Some(row.summary(Metric::AllAnswered)?.median));
    let ours = lost.map(|lost| {
        let took = took.map_or_else(String::new, |ms| {
            format!(", all within {}", Metric::AllAnswered.show(ms))
        });
        format!("{lost:.0} lost{took}")
    });
    Goal {
        what: "10,000 long polls, one publish: all answered, none lost",
        ours,
        wanted: "0 lost".to_owned(),
        limit: None,
        verdict: judged(lost.map(|lost| lost == 0.0)),
    }
}

fn all_unwind(table: Option<&Table>) -> Goal {
    let row = table.and_then(|table| table.row(GREEN));
    let remaining = row.and_then(|row| Some(row.summary(Metric::Remaining)?.max));
    let took = row.and_then(|row| Some(row.summary(Metric::Unwound)?.max));
    let ours = match (remaining, took) {
        (Some(0.0), Some(ms)) => Some(Metric::Unwound.show(ms)),
        (remaining, _) => remaining.map(|count| format!("{count:.0} left behind")),
    };
    Goal {
        what: "10,000 clients leave: their handlers are unwound within a second",
        ours,
        wanted: Metric::Unwound.show(1_000.0),
        limit: None,
        verdict: judged(
            remaining.map(|count| count == 0.0 && took.is_some_and(|ms| ms <= 1_000.0)),
        ),
    }
}

/// Slow clients harm nobody and are got rid of.
fn calm(what: &'static str, row: Option<&Row>) -> Goal {
    let figure = |metric| Some(row?.summary(metric)?.median);
    let (with, alone) = (figure(Metric::P50), figure(Metric::P50Alone));
    let cut = row.and_then(|row| Some(row.summary(Metric::Cut)?.min));
    let verdict = match (with, alone, cut) {
        (Some(with), Some(alone), Some(cut)) => Some(with <= 2.0 * alone && cut == 1.0),
        _ => None,
    };
    let ours = with.zip(cut).map(|(with, cut)| {
        let (with, cut) = (Metric::P50.show(with), Metric::Cut.show(cut));
        format!("{with}, {cut} cut")
    });
    let wanted = alone.map_or_else(
        || "all cut".to_owned(),
        |alone| format!("alone: {}; all cut", Metric::P50.show(alone)),
    );
    Goal {
        what,
        ours,
        wanted,
        limit: None,
        verdict: judged(verdict),
    }
}

fn judged(reached: Option<bool>) -> Verdict {
    match reached {
        None => Verdict::NotMeasured,
        Some(true) => Verdict::Reached,
        Some(false) => Verdict::Missed,
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

    #[test]
    fn slow_clients_must_be_cut_and_must_not_slow_others() {
        let judged = |with: f64, cut: f64| {
            let scenario = Scenario::Slow(Form::Reader, 5_000);
            let mut results = results(scenario, Metric::P50Alone, &[(GREEN, 30.0)]);
            let sample = results.tables[0].rows[0].rounds[0].as_mut().unwrap();
            sample.extend([(Metric::P50, with), (Metric::Cut, cut)]);
            judge(&results).pop().unwrap().verdict
        };
        assert_eq!(judged(60.0, 1.0), Verdict::Reached);
        assert_eq!(judged(61.0, 1.0), Verdict::Missed);
        assert_eq!(judged(30.0, 0.999), Verdict::Missed);
    }

    #[test]
    fn a_handler_that_is_left_behind_is_no_time_at_all() {
        let judged = |more: &[(Metric, f64)]| {
            let mut results = results(Scenario::Publish(10_000), Metric::Lost, &[(GREEN, 0.0)]);
            let sample = results.tables[0].rows[0].rounds[0].as_mut().unwrap();
            sample.extend(more.iter().copied());
            let goals = judge(&results);
            (goals[7].verdict, goals[8].verdict)
        };
        let in_time = [(Metric::Remaining, 0.0), (Metric::Unwound, 999.0)];
        assert_eq!(judged(&in_time), (Verdict::Reached, Verdict::Reached));
        let stuck = [(Metric::Remaining, 1.0)];
        assert_eq!(judged(&stuck), (Verdict::Reached, Verdict::Missed));
    }
}
