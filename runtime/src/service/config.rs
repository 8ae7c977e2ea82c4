//! What governs a server, and its defaults. Flags and their help are in
//! [`settings`](super::settings).

use super::access_log::Format;
use super::neighbours::Neighbours;
use super::trust::Trust;
use greenway_proto::http1::HeadLimits;
use greenway_proto::websocket::CloseCode;
use std::fmt;
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

/// Which header of the PROXY protocol connections begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyProtocol {
    /// None: they are plain HTTP.
    #[default]
    Off,
    /// A line of text.
    V1,
    /// A binary header.
    V2,
    /// Either of these.
    Auto,
}

impl ProxyProtocol {
    /// The name, as the flag `--proxy-protocol` knows it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Auto => "auto",
        }
    }
}

impl From<bool> for ProxyProtocol {
    fn from(expected: bool) -> Self {
        if expected { Self::Auto } else { Self::Off }
    }
}

impl FromStr for ProxyProtocol {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "off" | "false" => Ok(Self::Off),
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            "auto" | "true" => Ok(Self::Auto),
            _ => Err("off, v1, v2 or auto".to_owned()),
        }
    }
}

/// Whether clients have to show certificates (`--cert-reqs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CertReqs {
    /// They are not asked for one.
    #[default]
    None,
    /// They are asked. Who shows one has to show one that is signed by somebody of `--ca-certs`.
    Optional,
    /// Nobody is served without one.
    Required,
}

impl CertReqs {
    /// The name, as the flag `--cert-reqs` knows it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

/// By gunicorn's numbers too, which are those of Python's `ssl`.
impl FromStr for CertReqs {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "none" | "0" => Ok(Self::None),
            "optional" | "1" => Ok(Self::Optional),
            "required" | "2" => Ok(Self::Required),
            _ => Err("none, optional or required (or 0, 1 or 2)".to_owned()),
        }
    }
}

/// The oldest version of TLS that is spoken (`--tls-min-version`). Older ones than 1.2 are broken
/// (RFC 8996).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246), which clients of before 2018 need.
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl TlsVersion {
    /// The name, as the flag `--tls-min-version` knows it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }
}

impl FromStr for TlsVersion {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name.trim_start_matches("TLSv") {
            "1.2" | "1_2" => Ok(Self::Tls12),
            "1.3" | "1_3" => Ok(Self::Tls13),
            _ => Err("1.2 or 1.3".to_owned()),
        }
    }
}

/// What a server's TLS is made of.
#[derive(Debug, Clone)]
pub(crate) struct TlsConfig {
    /// Certificates with their chains. Without any, the server speaks no TLS.
    pub(crate) certificates: Vec<String>,
    /// Their keys, in the same order; without any, each certificate's file has its key.
    pub(crate) keys: Vec<String>,
    /// Who may sign the certificates of clients.
    pub(crate) ca_certs: Option<String>,
    pub(crate) cert_reqs: CertReqs,
    pub(crate) min_version: TlsVersion,
    /// Handshakes that may be under way at once.
    pub(crate) handshakes: usize,
    /// How often to look whether the files have changed; zero for never.
    pub(crate) reload: Duration,
    /// Where plain HTTP is answered with the way to https.
    pub(crate) redirect_bind: Option<String>,
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
    /// The address of the bus of rooms that have a name and none of their own.
    pub(crate) room_bus: Option<String>,
    pub(crate) head_limits: HeadLimits,
    /// Bytes of a request's body.
    pub(crate) body_limit: u64,
    pub(crate) clocks: Clocks,
    pub(crate) http_protocols: Protocols,
    pub(crate) http2: Http2,
    pub(crate) tls: TlsConfig,
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
    /// The keys of TLS tickets that a master has handed over.
    #[cfg(feature = "tls")]
    pub(crate) tickets: Option<Arc<crate::ticket_keys::TicketRing>>,
    /// Whose word about the client is taken.
    pub(crate) forwarded_allow: Trust,
    /// Connections from `proxy_allow` begin with a PROXY header.
    pub(crate) proxy_protocol: ProxyProtocol,
    pub(crate) proxy_allow: Trust,
    /// The application may show its clients what goes wrong inside of it.
    pub(crate) debug: bool,
    pub(crate) green: crate::green::Config,
}

/// The versions of HTTP that clients may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Protocols {
    pub(crate) h1: bool,
    pub(crate) h2: bool,
}

/// All that this build knows.
impl Default for Protocols {
    fn default() -> Self {
        Self {
            h1: true,
            h2: cfg!(feature = "http2"),
        }
    }
}

