//! The four modes of a run, and the two tables that say which scenario, in which size,
//! and which contender belongs to which of them.

use std::time::Duration;

use crate::cell::Pace;
use crate::contender::{Contender, Engine, Peer};
use crate::load::crowd::Form;
use crate::scenario::Scenario::{self, *};
use crate::scenario::{MANY_ROUTES, ROUTES, Store};

/// What a run stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Does the suite work?
    Smoke,
    /// Two minutes.
    Quick,
    /// What a framework does for an application, beside other frameworks: three minutes.
    Framework,
    /// All of it.
    Full,
}

/// Scenarios in the order in which they run, each behind the letters of its modes: smoke,
/// quick, framework ("w", for web), full.
const SCENARIOS: [(&str, Scenario); 57] = [
    ("sqf", KeepAlive),
    ("sf", Wrk),
    ("sqf", Pipelined),
    ("f", Headers),
    ("sf", Json),
    ("swf", JsonIn),
    ("f", Routing(ROUTES)),
    ("swf", Routing(MANY_ROUTES)),
    ("swf", FormFields),
    ("swf", FormFile),
    ("swf", Upload(Store::Counter, 16 << 20)),
    ("wf", Upload(Store::Counter, 1 << 30)),
    ("s", Upload(Store::Disk, 16 << 20)),
    ("wf", Upload(Store::Disk, 1 << 30)),
    ("sf", Post(1 << 10)),
    ("sf", Post(1 << 20)),
    ("sf", ChunkedIn),
    ("swf", Static(1 << 10)),
    ("wf", Static(100 << 10)),
    ("swf", Static(1 << 20)),
    ("sf", Stream),
    ("sqf", FirstByte),
    ("sqf", Churn(10)),
    ("f", Churn(1)),
    ("s", Mixed(50)),
    ("f", Mixed(1_000)),
    ("s", Latency(2_000)),
    ("qf", Latency(10_000)),
    ("f", Latency(30_000)),
    ("s", Hog(200)),
    ("f", Hog(1_000)),
    ("s", Slow(Form::Head, 100)),
    ("f", Slow(Form::Head, 5_000)),
    ("s", Slow(Form::Body, 15)),
    ("f", Slow(Form::Body, 5_000)),
    ("s", Slow(Form::Reader, 15)),
    ("f", Slow(Form::Reader, 5_000)),
    ("s", SocketEcho(10)),
    ("f", SocketEcho(100)),
    ("f", SocketEcho(1_000)),
    ("s", SocketRoom(100)),
    ("f", SocketRoom(5_000)),
    ("s", SocketIdle(200)),
    ("f", SocketIdle(8_000)),
    ("s", Idle(200)),
    ("q", Idle(2_000)),
    ("f", Idle(8_000)),
    ("s", Parked(200)),
    ("q", Parked(2_000)),
    ("f", Parked(8_000)),
    ("sqf", LongPoll(20)),
    ("qf", LongPoll(100)),
    ("qf", LongPoll(1_000)),
    ("qf", LongPoll(10_000)),
    ("s", Publish(200)),
    ("f", Publish(10_000)),
    ("sqf", StartUp),
];

/// Contenders in the order in which they are shown, Greenway first.
const CONTENDERS: [(&str, Contender); 13] = [
    ("sqwf", Contender::Engine(Engine::Green)),
    ("sqwf", Contender::Engine(Engine::Threads)),
    ("sf", Contender::Engine(Engine::MiniHttp)),
    ("qf", Contender::Peer(Peer::Floor)),
    ("qf", Contender::Peer(Peer::MiniHttp)),
    ("qwf", Contender::Peer(Peer::Hyper)),
    ("wf", Contender::Peer(Peer::Axum)),
    ("wf", Contender::Peer(Peer::Actix)),
    ("f", Contender::Peer(Peer::Tiny)),
    ("f", Contender::Peer(Peer::Go)),
    ("wf", Contender::Peer(Peer::Nginx)),
    ("wf", Contender::Peer(Peer::Gevent)),
    ("f", Contender::Peer(Peer::Gthread)),
];

impl Mode {
    /// The flag.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Quick => "quick",
            Self::Framework => "framework",
            Self::Full => "full",
        }
    }

    /// How the tables call it.
    fn letter(self) -> char {
        match self {
            Self::Smoke => 's',
            Self::Quick => 'q',
            Self::Framework => 'w',
            Self::Full => 'f',
        }
    }

    /// What runs if nothing is named.
    #[must_use]
    pub fn scenarios(self) -> Vec<Scenario> {
        self.of(&SCENARIOS)
    }

    /// Who takes part if nobody is named.
    #[must_use]
    pub fn contenders(self) -> Vec<Contender> {
        self.of(&CONTENDERS)
    }

    fn of<T: Copy>(self, table: &[(&str, T)]) -> Vec<T> {
        let letter = self.letter();
        let rows = table.iter().filter(|(modes, _)| modes.contains(letter));
        rows.map(|&(_, each)| each).collect()
    }

    /// Rounds of the throughput scenarios.
    #[must_use]
    pub fn rounds(self) -> u32 {
        match self {
            Self::Smoke => 1,
            Self::Quick | Self::Framework | Self::Full => 3,
        }
    }

    /// Rounds of a scenario: what holds memory or waits varies less than what hurries.
    #[must_use]
    pub fn rounds_of(self, scenario: Scenario, rounds: u32) -> u32 {
        match scenario {
            LongPoll(_) | Publish(_) | Slow(..) | SocketRoom(_) => rounds.min(1),
            Idle(_) | Parked(_) | SocketIdle(_) => rounds.min(2),
            _ => rounds,
        }
    }

    /// Seconds that the whole run may take.
    #[must_use]
    pub fn budget(self) -> f64 {
        match self {
            Self::Smoke => 24.0,
            Self::Quick => 105.0,
            Self::Framework => 170.0,
            Self::Full => 1_380.0,
        }
    }

    /// The windows of the mode, with a throughput window of so many seconds.
    #[must_use]
    pub fn pace(self, window: f64) -> Pace {
        let (warmup, poll, clock) = match self {
            Self::Smoke => (50, 150, 600),
            Self::Quick | Self::Framework => (200, 500, 3_000),
            Self::Full => (250, 1_000, 3_000),
        };
        Pace {
            warmup: Duration::from_millis(warmup),
            window: Duration::from_secs_f64(window),
            poll: Duration::from_millis(poll),
            clock: Duration::from_millis(clock),
        }
    }
}
