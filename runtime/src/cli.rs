//! [`serve`]: a server from the command line and the environment, with gunicorn's flags.

use crate::green;
use crate::green::embed::Count;
use crate::server::{OnSignal, Server, Told, catch_signals, inherited_sockets};
use crate::service::config::HalfClose;
use crate::service::config::{Config, Engine};
use crate::service::{Format, LogFile, SharedLog, Trust};
use crate::websocket::CloseCode;
use clap::{CommandFactory, FromArgMatches, Parser};
use greenway_app::Application;
use std::io::{self, Write};
use std::process::exit;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Says something to whoever has started the program. If nobody reads it any more, that must not
/// end the program, as a panic of `eprintln` would.
macro_rules! say {
    ($($what:tt)*) => {{
        let _nobody_reads_it = writeln!(io::stderr(), "greenway: {}", format_args!($($what)*));
    }};
}

/// A Greenway application.
#[derive(Debug, Parser)]
#[command(version = crate::VERSION, disable_help_subcommand = true, max_term_width = 100)]
struct Flags {
    /// Where handlers run: green (a green thread for each connection), threads (a fixed pool of
    /// OS threads) or minihttp (hosted by the crate may_minihttp).
    #[arg(
        short = 'k',
        long,
        env = "GREENWAY_ENGINE",
        default_value = "green",
        visible_alias = "worker-class"
    )]
    engine: Engine,

    /// Listen on HOST:PORT, unix:PATH or fd://NUMBER; may be given several times. Default: the
    /// sockets of LISTEN_FDS (systemd); else 0.0.0.0:$PORT where PORT is set; else
    /// 127.0.0.1:8000.
    #[arg(short, long, value_name = "ADDRESS")]
    bind: Vec<String>,

    /// OS threads that run green threads. Default: one for each core.
    #[arg(long, value_name = "N", env = "GREENWAY_CORES", value_parser = at_least_one)]
    cores: Option<usize>,

    /// Requests that the threads engine serves at once.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = at_least_one)]
    threads: usize,

    /// WebSockets that may be open at once on the threads engine, where each holds a thread; more
    /// are answered with 503. Default: half of the threads.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    websocket_threads: Option<usize>,

    /// The close code that WebSockets are told when the server stops, such as 1001 (going away) or
    /// 1012 (restart).
    #[arg(long, value_name = "CODE", default_value = "1001", value_parser = close_code)]
    websocket_stop_code: CloseCode,

    /// Connections that may be open at once; more are answered with 503. Default: as many as
    /// the limits on descriptors and memory mappings have room for.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    worker_connections: Option<usize>,

    /// Handlers that may run at once; more are answered with 503. Default: no limit.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    limit_handlers: Option<usize>,

    /// Connections that the kernel keeps until they are accepted.
    #[arg(long, value_name = "N", default_value_t = 2048)]
    backlog: u32,

    /// Seconds that a connection may wait for its next request.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds, allow_negative_numbers = true)]
    keep_alive: Duration,

    /// Seconds that a handler may take for its response, or between two chunks of it.
    #[arg(short, long, value_name = "SECONDS", default_value = "30", value_parser = seconds, allow_negative_numbers = true)]
    timeout: Duration,

    /// Seconds that a request's head may take to come.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds, allow_negative_numbers = true)]
    header_timeout: Duration,

    /// Seconds that a request's body may pause.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds, allow_negative_numbers = true)]
    body_timeout: Duration,

    /// Seconds that a client may take to accept a piece of a response.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds, allow_negative_numbers = true)]
    write_timeout: Duration,

    /// What it means that a client ends its sending direction (a FIN) while it is being served:
    /// auto (ask it with a 100 Continue; once a stream has begun, it has left), serve or leave.
    #[arg(long, value_name = "MEANING", default_value = "auto")]
    half_close: HalfClose,

    /// Seconds that requests may go on after TERM or INT. A second signal ends them at once.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds, allow_negative_numbers = true)]
    graceful_timeout: Duration,

    /// Bytes of a request line; more is 414.
    #[arg(long, value_name = "BYTES", default_value_t = 4094, value_parser = at_least_one)]
    limit_request_line: usize,

    /// Header fields of a request; more is 431.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least_one)]
    limit_request_fields: usize,

    /// Bytes of a header field; more is 431.
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 8190,
        value_parser = at_least_one,
        visible_alias = "limit-request-field_size"
    )]
    limit_request_field_size: usize,

    /// Bytes of a request's body; more is 413.
    #[arg(long, value_name = "BYTES", default_value_t = 16 * 1024 * 1024)]
    limit_request_body: u64,

    /// Bytes of address space for a green thread's stack. Default: 256 KiB (1 MiB in debug builds).
    #[arg(long, value_name = "BYTES", value_parser = stack_bytes)]
    stack_size: Option<usize>,

    /// Find out how much of its stack each route uses, and show it with USR2 and at /threads.
    /// Always on in debug builds.
    #[arg(long)]
    stack_marks: bool,

    /// Seconds that a handler may run without a wait, holding up its worker, before it is reported
    /// in the log with its stack; 0 for never. Default: 1 (0.1 in debug builds).
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    max_blocking_time: Option<Duration>,

    /// Where to write the access log; - is the standard output. Default: nowhere.
    #[arg(long, value_name = "FILE")]
    access_logfile: Option<String>,

    /// How a line of the access log looks: gunicorn's letters, such as "%(h)s %(r)s %(s)s %(L)s",
    /// or json. Default: combined, and the duration in microseconds.
    #[arg(long, value_name = "FORMAT", value_parser = parsed::<Format>)]
    access_logformat: Option<Format>,

    /// Where to write the server's own log; - is the standard error.
    #[arg(long, value_name = "FILE", default_value = "-")]
    error_logfile: String,

    /// Show metrics for Prometheus at /metrics on HOST:PORT. Default: nowhere.
    #[arg(long, value_name = "ADDRESS")]
    metrics_bind: Option<String>,

    /// Proxies whose X-Forwarded-For, -Proto, -Host and Forwarded fields are believed: addresses
    /// and networks, with commas between them; * for everybody.
    #[arg(
        long,
        value_name = "LIST",
        env = "FORWARDED_ALLOW_IPS",
        default_value = "127.0.0.1,::1",
        value_parser = parsed::<Trust>
    )]
    forwarded_allow_ips: Trust,

    /// Connections from --proxy-allow-from begin with a header of the PROXY protocol (version 1
    /// or 2).
    #[arg(long)]
    proxy_protocol: bool,

    /// Load balancers that speak the PROXY protocol: a list as that of --forwarded-allow-ips.
    #[arg(
        long,
        value_name = "LIST",
        default_value = "127.0.0.1,::1",
        value_parser = parsed::<Trust>
    )]
    proxy_allow_from: Trust,

    /// What to log of the server itself: error, warn, info, debug or trace. RUST_LOG, where it
    /// is set, wins.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: log::LevelFilter,
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "a number of seconds, such as 30 or 0.5".to_owned())
}

