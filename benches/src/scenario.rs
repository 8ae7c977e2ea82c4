//! What is measured: each scenario says in one sentence what the clients do, which
//! figures it yields, and which contender cannot take part.

mod obstacle;
mod words;

use crate::load::crowd::Form;
use crate::results::Metric;

pub use obstacle::Bounds;

/// A scenario with its sizes filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    /// Keep-alive, one request at a time per connection.
    KeepAlive,
    /// The same, asked by `wrk` after our own generator.
    Wrk,
    /// Keep-alive, sixteen requests per write.
    Pipelined,
    /// Keep-alive with the fifteen header fields of a browser.
    Headers,
    /// A small JSON object, made for each request.
    Json,
    /// A body of JSON, parsed, and one that is made for the answer.
    JsonIn,
    /// So many routes, most of them with wildcards.
    Routing(usize),
    /// A URL-encoded form of five fields.
    FormFields,
    /// A multipart form of two fields and a small file.
    FormFile,
    /// A file of so many bytes as a multipart form, taken as a stream.
    Upload(Store, usize),
    /// A body of so many bytes, echoed.
    Post(usize),
    /// A chunked body, echoed.
    ChunkedIn,
    /// A file of so many bytes from disk.
    Static(usize),
    /// A response of [`CHUNKS`] small chunks.
    Stream,
    /// Responses whose chunks come [`TICK_MS`] apart and tell when they were yielded.
    FirstByte,
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
    /// So many WebSockets whose messages are echoed.
    SocketEcho(usize),
    /// So many WebSockets that all hear of each publish.
    SocketRoom(usize),
    /// So many WebSockets that say nothing.
    SocketIdle(usize),
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

