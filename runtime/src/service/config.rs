//! What governs a server, and its defaults. Flags and their help are in
//! [`settings`](super::settings).

use super::access_log::Format;
use super::neighbours::Neighbours;
use super::trust::Trust;
use greenway_proto::http1::HeadLimits;
use greenway_proto::websocket::CloseCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Where handlers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// Every connection has a green thread: ten thousand handlers may wait at once.
    #[default]
    Green,
    /// A fixed pool of OS threads; one is held by each *request*, for as long as it lasts.
    Threads,
    /// The application is hosted by the crate `may_minihttp`: fast and small, without streaming,
    /// time limits or admission. What it cannot do is answered with 501. Only with the feature
    /// `minihttp` of this crate.
    #[cfg(feature = "minihttp")]
    MiniHttp,
}

impl Engine {
    /// All engines of this build, by the names that the flag `--engine` knows.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("green", Self::Green),
        ("threads", Self::Threads),
        #[cfg(feature = "minihttp")]
        ("minihttp", Self::MiniHttp),
    ];

    /// The engine's name, as the flag `--engine` knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Threads => "threads",
            #[cfg(feature = "minihttp")]
            Self::MiniHttp => "minihttp",
        }
    }
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|(known, _)| *known == name);
        known.map(|(_, engine)| *engine).ok_or_else(|| {
            let right = match cfg!(feature = "minihttp") {
                true => "green, threads or minihttp",
                false => "green or threads (and minihttp, in a build with greenway's feature of that name)",
            };
            right.to_owned()
        })
    }
}

/// What it means that a client has ended its sending direction (a FIN) while its request is
/// being served. A reset means in any case that it has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HalfClose {
    /// Before the response has begun, find out: the client is sent `100 Continue`, which every
    /// HTTP/1.1 client must accept (RFC 9110 section 15.2) and which makes one that has closed
    /// answer with a reset. Once a stream has begun, it has left.
    #[default]
    Auto,
    /// It has only finished sending: it is served until a write fails.
    Serve,
    /// It has left.
    Leave,
}

impl HalfClose {
    /// The meaning's name, as the flag `--half-close` knows it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Serve => "serve",
            Self::Leave => "leave",
        }
    }
}

impl FromStr for HalfClose {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "auto" => Ok(Self::Auto),
            "serve" => Ok(Self::Serve),
            "leave" => Ok(Self::Leave),
            _ => Err("auto, serve or leave".to_owned()),
        }
    }
}

/// Everything that governs a server.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) engine: Engine,
    pub(crate) bind: Vec<String>,
    pub(crate) backlog: u32,
    pub(crate) threads: usize,
    /// Threads of the pool that WebSockets may hold. `None`: half of them.
    pub(crate) websocket_threads: Option<usize>,
    pub(crate) websocket_stop_code: CloseCode,
    pub(crate) connections: Option<usize>,
    /// Handlers that may run at once.
    pub(crate) handlers: Option<usize>,
    pub(crate) head_limits: HeadLimits,
    /// Bytes of a request's body.
    pub(crate) body_limit: u64,
    pub(crate) clocks: Clocks,
    pub(crate) half_close: HalfClose,
    pub(crate) graceful_timeout: Duration,
    pub(crate) access_log: Option<String>,
    pub(crate) access_log_format: Format,
    /// Where to show metrics.
    pub(crate) metrics_bind: Option<String>,
    /// What metrics show is asked for in other ways, too: by the master, or for a watchdog.
    pub(crate) pages: bool,
    /// Other processes that accept from the same sockets.
    pub(crate) neighbours: Option<Arc<Neighbours>>,
    /// Whose word about the client is taken.
    pub(crate) forwarded_allow: Trust,
    /// Connections from `proxy_allow` begin with a PROXY header.
    pub(crate) proxy_protocol: bool,
    pub(crate) proxy_allow: Trust,
    /// The application may show its clients what goes wrong inside of it.
    pub(crate) debug: bool,
    pub(crate) green: crate::green::Config,
}

/// A hundred years: a time limit that is none. Sums and multiples of it fit into clocks, where
/// those of [`Duration::MAX`] do not.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How long may each part of an exchange take?
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clocks {
    /// From the first byte of a request to the end of its head.
    pub(crate) head: Duration,
    /// Between two requests of a connection; zero for one request each.
    pub(crate) keep_alive: Duration,
    /// Between two pieces of a request's body.
    pub(crate) body: Duration,
    /// Until the client takes a piece of the response.
    pub(crate) write: Duration,
    /// Until the handler gives a response, and between two pieces of it.
    pub(crate) handler: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            engine: Engine::Green,
            bind: Vec::new(),
            backlog: 2048,
            threads: 20,
            websocket_threads: None,
            websocket_stop_code: CloseCode::GOING_AWAY,
            connections: None,
            handlers: None,
            head_limits: HeadLimits::default(),
            body_limit: 16 * 1024 * 1024,
            clocks: Clocks {
                head: Duration::from_secs(10),
                keep_alive: Duration::from_secs(2),
                body: Duration::from_secs(30),
                write: Duration::from_secs(30),
                handler: Duration::from_secs(30),
            },
            half_close: HalfClose::Auto,
            graceful_timeout: Duration::from_secs(30),
            access_log: None,
            access_log_format: Format::default(),
            metrics_bind: None,
            pages: false,
            neighbours: None,
            forwarded_allow: Trust::default(),
            proxy_protocol: false,
            proxy_allow: Trust::default(),
            debug: false,
            green: crate::green::Config::default(),
        }
    }
}
