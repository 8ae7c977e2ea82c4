//! What a run found: raw samples by round, and what they come to. Kept apart from how
//! it is shown.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::contender::Contender;
use crate::scenario::Scenario;

pub use crate::metric::Metric;

/// Version of the JSON layout.
pub const FORMAT: u64 = 1;

/// The figures of one cell.
pub type Sample = BTreeMap<Metric, f64>;

/// Median and range over the rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Summary {
    /// Of nothing there is none.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self { median, min, max })
    }

    /// Half of the range in per cent of the median.
    #[must_use]
    pub fn spread(&self) -> f64 {
        if self.median == 0.0 {
            0.0
        } else {
            (self.max - self.min) / 2.0 / self.median * 100.0
        }
    }
}

/// One contender in one scenario.
#[derive(Debug, Clone)]
pub struct Row {
    /// Who.
    pub contender: Contender,
    /// The version measured.
    pub version: String,
    /// What each round brought.
    pub rounds: Vec<Result<Sample, String>>,
    /// Why it did not take part at all.
    pub skipped: Option<String>,
}

impl Row {
    /// Median and range of a figure.
    #[must_use]
    pub fn summary(&self, metric: Metric) -> Option<Summary> {
        let values = self
            .rounds
            .iter()
            .flatten()
            .filter_map(|sample| sample.get(&metric));
        Summary::of(values.copied().collect())
    }

    /// This row divided by another, round by round.
    #[must_use]
    pub fn ratio(&self, to: &Self, metric: Metric) -> Option<Summary> {
        let pairs = self.rounds.iter().zip(&to.rounds);
        let ratios = pairs.filter_map(|(ours, theirs)| {
            let ratio = ours.as_ref().ok()?.get(&metric)? / theirs.as_ref().ok()?.get(&metric)?;
            ratio.is_finite().then_some(ratio)
        });
        Summary::of(ratios.collect())
    }

    /// What to tell besides the figures.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.skipped.iter().cloned().collect();
        for (index, round) in self.rounds.iter().enumerate() {
            if let Err(why) = round {
                notes.push(format!("round {}: {why}", index + 1));
            }
        }
        if self
            .summary(Metric::GeneratorBusy)
            .is_some_and(|busy| busy.median > 0.95)
        {
            notes
                .push("the generator was busy all the time: answers/s is a lower bound".to_owned());
        }
        if let Some(errors) = self
            .summary(Metric::Errors)
            .filter(|errors| errors.max > 0.0)
        {
            notes.push(format!(
                "up to {:.0} connections broke in a round",
                errors.max
            ));
        }
        notes
    }
}

/// One scenario with everybody in it.
#[derive(Debug, Clone)]
pub struct Table {
    /// Which.
    pub scenario: Scenario,
    /// Who, in the order of the run.
    pub rows: Vec<Row>,
}

impl Table {
    /// The row that ratios are taken to: Greenway on green threads, or else the first.
    #[must_use]
    pub fn base(&self) -> Option<&Row> {
        let ran = |row: &&Row| row.rounds.iter().any(Result::is_ok);
        self.rows.iter().find(ran)
    }

    /// The row of a contender.
    #[must_use]
    pub fn row(&self, contender: Contender) -> Option<&Row> {
        self.rows.iter().find(|row| row.contender == contender)
    }

