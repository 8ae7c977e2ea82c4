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
    /// The same of another build, which `--beside` names: before and after in one run.
    Other(Engine),
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
    /// Go's net/http; WebSockets by gorilla.
    Go,
    /// nginx, with what it can say without a program behind it.
    Nginx,
    /// Bottle on gevent: what Greenway is named after.
    Gevent,
    /// Bottle on gunicorn's pool of threads.
    Gthread,
}

/// How a program comes to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A package of Greenway's workspace.
    Workspace,
    /// A program that is there already.
    Given,
    /// A package of the peers' workspace, and the crate whose version is told.
    Peers(Option<&'static str>),
    /// What `benches/peers/prepare` makes of the system's, or Python's, packages.
    System,
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

impl Peer {
    /// Name in tables, program, and where it comes from.
    fn facts(self) -> (&'static str, &'static str, Source) {
        let krate = |name| (name, Source::Peers(Some(name)));
        let (program, (name, source)) = match self {
            Self::Floor => ("peer-floor", ("floor", Source::Peers(None))),
            Self::MiniHttp => ("peer-minihttp", krate("may_minihttp")),
            Self::Hyper => ("peer-hyper", krate("hyper")),
            Self::Axum => ("peer-axum", krate("axum")),
            Self::Actix => ("peer-actix", krate("actix-web")),
            Self::Tiny => ("peer-tiny", krate("tiny_http")),
            Self::Go => ("go", ("Go net/http", Source::System)),
            Self::Nginx => ("nginx", ("nginx", Source::System)),
            Self::Gevent => ("gevent", ("Bottle gevent", Source::System)),
            Self::Gthread => ("gthread", ("Bottle gthread", Source::System)),
        };
        (name, program, source)
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
            Self::Other(Engine::Green) => "other green",
            Self::Other(Engine::Threads) => "other threads",
            Self::Other(Engine::MiniHttp) => "other minihttp",
            Self::Peer(peer) => peer.facts().0,
        }
    }

    /// Which engine of Greenway this is, of whatever build; `None` for somebody else's server.
    #[must_use]
    pub fn engine(self) -> Option<Engine> {
        match self {
            Self::Engine(engine) | Self::Other(engine) => Some(engine),
            Self::Peer(_) => None,
        }
    }

    /// Whether this is Greenway itself.
    #[must_use]
    pub fn is_ours(self) -> bool {
        self.engine().is_some()
    }

    /// The binary, or what `benches/peers/prepare` calls it.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Engine(_) => "subject",
            Self::Other(_) => "other",
            Self::Peer(peer) => peer.facts().1,
        }
    }

    /// Where the program comes from.
    #[must_use]
    pub fn source(self) -> Source {
        match self {
            Self::Engine(_) => Source::Workspace,
            Self::Other(_) => Source::Given,
            Self::Peer(peer) => peer.facts().2,
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
        if let Some(engine) = self.engine() {
            add("--engine", engine.flag().to_owned());
            // gunicorn's default of two seconds would close what is held idle here.
            add("--keep-alive", "600".to_owned());
        }
        if let Some(clock) = clock {
            match self {
                Self::Engine(_) | Self::Other(_) => {
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

    /// How many processes serve on so many cores, a master included: to be counted before
    /// anything is measured. Servers that have threads are one process.
    #[must_use]
    pub fn processes(self, cores: usize) -> usize {
        match self {
            Self::Peer(Peer::Nginx | Peer::Gthread) => 1 + cores,
            Self::Peer(Peer::Gevent) => cores,
            Self::Engine(_) | Self::Other(_) | Self::Peer(_) => 1,
        }
    }

    /// How many handlers can wait at once; `None` when memory is the only bound.
    #[must_use]
    pub fn waiting_handlers(self) -> Option<usize> {
        match self {
            Self::Peer(Peer::Tiny | Peer::Gthread) => Some(POOL),
            Self::Peer(Peer::Floor) => Some(0),
            _ => (self.engine() == Some(Engine::Threads)).then_some(POOL),
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
