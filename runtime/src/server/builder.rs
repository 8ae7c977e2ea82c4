//! Setting up a server in code.

use super::budget::Budget;
#[cfg(feature = "tls")]
use super::certificates;
use super::listen::{listen_for_metrics, listen_on_all, wanted_addresses};
use super::metrics::{MetricsServer, ServerPages};
use super::running::Running;
use super::{preflight, redirect, surroundings};
use crate::green::embed::Count;
use crate::service::config::{
    CertReqs, Config, Engine, FOR_EVER, HalfClose, LEAST_FRAME, MOST_FRAME, MOST_HEADER_LIST,
    MOST_STREAMS, MOST_WINDOW, ProxyProtocol, TlsVersion,
};
use crate::service::settings::Settings;
use crate::service::{AccessLog, Service, buses, panics};
use crate::{engine, green};
use greenway_app::Application;
use greenway_proto::websocket::CloseCode;
use log::LevelFilter;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
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
    /// the log with its stack (see [`green::on_blocked`]); 0 for never. Default: 1 s (100 ms in
    /// debug builds). The first server of a process decides.
    pub fn max_blocking_time(self, time: Duration) -> Self {
        self.set(|config| config.green.max_blocking_time = time)
    }

    /// Whether to find out how much of its stack each route uses (see [`green::stack_marks`]).
    /// Default: only in debug builds. The first server of a process decides.
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

    /// Speaks TLS on all addresses, with the certificate and its chain in this file (PEM), and the
    /// key in the same file or in that of [`keyfile`](Self::keyfile). May be called several times:
    /// clients say which server they mean (SNI), and the first certificate is for those that name no
    /// other. The files are [read anew](Self::tls_reload) when they change. Takes the feature `tls`.
    /// Default: no TLS.
    pub fn certfile(self, path: impl Into<String>) -> Self {
        self.set(|config| config.tls.certificates.push(path.into()))
    }

    /// The private key of a certificate (PEM); several in the order of the certificates. Default:
    /// it is in the file of the certificate.
    pub fn keyfile(self, path: impl Into<String>) -> Self {
        self.set(|config| config.tls.keys.push(path.into()))
    }

    /// The certificates of those who may sign the certificates of clients (PEM). Default: nobody.
    pub fn ca_certs(self, path: impl Into<String>) -> Self {
        self.set(|config| config.tls.ca_certs = Some(path.into()))
    }

    /// Whether clients have to show certificates; see
    /// [`ConnectionInfo::tls`](crate::ConnectionInfo::tls) for what they say. Default: none.
    pub fn cert_reqs(self, whether: CertReqs) -> Self {
        self.set(|config| config.tls.cert_reqs = whether)
    }

    /// The oldest version of TLS that is spoken. Default: 1.2.
    pub fn tls_min_version(self, version: TlsVersion) -> Self {
        self.set(|config| config.tls.min_version = version)
    }

    /// How long a TLS handshake may take, from the connection's beginning. 0 for no limit.
    /// Default: 10 s.
    pub fn handshake_timeout(self, timeout: Duration) -> Self {
        self.set(|config| config.clocks.handshake = limit(timeout))
    }

    /// TLS handshakes that may be under way at once. One more ends the oldest of them, which is
    /// that of a client that takes its time. Default: 1024.
    pub fn limit_handshakes(self, count: usize) -> Self {
        self.set(|config| config.tls.handshakes = count)
    }

    /// How often to look whether the files of certificates and keys have changed, which are read
    /// anew then; 0 for never. Files that cannot be used are reported in the log, and the server
    /// goes on with what it has. Connections that are open keep what they began with. Default:
    /// 10 s.
    pub fn tls_reload(self, every: Duration) -> Self {
        self.set(|config| config.tls.reload = every.min(FOR_EVER))
    }

    /// Listens on this address, `host:port`, for HTTP without TLS, and answers all of it with the
    /// way to https (308). Default: nowhere.
    pub fn redirect_bind(self, address: impl Into<String>) -> Self {
        self.set(|config| config.tls.redirect_bind = Some(address.into()))
    }

    /// Versions of HTTP that are spoken: `"h1"`, `"h2"` (with the feature `http2` of this crate) or
    /// both, with a comma between them. Default: all that the build has.
    pub fn http_protocols(self, protocols: &str) -> Self {
        self.parse(protocols, |config, protocols| {
            config.http_protocols = protocols;
        })
    }

    /// Requests of a connection of HTTP/2 at once. Default: 100.
    pub fn http2_max_concurrent_streams(self, streams: u32) -> Self {
        self.set(|config| config.http2.streams = streams.clamp(1, MOST_STREAMS))
    }

    /// Bytes of a request's body over HTTP/2 that may come before they are read. Default: 65535.
    pub fn http2_initial_window_size(self, bytes: u32) -> Self {
        self.set(|config| config.http2.window = bytes.clamp(1, MOST_WINDOW))
    }

    /// Bytes that a frame of HTTP/2 may carry, from 16384 to 16777215. Default: 16384.
    pub fn http2_max_frame_size(self, bytes: u32) -> Self {
        self.set(|config| config.http2.frame = bytes.clamp(LEAST_FRAME, MOST_FRAME))
    }

    /// Bytes of a request's fields over HTTP/2, each counted with 32 more (RFC 9113 section 6.5.2);
    /// beyond it 431. Default: 65536.
    pub fn http2_max_header_list_size(self, bytes: u32) -> Self {
        self.set(|config| config.http2.header_list = bytes.clamp(1, MOST_HEADER_LIST))
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

    /// Listens and serves, on threads of its own.
    ///
    /// # Errors
    /// When a setting cannot be understood, an address cannot be had, the access log cannot be
    /// opened, or the process has no room for what the engine needs. The message is meant for
    /// whoever started it.
    pub fn start(self) -> io::Result<Running> {
        let Self {
            app,
            settings,
            invalid,
        } = self;
        if let Some(why) = invalid {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let mut config = settings.server;
        config.bind = wanted_addresses(&config.bind);
        check_tls(&config)?;
        choose_room_bus(&config)?;
        #[cfg(feature = "tls")]
        let tls = certificates::read(&config)?;
        panics::install_hook();
        surroundings::set_right()?;
        let budget = Budget::of_process(&config);
        let listeners = listen_on_all(&config.bind, config.backlog, config.clocks.write)?;
        let metrics_listener = config.metrics_bind.as_deref().map(listen_for_metrics);
        let metrics_listener = metrics_listener.transpose()?;
        let access_log = config
            .access_log
            .as_deref()
            .map(|path| AccessLog::open(path, config.access_log_format.clone()))
            .transpose()
            .map_err(|error| {
                io::Error::new(error.kind(), format!("cannot open the access log: {error}"))
            })?;
        preflight::check(&config)?;
        let wanted = config.green;
        if !green::start(wanted) {
            warn_of_vain(wanted, green::config());
        }
        let mut sockets = Vec::new();
        let mut names = Vec::new();
        let mut addrs = Vec::new();
        let mut files = Vec::new();
        for listening in listeners {
            sockets.push(listening.socket);
            names.push(match config.tls.certificates.is_empty() {
                true => listening.name,
                false => listening.name.replacen("http://", "https://", 1),
            });
            addrs.extend(listening.addr);
            files.extend(listening.file);
        }
        let service = Service::new(app, config, budget.connections, access_log);
        #[cfg(feature = "tls")]
        let service = service.with_tls(tls);
        let service = Arc::new(service);
        let redirect = redirect::start(&service.config, addrs.first().copied())?;
        for file in files {
            service.keep_until_stop(Box::new(file));
        }
        let engine = engine::start(&service, sockets).inspect_err(|_| {
            if let Some(redirect) = &redirect {
                redirect.stop_within(Duration::ZERO);
            }
        })?;
        #[cfg(feature = "tls")]
        certificates::watch(&service);
        let is_asked = metrics_listener.is_some() || service.config.pages;
        let pages = is_asked.then(|| ServerPages::new(service.clone()));
        let metrics = match (metrics_listener, pages.clone()) {
            (Some(listener), Some(pages)) => Some(MetricsServer::start(Box::new(pages), listener)?),
            _ => None,
        };
        let budget = budget.to_string();
        let running = Running::new(service, engine, names, addrs, budget, metrics, pages);
        Ok(running.with_redirect(redirect))
    }
}

/// Whether what is wanted of TLS can be had: by this build, and of the files.
///
/// # Errors
/// Says what is wrong.
pub(crate) fn check_certificates(config: &Config) -> io::Result<()> {
    check_tls(config)?;
    #[cfg(feature = "tls")]
    certificates::read(config)?;
    Ok(())
}

/// Tells the rooms of their bus, if there is a setting for it.
fn choose_room_bus(config: &Config) -> io::Result<()> {
    let wrong = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    let Some(url) = config.room_bus.as_deref() else {
        return Ok(());
    };
    #[cfg(feature = "redis")]
    if let Err(error) = crate::redis::Redis::connect(url) {
        return wrong(format!("--room-bus: {error}"));
    }
    if cfg!(not(feature = "redis")) {
        return wrong("--room-bus takes a build with greenway's feature redis".to_owned());
    }
    match buses::choose(url) {
        Ok(()) => Ok(()),
        Err(_settled) => wrong(
            "--room-bus comes too late: a room with a name was used before, with another bus or none"
                .to_owned(),
        ),
    }
}

/// Whether this build can do what is wanted of TLS.
fn check_tls(config: &Config) -> io::Result<()> {
    let wrong = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    let tls = &config.tls;
    if tls.certificates.is_empty() {
        let of = [
            (!tls.keys.is_empty(), "--keyfile"),
            (tls.cert_reqs != CertReqs::None, "--cert-reqs"),
            (tls.ca_certs.is_some(), "--ca-certs"),
            (tls.redirect_bind.is_some(), "--redirect-bind"),
        ];
        return match of.into_iter().find(|(given, _)| *given) {
            Some((_, flag)) => wrong(&format!(
                "{flag} takes --certfile: without it there is no TLS"
            )),
            None => Ok(()),
        };
    }
    if !cfg!(feature = "tls") {
        return wrong("this program was built without TLS: build it with greenway's feature `tls`");
    }
    #[cfg(feature = "minihttp")]
    if config.engine == Engine::MiniHttp {
        return wrong("the engine minihttp has no TLS: use --engine green or threads");
    }
    Ok(())
}

/// A time limit: none for 0, and for what no clock will see the end of.
pub(super) fn limit(time: Duration) -> Duration {
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

/// Says which settings come too late, since green threads run already with others.
fn warn_of_vain(wanted: green::Config, given: green::Config) {
    if given.workers != wanted.workers {
        log::warn!(
            "green threads run on {} already; --cores {} has no effect",
            Count(given.workers, "worker"),
            wanted.workers
        );
    }
    let default = green::Config::default();
    // What nobody has asked for is in vain for nobody.
    let vain = [
        (
            "--stack-size",
            wanted.stack_size != default.stack_size && wanted.stack_size != given.stack_size,
        ),
        (
            "--max-blocking-time",
            wanted.max_blocking_time != default.max_blocking_time
                && wanted.max_blocking_time != given.max_blocking_time,
        ),
        (
            "--stack-marks",
            wanted.stack_marks != default.stack_marks && wanted.stack_marks != given.stack_marks,
        ),
    ];
    for (flag, _) in vain.into_iter().filter(|(_, in_vain)| *in_vain) {
        log::warn!("{flag} has no effect: green threads were started before the server was");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::settings::{self, Setting};

    /// Each method, with a value that is not its default, and that value as its flag takes it.
    #[allow(clippy::type_complexity)]
    const METHODS: [(&str, &str, fn(Server) -> Server); 56] = [
        ("engine", "threads", |s| s.engine(Engine::Threads)),
        ("bind", "a:1", |s| s.bind("a:1")),
        ("cores", "77", |s| s.cores(77)),
        ("threads", "7", |s| s.threads(7)),
        ("websocket_threads", "8", |s| s.websocket_threads(8)),
        ("websocket_stop_code", "1012", |s| {
            s.websocket_stop_code(1012.into())
        }),
        ("worker_connections", "9", |s| s.worker_connections(9)),
        ("limit_handlers", "10", |s| s.limit_handlers(10)),
        ("room_bus", "redis://a", |s| s.room_bus("redis://a")),
        ("backlog", "11", |s| s.backlog(11)),
        ("workers", "3", |s| s.workers(3)),
        ("master", "true", |s| s.master(true)),
        ("boot_timeout", "12", |s| {
            s.boot_timeout(Duration::from_secs(12))
        }),
        ("pid", "/c", |s| s.pid("/c")),
        ("user", "nobody", |s| s.user("nobody")),
        ("group", "20", |s| s.group("20")),
        ("umask", "0027", |s| s.umask(0o027)),
        ("reload", "true", |s| s.reload(true)),
        ("reload_build", "make", |s| s.reload_build("make")),
        ("certfile", "/c", |s| s.certfile("/c")),
        ("keyfile", "/k", |s| s.keyfile("/k")),
        ("ca_certs", "/r", |s| s.ca_certs("/r")),
        ("cert_reqs", "required", |s| s.cert_reqs(CertReqs::Required)),
        ("tls_min_version", "1.3", |s| {
            s.tls_min_version(TlsVersion::Tls13)
        }),
        ("handshake_timeout", "30", |s| {
            s.handshake_timeout(Duration::from_secs(30))
        }),
        ("limit_handshakes", "31", |s| s.limit_handshakes(31)),
        ("tls_reload", "32", |s| {
            s.tls_reload(Duration::from_secs(32))
        }),
        ("redirect_bind", "c:3", |s| s.redirect_bind("c:3")),
        ("keep_alive", "0.5", |s| {
            s.keep_alive(Duration::from_millis(500))
        }),
        ("timeout", "13", |s| s.timeout(Duration::from_secs(13))),
        ("header_timeout", "14", |s| {
            s.header_timeout(Duration::from_secs(14))
        }),
        ("body_timeout", "15", |s| {
            s.body_timeout(Duration::from_secs(15))
        }),
        ("write_timeout", "16", |s| {
            s.write_timeout(Duration::from_secs(16))
        }),
        ("half_close", "leave", |s| s.half_close(HalfClose::Leave)),
        ("graceful_timeout", "17", |s| {
            s.graceful_timeout(Duration::from_secs(17))
        }),
        ("limit_request_line", "18", |s| s.limit_request_line(18)),
        ("limit_request_fields", "19", |s| s.limit_request_fields(19)),
        ("limit_request_field_size", "20", |s| {
            s.limit_request_field_size(20)
        }),
        ("limit_request_body", "21", |s| s.limit_request_body(21)),
        ("http_protocols", "h1", |s| s.http_protocols("h1")),
        ("http2_max_concurrent_streams", "22", |s| {
            s.http2_max_concurrent_streams(22)
        }),
        ("http2_initial_window_size", "23", |s| {
            s.http2_initial_window_size(23)
        }),
        ("http2_max_frame_size", "16385", |s| {
            s.http2_max_frame_size(16_385)
        }),
        ("http2_max_header_list_size", "24", |s| {
            s.http2_max_header_list_size(24)
        }),
        ("stack_size", "22", |s| s.stack_size(22)),
        ("stack_marks", "true", |s| s.stack_marks(true)),
        ("max_blocking_time", "23", |s| {
            s.max_blocking_time(Duration::from_secs(23))
        }),
        ("access_log", "/a", |s| s.access_log("/a")),
        ("access_log_format", "json", |s| s.access_log_format("json")),
        ("error_log", "/b", |s| s.error_log("/b")),
        ("log_level", "debug", |s| s.log_level(LevelFilter::Debug)),
        ("metrics_bind", "b:2", |s| s.metrics_bind("b:2")),
        ("debug", "true", |s| s.debug(true)),
        ("forwarded_allow_ips", "10.0.0.0/8", |s| {
            s.forwarded_allow_ips("10.0.0.0/8")
        }),
        ("proxy_protocol", "v2", |s| {
            s.proxy_protocol(ProxyProtocol::V2)
        }),
        ("proxy_allow_from", "*", |s| s.proxy_allow_from("*")),
    ];

    /// Methods have the names of flags. Those of the logs are spelt in words.
    fn method_of(setting: &Setting) -> String {
        let name = setting.flag.replace('-', "_");
        name.replace("access_logf", "access_log_f")
            .replace("access_log_file", "access_log")
            .replace("error_logfile", "error_log")
    }

    #[test]
    fn each_method_does_what_its_flag_does() {
        assert_eq!(
            settings::all().map(method_of).collect::<Vec<_>>(),
            METHODS.map(|(name, ..)| name)
        );
        for (setting, (name, text, call)) in settings::all().zip(METHODS) {
            let mut flags = Settings::default();
            setting.read(&mut flags, text).unwrap();
            let server = call(Server::new(|_: greenway_app::Request| "Hello"));
            assert_eq!(server.invalid, None, "{name}");
            assert_eq!(
                format!("{:?}", server.settings),
                format!("{flags:?}"),
                "{name}"
            );
        }
    }

    #[test]
    fn each_methods_documentation_has_the_default() {
        let source = concat!(include_str!("builder.rs"), include_str!("for_programs.rs"));
        for setting in settings::all() {
            let name = &method_of(setting);
            let (before, _) = source.split_once(&format!("pub fn {name}(")).expect(name);
            let (_, default) = before.rsplit_once("Default:").expect(name);
            assert!(
                !default.contains("pub fn"),
                "{name} has no word on its default"
            );
            let default = default.to_lowercase().replace('`', "");
            let Some(value) = setting.default_text(&Settings::default()) else {
                continue;
            };
            let mebibytes = value.parse::<u64>().map_or(0, |bytes| bytes >> 20);
            let right = match setting.value {
                "SECONDS" => format!("{value} s"),
                "BYTES" if mebibytes > 0 => format!("{mebibytes} mib"),
                _ => value,
            };
            assert!(
                default.contains(&right),
                "{name}: {right:?} is not in {default:?}"
            );
        }
    }
}
