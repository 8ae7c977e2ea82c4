//! The command line: which contenders and scenarios, at which pace.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::cell::Pace;
use crate::contender::{Contender, Engine, Peer};
use crate::load::crowd::Form;
use crate::scenario::Scenario;

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
    /// Every scenario and contender, five rounds: plan an hour and a half
    #[arg(long, group = "mode")]
    pub full: bool,
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

/// What a mode stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Does the suite work?
    Smoke,
    /// Two minutes.
    Quick,
    /// All of it.
    Full,
}

impl Mode {
    /// The flag.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }

    fn scenarios(self) -> Vec<Scenario> {
        use Scenario::{
            ChunkedIn, Churn, Headers, Hog, Idle, Json, KeepAlive, Latency, LongPoll, Mixed,
            Parked, Pipelined, Post, Publish, Routing, Slow, StartUp, Stream,
        };
        match self {
            Self::Smoke => vec![
                KeepAlive,
                Pipelined,
                Json,
                Routing,
                Post(1 << 10),
                Post(1 << 20),
                ChunkedIn,
                Stream,
                Churn(10),
                Mixed(50),
                Latency(2_000),
                Hog(200),
                Slow(Form::Head, 100),
                Slow(Form::Body, 15),
                Slow(Form::Reader, 15),
                Idle(200),
                Parked(200),
                LongPoll(20),
                LongPoll(100),
                Publish(200),
                StartUp,
            ],
            Self::Quick => vec![
                KeepAlive,
                Pipelined,
                Churn(10),
                Latency(10_000),
                Idle(2_000),
                Parked(2_000),
                LongPoll(20),
                LongPoll(100),
                LongPoll(1_000),
                StartUp,
            ],
            Self::Full => vec![
                KeepAlive,
                Pipelined,
                Headers,
                Json,
                Routing,
                Post(1 << 10),
                Post(1 << 20),
                ChunkedIn,
                Stream,
                Churn(10),
                Churn(1),
                Mixed(1_000),
                Latency(10_000),
                Latency(30_000),
                Hog(1_000),
                Slow(Form::Head, 5_000),
                Slow(Form::Body, 5_000),
                Slow(Form::Reader, 5_000),
                Idle(8_000),
                Parked(8_000),
                LongPoll(20),
                LongPoll(100),
                LongPoll(1_000),
                LongPoll(10_000),
                Publish(10_000),
                StartUp,
            ],
        }
    }

    fn contenders(self) -> (Vec<Engine>, Vec<Peer>) {
        match self {
            Self::Smoke => (
                vec![Engine::Green, Engine::Threads, Engine::MiniHttp],
                Vec::new(),
            ),
            Self::Quick => (
                vec![Engine::Green, Engine::Threads],
                vec![Peer::Floor, Peer::MiniHttp, Peer::Hyper],
            ),
            Self::Full => (
                vec![Engine::Green, Engine::Threads, Engine::MiniHttp],
                vec![
                    Peer::Floor,
                    Peer::MiniHttp,
                    Peer::Hyper,
                    Peer::Axum,
                    Peer::Actix,
                    Peer::Tiny,
                ],
            ),
        }
    }

    fn rounds(self) -> u32 {
        match self {
            Self::Smoke => 1,
            Self::Quick => 3,
            Self::Full => 5,
        }
    }

    /// What the whole run may take, where the mode promises something.
    fn budget(self) -> Option<f64> {
        match self {
            Self::Smoke => Some(22.0),
            Self::Quick => Some(105.0),
            Self::Full => None,
        }
    }
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
    /// Rounds of a scenario: what holds memory or waits varies less than what hurries,
    /// so the quick modes give it fewer.
    #[must_use]
    pub fn rounds_of(&self, scenario: Scenario) -> u32 {
        match (self.mode, scenario) {
            (Mode::Full, _) => self.rounds,
            (_, Scenario::LongPoll(_) | Scenario::Publish(_) | Scenario::Slow(..)) => {
                self.rounds.min(1)
            }
            (_, Scenario::Idle(_) | Scenario::Parked(_)) => self.rounds.min(2),
            _ => self.rounds,
        }
    }