#[cfg(feature = "tls")]
impl Protocols {
    /// By their names in ALPN, the best first.
    pub(crate) fn alpn(self) -> Vec<Vec<u8>> {
        let h2 = self.h2.then(|| b"h2".to_vec());
        let h1 = self.h1.then(|| b"http/1.1".to_vec());
        h2.into_iter().chain(h1).collect()
    }
}

impl fmt::Display for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.h1, self.h2) {
            (true, true) => "h1,h2",
            (false, true) => "h2",
            _ => "h1",
        })
    }
}

impl FromStr for Protocols {
    type Err = String;

    fn from_str(list: &str) -> Result<Self, String> {
        let mut protocols = Self {
            h1: false,
            h2: false,
        };
        for name in list.split(',').map(str::trim) {
            match name {
                "h1" => protocols.h1 = true,
                "h2" if cfg!(feature = "http2") => protocols.h2 = true,
                "h2" => return Err("h1 (h2 needs greenway's feature http2)".to_owned()),
                _ => return Err("h1, h2, or both with a comma between them".to_owned()),
            }
        }
        Ok(protocols)
    }
}

/// How much a connection of HTTP/2 may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Http2 {
    /// Requests at once.
    pub(crate) streams: u32,
    /// Bytes of a request's body that may come before they are read.
    pub(crate) window: u32,
    /// Bytes of a frame's payload.
    pub(crate) frame: u32,
    /// Bytes of all fields of a head, as HPACK counts them.
    pub(crate) header_list: u32,
}

/// gunicorn's figures.
impl Default for Http2 {
    fn default() -> Self {
        Self {
            streams: 100,
            window: 65_535,
            frame: 16_384,
            header_list: 65_536,
        }
    }
}

/// More requests of one connection at once than anybody sends.
pub(crate) const MOST_STREAMS: u32 = 10_000;
/// What the payload of a frame may be limited to (RFC 9113 section 6.5.2).
pub(crate) const LEAST_FRAME: u32 = 1 << 14;
pub(crate) const MOST_FRAME: u32 = (1 << 24) - 1;
/// As much as a head may have in any case.
pub(crate) const MOST_HEADER_LIST: u32 = 1 << 30;
/// The most that a window may be (RFC 9113 section 6.9.1).
pub(crate) const MOST_WINDOW: u32 = (1 << 31) - 1;

#[cfg(feature = "http2")]
impl Http2 {
    /// So many bodies that nobody reads do not hold up the others of a connection.
    const UNREAD: u32 = 16;

    /// Bytes of all bodies that may come before they are read.
    pub(crate) fn connection_window(self) -> u32 {
        let several = self.window.saturating_mul(self.streams.min(Self::UNREAD));
        several.clamp(65_535, MOST_WINDOW)
    }
}

/// A hundred years: a time limit that is none. Sums and multiples of it fit into clocks, where
/// those of [`Duration::MAX`] do not.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How long a connection waits for its next request by default: longer than any proxy keeps one
/// that it does not use. Caddy does so for 120 s, Google's load balancer for 600 s, Envoy for an
/// hour. So it is the proxy that ends such a connection, which knows that it is not about to send a
/// request. If the server does, a request may be on its way, and a POST is not repeated: the
/// proxy's client gets a 502. (Memory is bounded all the same: who is idle makes room for others.)
const KEEP_ALIVE: Duration = Duration::from_secs(65 * 60);

/// How long may each part of an exchange take?
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clocks {
    /// From the beginning of a connection to the end of its TLS handshake.
    pub(crate) handshake: Duration,
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
            room_bus: None,
            head_limits: HeadLimits::default(),
            body_limit: 16 * 1024 * 1024,
            clocks: Clocks {
                handshake: Duration::from_secs(10),
                head: Duration::from_secs(10),
                keep_alive: KEEP_ALIVE,
                body: Duration::from_secs(30),
                write: Duration::from_secs(30),
                handler: Duration::from_secs(30),
            },
            http_protocols: Protocols::default(),
            http2: Http2::default(),
            tls: TlsConfig {
                certificates: Vec::new(),
                keys: Vec::new(),
                ca_certs: None,
                cert_reqs: CertReqs::None,
                min_version: TlsVersion::Tls12,
                handshakes: 1024,
                reload: Duration::from_secs(10),
                redirect_bind: None,
            },
            half_close: HalfClose::Auto,
            graceful_timeout: Duration::from_secs(30),
            access_log: None,
            access_log_format: Format::default(),
            metrics_bind: None,
            pages: false,
            neighbours: None,
            #[cfg(feature = "tls")]
            tickets: None,
            forwarded_allow: Trust::default(),
            proxy_protocol: ProxyProtocol::Off,
            proxy_allow: Trust::default(),
            debug: false,
            green: crate::green::Config::default(),
        }
    }
}
