//! The table, and the raw figures.

use crate::contender::Contender;
use crate::figure::{Figure, Workload};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// All rounds of all cells.
#[derive(Debug, Default)]
pub(crate) struct Cells(BTreeMap<(&'static str, &'static str), Vec<Result<Figure, String>>>);

impl Cells {
    pub(crate) fn add(
        &mut self,
        workload: &Workload,
        contender: &'static str,
        result: Result<Figure, String>,
    ) {
        let cell = self.0.entry((workload.name, contender)).or_default();
        cell.push(result);
    }

    fn rounds(&self, workload: &Workload, contender: &Contender) -> &[Result<Figure, String>] {
        self.0
            .get(&(workload.name, contender.name()))
            .map_or(&[], Vec::as_slice)
    }

    /// In Markdown, with the reasons of those who gave no figure below.
    pub(crate) fn table(&self, workloads: &[Workload], contenders: &[Contender]) -> String {
        let mut text = String::from("| Workload | What, in microseconds |");
        for contender in contenders {
            let _infallible = write!(text, " {} |", contender.name());
        }
        text.push_str("\n|---|---|");
        text.push_str(&"---:|".repeat(contenders.len()));
        let mut reasons = BTreeMap::<_, Vec<_>>::new();
        for workload in workloads {
            let _infallible = write!(text, "\n| `{}` | {} |", workload.name, workload.what);
            for contender in contenders {
                let rounds = self.rounds(workload, contender);
                let _infallible = write!(text, " {} |", cell(rounds));
                if let Some(Err(reason)) = rounds.iter().find(|round| round.is_err()) {
                    let reason = format!("{}: {reason}", contender.name());
                    reasons.entry(reason).or_default().push(workload.name);
                }
            }
        }
        text.push('\n');
        for (reason, workloads) in reasons {
            let workloads = workloads.join(", ");
            let _infallible = writeln!(text, "\nNo figure ({workloads}), {reason}");
        }
        text
    }

    pub(crate) fn write(
        &self,
        path: &Path,
        workloads: &[Workload],
        contenders: &[Contender],
        sleepers: u64,
    ) -> io::Result<()> {
        let cells: Vec<Value> = workloads
            .iter()
            .flat_map(|workload| {
                contenders
                    .iter()
                    .map(move |contender| (workload, contender))
            })
            .map(|(workload, contender)| {
                let rounds = self.rounds(workload, contender);
                let rounds: Vec<_> = rounds.iter().map(raw).collect();
                json!({
                    "workload": workload.name,
                    "what": workload.what,
                    "workers": workload.workers,
                    "times": workload.times_with(sleepers),
                    "contender": contender.name(),
                    "rounds": rounds,
                })
            })
            .collect();
        let versions: BTreeMap<_, _> = contenders
            .iter()
            .map(|contender| (contender.name(), &contender.version))
            .collect();
        let report = json!({
            "cores": std::thread::available_parallelism().map_or(1, usize::from),
            "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
            "versions": versions,
            "cells": cells,
        });
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, format!("{report:#}\n"))
    }
}

fn raw(round: &Result<Figure, String>) -> Value {
    match round {
        Ok(figure) => json!({ "nanos": figure.nanos, "bytes": figure.bytes }),
        Err(reason) => json!({ "reason": reason }),
    }
}

/// The median of the rounds, and half of their range.
fn cell(rounds: &[Result<Figure, String>]) -> String {
    let figures: Vec<_> = rounds.iter().flatten().collect();
    let Some((micros, spread)) = middle(figures.iter().map(|figure| figure.nanos / 1000.0)) else {
        return "–".to_owned();
    };
    let mut text = format!("{} ± {}", digits(micros), digits(spread));
    if let Some((bytes, _)) = middle(figures.iter().filter_map(|figure| figure.bytes)) {
        let _infallible = write!(text, ", {:.1} kB", bytes / 1000.0);
    }
    text
}

fn middle(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let (first, last) = (values.first()?, values.last()?);
    let median = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
    Some((median, (last - first) / 2.0))
}

fn digits(micros: f64) -> String {
    match micros {
        ..1.0 => format!("{micros:.3}"),
        ..10.0 => format!("{micros:.2}"),
        ..100.0 => format!("{micros:.1}"),
        _ => format!("{micros:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(nanos: f64, bytes: Option<f64>) -> Result<Figure, String> {
        Ok(Figure { nanos, bytes })
    }

    #[test]
    fn a_cell_shows_median_and_half_range() {
        assert_eq!(cell(&[]), "–");
        assert_eq!(cell(&[Err("no".into())]), "–");
        let rounds = [1500.0, 1100.0, 12_000.0].map(|nanos| figure(nanos, None));
        assert_eq!(cell(&rounds), "1.50 ± 5.45");
        let rounds = [figure(100.0, Some(9000.0)), figure(300.0, Some(8000.0))];
        assert_eq!(cell(&rounds), "0.200 ± 0.100, 8.5 kB");
    }

    #[test]
    fn what_a_program_says_can_be_read() {
        for round in [figure(12.5, None), figure(1.0, Some(8470.0))] {
            let figure = round.unwrap();
            let read = Figure::parse(&figure.to_string()).unwrap();
            assert_eq!((read.nanos, read.bytes), (figure.nanos, figure.bytes));
        }
        assert_eq!(Figure::parse("reason none\n").unwrap_err(), "none");
        assert!(Figure::parse("Segmentation fault").is_err());
    }
}