fn parsed<T: FromStr<Err = String>>(text: &str) -> Result<T, String> {
    text.parse()
}

fn close_code(text: &str) -> Result<CloseCode, String> {
    let code = text.parse().ok().map(u16::into);
    code.filter(|code: &CloseCode| code.is_sendable())
        .ok_or_else(|| "a close code that may be sent, such as 1001, 1012 or 4000".to_owned())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a whole number from 1".to_owned()),
        Ok(n) => Ok(n),
    }
}

/// More address space than this for each stack is a slip, and cannot be had.
const LARGEST_STACK: usize = 1 << 30;

fn stack_bytes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=LARGEST_STACK) => Ok(n),
        _ => Err(format!("a whole number from 1 to {LARGEST_STACK}")),
    }
}

impl Flags {
    fn into_config(self) -> Config {
        let mut config = Config {
            engine: self.engine,
            bind: self.bind,
            backlog: self.backlog,
            threads: self.threads,
            websocket_threads: self.websocket_threads,
            websocket_stop_code: self.websocket_stop_code,
            connections: self.worker_connections,
            body_limit: self.limit_request_body,
            graceful_timeout: self.graceful_timeout,
            half_close: self.half_close,
            access_log: self.access_logfile,
            access_log_format: self.access_logformat.unwrap_or_default(),
            handlers: self.limit_handlers,
            metrics_bind: self.metrics_bind,
            forwarded_allow: self.forwarded_allow_ips,
            proxy_protocol: self.proxy_protocol,
            proxy_allow: self.proxy_allow_from,
            ..Config::default()
        };
        if config.bind.is_empty()
            && inherited_sockets().is_empty()
            && let Ok(port) = std::env::var("PORT")
        {
            config.bind.push(format!("0.0.0.0:{port}"));
        }
        config.head_limits.line = self.limit_request_line;
        config.head_limits.fields = self.limit_request_fields;
        config.head_limits.field_size = self.limit_request_field_size;
        config.clocks.head = self.header_timeout;
        config.clocks.keep_alive = self.keep_alive;
        config.clocks.body = self.body_timeout;
        config.clocks.write = self.write_timeout;
        config.clocks.handler = self.timeout;
        let defaults = green::Config::default();
        config.green = green::Config {
            workers: self.cores.unwrap_or(defaults.workers),
            stack_size: self.stack_size.unwrap_or(defaults.stack_size),
            max_blocking_time: self.max_blocking_time.unwrap_or(defaults.max_blocking_time),
            stack_marks: self.stack_marks || defaults.stack_marks,
        };
        config
    }
}