/// What becomes of an uploaded file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Store {
    /// Its bytes are counted.
    Counter,
    /// It is written to disk, and removed.
    Disk,
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
/// Milliseconds between two chunks of [`Scenario::FirstByte`].
pub const TICK_MS: u64 = 2;
/// Publishes of [`Scenario::SocketRoom`].
pub const PUBLISHES: u32 = 10;
/// Bytes of a message that is echoed.
pub const MESSAGE: usize = 32;
/// Routes that servers always have, for [`Scenario::Routing`].
pub const ROUTES: usize = 100;
/// Routes that servers have when they are told to, each thing four of them.
pub const MANY_ROUTES: usize = 1_000;
/// Bytes of the file of [`Scenario::FormFile`].
pub const SMALL_FILE: usize = 2_048;
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
            Self::Wrk => "wrk".to_owned(),
            Self::Pipelined => "pipelined".to_owned(),
            Self::Headers => "headers".to_owned(),
            Self::Json => "json".to_owned(),
            Self::JsonIn => "json-in".to_owned(),
            Self::Routing(ROUTES) => "routing".to_owned(),
            Self::Routing(n) => format!("routing-{n}"),
            Self::FormFields => "form-fields".to_owned(),
            Self::FormFile => "form-file".to_owned(),
            Self::Upload(Store::Counter, n) => format!("upload-count-{}", size(n)),
            Self::Upload(Store::Disk, n) => format!("upload-disk-{}", size(n)),
            Self::Post(n) => format!("post-{}", size(n)),
            Self::Static(n) => format!("static-{}", size(n)),
            Self::ChunkedIn => "chunked-in".to_owned(),
            Self::Stream => "stream".to_owned(),
            Self::FirstByte => "first-byte".to_owned(),
            Self::Churn(n) => format!("churn-{n}"),
            Self::Mixed(n) => format!("mixed-{n}"),
            Self::Latency(rate) => format!("latency-{rate}"),
            Self::Hog(rate) => format!("hog-{rate}"),
            Self::Slow(Form::Head, n) => format!("slowloris-head-{n}"),
            Self::Slow(Form::Body, n) => format!("slowloris-body-{n}"),
            Self::Slow(Form::Reader, n) => format!("slowloris-read-{n}"),
            Self::SocketEcho(n) => format!("ws-echo-{n}"),
            Self::SocketRoom(n) => format!("ws-room-{n}"),
            Self::SocketIdle(n) => format!("ws-idle-{n}"),
            Self::Idle(n) => format!("idle-{n}"),
            Self::Parked(n) => format!("parked-{n}"),
            Self::LongPoll(n) => format!("longpoll-{n}"),
            Self::Publish(n) => format!("publish-{n}"),
            Self::StartUp => "startup".to_owned(),
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
            | Self::JsonIn
            | Self::Routing(_)
            | Self::FormFields
            | Self::FormFile
            | Self::Post(_)
            | Self::ChunkedIn
            | Self::Static(_)
            | Self::Stream
            | Self::Churn(_)
            | Self::SocketEcho(_)
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
            Self::Upload(..) => &[
                Metric::CpuPerMib,
                Metric::PeakGrowth,
                Metric::Peak,
                Metric::MibPerSecond,
                Metric::GeneratorBusy,
            ],
            Self::Wrk => &[
                Metric::WrkCpuPerRequest,
                Metric::CpuPerRequest,
                Metric::WrkPerSecond,
                Metric::PerSecond,
                Metric::GeneratorBusy,
            ],
            Self::FirstByte => &[
                Metric::P50,
                Metric::P99,
                Metric::Max,
                Metric::Segments,
                Metric::PerSecond,
            ],
            Self::SocketRoom(_) => &[
                Metric::Max,
                Metric::P50,
                Metric::P99,
                Metric::CpuPerRequest,
                Metric::Lost,
                Metric::Resident,
                Metric::GeneratorBusy,
            ],
            Self::Idle(_) | Self::Parked(_) | Self::SocketIdle(_) => {
                &[Metric::BytesEach, Metric::Resident]
            }
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
            | Self::SocketEcho(n)
            | Self::SocketRoom(n)
            | Self::SocketIdle(n)
            | Self::Mixed(n) => n,
            Self::Post(1..=65_536) | Self::Static(1..=65_536) => CLIENTS,
            Self::Post(_) | Self::Static(_) | Self::Stream | Self::FirstByte => FEW_CLIENTS,
            Self::StartUp | Self::Upload(..) => 1,
            _ => CLIENTS,
        }
    }

    /// How many windows its cells take whose length may be chosen.
    #[must_use]
    pub fn windows(self) -> u8 {
        match self {
            Self::Slow(..)
            | Self::Idle(_)
            | Self::Parked(_)
            | Self::SocketRoom(_)
            | Self::SocketIdle(_)
            | Self::LongPoll(_)
            | Self::Publish(_)
            | Self::Upload(..)
            | Self::StartUp => 0,
            Self::Wrk => 2,
            _ => 1,
        }
    }

    /// Whether the servers are to have [`MANY_ROUTES`] more routes.
    #[must_use]
    pub fn wants_many_routes(self) -> bool {
        self == Self::Routing(MANY_ROUTES)
    }

    /// Whether its clients speak WebSocket.
    #[must_use]
    pub fn upgrades(self) -> bool {
        matches!(
            self,
            Self::SocketEcho(_) | Self::SocketRoom(_) | Self::SocketIdle(_)
        )
    }
}

/// A number of bytes as names have it.
fn size(bytes: usize) -> String {
    if bytes.is_multiple_of(1 << 30) {
        format!("{}g", bytes >> 30)
    } else if bytes.is_multiple_of(1 << 20) {
        format!("{}m", bytes >> 20)
    } else {
        format!("{}k", bytes >> 10)
    }
}

#[cfg(test)]
mod tests {
    use super::BROWSER;

    #[test]
    fn a_browser_sends_fifteen_fields() {
        // `Host` is the fifteenth; may_minihttp takes no more than sixteen.
        assert_eq!(BROWSER.len() + 1, 15);
        let bytes = crate::probe::request("/", &BROWSER).len();
        assert!((650..850).contains(&bytes), "{bytes}");
    }
}
