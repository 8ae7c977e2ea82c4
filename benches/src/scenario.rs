//! What is measured: each scenario says in one sentence what the clients do, which
//! figures it yields, and which contender cannot take part.

use crate::contender::{Contender, Engine, POOL, Peer};
use crate::load::crowd::Form;
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
    /// A small JSON object, made for each request.
    Json,
    /// A hundred routes with wildcards.
    Routing,
    /// A body of so many bytes, echoed.
    Post(usize),
    /// A chunked body, echoed.
    ChunkedIn,
    /// A response of [`CHUNKS`] small chunks.
    Stream,
    /// A new connection for every so many requests.
    Churn(u32),
    /// So many clients of several kinds that think between requests.
    Mixed(usize),
    /// A fixed rate, requests per second.
    Latency(u32),
    /// The same beside a handler that computes all the time.
    Hog(u32),
    /// One client beside so many slow ones.
    Slow(Form, usize),
    /// So many idle keep-alive connections.
    Idle(usize),
    /// So many handlers asleep.
    Parked(usize),
    /// So many clients that poll for ever, each answered after a while.
    LongPoll(usize),
    /// So many long polls that wait for the same thing.
    Publish(usize),
    /// From the start of the process to the first answer.
    StartUp,
}

/// Clients of the throughput scenarios: enough to keep a server of some cores busy.
pub const CLIENTS: usize = 64;
/// Requests per write in [`Scenario::Pipelined`], as in TechEmpower's plaintext test.
pub const DEPTH: usize = 16;
/// Clients of the scenarios whose requests or responses are large.
pub const FEW_CLIENTS: usize = 16;
/// Bytes of the chunked body, in pieces of [`PIECE`] bytes.
pub const CHUNKED_BODY: usize = 16 * 1024;
/// Bytes of a piece of the chunked body.
pub const PIECE: usize = 1024;
/// Chunks of a streamed response, 32 bytes each.
pub const CHUNKS: usize = 1_000;
/// Routes in [`Scenario::Routing`].
pub const ROUTES: usize = 100;
/// How long the hog computes at a time.
pub const HOG_MS: u64 = 50;

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
            Self::Json => "json".to_owned(),
            Self::Routing => "routing".to_owned(),
            Self::Post(n) if n % (1 << 20) == 0 => format!("post-{}m", n >> 20),
            Self::Post(n) => format!("post-{}k", n >> 10),
            Self::ChunkedIn => "chunked-in".to_owned(),
            Self::Stream => "stream".to_owned(),
            Self::Churn(n) => format!("churn-{n}"),
            Self::Mixed(n) => format!("mixed-{n}"),
            Self::Latency(rate) => format!("latency-{rate}"),
            Self::Hog(rate) => format!("hog-{rate}"),
            Self::Slow(Form::Head, n) => format!("slowloris-head-{n}"),
            Self::Slow(Form::Body, n) => format!("slowloris-body-{n}"),
            Self::Slow(Form::Reader, n) => format!("slowloris-read-{n}"),
            Self::Idle(n) => format!("idle-{n}"),
            Self::Parked(n) => format!("parked-{n}"),
            Self::LongPoll(n) => format!("longpoll-{n}"),
            Self::Publish(n) => format!("publish-{n}"),
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
            Self::Json => "JSON".to_owned(),
            Self::Routing => format!("{ROUTES} routes with wildcards"),
            Self::Post(n) => format!("POST, {} KiB echoed", n >> 10),
            Self::ChunkedIn => format!("A chunked body of {} KiB, echoed", CHUNKED_BODY >> 10),
            Self::Stream => format!("A stream of {CHUNKS} small chunks"),
            Self::Mixed(n) => format!("{n} clients that think"),
            Self::Hog(rate) => format!("{rate} requests per second beside a hog"),
            Self::Slow(Form::Head, n) => format!("{n} slow heads"),
            Self::Slow(Form::Body, n) => format!("{n} slow bodies"),
            Self::Slow(Form::Reader, n) => format!("{n} slow readers"),
            Self::Churn(1) => "A connection per request".to_owned(),
            Self::Churn(n) => format!("{n} requests per connection"),
            Self::Latency(rate) => format!("Latency at {rate} requests per second"),
            Self::Idle(n) => format!("{n} idle connections"),
            Self::Parked(n) => format!("{n} handlers asleep"),
            Self::LongPoll(n) => format!("{n} long polls"),
            Self::Publish(n) => format!("{n} long polls, one publish"),
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
            Self::Json => format!(
                "{CLIENTS} connections; an object of one field is made and serialized for each \
                 request."
            ),
            Self::Routing => format!(
                "{CLIENTS} connections ask for /rNN/<id:int>/<name>, for all of {ROUTES} routes in \
                 turn; the answer holds both wildcards."
            ),
            Self::Post(n) => format!(
                "{} connections; each sends {n} bytes and gets them back.",
                self.connections()
            ),
            Self::ChunkedIn => format!(
                "{CLIENTS} connections; each sends {CHUNKED_BODY} bytes in chunks of {PIECE} and \
                 gets them back."
            ),
            Self::Stream => format!(
                "{FEW_CLIENTS} connections; each answer has {CHUNKS} chunks of 32 bytes. Greenway \
                 owes each chunk to the wire as it is yielded; others may gather them. One \
                 \"request\" is a whole stream."
            ),
            Self::Mixed(n) => format!(
                "{n} clients wait 100 to 300 ms between an answer and their next request: of ten, \
                 six are GET /, two JSON, one echoes 1 KiB, and one sleeps for 20 ms. Latencies \
                 count from the end of the pause."
            ),
            Self::Hog(rate) => format!(
                "The open loop at {rate} requests per second, while one more client asks for \
                 {HOG_MS} ms of computing at a time, again and again. A server of one scheduler \
                 thread is held up for so long."
            ),
            Self::Slow(form, n) => {
                let how = match form {
                    Form::Head => "send a head byte by byte",
                    Form::Body => "send a head at once and a body byte by byte",
                    Form::Reader => "ask for 256 KiB and take it in 64 bytes at a time",
                };
                format!(
                    "One client in a closed loop, first alone, then beside {n} that {how}. All \
                     clocks of the server are shortened by flags, where it has any; the handler's \
                     own is twice as long as the others. \"cut\" and \"all freed\" are seen from \
                     the server's open sockets, the others from the clients."
                )
            }
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
            Self::Publish(n) => format!(
                "{n} requests wait for one publish that answers them all. Then {n} wait again, \
                 and all clients leave: how long until no handler is left that waits?"
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
            Self::KeepAlive
            | Self::Pipelined
            | Self::Headers
            | Self::Json
            | Self::Routing
            | Self::Post(_)
            | Self::ChunkedIn
            | Self::Stream
            | Self::Churn(_)
            | Self::Mixed(_) => &[
                Metric::CpuPerRequest,
                Metric::PerSecond,
                Metric::P50,
                Metric::P99,
                Metric::ServerCores,
                Metric::GeneratorBusy,
            ],
            Self::Latency(_) | Self::Hog(_) => &[
                Metric::P99,
                Metric::P50,
                Metric::P999,
                Metric::Max,
                Metric::CpuPerRequest,
                Metric::Unanswered,
                Metric::GeneratorBusy,
            ],
            Self::Slow(..) => &[
                Metric::P50,
                Metric::P50Alone,
                Metric::P99,
                Metric::P99Alone,
                Metric::Starved,
                Metric::Held,
                Metric::Cut,
                Metric::CutStatus,
                Metric::CutAfter,
                Metric::CutLast,
                Metric::Freed,
            ],
            Self::Publish(_) => &[
                Metric::AllAnswered,
                Metric::Lost,
                Metric::Unwound,
                Metric::Remaining,
                Metric::Resident,
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
            Self::Idle(n)
            | Self::Parked(n)
            | Self::LongPoll(n)
            | Self::Publish(n)
            | Self::Slow(_, n)
            | Self::Mixed(n) => n,
            Self::Post(1..=65_536) => CLIENTS,
            Self::Post(_) | Self::Stream => FEW_CLIENTS,
            Self::StartUp => 1,
            _ => CLIENTS,
        }
    }

    /// Whether its cells take a window whose length may be chosen.
    #[must_use]
    pub fn is_timed(self) -> bool {
        !matches!(
            self,
            Self::Slow(..)
                | Self::Idle(_)
                | Self::Parked(_)
                | Self::LongPoll(_)
                | Self::Publish(_)
                | Self::StartUp
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
        self.missing(contender).map(str::to_owned).or_else(|| {
            let held = match self {
                Self::Parked(n) | Self::Publish(n) => n,
                _ => 0,
            };
            let pool = contender.waiting_handlers()?;
            (pool < held).then(|| {
                format!("a waiting handler holds a thread of the pool, and the pool has {POOL}")
            })
        })
    }

    /// What a contender does not have that the scenario needs.
    fn missing(self, contender: Contender) -> Option<&'static str> {
        let plain = matches!(
            self,
            Self::KeepAlive
                | Self::Pipelined
                | Self::Headers
                | Self::Churn(_)
                | Self::Latency(_)
                | Self::Idle(_)
                | Self::StartUp
        );
        if contender == Contender::Peer(Peer::Floor) {
            return (!plain).then_some("parses nothing, so it can only say hello");
        }
        let hosted = matches!(
            contender,
            Contender::Peer(Peer::MiniHttp) | Contender::Engine(Engine::MiniHttp)
        );
        match (self, contender) {
            (Self::ChunkedIn, _) if hosted => Some("may_minihttp reads no chunked bodies"),
            (Self::Stream, _) if hosted => Some("may_minihttp cannot stream"),
            (Self::Routing, Contender::Peer(Peer::MiniHttp | Peer::Hyper | Peer::Tiny)) => {
                Some("has no router")
            }
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
        assert!(why(Scenario::Publish(1_000), threads).contains("pool"));
        let hosted = Contender::Engine(Engine::MiniHttp);
        assert!(why(Scenario::Stream, hosted).contains("cannot stream"));
        assert_eq!(why(Scenario::Routing, hosted), "");
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