/// Says in one line what is wrong with the flags; or shows what `--help` or `--version` asks for.
fn refuse_flags(error: &clap::Error) -> ! {
    if !error.use_stderr() {
        error.exit();
    }
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    say!(
        "{} (--help lists the flags)",
        line.trim_start_matches("error: ")
    );
    exit(2)
}

/// Serves `app` as the command line says, until TERM or INT; `--help` lists the flags.
///
/// Logs to the standard error, unless the program has set a logger of its own. TERM and INT stop
/// gracefully: whoever has connected is served, idle connections are closed, and requests may go
/// on for `--graceful-timeout`. A second signal ends them at once. USR1 and HUP open the log files
/// anew; USR2 writes to it what all green threads do. [`green::at_exit`] is for what is to be done
/// after the stop; [`green::signals`] for signals that the program wants itself, these among them.
///
/// Does not return. The process exits with 0, or with 1 when the server could not start or had
/// to cut requests short at its stop, or with 2 when a flag is wrong; what was wrong is said in
/// one line.
///
/// ```no_run
/// use greenway::{App, Request};
///
/// let mut app = App::new();
/// app.get("/hello/<name>", |req: Request| format!("Hello {}!\n", req.param("name")));
/// greenway::serve(app)
/// ```
pub fn serve(app: impl Application) -> ! {
    // Under the program's own name, where clap would say ours.
    let name = std::env::args_os().next().unwrap_or_default();
    let name = std::path::Path::new(&name)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let matches = Flags::command().bin_name(name).try_get_matches();
    let flags = matches
        .and_then(|matches| Flags::from_arg_matches(&matches))
        .unwrap_or_else(|error| refuse_flags(&error));
    let level = flags.log_level;
    let error_log = open_error_log(&flags.error_logfile);
    let mut logger = env_logger::Builder::new();
    if let Some(log) = &error_log {
        logger.target(env_logger::Target::Pipe(Box::new(log.clone())));
    }
    let _program_has_its_own = logger
        .filter_level(level)
        .filter_module("may", level.min(log::LevelFilter::Warn)) // it tells of every descriptor
        .filter_module("may_minihttp", log::LevelFilter::Off) // it calls every close an error
        .parse_default_env()
        .format_target(false)
        .try_init();

    let caught = catch_signals().unwrap_or_else(|error| no_signals(&error));
    let running = match Server::with_config(app, flags.into_config()).start() {
        Ok(running) => Arc::new(running),
        Err(error) => {
            say!("{error}");
            let misused = error.kind() == std::io::ErrorKind::InvalidInput;
            exit(if misused { 2 } else { 1 });
        }
    };
    let (first_signal, stop) = crossbeam_channel::bounded(1);
    let ending = running.clone();
    let on_signal = OnSignal::new(caught, move |told| match told {
        Told::Stop(1) => {
            let _ = first_signal.try_send(());
        }
        Told::Stop(_) => ending.end_now(),
        // A warning, since whoever asks wants to see it.
        Told::Show => log::warn!("what everyone does: {}", green::run_info()),
        Told::Reopen => {
            ending.reopen_logs();
            if let Some(log) = &error_log
                && let Err(error) = log.reopen()
            {
                log::error!("the error log cannot be opened anew: {error}");
            }
            log::info!("the logs are opened anew");
        }
    });
    if let Err(error) = &on_signal {
        no_signals(error);
    }
    say!("{}", running.describe());
    // Ends by the signal alone: the sender lives in `on_signal`.
    let _ = stop.recv();
    let open = Count(running.connections(), "connection");
    say!("stopping ({open})");
    let stopped = running.stop();
    green::run_at_exit();
    if stopped.cut > 0 {
        let were = if stopped.cut == 1 { "was" } else { "were" };
        let cut = Count(stopped.cut, "request");
        say!("stopped; {cut} {were} cut short");
        exit(1);
    }
    say!("stopped");
    exit(0)
}

fn no_signals(error: &std::io::Error) -> ! {
    say!("cannot handle signals: {error}");
    exit(1)
}

/// The server's own log, if it is not the standard error. Ends the process if it cannot be had.
fn open_error_log(path: &str) -> Option<SharedLog> {
    if path == "-" {
        return None;
    }
    match LogFile::open(path) {
        Ok(file) => Some(SharedLog::new(file)),
        Err(error) => {
            say!("cannot open the error log: {error}");
            exit(1);
        }
    }
}