    /// The rows with figures, or with rounds that brought none.
    pub fn ran(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.skipped.is_none())
    }

    /// What to tell besides the figures, each sentence once, with those whom it is about.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<(String, Vec<&str>)> = Vec::new();
        for row in &self.rows {
            for note in row.notes() {
                match notes.iter_mut().find(|(told, _)| *told == note) {
                    Some((_, who)) => who.push(row.contender.name()),
                    None => notes.push((note, vec![row.contender.name()])),
                }
            }
        }
        let told = |(note, who): (String, Vec<&str>)| format!("{}: {note}", who.join(", "));
        let mut notes: Vec<String> = notes.into_iter().map(told).collect();
        let others = self
            .rows
            .iter()
            .filter_map(|row| row.summary(Metric::Others));
        let others = others.map(|others| others.max).fold(0.0, f64::max);
        if others > 0.2 {
            notes.push(format!(
                "Other programs kept up to {others:.1} cores busy: noisy figures."
            ));
        }
        notes
    }

    fn json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(|row| self.row_json(row)).collect();
        json!({
            "id": self.scenario.id(),
            "title": self.scenario.title(),
            "story": self.scenario.story(),
            "rows": rows,
        })
    }

    fn row_json(&self, row: &Row) -> Value {
        let rounds: Vec<Value> = row
            .rounds
            .iter()
            .map(|round| match round {
                Ok(sample) => sample
                    .iter()
                    .map(|(m, v)| (m.key().to_owned(), json!(v)))
                    .collect(),
                Err(why) => json!({ "error": why }),
            })
            .collect();
        let mut summary = Map::new();
        for metric in Metric::ALL {
            let Some(figure) = row.summary(metric) else {
                continue;
            };
            let mut told = json!({
                "median": figure.median, "min": figure.min, "max": figure.max,
            });
            if let Some(ratio) = self.base().and_then(|base| row.ratio(base, metric)) {
                told["ratio"] = json!(ratio.median);
            }
            summary.insert(metric.key().to_owned(), told);
        }
        json!({
            "contender": row.contender.name(),
            "version": row.version,
            "skipped": row.skipped,
            "notes": row.notes(),
            "rounds": rounds,
            "summary": summary,
        })
    }
}

/// Everything that a run found.
#[derive(Debug, Clone)]
pub struct Results {
    /// Machine, kernel, versions, flags and commit: [`crate::machine::describe`].
    pub machine: Value,
    /// What the run was told: mode, rounds, window, cores.
    pub options: Value,
    /// The scenarios in order.
    pub tables: Vec<Table>,
}

impl Results {
    /// Who was measured, in which version.
    #[must_use]
    pub fn versions(&self) -> Vec<String> {
        let rows = self.tables.first().map_or(&[][..], |table| &table.rows);
        let known = rows.iter().filter(|row| !row.version.is_empty());
        known
            .map(|row| format!("{} ({})", row.contender, row.version))
            .collect()
    }

    /// The raw JSON of the report folder.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "format": FORMAT,
            "machine": self.machine,
            "options": self.options,
            "goals": crate::goals::judge(self).iter().map(crate::goals::Goal::json).collect::<Vec<_>>(),
            "scenarios": self.tables.iter().map(Table::json).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender::{Engine, Peer};

    fn row(contender: Contender, cpu: &[f64]) -> Row {
        let rounds = cpu
            .iter()
            .map(|&us| Ok(Sample::from([(Metric::CpuPerRequest, us)])))
            .collect();
        Row {
            contender,
            version: "1".to_owned(),
            rounds,
            skipped: None,
        }
    }

    #[test]
    fn medians_and_spreads() {
        let odd = Summary::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!(
            (odd.median, odd.min, odd.max, odd.spread()),
            (2.0, 1.0, 3.0, 50.0)
        );
        assert_eq!(Summary::of(vec![1.0, 2.0]).unwrap().median, 1.5);
        assert_eq!(Summary::of(Vec::new()), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The second round was twice as noisy for both: the ratio does not see it.
        let ours = row(Contender::Engine(Engine::Green), &[10.0, 20.0, 10.0]);
        let theirs = row(Contender::Peer(Peer::Hyper), &[12.0, 24.0, 12.0]);
        let ratio = theirs.ratio(&ours, Metric::CpuPerRequest).unwrap();
        assert!((ratio.median - 1.2).abs() < 1e-9 && ratio.spread() < 1e-6);
        // A round that failed on one side counts for neither.
        let mut broken = theirs.clone();
        broken.rounds[0] = Err("gone".to_owned());
        broken.rounds[1] = Err("gone".to_owned());
        assert!((broken.ratio(&ours, Metric::CpuPerRequest).unwrap().median - 1.2).abs() < 1e-9);
        assert!(broken.notes().iter().any(|note| note == "round 2: gone"));
    }
}
