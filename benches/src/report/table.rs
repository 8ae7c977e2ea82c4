//! Tables of fixed width for the terminal.

use crate::goals::{self, Verdict};
use crate::results::{Results, Row, Table};

/// All scenarios and the goals, as text.
#[must_use]
pub fn text(results: &Results) -> String {
    let mut out = format!("\nmeasured: {}\n", results.versions().join("; "));
    for table in &results.tables {
        out.push_str(&format!(
            "\n{} ({})\n",
            table.scenario.title(),
            table.scenario.id()
        ));
        out.push_str(&align(&cells(table)));
        for note in table.notes() {
            out.push_str(&format!("  {note}\n"));
        }
    }
    out.push_str("\nGoals\n");
    for goal in goals::judge(results) {
        let verdict = match goal.verdict {
            Verdict::Reached => "reached",
            Verdict::Missed => "MISSED",
            Verdict::NotMeasured => "not measured",
        };
        let ours = goal.ours.as_deref().unwrap_or("-");
        out.push_str(&format!(
            "  {verdict:<13}{}\n{:15}greenway {ours}; {}\n",
            goal.what, "", goal.wanted
        ));
    }
    out
}

/// Head and the rows that ran: name, the figures as median and spread, the ratio to the base.
pub(super) fn cells(table: &Table) -> Vec<Vec<String>> {
    let metrics = table.scenario.metrics();
    let mut head = vec![String::new()];
    head.extend(metrics.iter().map(|metric| metric.title().to_owned()));
    let base = table.base();
    head.push(base.map_or_else(String::new, |base| format!("x {}", base.contender)));
    let mut cells = vec![head];
    for row in table.ran() {
        let mut line = vec![row.contender.to_string()];
        for &metric in metrics {
            line.push(row.summary(metric).map_or_else(
                || "-".to_owned(),
                |figure| {
                    let shown = metric.show(figure.median);
                    let varies = figure.min < figure.max && figure.median > 0.0;
                    if varies {
                        format!("{shown} ±{:.0}%", figure.spread())
                    } else {
                        shown
                    }
                },
            ));
        }
        line.push(ratio(table, base, row));
        cells.push(line);
    }
    cells
}

fn ratio(table: &Table, base: Option<&Row>, row: &Row) -> String {
    let first = table.scenario.metrics().first();
    let ratio = base
        .zip(first)
        .and_then(|(base, &metric)| row.ratio(base, metric));
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{:.2}", ratio.median))
}

/// Columns of equal width, figures to the right.
fn align(cells: &[Vec<String>]) -> String {
    let columns = cells.first().map_or(0, Vec::len);
    let width = |column: usize| {
        cells
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for line in cells {
        for (index, (cell, width)) in line.iter().zip(&widths).enumerate() {
            if index == 0 {
                out.push_str(&format!("  {cell:<width$}"));
            } else {
                out.push_str(&format!("  {cell:>width$}"));
            }
        }
        out.push('\n');
    }
    out
}
