//! Setting up a server in code.

mod start;
mod tls;

pub(crate) use tls::check_certificates;

use crate::service::config::{Config, Engine, FOR_EVER, HalfClose, ProxyProtocol};
use crate::service::settings::Settings;
use greenway_app::Application;
use greenway_proto::websocket::CloseCode;
use log::LevelFilter;
use std::str::FromStr;
use std::time::Duration;

/// A server that is being set up.
///
/// [`run`](Self::run) is for programs: it is [`serve`](crate::serve) with defaults of the program's
/// own, over which the command line, the environment and a file have the last word.
/// [`start`](Self::start) is for those that choose everything themselves, and for tests.
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
    pub(crate) app: Box<dyn Application>,
    pub(crate) settings: Settings,
    /// What is wrong with a setting that could not be read; `start` fails with it.
    pub(crate) invalid: Option<String>,
}

impl Server {
    /// A server for `app`, with the defaults of the command line.
    pub fn new(app: impl Application) -> Self {
        Self {
            app: Box::new(app),
            settings: Settings::default(),
            invalid: None,
        }
    }

    fn set(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.settings.server);
        self
    }

    /// As [`set`](Self::set), for what is given as text. `start` fails with the first mistake.
    fn parse<T: FromStr<Err = String>>(
        mut self,
        text: &str,
        change: impl FnOnce(&mut Config, T),
    ) -> Self {
        match text.parse() {
            Ok(value) => change(&mut self.settings.server, value),
            Err(why) => self.invalid = self.invalid.or(Some(why)),
        }
        self
    }

    /// Where handlers run. Default: [`Engine::Green`].
    pub fn engine(self, engine: Engine) -> Self {
        self.set(|config| config.engine = engine)
    }

    /// Listens on `host:port` (port 0 lets the kernel choose), on `unix:path`, or on a socket that
    /// the process was started with, `fd://number`; may be called several times.
    ///
    /// The umask decides who may connect to a unix socket. Its file is removed when the server
    /// stops; one that was left behind by a server that runs no more is replaced.
    ///
    /// Default: the sockets that systemd has handed in (`LISTEN_FDS`), or `127.0.0.1:8000` if
    /// there are none.
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

    /// How long a handler may run without a wait, holding up its worker, before it is reported in
    /// the log with its stack (see [`green::on_blocked`](crate::green::on_blocked)); 0 for never.
    /// Default: 1 s (100 ms in debug builds). The first server of a process decides.
    pub fn max_blocking_time(self, time: Duration) -> Self {
        self.set(|config| config.green.max_blocking_time = time)
    }

    /// Whether to find out how much of its stack each route uses (see
    /// [`green::stack_marks`](crate::green::stack_marks)). Default: only in debug builds. The
    /// first server of a process decides.
    pub fn stack_marks(self, wanted: bool) -> Self {
        self.set(|config| config.green.stack_marks = wanted)
    }

    /// Requests that [`Engine::Threads`] serves at once. Default: 20.
    pub fn threads(self, threads: usize) -> Self {
        self.set(|config| config.threads = threads)
    }

    /// WebSockets that may be open at once on [`Engine::Threads`], where each holds a thread; more
    /// are answered with 503. Default: half of the threads, but at least one.
    pub fn websocket_threads(self, count: usize) -> Self {
        self.set(|config| config.websocket_threads = Some(count))
    }

    /// The Redis over which [rooms](crate::room) that have a [name](crate::room::RoomBuilder::name),
    /// and no bus of their own, are one room in all processes; takes the feature `redis`. The first
    /// room that is used, or server that says so, decides for the process. Default: none.
    pub fn room_bus(self, url: impl Into<String>) -> Self {
        self.set(|config| config.room_bus = Some(url.into()))
    }

    /// The close code that WebSockets are sent when the server stops: 1001 (going away), or 1012
    /// (restart) for clients that know it. Default: 1001.
    ///
    /// # Panics
    /// When the code [must not be sent](CloseCode::is_sendable).
    pub fn websocket_stop_code(self, code: CloseCode) -> Self {
        assert!(code.is_sendable(), "close code {code} must not be sent");
        self.set(|config| config.websocket_stop_code = code)
    }

    /// Connections that may be open at once; more are answered with 503. Default: as many as
    /// the limits on descriptors and memory mappings have room for.
    pub fn worker_connections(self, connections: usize) -> Self {
        self.set(|config| config.connections = Some(connections))
    }

    /// Handlers that may run at once; more are answered with 503 and `Retry-After: 1`.
    /// Default: no limit but the number of connections (and of [`threads`](Self::threads), beyond
    /// which requests wait).
    pub fn limit_handlers(self, handlers: usize) -> Self {
        self.set(|config| config.handlers = Some(handlers))
    }

    /// How long a connection may wait for its next request; 0 for one request on each connection.
    /// Default: 3900 s, longer than any proxy keeps a connection that it does not use.
    pub fn keep_alive(self, timeout: Duration) -> Self {
        self.set(|config| config.clocks.keep_alive = timeout.min(FOR_EVER))
    }

    /// How long a handler may take to give a response, or between two chunks of one. Then: 504
    /// if nothing was sent, else the connection is cut. 0 for no limit. Default: 30 s.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.set(|config| config.clocks.handler = limit(timeout))
    }

    /// How long a request's head may take to come. Then: 408. 0 for no limit. Default: 10 s.
    pub fn header_timeout(self, timeout: Duration) -> Self {
        self.set(|config| config.clocks.head = limit(timeout))
    }

    /// How long a request's body may pause. Then: 408. 0 for no limit. Default: 30 s.
    pub fn body_timeout(self, timeout: Duration) -> Self {
        self.set(|config| config.clocks.body = limit(timeout))
    }

    /// How long a client may take to accept a piece of a response. Then it is cut. 0 for no limit.
    /// Default: 30 s.
    pub fn write_timeout(self, timeout: Duration) -> Self {
        self.set(|config| config.clocks.write = limit(timeout))
    }

    /// What it means that a client ends its sending direction while it is being served.
    /// Default: [`HalfClose::Auto`].
    pub fn half_close(self, meaning: HalfClose) -> Self {
        self.set(|config| config.half_close = meaning)
    }

    /// How long requests may go on when the server stops. Default: 30 s.
    pub fn graceful_timeout(self, timeout: Duration) -> Self {
        self.set(|config| config.graceful_timeout = timeout.min(FOR_EVER))
    }

    /// Bytes of a request line; more is 414. Default: 8000 (RFC 9112 section 3).
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

    /// How a line of the access log looks: text with gunicorn's letters (`%(h)s %(r)s %(s)s`), or
    /// `json` for a JSON object per line. Default: the combined format of gunicorn, Apache and
    /// nginx, and the duration in microseconds.
    pub fn access_log_format(self, format: &str) -> Self {
        self.parse(format, |config, format| config.access_log_format = format)
    }

    /// Where [`run`](Self::run) writes the server's own log; `-` is the standard error. Without
    /// effect on a server that is [started](Self::start), as the log is the program's. Default: `-`.
    pub fn error_log(mut self, path: impl Into<String>) -> Self {
        self.settings.error_log = path.into();
        self
    }

    /// What [`run`](Self::run) logs of the server itself; without effect on a server that is
    /// [started](Self::start). Default: `info`.
    pub fn log_level(mut self, level: LevelFilter) -> Self {
        self.settings.log_level = level;
        self
    }

    /// Shows metrics for Prometheus at `/metrics` on this address, `host:port`. Default: nowhere.
    pub fn metrics_bind(self, address: impl Into<String>) -> Self {
        self.set(|config| config.metrics_bind = Some(address.into()))
    }

    /// For development: the application may show its clients what goes wrong inside of it (see
    /// [`Request::is_debug`](crate::Request::is_debug)). Never on a public server. Default: off.
    pub fn debug(self, debug: bool) -> Self {
        self.set(|config| config.debug = debug)
    }

    /// Proxies that are believed about the client: addresses and networks, with commas between
    /// them; `*` for everybody, nothing for nobody. Peers on unix sockets are among them unless
    /// the list is empty. Default: `127.0.0.1,::1`.
    ///
    /// What they say in `X-Forwarded-For`, `-Proto` and `-Host` or in `Forwarded` (RFC 7239) is
    /// what the application sees as peer, scheme and host. From others it has no effect.
    pub fn forwarded_allow_ips(self, list: &str) -> Self {
        self.parse(list, |config, list| config.forwarded_allow = list)
    }

    /// Whether connections from [`proxy_allow_from`](Self::proxy_allow_from) begin with a header
    /// of the PROXY protocol, and in which version. They have to, then. `true` stands for either
    /// version, `false` for none. Default: [`ProxyProtocol::Off`].
    pub fn proxy_protocol(self, expected: impl Into<ProxyProtocol>) -> Self {
        self.set(|config| config.proxy_protocol = expected.into())
    }

    /// Load balancers that speak the PROXY protocol, as a list like that of
    /// [`forwarded_allow_ips`](Self::forwarded_allow_ips). Default: `127.0.0.1,::1`.
    pub fn proxy_allow_from(self, list: &str) -> Self {
        self.parse(list, |config, list| config.proxy_allow = list)
    }
}

/// A time limit: none for 0, and for what no clock will see the end of.
pub(in crate::server) fn limit(time: Duration) -> Duration {
    if time.is_zero() {
        return FOR_EVER;
    }
    time.min(FOR_EVER)
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
