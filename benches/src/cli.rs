//! The command line: which contenders and scenarios, at which pace.

use std::path::PathBuf;

use clap::Parser;

use crate::cell::Pace;
use crate::contender::{Contender, Engine, Peer};
use crate::mode::Mode;
use crate::scenario::{Bounds, Scenario};

/// Compares Greenway's engines and other servers on this machine.
///
/// Builds what it needs, runs every scenario against every contender in interleaved
/// rounds, prints tables and writes a report folder. Without a mode it is `--quick`.
#[derive(Debug, Parser)]
#[command(name = "greenway-bench", version)]
pub struct Flags {
    /// Under two minutes, once everything is built (the default)
    #[arg(long, group = "mode")]
    pub quick: bool,
    /// Every scenario and contender: under 25 minutes, once everything is built
    #[arg(long, group = "mode")]
    pub full: bool,
    /// What a framework does (routing, JSON, forms, uploads, files), beside other frameworks: three
    /// minutes, once everything is built
    #[arg(long, group = "mode")]
    pub framework: bool,
    /// Under half a minute, engines only: does the suite itself work?
    #[arg(long, group = "mode")]
    pub smoke: bool,
    /// Only scenarios whose name starts so (repeatable, or with commas; see --list)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Greenway's engines that take part; without a value: none
    #[arg(long, value_delimiter = ',', num_args = 0.., value_enum)]
    pub engines: Option<Vec<Engine>>,
    /// Other servers that take part; without a value: none
    #[arg(long, value_delimiter = ',', num_args = 0.., value_enum)]
    pub peers: Option<Vec<Peer>>,
    /// Cores for the server; the generator gets the others [default: half of them]
    #[arg(long, value_name = "N")]
    pub cores: Option<usize>,
    /// Rounds of the throughput scenarios [default: by mode]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: Option<u32>,
    /// Seconds that each throughput cell counts [default: by mode]
    #[arg(long, value_name = "SECONDS")]
    pub window: Option<f64>,
    /// Another build of the benchmark subject, whose engines take part beside ours: what a change
    /// has cost, in one run
    #[arg(long, value_name = "PROGRAM")]
    pub beside: Option<PathBuf>,
    /// Compare with the raw JSON of an earlier run
    #[arg(long, value_name = "JSON")]
    pub compare: Option<PathBuf>,
    /// The report folder
    #[arg(long, value_name = "DIR", default_value = "bench-report")]
    pub out: PathBuf,
    /// List scenarios and contenders of the mode, and end
    #[arg(long)]
    pub list: bool,
}

/// A run, decided.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The mode that the rest comes from.
    pub mode: Mode,
    /// In the order in which they run.
    pub scenarios: Vec<Scenario>,
    /// In the order in which they are shown, Greenway first.
    pub contenders: Vec<Contender>,
    /// Rounds of the throughput scenarios.
    pub rounds: u32,
    /// Windows.
    pub pace: Pace,
}

impl Choice {
    /// Rounds of a scenario; see [`Mode::rounds_of`].
    #[must_use]
    pub fn rounds_of(&self, scenario: Scenario) -> u32 {
        self.mode.rounds_of(scenario, self.rounds)
    }

    /// Why the mode leaves a contender out of a scenario, if so: a smoke run shows that
    /// every scenario works on one engine, and that every engine works. Peers are in it only
    /// when they are named, and then they are to be tried.
    #[must_use]
    pub fn leaves_out(&self, scenario: Scenario, contender: Contender) -> Option<&'static str> {
        let everybody = matches!(
            scenario,
            Scenario::KeepAlive
                | Scenario::Post(1_024)
                | Scenario::Churn(_)
                | Scenario::LongPoll(20)
                | Scenario::StartUp
        );
        let first = self.contenders.first() == Some(&contender);
        (self.mode == Mode::Smoke && contender.is_ours() && !everybody && !first)
            .then_some("a smoke run asks only the first engine for this")
    }

    /// Cells of a scenario, as far as the machine allows all of them.
    fn cells(&self, scenario: Scenario) -> f64 {
        let bounds = Bounds {
            descriptors: u64::MAX,
            cores: 1,
        };
        let taking_part = self.contenders.iter().filter(|&&contender| {
            self.leaves_out(scenario, contender).is_none()
                && scenario.obstacle(contender, bounds).is_none()
        });
        f64::from(self.rounds_of(scenario)) * taking_part.count() as f64
    }
}

