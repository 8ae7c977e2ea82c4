//! What is measured: each scenario says in one sentence what the clients do, which
//! figures it yields, and which contender cannot take part.

use crate::contender::{Contender, POOL, Peer};
use crate::results::Metric;

/// A scenario with its sizes filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    /// Keep-alive, one request at a time per connection.
    KeepAlive,
    /// Keep-alive, sixteen requests per write.
    Pipelined,
    /// Keep-alive with the fifteen header fields of a browser.
    Headers,
    /// A new connection for every so many requests.
    Churn(u32),
    /// A fixed rate, requests per second.
    Latency(u32),
    /// So many idle keep-alive connections.
    Idle(usize),
    /// So many handlers asleep.
    Parked(usize),
    /// So many clients that poll for ever, each answered after a while.
    LongPoll(usize),
    /// From the start of the process to the first answer.
    StartUp,
}

/// Clients of the throughput scenarios: enough to keep a server of some cores busy.
pub const CLIENTS: usize = 64;
/// Requests per write in [`Scenario::Pipelined`], as in TechEmpower's plaintext test.
pub const DEPTH: usize = 16;

/// What a browser sends on a plain navigation, `Host` not counted.
pub const BROWSER: [&str; 14] = [
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/143.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
    "Cache-Control: no-cache",
    "Connection: keep-alive",
    "Cookie: session=Zm9vYmFyYmF6cXV4MDEyMzQ1Njc4OWFiY2RlZg; theme=dark; consent=2026-01-01",
    "Referer: http://127.0.0.1/start",
    "Sec-Ch-Ua: \"Chromium\";v=\"143\", \"Not_A Brand\";v=\"24\"",
    "Sec-Ch-Ua-Mobile: ?0",
    "Sec-Ch-Ua-Platform: \"Linux\"",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Upgrade-Insecure-Requests: 1",
];

impl Scenario {
    /// The name for `--only`, files and JSON.
    #[must_use]
    pub fn id(self) -> String {
        match self {
            Self::KeepAlive => "keepalive".to_owned(),
            Self::Pipelined => "pipelined".to_owned(),
            Self::Headers => "headers".to_owned(),
            Self::Churn(n) => format!("churn-{n}"),
            Self::Latency(rate) => format!("latency-{rate}"),
            Self::Idle(n) => format!("idle-{n}"),
            Self::Parked(n) => format!("parked-{n}"),
            Self::LongPoll(n) => format!("longpoll-{n}"),
            Self::StartUp => "startup".to_owned(),
        }
    }

    /// The heading in the report.
    #[must_use]
    pub fn title(self) -> String {
        match self {
            Self::KeepAlive => "Hello over keep-alive".to_owned(),
            Self::Pipelined => format!("Hello, pipelined by {DEPTH}"),
            Self::Headers => "Hello with a browser's 15 header fields".to_owned(),
            Self::Churn(1) => "A connection per request".to_owned(),
            Self::Churn(n) => format!("{n} requests per connection"),
            Self::Latency(rate) => format!("Latency at {rate} requests per second"),
            Self::Idle(n) => format!("{n} idle connections"),
            Self::Parked(n) => format!("{n} handlers asleep"),
            Self::LongPoll(n) => format!("{n} long polls"),
            Self::StartUp => "Start-up".to_owned(),
        }
    }

    /// What the clients do, in a sentence.
    #[must_use]
    pub fn story(self) -> String {
        match self {
            Self::KeepAlive => {
                format!("{CLIENTS} connections; each sends the next GET / when it has its answer.")
            }
            Self::Pipelined => {
                format!("{CLIENTS} connections; each sends {DEPTH} requests in one write.")
            }
            Self::Headers => format!("{CLIENTS} connections, requests of about 750 bytes."),
            Self::Churn(n) => format!(
                "{CLIENTS} clients; each closes its connection after {n} request(s) and opens a \
                 new one."
            ),
            Self::Latency(rate) => format!(
                "Open loop over {CLIENTS} connections: {rate} requests per second are due at \
                 fixed times, and each latency counts from then."
            ),
            Self::Idle(n) => {
                format!("{n} connections, each after one answered request; nothing else happens.")
            }
            Self::Parked(n) => format!("{n} requests whose handlers sleep."),
            Self::LongPoll(n) => format!(
                "{n} clients; each asks for an answer that comes after a fixed sleep, and asks \
                 again."
            ),
            Self::StartUp => {
                "From starting the process to its first answer, on a warm disk; size of the \
                 binary with its line tables."
                    .to_owned()
            }
        }
    }

