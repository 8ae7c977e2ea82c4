//! Who runs: Greenway's engines and the peers, what each is called, how it is started
//! and what it cannot do.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Size of the pools of threads: the primer's number, and Greenway's default.
pub const POOL: usize = 20;

/// A server that takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Contender {
    /// Greenway with one of its engines.
    Engine(Engine),
    /// Somebody else's server.
    Peer(Peer),
}

/// Greenway's engines, by the names of its flag `--engine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub enum Engine {
    /// A green thread per connection.
    Green,
    /// A fixed pool of OS threads.
    Threads,
    /// Hosted by `may_minihttp`.
    #[value(name = "minihttp")]
    MiniHttp,
}

/// The programs below `benches/peers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub enum Peer {
    /// A bare epoll loop that parses nothing.
    Floor,
    /// `may_minihttp` as published.
    #[value(name = "minihttp")]
    MiniHttp,
    /// hyper on tokio.
    Hyper,
    /// axum on tokio.
    Axum,
    /// actix-web.
    Actix,
    /// `tiny_http` with a pool of threads.
    Tiny,
}

impl Engine {
    fn flag(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Threads => "threads",
            Self::MiniHttp => "minihttp",
        }
    }
}

impl Contender {
    /// The name in tables, plots and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Engine(Engine::Green) => "greenway green",
            Self::Engine(Engine::Threads) => "greenway threads",
            Self::Engine(Engine::MiniHttp) => "greenway minihttp",
            Self::Peer(Peer::Floor) => "floor",
            Self::Peer(Peer::MiniHttp) => "may_minihttp",
            Self::Peer(Peer::Hyper) => "hyper",
            Self::Peer(Peer::Axum) => "axum",
            Self::Peer(Peer::Actix) => "actix-web",
            Self::Peer(Peer::Tiny) => "tiny_http",
        }
    }

    /// Whether this is Greenway itself.
    #[must_use]
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Engine(_))
    }

    /// The binary: `subject` of this package, or one of the peers' workspace.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Engine(_) => "subject",
            Self::Peer(Peer::Floor) => "peer-floor",
            Self::Peer(Peer::MiniHttp) => "peer-minihttp",
            Self::Peer(Peer::Hyper) => "peer-hyper",
            Self::Peer(Peer::Axum) => "peer-axum",
            Self::Peer(Peer::Actix) => "peer-actix",
            Self::Peer(Peer::Tiny) => "peer-tiny",
        }
    }

    /// The crate whose version stands for this contender; `None` for what is ours.
    #[must_use]
    pub fn measured_crate(self) -> Option<&'static str> {
        match self {
            Self::Engine(_) | Self::Peer(Peer::Floor) => None,
            Self::Peer(_) => Some(self.name()),
        }
    }

    /// The command line. With a `clock`, the server is to end clients that take longer with
    /// what they owe it, as far as it can; a handler may take twice as long.
    #[must_use]
    pub fn arguments(self, bind: SocketAddr, cores: usize, clock: Option<Duration>) -> Vec<String> {
        let mut arguments = vec!["--bind".to_owned(), bind.to_string()];
        let mut add = |flag: &str, value: String| arguments.extend([flag.to_owned(), value]);
        add("--cores", cores.to_string());
        add("--threads", POOL.to_string());
        if let Self::Engine(engine) = self {
            add("--engine", engine.flag().to_owned());
            // gunicorn's default of two seconds would close what is held idle here.
            add("--keep-alive", "600".to_owned());
        }
        if let Some(clock) = clock {
            match self {
                Self::Engine(_) => {
                    let seconds = clock.as_secs_f64().to_string();
                    add("--header-timeout", seconds.clone());
                    add("--body-timeout", seconds.clone());
                    add("--write-timeout", seconds);
                    add("--timeout", (clock * 2).as_secs_f64().to_string());
                }
                Self::Peer(_) => add("--head-timeout", clock.as_millis().to_string()),
            }
        }
        arguments
    }

    /// How many handlers can wait at once; `None` when memory is the only bound.
    #[must_use]
    pub fn waiting_handlers(self) -> Option<usize> {
        match self {
            Self::Engine(Engine::Threads) | Self::Peer(Peer::Tiny) => Some(POOL),
            Self::Peer(Peer::Floor) => Some(0),
            Self::Engine(Engine::Green | Engine::MiniHttp) | Self::Peer(_) => None,
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