impl Flags {
    /// Turns flags into a run.
    ///
    /// # Errors
    /// One line for the user.
    pub fn choose(&self) -> Result<Choice, String> {
        let mode = if self.smoke {
            Mode::Smoke
        } else if self.full {
            Mode::Full
        } else if self.framework {
            Mode::Framework
        } else {
            Mode::Quick
        };
        let (mut engines, mut peers): (Vec<_>, Vec<_>) = mode
            .contenders()
            .into_iter()
            .partition(|contender| contender.is_ours());
        if let Some(named) = &self.engines {
            engines = named.iter().copied().map(Contender::Engine).collect();
        }
        if self.beside.is_some() {
            let ours = engines.iter().filter_map(|each| each.engine());
            engines.extend(ours.map(Contender::Other).collect::<Vec<_>>());
        }
        if let Some(named) = &self.peers {
            peers = named.iter().copied().map(Contender::Peer).collect();
        }
        let mut contenders = [engines, peers].concat();
        let mut seen = std::collections::HashSet::new();
        contenders.retain(|contender| seen.insert(*contender));
        if contenders.is_empty() {
            return Err("no engine and no peer: there is nothing to measure".to_owned());
        }
        let window = match self.window {
            Some(seconds) if !(0.05..=600.0).contains(&seconds) => {
                return Err("--window wants seconds from 0.05 to 600".to_owned());
            }
            window => window,
        };
        let mut choice = Choice {
            mode,
            scenarios: self.scenarios(mode)?,
            contenders,
            rounds: self.rounds.unwrap_or_else(|| mode.rounds()),
            pace: mode.pace(3.0),
        };
        let window = window.unwrap_or_else(|| choice.affordable_window());
        choice.pace = mode.pace(window);
        Ok(choice)
    }

    fn scenarios(&self, mode: Mode) -> Result<Vec<Scenario>, String> {
        let all = mode.scenarios();
        if self.only.is_empty() {
            return Ok(all);
        }
        let mut chosen = Vec::new();
        for name in &self.only {
            let matching = |from: &[Scenario]| -> Vec<Scenario> {
                from.iter()
                    .copied()
                    .filter(|each| each.id().starts_with(name.as_str()))
                    .collect()
            };
            // What the mode leaves out can still be asked for by name.
            let mut found = matching(&all);
            for other in [Mode::Full, Mode::Framework, Mode::Quick, Mode::Smoke] {
                if found.is_empty() {
                    found = matching(&other.scenarios());
                }
            }
            if found.is_empty() {
                return Err(format!(
                    "--only {name}: no such scenario (--list shows them)"
                ));
            }
            chosen.extend(found);
        }
        chosen.sort();
        chosen.dedup();
        Ok(chosen)
    }
}

impl Choice {
    /// The window that fits the mode's promise, whatever was chosen to run.
    fn affordable_window(&self) -> f64 {
        let bare = self.mode.pace(0.0);
        let (mut fixed, mut cells) = (0.0, 0.0);
        for &scenario in &self.scenarios {
            let count = self.cells(scenario);
            fixed += bare.estimate(scenario) * count;
            cells += f64::from(scenario.windows()) * count;
        }
        ((self.mode.budget() - fixed) / f64::max(cells, 1.0)).clamp(0.2, 3.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(line: &str) -> Result<Choice, String> {
        let words = std::iter::once("bench").chain(line.split_whitespace());
        Flags::try_parse_from(words)
            .map_err(|error| error.to_string())?
            .choose()
    }

    fn seconds(choice: &Choice) -> f64 {
        let cell = |&scenario: &Scenario| choice.cells(scenario) * choice.pace.estimate(scenario);
        choice.scenarios.iter().map(cell).sum()
    }

    #[test]
    fn the_modes_keep_their_promises() {
        assert_eq!(choice("").unwrap().mode, Mode::Quick);
        for (mode, most) in [
            ("--quick", 115.0),
            ("--smoke", 26.0),
            ("--framework", 180.0),
            ("--full", 1_500.0),
        ] {
            let planned = seconds(&choice(mode).unwrap());
            assert!(planned < most, "{mode}: {planned}");
        }
        assert!(choice("--quick --full").is_err());
        let smoke = choice("--smoke").unwrap();
        assert!(smoke.contenders.iter().all(|each| each.is_ours()));
        // Each scenario of `--full` is tried by a smoke run in some size.
        let kind = |scenario: &Scenario| scenario.id().split('-').next().map(str::to_owned);
        for scenario in choice("--full").unwrap().scenarios {
            let tried = smoke
                .scenarios
                .iter()
                .any(|each| kind(each) == kind(&scenario));
            assert!(tried || scenario == Scenario::Headers, "{scenario:?}");
        }
        for mode in ["--smoke", "--quick", "--framework", "--full"] {
            let choice = choice(mode).unwrap();
            assert!(choice.pace.window.as_millis() >= 200, "{mode}");
        }
    }

    #[test]
    fn contenders_and_scenarios_can_be_named() {
        let chosen = choice("--engines green --peers hyper,floor --only longpoll,headers").unwrap();
        let names: Vec<_> = chosen.contenders.iter().map(|each| each.name()).collect();
        assert_eq!(names, ["greenway green", "hyper", "floor"]);
        let ids: Vec<_> = chosen.scenarios.iter().map(|each| each.id()).collect();
        assert_eq!(
            ids,
            [
                "headers",
                "longpoll-20",
                "longpoll-100",
                "longpoll-1000",
                "longpoll-10000"
            ]
        );
        assert_eq!(
            choice("--peers --engines green").unwrap().contenders.len(),
            1
        );
        let beside = choice("--engines green,threads --peers --beside x").unwrap();
        let names: Vec<_> = beside.contenders.iter().map(|each| each.name()).collect();
        let both = [
            "greenway green",
            "greenway threads",
            "other green",
            "other threads",
        ];
        assert_eq!(names, both);
        for bad in [
            "--only fast",
            "--peers --engines",
            "--window 0",
            "--peers apache",
        ] {
            assert!(choice(bad).is_err(), "{bad}");
        }
    }
}
