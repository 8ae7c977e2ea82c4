//! The run: interleaved rounds over scenarios and contenders, with progress.

use std::path::Path;
use std::time::Instant;

use crate::cell;
use crate::cli::Choice;
use crate::contender::Contender;
use crate::machine::Cores;
use crate::programs::Programs;
use crate::results::{Row, Table};
use crate::scenario::{Bounds, Scenario};
use crate::stop::stopped;

/// What every cell needs to know.
#[derive(Debug)]
pub struct Setting<'a> {
    /// What runs.
    pub choice: &'a Choice,
    /// What was built.
    pub programs: &'a Programs,
    /// Who gets which core.
    pub cores: &'a Cores,
    /// Descriptors that a process may open.
    pub descriptors: u64,
    /// What servers serve from disk.
    pub files: &'a Path,
    /// Where the servers' own output goes.
    pub logs: &'a Path,
}

impl Setting<'_> {
    fn bounds(&self) -> Bounds {
        Bounds {
            descriptors: self.descriptors,
            cores: self.cores.server.len().max(1),
        }
    }
}

/// Runs everything that was chosen. A signal ends it early with what there is.
#[must_use]
pub fn run(setting: &Setting<'_>) -> Vec<Table> {
    let mut tables: Vec<Table> = setting
        .choice
        .scenarios
        .iter()
        .map(|&scenario| plan(setting, scenario))
        .collect();
    let mut progress = Progress::new(setting.choice, &tables);
    for table in &mut tables {
        eprintln!("\n{} ({})", table.scenario.title(), table.scenario.id());
        for row in &table.rows {
            if let Some(why) = &row.skipped {
                eprintln!("  {} is left out: {why}", row.contender);
            }
        }
        let rounds = setting.choice.rounds_of(table.scenario);
        for round in 0..rounds as usize {
            // Another order in each round, so that nobody always runs after the same
            // neighbour.
            let count = table.rows.len();
            for turn in 0..count {
                let row = &mut table.rows[(turn + round) % count];
                if row.skipped.is_some() || stopped() {
                    continue;
                }
                let outcome = one(setting, table.scenario, row.contender);
                let shown = match &outcome {
                    Ok(sample) => {
                        let metrics = table.scenario.metrics().iter().take(3);
                        let shown = metrics.filter_map(|metric| {
                            let value = metric.show(*sample.get(metric)?);
                            Some(format!("{} {value}", metric.title()))
                        });
                        shown.collect::<Vec<_>>().join(", ")
                    }
                    Err(why) => format!("no figures: {why}"),
                };
                progress.step(table.scenario, row.contender, round + 1, &shown);
                row.rounds.push(outcome);
            }
        }
    }
    eprintln!(
        "\nmeasured in {}",
        clock(progress.started.elapsed().as_secs_f64())
    );
    tables
}

/// A table without figures: who takes part, and who does not and why.
fn plan(setting: &Setting<'_>, scenario: Scenario) -> Table {
    let rows = setting.choice.contenders.iter().map(|&contender| {
        let (version, unbuilt) = match setting.programs.get(contender) {
            Ok(program) => (program.version.clone(), None),
            Err(why) => (String::new(), Some(why)),
        };
        Row {
            contender,
            version,
            rounds: Vec::new(),
            skipped: unbuilt
                .or_else(|| scenario.obstacle(contender, setting.bounds()))
                .or_else(|| Some(setting.choice.leaves_out(scenario, contender)?.to_owned())),
        }
    });
    Table {
        scenario,
        rows: rows.collect(),
    }
}

fn one(
    setting: &Setting<'_>,
    scenario: Scenario,
    contender: Contender,
) -> Result<crate::results::Sample, String> {
    let program = setting.programs.get(contender)?;
    let log = setting
        .logs
        .join(format!("{}.log", contender.name().replace([' ', '/'], "-")));
    cell::run(
        scenario,
        contender,
        program,
        setting.cores,
        setting.files,
        setting.choice.pace,
        &log,
    )
}

/// Counts cells and guesses the time left from the plan, corrected by how the cells so
/// far compared with it.
struct Progress {
    started: Instant,
    pace: cell::Pace,
    cells: usize,
    done: usize,
    planned: f64,
    passed: f64,
}

impl Progress {
    fn new(choice: &Choice, tables: &[Table]) -> Self {
        let (mut cells, mut planned) = (0, 0.0);
        for table in tables {
            let rows = table
                .rows
                .iter()
                .filter(|row| row.skipped.is_none())
                .count();
            let count = rows * choice.rounds_of(table.scenario) as usize;
            cells += count;
            planned += count as f64 * choice.pace.estimate(table.scenario);
        }
        eprintln!("{cells} cells, about {}", clock(planned));
        Self {
            started: Instant::now(),
            pace: choice.pace,
            cells,
            done: 0,
            planned,
            passed: 0.0,
        }
    }

    fn step(&mut self, scenario: Scenario, contender: Contender, round: usize, shown: &str) {
        self.done += 1;
        self.passed += self.pace.estimate(scenario);
        let pace = self.started.elapsed().as_secs_f64() / self.passed.max(0.1);
        let left = (self.planned - self.passed).max(0.0) * pace.clamp(0.5, 3.0);
        eprintln!(
            "  [{:>3}/{} {} left] round {round} {contender:<18} {shown}",
            self.done,
            self.cells,
            clock(left)
        );
    }
}

/// Minutes and seconds.
fn clock(seconds: f64) -> String {
    let seconds = seconds.round().max(0.0) as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::clock;

    #[test]
    fn time_left_reads_as_minutes() {
        assert_eq!(clock(0.4), "0:00");
        assert_eq!(clock(61.2), "1:01");
        assert_eq!(clock(3_600.0), "60:00");
    }
}