    /// The figures it yields; the first is the one that is plotted.
    #[must_use]
    pub fn metrics(self) -> &'static [Metric] {
        match self {
            Self::KeepAlive | Self::Pipelined | Self::Headers | Self::Churn(_) => &[
                Metric::CpuPerRequest,
                Metric::PerSecond,
                Metric::P50,
                Metric::P99,
                Metric::ServerCores,
                Metric::GeneratorBusy,
            ],
            Self::Latency(_) => &[
                Metric::P99,
                Metric::P50,
                Metric::P999,
                Metric::Max,
                Metric::CpuPerRequest,
                Metric::Unanswered,
                Metric::GeneratorBusy,
            ],
            Self::Idle(_) | Self::Parked(_) => &[Metric::BytesEach, Metric::Resident],
            Self::LongPoll(_) => &[
                Metric::PerSecond,
                Metric::Resident,
                Metric::P50,
                Metric::P99,
                Metric::Starved,
                Metric::CpuPerRequest,
                Metric::GeneratorBusy,
            ],
            Self::StartUp => &[Metric::StartUp, Metric::Resident, Metric::BinarySize],
        }
    }

    /// How many connections it holds open at once.
    #[must_use]
    pub fn connections(self) -> usize {
        match self {
            Self::Idle(n) | Self::Parked(n) | Self::LongPoll(n) => n,
            Self::StartUp => 1,
            _ => CLIENTS,
        }
    }

    /// Whether its cells take a window whose length may be chosen.
    #[must_use]
    pub fn is_timed(self) -> bool {
        matches!(
            self,
            Self::KeepAlive | Self::Pipelined | Self::Headers | Self::Churn(_) | Self::Latency(_)
        )
    }

    /// Why a contender cannot take part, if so.
    #[must_use]
    pub fn obstacle(self, contender: Contender, descriptors: u64) -> Option<String> {
        // Some for the logs, libraries and epoll of either side.
        let needed = self.connections() as u64 + 200;
        if needed > descriptors {
            return Some(format!(
                "needs {needed} descriptors per process, and the hard limit is {descriptors}"
            ));
        }
        let waits = matches!(self, Self::Parked(_) | Self::LongPoll(_));
        if waits && contender == Contender::Peer(Peer::Floor) {
            return Some("parses nothing, so it cannot be asked to sleep".to_owned());
        }
        match (self, contender.waiting_handlers()) {
            (Self::Parked(n), Some(pool)) if pool < n => Some(format!(
                "a waiting handler holds a thread of the pool, and the pool has {POOL}"
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender::Engine;

    #[test]
    fn who_cannot_take_part_is_told_why() {
        let green = Contender::Engine(Engine::Green);
        let threads = Contender::Engine(Engine::Threads);
        let floor = Contender::Peer(Peer::Floor);
        let why = |scenario: Scenario, who| scenario.obstacle(who, 20_000).unwrap_or_default();
        assert_eq!(why(Scenario::Parked(8_000), green), "");
        assert!(why(Scenario::Parked(8_000), threads).contains("pool"));
        // The pool that stalls is the picture, not an obstacle.
        assert_eq!(why(Scenario::LongPoll(1_000), threads), "");
        assert!(why(Scenario::LongPoll(20), floor).contains("parses nothing"));
        assert!(why(Scenario::Idle(20_000), green).contains("descriptors"));
        assert_eq!(why(Scenario::KeepAlive, floor), "");
    }

    #[test]
    fn a_browser_sends_fifteen_fields() {
        // `Host` is the fifteenth; may_minihttp takes no more than sixteen.
        assert_eq!(BROWSER.len() + 1, 15);
        let bytes = crate::probe::request("/", &BROWSER).len();
        assert!((650..850).contains(&bytes), "{bytes}");
    }
}