    /// Why the mode leaves a contender out of a scenario, if so: a smoke run shows that
    /// every scenario works on one engine, and that every engine works.
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
        (self.mode == Mode::Smoke && !everybody && !first)
            .then_some("a smoke run asks only the first contender for this")
    }

    /// Cells of a scenario, before anybody is found unable to take part.
    fn cells(&self, scenario: Scenario) -> f64 {
        let taking_part = self
            .contenders
            .iter()
            .filter(|&&contender| self.leaves_out(scenario, contender).is_none());
        f64::from(self.rounds_of(scenario)) * taking_part.count() as f64
    }
}

impl Flags {
    /// Turns flags into a run.
    ///
    /// # Errors
    /// One line for the user.
    pub fn choose(&self) -> Result<Choice, String> {
        let mode = match (self.smoke, self.full) {
            (true, _) => Mode::Smoke,
            (_, true) => Mode::Full,
            _ => Mode::Quick,
        };
        let (engines, peers) = mode.contenders();
        let engines = self.engines.clone().unwrap_or(engines);
        let peers = self.peers.clone().unwrap_or(peers);
        let mut contenders: Vec<_> = engines.into_iter().map(Contender::Engine).collect();
        contenders.extend(peers.into_iter().map(Contender::Peer));
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
            pace: pace(mode, 3.0),
        };
        let window = window.unwrap_or_else(|| choice.affordable_window());
        choice.pace = pace(mode, window);
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
            if found.is_empty() {
                found = matching(&Mode::Full.scenarios());
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

fn pace(mode: Mode, window: f64) -> Pace {
    let (warmup, poll, clock) = match mode {
        Mode::Smoke => (100, 200, 600),
        Mode::Quick => (200, 500, 3_000),
        Mode::Full => (500, 1_000, 3_000),
    };
    Pace {
        warmup: Duration::from_millis(warmup),
        window: Duration::from_secs_f64(window),
        poll: Duration::from_millis(poll),
        clock: Duration::from_millis(clock),
    }
}

impl Choice {
    /// The window that fits the mode's promise, whatever was chosen to run.
    fn affordable_window(&self) -> f64 {
        let Some(budget) = self.mode.budget() else {
            return 3.0;
        };
        let bare = pace(self.mode, 0.0);
        let (mut fixed, mut cells) = (0.0, 0.0);
        for &scenario in &self.scenarios {
            let count = self.cells(scenario);
            fixed += bare.estimate(scenario) * count;
            cells += if scenario.is_timed() { count } else { 0.0 };
        }
        ((budget - fixed) / f64::max(cells, 1.0)).clamp(0.2, 3.0)
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
        assert!(seconds(&choice("--quick").unwrap()) < 115.0);
        assert!(seconds(&choice("--smoke").unwrap()) < 26.0);
        assert!(seconds(&choice("--full").unwrap()) < 5_400.0);
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
    }

    #[test]
    fn contenders_and_scenarios_can_be_named() {
        let chosen = choice("--engines green --peers hyper,floor --only longpoll,headers").unwrap();
        let names: Vec<_> = chosen.contenders.iter().map(|each| each.name()).collect();
        assert_eq!(names, ["greenway green", "hyper", "floor"]);
        let ids: Vec<_> = chosen.scenarios.iter().map(|each| each.id()).collect();
        assert_eq!(
            ids,
            ["headers", "longpoll-20", "longpoll-100", "longpoll-1000"]
        );
        assert_eq!(
            choice("--peers --engines green").unwrap().contenders.len(),
            1
        );
        for bad in [
            "--only fast",
            "--peers --engines",
            "--window 0",
            "--peers nginx",
        ] {
            assert!(choice(bad).is_err(), "{bad}");
        }
    }
}
