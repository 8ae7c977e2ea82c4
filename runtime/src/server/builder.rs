//! Setting up a server in code.

use super::access_log::AccessLog;
use super::budget::Budget;
use super::listen::listen;
use super::running::Running;
use super::{Lifecycle, Service, panics};
use crate::config::{Config, Engine};
use crate::departure::HalfClose;
use crate::{engine, green};
use greenway_app::Application;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A server that is being set up. [`serve`](crate::serve) is for programs that take their
/// settings from the command line; this is for those that choose themselves, and for tests.
///
/// ```
/// use greenway::{Engine, Request, Server};
///
/// let running = Server::new(|_: Request| "Hello\n")
///     .engine(Engine::Green)
///     .bind("127.0.0.1:0")
///     .start()?;
/// println!("listening on {}", running.addrs()[0]);
/// running.stop();
/// # std::io::Result::Ok(())
/// ```
#[must_use]
pub struct Server {
    app: Box<dyn Application>,
    config: Config,
}

impl Server {
    /// A server for `app`, with the defaults of the command line.
    pub fn new(app: impl Application) -> Self {
        Self {
            app: Box::new(app),
            config: Config::default(),
        }
    }

    pub(crate) fn with_config(app: impl Application, config: Config) -> Self {
        Self {
            app: Box::new(app),
            config,
        }
    }

    fn set(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Where handlers run. Default: [`Engine::Green`].
    pub fn engine(self, engine: Engine) -> Self {
        self.set(|config| config.engine = engine)
    }

    /// Listens on `host:port`; may be called several times. Port 0 lets the kernel choose.
    /// Default: `127.0.0.1:8000`.
    pub fn bind(self, address: impl Into<String>) -> Self {
        self.set(|config| config.bind.push(address.into()))
    }

    /// Connections that the kernel keeps until they are accepted. Default: 2048.
    pub fn backlog(self, backlog: u32) -> Self {
        self.set(|config| config.backlog = backlog)
    }

    /// OS threads that run green threads. Default: one for each core. All servers of a process
    /// share them, so the first one that starts decides.
    pub fn cores(self, cores: usize) -> Self {
        self.set(|config| config.green.workers = cores)
    }

    /// Bytes of address space for a green thread's stack. Default: 256 KiB (1 MiB in debug
    /// builds). The first server of a process decides.
    pub fn stack_size(self, bytes: usize) -> Self {
        self.set(|config| config.green.stack_size = bytes)
    }

    /// Requests that [`Engine::Threads`] serves at once. Default: 20.
    pub fn threads(self, threads: usize) -> Self {
        self.set(|config| config.threads = threads)
    }

    /// Connections that may be open at once; more are answered with 503. Default: as many as
    /// the limits on descriptors and memory mappings have room for.
    pub fn worker_connections(self, connections: usize) -> Self {
        self.set(|config| config.connections = Some(connections))
    }

    /// How long a connection may wait for its next request. Default: 2 s.
    pub fn keep_alive(self, timeout: Duration) -> Self {
        self.set(|config| config.clocks.keep_alive = timeout)
    }

    /// How long a handler may take to give a response, or between two chunks of one. Then: 504
    /// if nothing was sent, else the connection is cut. Default: 30 s.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.set(|config| config.clocks.handler = timeout)
    }

    /// How long a request's head may take to come. Then: 408. Default: 10 s.
    pub fn header_timeout(self, timeout: Duration) -> Self {
        self.set(|config| config.clocks.head = timeout)
    }

    /// How long a request's body may pause. Then: 408. Default: 30 s.
    pub fn body_timeout(self, timeout: Duration) -> Self {
        self.set(|config| config.clocks.body = timeout)
    }

    /// How long a client may take to accept a piece of a response. Then it is cut.
    /// Default: 30 s.
    pub fn write_timeout(self, timeout: Duration) -> Self {
        self.set(|config| config.clocks.write = timeout)
    }

    /// What it means that a client ends its sending direction while it is being served.
    /// Default: [`HalfClose::Auto`].
    pub fn half_close(self, meaning: HalfClose) -> Self {
        self.set(|config| config.half_close = meaning)
    }

    /// How long requests may go on when the server stops. Default: 30 s.
    pub fn graceful_timeout(self, timeout: Duration) -> Self {
        self.set(|config| config.graceful_timeout = timeout)
    }

    /// Bytes of a request line; more is 414. Default: 4094.
    pub fn limit_request_line(self, bytes: usize) -> Self {
        self.set(|config| config.head_limits.line = bytes)
    }

    /// Header fields of a request; more is 431. Default: 100.
    pub fn limit_request_fields(self, count: usize) -> Self {
        self.set(|config| config.head_limits.fields = count)
    }

    /// Bytes of a header field; more is 431. Default: 8190.
    pub fn limit_request_field_size(self, bytes: usize) -> Self {
        self.set(|config| config.head_limits.field_size = bytes)
    }

    /// Bytes of a request's body; more is 413. Default: 16 MiB.
    pub fn limit_request_body(self, bytes: u64) -> Self {
        self.set(|config| config.body_limit = bytes)
    }

    /// Where to write the access log; `-` is the standard output. Default: nowhere.
    pub fn access_log(self, path: impl Into<String>) -> Self {
        self.set(|config| config.access_log = Some(path.into()))
    }

    /// Listens and serves, on threads of its own.
    ///
    /// # Errors
    /// When an address cannot be had, the access log cannot be opened, or the process has no
    /// room for what the engine needs. The message is meant for the person who started it.
    pub fn start(self) -> io::Result<Running> {
        let Self { app, mut config } = self;
        if config.bind.is_empty() {
            config.bind.push("127.0.0.1:8000".into());
        }
        panics::install_hook();
        let budget = Budget::of_process(config.engine, config.connections);
        let listeners = config
            .bind
            .iter()
            .map(|address| listen(address, config.backlog))
            .collect::<io::Result<Vec<_>>>()?;
        let access_log = config
            .access_log
            .as_deref()
            .map(AccessLog::open)
            .transpose()
            .map_err(|error| {
                io::Error::new(error.kind(), format!("cannot open the access log: {error}"))
            })?;
        let wanted = config.green;
        if !green::start(wanted) && green::config().workers != wanted.workers {
            log::warn!(
                "{} workers run in this process already; --cores {} has no effect",
                green::config().workers,
                wanted.workers
            );
        }
        let service = Arc::new(Service {
            app,
            config,
            lifecycle: Arc::new(Lifecycle::new(budget.connections)),
            access_log,
        });
        let addrs = listeners
            .iter()
            .map(std::net::TcpListener::local_addr)
            .collect::<io::Result<Vec<_>>>()?;
        let engine = engine::start(&service, listeners)?;
        Ok(Running::new(service, engine, addrs, budget.to_string()))
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
