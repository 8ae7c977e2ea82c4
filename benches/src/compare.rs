//! This run against an earlier one, from its raw JSON: which figures moved further than
//! their own rounds did.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::contender::Contender;
use crate::results::{FORMAT, Metric, Results, Summary};

/// How a figure moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// The ranges of the two runs overlap: noise.
    Within,
    /// Better than anything in the earlier run.
    Better,
    /// Worse than anything in the earlier run.
    Worse,
}

/// One figure that both runs have.
#[derive(Debug, Clone)]
pub struct Change {
    /// The scenario's name.
    pub scenario: String,
    /// The contender's name.
    pub contender: &'static str,
    /// Which figure.
    pub metric: Metric,
    /// Then.
    pub old: Summary,
    /// Now.
    pub new: Summary,
}

impl Change {
    /// Per cent of the earlier median.
    #[must_use]
    pub fn percent(&self) -> f64 {
        (self.new.median / self.old.median - 1.0) * 100.0
    }

    /// Whether it moved further than the rounds of either run.
    #[must_use]
    pub fn judged(&self) -> Move {
        let smaller = self.new.max < self.old.min;
        let larger = self.new.min > self.old.max;
        match (self.metric.smaller_is_better(), smaller, larger) {
            (Some(true), true, _) | (Some(false), _, true) => Move::Better,
            (Some(true), _, true) | (Some(false), true, _) => Move::Worse,
            _ => Move::Within,
        }
    }
}

/// Reads the raw JSON of an earlier run.
///
/// # Errors
/// One line that names the file.
pub fn read(path: &Path) -> Result<Value, String> {
    let name = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    let old: Value = serde_json::from_str(&text).map_err(|error| format!("{name}: {error}"))?;
    if old["format"].as_u64() != Some(FORMAT) {
        return Err(format!(
            "{name}: not a report of this suite (format {FORMAT})"
        ));
    }
    Ok(old)
}

/// All figures that both runs have: the ones that each scenario shows.
#[must_use]
pub fn changes(old: &Value, new: &Results) -> Vec<Change> {
    let mut changes = Vec::new();
    for table in &new.tables {
        let id = table.scenario.id();
        for row in &table.rows {
            for &metric in table.scenario.metrics() {
                let earlier = summary(old, &id, row.contender.name(), metric);
                if let (Some(old), Some(new)) = (earlier, row.summary(metric)) {
                    let contender = row.contender.name();
                    changes.push(Change {
                        scenario: id.clone(),
                        contender,
                        metric,
                        old,
                        new,
                    });
                }
            }
        }
    }
    changes
}

/// The engines of this build against those of the other one that took part.
#[must_use]
pub fn with_other(results: &Results) -> Vec<Change> {
    let mut changes = Vec::new();
    for table in &results.tables {
        let row = |contender| table.rows.iter().find(|row| row.contender == contender);
        for ours in &table.rows {
            let Contender::Engine(engine) = ours.contender else {
                continue;
            };
            for &metric in table.scenario.metrics() {
                let other = row(Contender::Other(engine)).and_then(|row| row.summary(metric));
                if let (Some(old), Some(new)) = (other, ours.summary(metric)) {
                    changes.push(Change {
                        scenario: table.scenario.id(),
                        contender: ours.contender.name(),
                        metric,
                        old,
                        new,
                    });
                }
            }
        }
    }
    changes
}

fn summary(report: &Value, scenario: &str, contender: &str, metric: Metric) -> Option<Summary> {
    let table = report["scenarios"]
        .as_array()?
        .iter()
        .find(|table| table["id"] == scenario)?;
    let row = table["rows"]
        .as_array()?
        .iter()
        .find(|row| row["contender"] == contender)?;
    let figure = &row["summary"][metric.key()];
    Some(Summary {
        median: figure["median"].as_f64()?,
        min: figure["min"].as_f64()?,
        max: figure["max"].as_f64()?,
    })
}

/// The comparison for a terminal: what moved, and how many figures did not.
#[must_use]
pub fn text(changes: &[Change]) -> String {
    let mut lines = String::new();
    let mut within = 0;
    for change in changes {
        let verdict = match change.judged() {
            Move::Within => {
                within += 1;
                continue;
            }
            Move::Better => "better",
            Move::Worse => "WORSE",
        };
        lines.push_str(&format!(
            "  {:<14} {:<18} {:<12} {:>12} -> {:>12}  {:+6.1} %  {verdict}\n",
            change.scenario,
            change.contender,
            change.metric.title(),
            change.metric.show(change.old.median),
            change.metric.show(change.new.median),
            change.percent(),
        ));
    }
    format!("{lines}  {within} figures moved no further than the rounds of the two runs did.\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender::{Engine, Peer};
    use crate::results::{Row, Sample, Table};
    use crate::scenario::Scenario;

    fn run(figures: &[f64]) -> Results {
        let rounds = figures
            .iter()
            .map(|&us| Ok(Sample::from([(Metric::CpuPerRequest, us)])))
            .collect();
        let contender = Contender::Peer(Peer::Hyper);
        let row = Row {
            contender,
            version: String::new(),
            rounds,
            skipped: None,
        };
        let tables = vec![Table {
            scenario: Scenario::KeepAlive,
            rows: vec![row],
        }];
        Results {
            machine: Value::Null,
            options: Value::Null,
            tables,
        }
    }

    #[test]
    fn only_what_left_its_range_has_moved() {
        let old = run(&[10.0, 11.0]).json();
        for (new, wanted) in [
            ([10.5, 12.0], Move::Within),
            ([8.0, 9.9], Move::Better),
            ([11.1, 13.0], Move::Worse),
        ] {
            let changes = changes(&old, &run(&new));
            assert_eq!(changes.len(), 1);
            assert_eq!(changes[0].judged(), wanted, "{new:?}");
        }
    }

    #[test]
    fn another_build_is_compared_within_the_run() {
        let mut results = run(&[10.0]);
        let row = |contender, us| Row {
            contender,
            version: String::new(),
            rounds: vec![Ok(Sample::from([(Metric::CpuPerRequest, us)]))],
            skipped: None,
        };
        results.tables[0].rows.extend([
            row(Contender::Engine(Engine::Green), 6.0),
            row(Contender::Engine(Engine::Threads), 9.0),
            row(Contender::Other(Engine::Green), 8.0),
        ]);
        let changes = with_other(&results);
        assert_eq!(changes.len(), 1, "the other has no engine of threads");
        assert_eq!(changes[0].judged(), Move::Better);
        assert_eq!(changes[0].percent(), -25.0);
    }

    #[test]
    fn the_text_names_what_moved() {
        let text = text(&changes(&run(&[10.0]).json(), &run(&[20.0])));
        assert!(
            text.contains("WORSE") && text.contains("+100.0 %"),
            "{text}"
        );
        assert!(read(Path::new("/nonexistent.json")).is_err());
    }
}
